//! Streams of sound without a container: the last frame.

use super::bytes::{Bytes, partial};
use super::frames::{Frame, partial_frame};

/// How many frames in a row distinguish a stream from other bytes.
const LEAST_FRAMES: u32 = 4;
/// The largest AMR file that is looked at, in bytes: about 40 minutes.
const MOST_AMR: u64 = 4 << 20;

/// Returns what is missing at the end of an ADTS stream (AAC; ISO/IEC 13818-7, 6.2).
pub(super) fn adts(bytes: &Bytes<'_>) -> Option<String> {
    partial_frame(bytes, "last frame", LEAST_FRAMES, |rest| {
        let [0xff, b, c, d, e, f] = *rest.first_chunk::<6>()? else { return None };
        (b & 0xf6 == 0xf0).then_some(())?;
        let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        let stream = u32::from_be_bytes([0, b, c & 0xfd, d & 0xc0]);
        (length >= 7).then_some(Frame { length, stream, value: 0 })
    })
}

/// Returns what is missing at the end of an AC-3 or E-AC-3 stream (ETSI TS 102 366, 4.3 and E.1.2).
pub(super) fn ac3(bytes: &Bytes<'_>) -> Option<String> {
    partial_frame(bytes, "last frame", LEAST_FRAMES, |rest| {
        let [0x0b, 0x77, c, d, e, f] = *rest.first_chunk::<6>()? else { return None };
        let (version, rate) = (f >> 3, e >> 6);
        let words = match version {
            0..=10 => {
                const BIT_RATES: [usize; 19] =
                    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
                let bit_rate = BIT_RATES.get(usize::from(e >> 1 & 0x1f))?;
                match rate {
                    0 => bit_rate * 2,
                    1 => bit_rate * 320 / 147 + usize::from(e & 1),
                    2 => bit_rate * 3,
                    _ => return None,
                }
            }
            11..=16 => (usize::from(c & 7) << 8 | usize::from(d)) + 1,
            _ => return None,
        };
        let stream = u32::from_be_bytes([0, 0, version, rate]);
        Some(Frame { length: 2 * words, stream, value: 0 })
    })
}

/// Returns what is missing at the end of a LOAS stream (AAC; ISO/IEC 14496-3, 1.7.2).
pub(super) fn loas(bytes: &Bytes<'_>) -> Option<String> {
    partial_frame(bytes, "last frame", LEAST_FRAMES, |rest| {
        let [0x56, b, c] = *rest.first_chunk::<3>()? else { return None };
        let length = 3 + (usize::from(b & 0x1f) << 8 | usize::from(c));
        (b & 0xe0 == 0xe0).then_some(Frame { length, stream: 0, value: 0 })
    })
}

/// Returns what is missing at the end of an AMR file (RFC 4867, 5): each frame begins with its type, which states its
/// length.
pub(super) fn amr(bytes: &Bytes<'_>) -> Option<String> {
    const NARROW: [usize; 9] = [13, 14, 16, 18, 20, 21, 27, 32, 6];
    const WIDE: [usize; 10] = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6];
    (bytes.size() <= MOST_AMR).then_some(())?;
    let file = bytes.read(0, MOST_AMR as usize)?;
    let (mut rest, lengths): (_, &[usize]) =
        match (file.strip_prefix(b"#!AMR\n"), file.strip_prefix(b"#!AMR-WB\n")) {
            (Some(rest), _) => (rest, &NARROW),
            (_, Some(rest)) => (rest, &WIDE),
            _ => return None,
        };
    while let Some(header) = rest.first() {
        // Bits that are 0 in every header.
        (header & 0x83 == 0).then_some(())?;
        let length = lengths.get(usize::from(header >> 3 & 0xf)).copied().unwrap_or(1);
        let Some(behind) = rest.get(length..) else {
            return partial("last frame", rest.len() as u64, length as u64);
        };
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    /// Asserts that 9 frames are whole, and that they are not without their last 10 bytes.
    #[track_caller]
    fn assert_frames(container: &str, header: &[u8], length: usize) {
        let mut frame = header.to_vec();
        frame.resize(length, 7);
        let whole = frame.repeat(9);
        let why = format!("its last frame is not whole ({} of {length} bytes)", length - 10);
        assert_cut(container, &whole, whole.len() - 10, &why);
        assert_eq!(message(container, &[whole, b"TAG".to_vec()].concat()), None);
    }

    #[test]
    fn a_cut_stream_ends_in_a_frame() {
        assert_frames("aac", &[0xff, 0xf1, 0x50, 0x80, 0x0c, 0x9f, 0xfc], 100);
        assert_frames("ac3", &[0x0b, 0x77, 0, 0, 0x0a, 0x40], 2 * 160);
        assert_frames("ac3", &[0x0b, 0x77, 0, 0, 0x41, 0x40], 2 * 70);
        assert_frames("eac3", &[0x0b, 0x77, 0, 0x31, 0x3f, 0x80], 100);
        assert_frames("loas", &[0x56, 0xe0, 97], 100);
    }

    #[test]
    fn a_cut_amr_file_ends_in_a_frame() {
        let frame = [vec![0x3c], vec![7; 31]].concat();
        let whole = [b"#!AMR\n".to_vec(), frame.repeat(3), vec![0x7c]].concat();
        assert_cut("amr", &whole, 90, "its last frame is not whole (20 of 32 bytes)");
        let frame = [vec![0x44], vec![7; 60]].concat();
        let whole = [b"#!AMR-WB\n".to_vec(), frame.repeat(3)].concat();
        assert_cut("amr", &whole, 90, "its last frame is not whole (20 of 61 bytes)");
    }
}
