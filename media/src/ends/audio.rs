//! Files of sound whose header states a total: their length, the lengths of their frames, or a number of samples.

use super::bytes::{Bytes, cut_off, grouped, partial, shorter};

/// How far from the end the last block of a WavPack file is searched, in bytes.
const LAST_BLOCK: u64 = 4 << 20;

/// Returns what is missing at the end of a Sun audio file: a length of 0xffffffff is unknown.
pub(super) fn sun(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b".snd").then_some(())?;
    let (data, length) = (u64::from(bytes.be32(4)?), bytes.be32(8)?);
    (length < u32::MAX).then(|| partial("sound", bytes.size().saturating_sub(data), u64::from(length)))?
}

/// Returns what is missing at the end of a DSD stream file (DSF File Format Specification 1.01): its header states the
/// length of the file.
pub(super) fn dsf(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"DSD ").then_some(())?;
    shorter(bytes.le64(12)?, bytes.size())
}

/// Returns what is missing at the end of a Monkey's Audio file of version 3.98 or later: its descriptor states the
/// lengths of all parts.
pub(super) fn monkeys_audio(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"MAC " && bytes.le16(4)? >= 3980).then_some(())?;
    // Descriptor, header, seek table, header of the WAV, frames (low and high half), and what followed in the WAV.
    let [descriptor, header, table, wav_header, low, high, wav_end] =
        [8, 12, 16, 20, 24, 28, 32].map(|at| bytes.le32(at).map(u64::from));
    let frames = high? << 32 | low?;
    let others = descriptor? + header? + table? + wav_header? + wav_end?;
    shorter(frames.checked_add(others)?, bytes.size())
}

/// Returns what is missing at the end of a True Audio file (TTA1): a table states the length of each frame, of
/// 256/245 s.
pub(super) fn true_audio(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"TTA1").then_some(())?;
    let (rate, samples) = (u64::from(bytes.le32(10)?), u64::from(bytes.le32(14)?));
    let frame = Some(rate * 256 / 245).filter(|frame| *frame > 0)?;
    let lengths = bytes.le32_table(22, samples.div_ceil(frame))?;
    let frames: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    // The header and the table each end with a checksum.
    shorter(22 + 4 * lengths.len() as u64 + 4 + frames, bytes.size())
}

/// Returns what is missing at the end of a WavPack file (WavPack 4 & 5 Binary File / Block Format): its last block is
/// whole, and holds the last of the samples that the first block counts.
pub(super) fn wavpack(bytes: &Bytes<'_>) -> Option<String> {
    let block = |at: u64| {
        let sane = bytes.array(at)? == *b"wvpk" && matches!(bytes.le16(at + 8)?, 0x402..=0x410);
        let length = u64::from(bytes.le32(at + 4)?) + 8;
        let (index, samples) = (u64::from(bytes.le32(at + 16)?), u64::from(bytes.le32(at + 20)?));
        sane.then_some((length, index + samples))
    };
    block(0)?;
    let total = bytes.le32(12)?;
    let last = bytes.find_last(b"wvpk", LAST_BLOCK, |at| block(at).is_some())?;
    let (length, end) = block(last)?;
    if let Some(message) = partial("last block", bytes.size() - last, length) {
        return Some(message);
    }
    // The high bits of longer files are elsewhere.
    let is_short = bytes.array(10)? == [0, 0] && total < u32::MAX;
    (is_short && end > 0 && end < u64::from(total)).then(|| {
        cut_off(&format!(
            "its header says that it has {} samples, and its last block ends at sample {}",
            grouped(u64::from(total)),
            grouped(end)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    #[test]
    fn a_cut_sun_audio_file_is_missing_sound() {
        let mut whole = [b".snd\0\0\0\x18\0\0\0\x64".as_slice(), &[0; 12], &[7; 100]].concat();
        assert_cut("au", &whole, 100, "its sound is not whole (76 of 100 bytes)");
        whole[8..12].fill(0xff);
        assert_eq!(message("au", &whole[..100]), None);
    }

    #[test]
    fn a_cut_dsf_file_has_fewer_bytes_than_its_header_states() {
        let whole = [b"DSD \x1c\0\0\0\0\0\0\0\x64\0\0\0\0\0\0\0".as_slice(), &[0; 80]].concat();
        assert_cut("dsf", &whole, 60, "its header says that it is 100 bytes long, and 60 are there");
    }

    #[test]
    fn a_cut_monkeys_audio_file_has_fewer_bytes_than_its_parts() {
        let lengths = [52u32, 24, 8, 44, 100, 0, 2].map(u32::to_le_bytes).concat();
        let whole = [b"MAC \x96\x0f\0\0".as_slice(), &lengths, &[7; 194]].concat();
        assert_cut("ape", &whole, 200, "its header says that it is 230 bytes long, and 200 are there");
    }

    #[test]
    fn a_cut_true_audio_file_has_fewer_bytes_than_its_frames() {
        // Two frames: 300 samples at 245 Hz.
        let header =
            [b"TTA1\x01\0\x01\0\x10\0".as_slice(), &[245, 0, 0, 0], &[44, 1, 0, 0], &[0; 4]].concat();
        let whole = [header, vec![50, 0, 0, 0, 30, 0, 0, 0], vec![0; 4], vec![7; 80]].concat();
        assert_cut("tta", &whole, 100, "its header says that it is 114 bytes long, and 100 are there");
    }

    /// A block of 108 bytes with 50 samples.
    fn wavpack(index: u8) -> Vec<u8> {
        let header = [b"wvpk".as_slice(), &[100, 0, 0, 0], &[0x10, 4, 0, 0], &[100, 0, 0, 0]].concat();
        [header, vec![index, 0, 0, 0, 50, 0, 0, 0], vec![7; 84]].concat()
    }

    #[test]
    fn a_cut_wavpack_file_is_missing_a_block() {
        let whole = [wavpack(0), wavpack(50)].concat();
        assert_cut("wv", &whole, 200, "its last block is not whole (92 of 108 bytes)");
        let why = "its header says that it has 100 samples, and its last block ends at sample 50";
        assert_cut("wv", &whole, 108, why);
    }
}
