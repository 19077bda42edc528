//! Ogg Opus (RFC 7845): one sound track, whose last page says where it ends.

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::codec::opus::Opus;

pub(super) const ENTRY: &Container = &Container {
    name: "opus",
    about: "Opus without video, in Ogg",
    muxer: "opus",
    demuxer: "ogg",
    video: NO_TRACKS,
    audio: Tracks { codecs: &[&Opus], most: 1 },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: true,
    timecode: false,
    priming: Priming::Signalled,
    last_length: false,
    index: Index::Frames,
    layout: Layout::OneFile,
    options: |_| Vec::new(),
};
