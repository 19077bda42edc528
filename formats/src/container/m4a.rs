//! M4A: an mp4 of sound alone, as Apple's players take it, with its index in front.

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks, mp4};
use crate::codec::{aac::Aac, alac::Alac};

pub(super) const ENTRY: &Container = &Container {
    name: "m4a",
    about: "AAC or ALAC without video, index in front",
    muxer: "ipod",
    demuxer: "mov,mp4,m4a,3gp,3g2,mj2",
    video: NO_TRACKS,
    audio: Tracks { codecs: &[&Aac, &Alac], most: usize::MAX },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: true,
    metadata: true,
    timecode: false,
    priming: Priming::Signalled,
    last_length: true,
    index: Index::Movie,
    layout: Layout::OneFile,
    options: mp4::options,
};
