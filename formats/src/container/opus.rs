//! Ogg Opus (RFC 7845): one sound track, whose last page says where it ends.

use super::{Container, SOUND_ALONE, Tracks};
use crate::codec::opus::Opus;

pub(super) const ENTRY: &Container = &Container {
    name: "opus",
    about: "Opus without video, in Ogg",
    muxer: "opus",
    demuxer: "ogg",
    audio: Tracks { codecs: &[&Opus], most: 1 },
    ..SOUND_ALONE
};
