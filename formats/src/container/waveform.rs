//! A picture of the sound's peaks, as players show it behind their bar.

use super::{Container, Index, Layout, SOUND_ALONE, Tracks};
use crate::intermediate::peaks::PeaksOfSound;

pub(super) const ENTRY: &Container = &Container {
    name: "waveform",
    about: "a PNG of the sound's peaks",
    audio: Tracks { codecs: &[&PeaksOfSound], most: 1 },
    metadata: false,
    index: Index::Samples,
    layout: Layout::Waveform,
    ..SOUND_ALONE
};
