//! MP4 (ISO/IEC 14496-12 and 14496-14), with its index in front.

use super::{Container, Contents, Index, Layout, Priming, Tracks};
use crate::codec::{
    aac::Aac, ac3::Ac3, alac::Alac, flac::Flac, h264::H264, mjpeg::Mjpeg, mov_text::MovText, mp3::Mp3,
    opus::Opus, png::Png,
};

pub(super) const ENTRY: &Container = &Container {
    name: "mp4",
    about: "H.264 and AAC, index in front (faststart)",
    muxer: "mp4",
    demuxer: "mov,mp4,m4a,3gp,3g2,mj2",
    video: Tracks { codecs: &[&H264], most: 1 },
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

/// Room for the index in front, and the clock of the movie.
pub(super) fn options(contents: &Contents) -> Vec<(&'static str, String)> {
    // For a packet of the index at the most: size 4, decoding time 8, composition offset 8, sync 4, and a chunk of its own 20
    // (ISO/IEC 14496-12, 8.6 and 8.7). Covers and texts lie in the header, too.
    let text = i64::try_from(contents.text).unwrap_or(0);
    let reserved = 8192 + 44 * contents.packets + text + contents.covers;
    vec![
        ("moov_size", reserved.to_string()),
        ("movie_timescale", contents.movie_ticks.to_string()),
        // FFmpeg 5.1 takes FLAC in mp4 for an experiment ("Encapsulation of FLAC in ISO Base Media File Format", version 0.0.4).
        ("strict", "experimental".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_room_for_each_packet_each_text_and_each_cover() {
        let contents = Contents { packets: 10, text: 300, covers: 5000, movie_ticks: 192_000 };
        let made = options(&contents);
        assert_eq!(made[..2], [("moov_size", "13932".to_owned()), ("movie_timescale", "192000".to_owned())]);
    }
}
