//! H.264: a byte stream (ITU-T H.264, Annex B) from the encoder, units behind their lengths in files (ISO/IEC 14496-15).

use ffmpeg_next::ffi::AVCodecID;
use xxhash_rust::xxh3::Xxh3;

use super::{Codec, Form};
use crate::child::units::{framed_units, units};

/// Types of units (ITU-T H.264, table 7-1).
const IDR_PICTURE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

fn is_of_type(unit: &[u8], kind: u8) -> bool {
    unit.first().is_some_and(|byte| byte & 31 == kind)
}

/// H.264.
#[derive(Debug)]
pub(super) struct H264;

impl Codec for H264 {
    fn id(&self) -> AVCodecID {
        AVCodecID::AV_CODEC_ID_H264
    }

    /// The encoder's headers are units of its byte stream; those of a file are an AVCDecoderConfigurationRecord
    /// (ISO/IEC 14496-15, 5.3.3.1), which is compared byte for byte, up to the four bytes of chroma behind it.
    fn is_same_header(&self, encoder: &[u8], file: &[u8]) -> bool {
        let units = units(encoder);
        let of_type = |kind: u8| -> Vec<&[u8]> {
            units.iter().copied().filter(|unit| is_of_type(unit, kind)).collect()
        };
        let (sequence, pictures) = (of_type(SEQUENCE_PARAMETERS), of_type(PICTURE_PARAMETERS));
        let Some(&[_, profile, compatible, level]) =
            sequence.first().and_then(|unit| unit.first_chunk::<4>())
        else {
            return encoder.is_empty() && file.is_empty();
        };
        let count = |units: &[&[u8]], reserved: u8| reserved | u8::try_from(units.len()).unwrap_or(0);
        let mut record = vec![1, profile, compatible, level, 0xff, count(&sequence, 0xe0)];
        let put = |record: &mut Vec<u8>, units: &[&[u8]]| {
            for unit in units {
                record.extend(u16::try_from(unit.len()).unwrap_or(0).to_be_bytes());
                record.extend_from_slice(unit);
            }
        };
        put(&mut record, &sequence);
        record.push(count(&pictures, 0));
        put(&mut record, &pictures);
        file.strip_prefix(record.as_slice()).is_some_and(|rest| matches!(rest, [] | [_, _, _, 0]))
    }

    fn digest(&self, packet: &[u8], form: Form) -> u64 {
        const NOTHING: &[u8] = &[];
        let (units, rest) = match form {
            Form::Encoder => (units(packet), NOTHING),
            Form::File => framed_units(packet),
        };
        let mut hasher = Xxh3::new();
        for unit in units {
            hasher.update(&(unit.len() as u64).to_le_bytes());
            hasher.update(unit);
        }
        // Bytes behind the last unit are of no encoder. A decoder may take them for something.
        hasher.update(rest);
        hasher.digest()
    }

    fn is_keyframe(&self, packet: &[u8], form: Form) -> bool {
        let units = match form {
            Form::Encoder => units(packet),
            Form::File => framed_units(packet).0,
        };
        units.into_iter().any(|unit| is_of_type(unit, IDR_PICTURE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_the_encoders_or_others() {
        let sps = [0x67, 100, 0, 31];
        let pps = [0x68, 9];
        let stream = [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1], &pps].concat();
        let file = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        let same = |file: &[u8]| H264.is_same_header(&stream, file);
        assert!(same(&file));
        assert!(same(&[&file[..], &[0xfd, 0xf8, 0xf8, 0]].concat()));
        assert!(!same(&file[..file.len() - 1]));
        assert!(!same(&[]));
        let more = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[2, 0, 2], &pps, &[0, 2], &pps].concat();
        assert!(!same(&more), "another unit that a decoder may take");
        let other = [&[1, 66, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        assert!(!same(&other), "another profile");
    }

    #[test]
    fn a_packet_is_the_same_in_both_forms() {
        let stream = [0, 0, 0, 1, 9, 8, 0, 0, 1, 7];
        let file = [0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 7];
        let digest = |packet: &[u8]| H264.digest(packet, Form::File);
        assert_eq!(H264.digest(&stream, Form::Encoder), digest(&file));
        assert_ne!(digest(&[0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 6]), digest(&file), "another byte");
        assert_ne!(digest(&file[..10]), digest(&file), "a byte less");
        for behind in [&[0][..], &[0, 0, 0], &[0, 0, 0, 9, 1]] {
            assert_ne!(digest(&[&file[..], behind].concat()), digest(&file), "{behind:?} behind its units");
        }
    }

    #[test]
    fn decoding_begins_at_an_idr_picture() {
        assert!(H264.is_keyframe(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1], Form::Encoder));
        assert!(!H264.is_keyframe(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 1], Form::Encoder));
        assert!(H264.is_keyframe(&[0, 0, 0, 2, 0x65, 1], Form::File));
        assert!(!H264.is_keyframe(&[0, 0, 0, 2, 0x41, 1], Form::File));
    }
}
