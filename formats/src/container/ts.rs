//! MPEG transport streams (ISO/IEC 13818-1), for broadcast, HLS, and recorders that may lose power at any time.

use super::{Container, Contents, Index, Layout, NO_TRACKS, Priming, STREAM_DELAY, Tracks};
use crate::codec::{aac::Aac, ac3::Ac3, h264::H264, hevc::Hevc, mp3::Mp3, opus::Opus};

pub(super) const ENTRY: &Container = &Container {
    name: "ts",
    about: "MPEG transport stream: H.264 or HEVC, and AAC, AC-3, MP3 or Opus",
    muxer: "mpegts",
    demuxer: "mpegts",
    video: Tracks { codecs: &[&H264, &Hevc], most: 1 },
    audio: Tracks { codecs: &[&Aac, &Ac3, &Mp3, &Opus], most: usize::MAX },
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: false,
    timecode: false,
    priming: Priming::Heard,
    last_length: false,
    index: Index::Stream,
    layout: Layout::OneFile,
    options,
};

fn options(_: &Contents) -> Vec<(&'static str, String)> {
    vec![
        // libavformat moves times by twice as much.
        ("max_delay", (STREAM_DELAY / 2).to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_behind_the_delay_and_come_round_after_a_day() {
        let options = options(&Contents::default());
        assert!(options.contains(&("max_delay", "700000".into())), "{options:?}");
        let longest = Index::Stream.longest_seconds().unwrap();
        assert!((95_000.0..95_443.0).contains(&longest), "{longest}");
        assert_eq!(Index::Movie.longest_seconds(), None);
    }
}
