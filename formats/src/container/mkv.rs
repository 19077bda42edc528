//! Matroska (RFC 9559), with pictures.

use super::{Container, Contents, Index, Layout, PCM_S16LE, PCM_S24LE, Priming, Tracks};
use crate::codec::{
    aac::Aac, ac3::Ac3, av1::Av1, flac::Flac, h264::H264, hevc::Hevc, mjpeg::Mjpeg, mp3::Mp3, opus::Opus,
    png::Png, subrip::SubRip, vp9::Vp9,
};

pub(super) const ENTRY: &Container = &Container {
    name: "mkv",
    about: "Matroska: H.264, HEVC, AV1 or VP9, most codecs of audio, and SubRip",
    muxer: "matroska",
    demuxer: "matroska,webm",
    video: Tracks { codecs: &[&H264, &Hevc, &Av1, &Vp9], most: 1 },
    audio: Tracks { codecs: &[&Aac, &Opus, &Mp3, &Ac3, &Flac, &PCM_S16LE, &PCM_S24LE], most: usize::MAX },
    text: Tracks { codecs: &[&SubRip], most: usize::MAX },
    covers: Tracks { codecs: &[&Mjpeg, &Png], most: usize::MAX },
    chapters: true,
    metadata: true,
    timecode: true,
    // libavformat before 6.1 writes a CodecDelay (5.1.4.1.28) for Opus alone, and readers differ in whether they heed it.
    priming: Priming::Heard,
    // A block states none but by BlockDuration, which libavformat writes for text alone.
    last_length: false,
    index: Index::Blocks,
    layout: Layout::OneFile,
    options,
};

/// The index (Cues) stands behind the blocks, where a SeekHead in front names it: how long it becomes is known only then.
fn options(_: &Contents) -> Vec<(&'static str, String)> {
    vec![
        // Decoding times before zero are in no file, and move nothing.
        ("avoid_negative_ts", "disabled".into()),
        // A player plays the first track of pictures and of sound where none is a default one.
        ("default_mode", "infer_no_subs".into()),
        // No random ids: the same work objects are the same file.
        ("fflags", "+bitexact".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_are_put_in_and_a_file_is_the_same_each_time() {
        let options = options(&Contents::default());
        let is = |key: &str, value: &str| options.contains(&(key, value.to_owned()));
        assert!(is("avoid_negative_ts", "disabled") && is("fflags", "+bitexact"), "{options:?}");
    }
}
