//! WAV (Multimedia Programming Interface and Data Specifications 1.0; EBU Tech 3306 for more than 4 GiB): one sound track of samples.

use std::marker::PhantomData;

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::{
    codec::{pcm_s16le::PcmS16le, pcm_s24le::PcmS24le},
    pcm::Pcm,
};

const PCM_S16LE: PcmS16le = Pcm { samples: PhantomData };
const PCM_S24LE: PcmS24le = Pcm { samples: PhantomData };

pub(super) const ENTRY: &Container = &Container {
    name: "wav",
    about: "PCM without video",
    muxer: "wav",
    demuxer: "wav",
    video: NO_TRACKS,
    audio: Tracks { codecs: &[&PCM_S16LE, &PCM_S24LE], most: 1 },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: true,
    timecode: false,
    priming: Priming::Signalled,
    last_length: false,
    index: Index::Samples,
    layout: Layout::OneFile,
    // Sizes of 64 bits where those of 32 are too small.
    options: |_| vec![("rf64", "auto".into())],
};
