//! MP3: one sound track, frames one behind the other. The first says in LAME's tag what of the others is heard.

use super::{Container, SOUND_ALONE, Tracks};
use crate::codec::mp3::Mp3;

pub(super) const ENTRY: &Container = &Container {
    name: "mp3",
    about: "MP3 without video",
    muxer: "mp3",
    demuxer: "mp3",
    audio: Tracks { codecs: &[&Mp3], most: 1 },
    // Version 2.4 of ID3, libavformat's default, is not read by Windows' players.
    options: |_| vec![("id3v2_version", "3".into())],
    ..SOUND_ALONE
};
