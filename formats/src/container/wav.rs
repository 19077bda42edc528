//! WAV (Multimedia Programming Interface and Data Specifications 1.0; EBU Tech 3306 for more than 4 GiB): one sound track of samples.

use super::{Container, Index, PCM_S16LE, PCM_S24LE, SOUND_ALONE, Tracks};

pub(super) const ENTRY: &Container = &Container {
    name: "wav",
    about: "PCM without video",
    muxer: "wav",
    demuxer: "wav",
    audio: Tracks { codecs: &[&PCM_S16LE, &PCM_S24LE], most: 1 },
    index: Index::Samples,
    // Sizes of 64 bits where those of 32 are too small.
    options: |_| vec![("rf64", "auto".into())],
    ..SOUND_ALONE
};
