//! FLAC (RFC 9639): one sound track, frames one behind the other behind a header that says how many samples there are.

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::codec::flac::Flac;

pub(super) const ENTRY: &Container = &Container {
    name: "flac",
    about: "FLAC without video",
    muxer: "flac",
    demuxer: "flac",
    video: NO_TRACKS,
    audio: Tracks { codecs: &[&Flac], most: 1 },
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
