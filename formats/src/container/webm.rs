//! WebM (WebM Container Guidelines): Matroska of codecs that anybody may use.

use super::{Container, NO_TRACKS, Tracks, mkv};
use crate::codec::{av1::Av1, opus::Opus, vp9::Vp9, webvtt::WebVtt};

pub(super) const ENTRY: &Container = &Container {
    name: "webm",
    about: "VP9 or AV1, Opus, and WebVTT, for browsers",
    muxer: "webm",
    video: Tracks { codecs: &[&Vp9, &Av1], most: 1 },
    audio: Tracks { codecs: &[&Opus], most: usize::MAX },
    text: Tracks { codecs: &[&WebVtt], most: usize::MAX },
    // It has no attached files.
    covers: NO_TRACKS,
    timecode: false,
    ..*mkv::ENTRY
};
