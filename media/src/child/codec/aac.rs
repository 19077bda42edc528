//! AAC-LC: its header is an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1), the same in work objects and in files.

use ffmpeg_next::ffi::AVCodecID;
use xxhash_rust::xxh3::xxh3_64;

use super::{Codec, Form, SoundHeader};

/// Samples per second by their index in the header (1.6.3.4).
const RATES: [i32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
/// The index behind which a rate is written out.
const ANY_RATE: u32 = 15;
/// The object type of AAC-LC (table 1.17).
const LOW_COMPLEXITY: u32 = 2;

/// AAC-LC.
#[derive(Debug)]
pub(super) struct Aac;

impl Codec for Aac {
    fn id(&self) -> AVCodecID {
        AVCodecID::AV_CODEC_ID_AAC
    }

    fn is_same_header(&self, encoder: &[u8], file: &[u8]) -> bool {
        encoder == file
    }

    fn digest(&self, packet: &[u8], _: Form) -> u64 {
        xxh3_64(packet)
    }

    fn is_keyframe(&self, _: &[u8], _: Form) -> bool {
        true
    }

    fn read_sound_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let mut bits = Bits { bytes: header, at: 0 };
        if bits.take(5)? != LOW_COMPLEXITY {
            return None;
        }
        let sample_rate = match bits.take(4)? {
            ANY_RATE => i32::try_from(bits.take(24)?).ok()?,
            index => *RATES.get(index as usize)?,
        };
        let channels = match bits.take(4)? {
            0 => None,
            7 => Some(8),
            channels => Some(i32::try_from(channels).ok()?),
        };
        // `frameLengthFlag` (4.4.1).
        let frame_length = if bits.take(1)? == 1 { 960 } else { 1024 };
        Some(SoundHeader { sample_rate, channels, frame_length })
    }
}

/// Reads bits, the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits as a number, at most 32; `None` if there are fewer.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sample_rate: i32, channels: Option<i32>, frame_length: i64) -> SoundHeader {
        SoundHeader { sample_rate, channels, frame_length }
    }

    #[test]
    fn a_header_states_rate_channels_and_the_length_of_packets() {
        let read = |bytes: &[u8]| Aac.read_sound_header(bytes);
        assert_eq!(read(&[0x11, 0x90]), Some(header(48_000, Some(2), 1024)));
        assert_eq!(read(&[0x12, 0x10]), Some(header(44_100, Some(2), 1024)));
        assert_eq!(read(&[0x11, 0x88]), Some(header(48_000, Some(1), 1024)));
        assert_eq!(read(&[0x11, 0xb8]), Some(header(48_000, Some(8), 1024)));
        assert_eq!(read(&[0x11, 0x94]), Some(header(48_000, Some(2), 960)));
        assert_eq!(read(&[0x11, 0x80, 0x04, 0xc8]), Some(header(48_000, None, 1024)), "channels one by one");
        // 37,800 a second, written out.
        assert_eq!(read(&[0x17, 0x80, 0x49, 0xd4, 0x10]), Some(header(37_800, Some(2), 1024)));
    }

    #[test]
    fn a_header_that_is_cut_off_or_of_another_kind_is_not_read() {
        // Index 13 is reserved; object type 5 is of another kind of AAC.
        for bytes in [&[][..], &[0x11], &[0x17, 0x80, 0x49, 0xd4], &[0x16, 0x90], &[0x29, 0x90]] {
            assert_eq!(Aac.read_sound_header(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn headers_are_compared_by_each_byte() {
        assert!(Aac.is_same_header(&[0x12, 0x10], &[0x12, 0x10]));
        assert!(!Aac.is_same_header(&[0x12, 0x10], &[0x12, 0x08]));
        assert!(!Aac.is_same_header(&[0x12, 0x10], &[0x12, 0x10, 0]));
        assert_ne!(Aac.digest(&[1], Form::Encoder), Aac.digest(&[2], Form::File));
    }
}
