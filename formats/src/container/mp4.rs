//! MP4 (ISO/IEC 14496-12 and 14496-14), with its index in front.

use super::{Container, Contents, Index, Layout, Priming, Tracks, room_in_front};
use crate::codec::{
    aac::Aac, ac3::Ac3, alac::Alac, av1::Av1, flac::Flac, h264::H264, hevc::Hevc, mjpeg::Mjpeg,
    mov_text::MovText, mp3::Mp3, opus::Opus, png::Png, vp9::Vp9,
};

pub(super) const ENTRY: &Container = &Container {
    name: "mp4",
    about: "H.264, HEVC, AV1 or VP9, and AAC, index in front (faststart)",
    muxer: "mp4",
    demuxer: "mov,mp4,m4a,3gp,3g2,mj2",
    video: Tracks { codecs: &[&H264, &Hevc, &Av1, &Vp9], most: 1 },
    audio: Tracks { codecs: &[&Aac, &Opus, &Mp3, &Ac3, &Flac, &Alac], most: usize::MAX },
    text: Tracks { codecs: &[&MovText], most: usize::MAX },
    covers: Tracks { codecs: &[&Mjpeg, &Png], most: usize::MAX },
    chapters: true,
    metadata: true,
    timecode: true,
    priming: Priming::Signalled,
    last_length: true,
    index: Index::Movie,
    layout: Layout::OneFile,
    options,
};

/// Room for the index in front, the clock of the movie, and what FFmpeg 5.1 takes for an experiment: FLAC in mp4 ("Encapsulation of
/// FLAC in ISO Base Media File Format", version 0.0.4).
pub(super) fn options(contents: &Contents) -> Vec<(&'static str, String)> {
    let mut options = room_in_front(contents);
    options.push(("strict", "experimental".into()));
    options
}
