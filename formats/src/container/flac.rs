//! FLAC (RFC 9639): one sound track, frames one behind the other behind a header that says how many samples there are.

use super::{Container, SOUND_ALONE, Tracks};
use crate::codec::flac::Flac;

pub(super) const ENTRY: &Container = &Container {
    name: "flac",
    about: "FLAC without video",
    muxer: "flac",
    demuxer: "flac",
    audio: Tracks { codecs: &[&Flac], most: 1 },
    ..SOUND_ALONE
};
