//! MP3: one sound track, frames one behind the other. The first says in LAME's tag what of the others is heard.

use super::{Container, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::codec::mp3::Mp3;

pub(super) const ENTRY: &Container = &Container {
    name: "mp3",
    about: "MP3 without video",
    muxer: "mp3",
    demuxer: "mp3",
    video: NO_TRACKS,
    audio: Tracks { codecs: &[&Mp3], most: 1 },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: true,
    timecode: false,
    priming: Priming::Signalled,
    last_length: false,
    index: Index::Frames,
    layout: Layout::OneFile,
    // Version 2.4 of ID3, libavformat's default, is not read by Windows' players.
    options: |_| vec![("id3v2_version", "3".into())],
};
