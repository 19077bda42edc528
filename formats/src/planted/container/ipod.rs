//! Files for old players, of pictures alone.

use super::{Container, Contents, Index, Layout, NO_TRACKS, Priming, Tracks};
use crate::planted::codec::mpeg4::Mpeg4;

pub(super) const ENTRY: &Container = &Container {
    name: "ipod",
    about: "MPEG-4 Visual, for tests",
    muxer: "ipod",
    demuxer: "mov,mp4,m4a,3gp,3g2,mj2",
    video: Tracks { codecs: &[&Mpeg4], most: 1 },
    audio: NO_TRACKS,
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: false,
    timecode: false,
    priming: Priming::Signalled,
    last_length: true,
    index: Index::Movie,
    layout: Layout::OneFile,
    options,
};

fn options(contents: &Contents) -> Vec<(&'static str, String)> {
    vec![
        ("moov_size", (65_536 + 44 * contents.packets).to_string()),
        ("movie_timescale", contents.movie_ticks.to_string()),
    ]
}
