//! Codec headers of a file, held to those of the encoder.

use crate::child::units::units;

/// Whether the codec headers of a file are those that the encoder gave: of H.264 they are its byte stream (Annex B) as a
/// record, of other codecs the same bytes.
pub(super) fn same(encoder: &[u8], file: &[u8], is_video: bool) -> bool {
    if !is_video {
        return encoder == file;
    }
    let of_kind = |kind: u8| move |unit: &&[u8]| unit.first().is_some_and(|byte| byte & 31 == kind);
    let units = units(encoder);
    let sequence: Vec<&[u8]> = units.iter().copied().filter(of_kind(7)).collect();
    let pictures: Vec<&[u8]> = units.iter().copied().filter(of_kind(8)).collect();
    let Some(&[_, profile, compatible, level]) = sequence.first().and_then(|unit| unit.first_chunk::<4>())
    else {
        return encoder.is_empty() && file.is_empty();
    };
    // AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), and behind it what is said of chroma in four bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_the_encoders_or_others() {
        let sps = [0x67, 100, 0, 31];
        let pps = [0x68, 9];
        let stream = [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1], &pps].concat();
        let file = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        assert!(same(&stream, &file, true));
        assert!(same(&stream, &[&file[..], &[0xfd, 0xf8, 0xf8, 0]].concat(), true));
        assert!(!same(&stream, &file[..file.len() - 1], true));
        let more = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[2, 0, 2], &pps, &[0, 2], &pps].concat();
        assert!(!same(&stream, &more, true), "another unit that a decoder may take");
        let other = [&[1, 66, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        assert!(!same(&stream, &other, true), "another profile");
        assert!(same(&[0x12, 0x10], &[0x12, 0x10], false));
        assert!(!same(&[0x12, 0x10], &[0x12, 0x08], false));
    }
}
