//! WebM (WebM Container Guidelines): Matroska of codecs that anybody may use.

use super::{Container, NO_TRACKS, Tracks, mkv};
use crate::codec::{av1::Av1, opus::Opus, vp9::Vp9};

pub(super) const ENTRY: &Container = &Container {
    name: "webm",
    about: "VP9 or AV1, and Opus, for browsers",
    muxer: "webm",
    video: Tracks { codecs: &[&Vp9, &Av1], most: 1 },
    audio: Tracks { codecs: &[&Opus], most: usize::MAX },
    // Of text it holds WebVTT alone.
    text: NO_TRACKS,
    // It has no attached files.
    covers: NO_TRACKS,
    timecode: false,
    ..*mkv::ENTRY
};
