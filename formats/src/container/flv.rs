//! FLV (Adobe Flash Video File Format Specification 10.1, annex E): one track of pictures and one of sound.

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::codec::{aac::Aac, h264::H264};

pub(super) const ENTRY: &Container = &Container {
    name: "flv",
    about: "H.264 and AAC, for RTMP and old players",
    muxer: "flv",
    demuxer: "flv",
    video: Tracks { codecs: &[&H264], most: 1 },
    audio: Tracks { codecs: &[&Aac], most: 1 },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: true,
    timecode: false,
    priming: Priming::Heard,
    last_length: false,
    index: Index::Tags,
    layout: Layout::OneFile,
    options: |_| Vec::new(),
};
