//! QuickTime (QuickTime File Format Specification), with its index in front.

use super::{Container, Index, Layout, NO_TRACKS, PCM_S16LE, PCM_S24LE, Priming, Tracks, room_in_front};
use crate::codec::{aac::Aac, h264::H264, hevc::Hevc, mov_text::MovText};

pub(super) const ENTRY: &Container = &Container {
    name: "mov",
    about: "QuickTime: H.264 or HEVC, and AAC or PCM, for editing and Apple's players",
    muxer: "mov",
    demuxer: "mov,mp4,m4a,3gp,3g2,mj2",
    video: Tracks { codecs: &[&H264, &Hevc], most: 1 },
    audio: Tracks { codecs: &[&Aac, &PCM_S16LE, &PCM_S24LE], most: usize::MAX },
    text: Tracks { codecs: &[&MovText], most: usize::MAX },
    // libavformat writes covers into the metadata of mp4 alone.
    covers: NO_TRACKS,
    chapters: true,
    metadata: true,
    timecode: true,
    priming: Priming::Signalled,
    last_length: true,
    index: Index::Movie,
    layout: Layout::OneFile,
    options: room_in_front,
};
