//! 3GPP timed text in an mp4: its header is the content of a `TextSampleEntry` (3GPP TS 26.245, 5.16).

use ffmpeg_next::ffi::AVCodecID;
use xxhash_rust::xxh3::xxh3_64;

use super::{Codec, Form};

/// The beginning of a box of the bit rate (`btrt`, ISO/IEC 14496-12, 8.5.2.2), and its whole size in bytes.
const BIT_RATE: &[u8] = b"\0\0\0\x14btrt";
const BIT_RATE_SIZE: usize = 20;

/// Timed text.
#[derive(Debug)]
pub(super) struct MovText;

impl Codec for MovText {
    fn id(&self) -> AVCodecID {
        AVCodecID::AV_CODEC_ID_MOV_TEXT
    }

    /// libavformat writes the encoder's header as it is, and behind it the bit rate, which changes nothing of the text.
    fn is_same_header(&self, encoder: &[u8], file: &[u8]) -> bool {
        file.strip_prefix(encoder)
            .is_some_and(|rest| rest.is_empty() || rest.len() == BIT_RATE_SIZE && rest.starts_with(BIT_RATE))
    }

    fn digest(&self, packet: &[u8], _: Form) -> u64 {
        xxh3_64(packet)
    }

    fn is_keyframe(&self, _: &[u8], _: Form) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_header_comes_nothing_but_the_bit_rate() {
        let header = [1, 2, 3];
        let same = |behind: &[u8]| MovText.is_same_header(&header, &[&header[..], behind].concat());
        assert!(same(&[]));
        assert!(same(b"\0\0\0\x14btrt\0\0\0\0\0\0\x10\0\0\0\x10\0"));
        assert!(!same(b"\0\0\0\x14ftab\0\0\0\0\0\0\x10\0\0\0\x10\0"), "a table of fonts");
        assert!(!same(b"\0\0\0\x14btrt\0\0"), "cut off");
        assert!(!MovText.is_same_header(&header, &[1, 2]));
    }
}
