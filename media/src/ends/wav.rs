//! WAV, RF64 and Wave64.

use super::bytes::{Bytes, partial, shorter};
use super::chunks::{Layout, is_placeholder, is_placeholder_64, overstated};

/// Returns what is missing at the end of a WAV file, or another RIFF file of sound: its `data` chunk, or what follows.
///
/// The lengths of an RF64 or BW64 file are in its `ds64` chunk (EBU Tech 3306, ITU-R BS.2088).
pub(super) fn riff(bytes: &Bytes<'_>) -> Option<String> {
    let (layout, is_64) = match &bytes.array(0)? {
        b"RIFF" => (Layout::Riff, false),
        b"RIFX" => (Layout::Iff, false),
        b"RF64" | b"BW64" => (Layout::Riff, true),
        _ => return None,
    };
    matches!(&bytes.array(8)?, b"WAVE" | b"QLCM" | b"XWMA").then_some(())?;
    let states_nothing =
        |length| u32::try_from(length).is_ok_and(is_placeholder) || is_placeholder_64(length);
    let mut outer = layout.chunk(bytes, 0)?;
    let mut long_data = None;
    for mut chunk in layout.chunks(bytes, 12) {
        match &chunk.id {
            b"ds64" if is_64 => {
                outer.length = bytes.le64(chunk.data)?;
                long_data = Some(bytes.le64(chunk.data + 8)?);
            }
            b"data" => {
                match long_data {
                    Some(length) if chunk.length == u64::from(u32::MAX) => chunk.length = length,
                    _ => {}
                }
                if states_nothing(chunk.length) {
                    return None;
                }
                if let Some(message) = chunk.partial(bytes, "sound (data chunk)") {
                    return Some(message);
                }
            }
            _ => {}
        }
    }
    (!states_nothing(outer.length)).then(|| overstated(bytes, outer.data.saturating_add(outer.length)))?
}

/// The ids of the chunks of Wave64 end with these bytes, behind four characters.
const WAVE64_ID: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
/// How many chunks of a Wave64 file are visited.
const MOST_CHUNKS: u32 = 256;

/// Returns what is missing at the end of a Wave64 file (Sony Pictures Digital, 2003): lengths count the header of 24
/// bytes, and chunks begin at multiples of 8 bytes.
pub(super) fn wave64(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00").then_some(())?;
    let mut at = 40;
    for _ in 0..MOST_CHUNKS {
        let Some((id, length)) = bytes.array::<16>(at).zip(bytes.le64(at + 16)) else { break };
        (id[4..] == WAVE64_ID).then_some(())?;
        if is_placeholder_64(length) {
            return None;
        }
        if id.starts_with(b"data")
            && let Some(message) = partial("sound (data chunk)", bytes.size() - at, length)
        {
            return Some(message);
        }
        at = at.checked_add(length.max(24))?.checked_next_multiple_of(8)?;
    }
    let length = bytes.le64(16)?;
    (!is_placeholder_64(length)).then(|| shorter(length, bytes.size()))?
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::WAVE64_ID;

    fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [id, (data.len() as u32).to_le_bytes().as_slice(), data].concat()
    }

    fn wav(parts: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"RIFF", &[b"WAVE".to_vec(), chunk(b"fmt ", &[0; 16]), parts.concat()].concat())
    }

    #[test]
    fn a_cut_wav_file_is_missing_sound_or_what_follows_it() {
        let whole = wav(&[chunk(b"data", &[7; 100]), chunk(b"LIST", &[0; 30])]);
        assert_cut("wav", &whole, 100, "its sound (data chunk) is not whole (56 of 100 bytes)");
        let why = "its header says that it is 182 bytes long, and 150 are there";
        assert_cut("wav", &whole, 150, why);
    }

    #[test]
    fn a_length_of_a_live_writer_states_nothing() {
        for length in [0, u32::MAX, u32::MAX - 36, 0x7fff_ffff, 0x7fff_f000, 0x8000_0000] {
            let mut file = wav(&[chunk(b"data", &[7; 100])]);
            file[4..8].copy_from_slice(&length.to_le_bytes());
            file[40..44].copy_from_slice(&length.to_le_bytes());
            assert_eq!(message("wav", &file), None, "{length}");
        }
    }

    #[test]
    fn bytes_behind_the_sound_are_not_missing_bytes() {
        assert_eq!(message("wav", &[wav(&[chunk(b"data", &[7; 100])]), vec![1; 77]].concat()), None);
        assert_eq!(message("wav", &wav(&[chunk(b"data", &[7; 99])])), None);
    }

    #[test]
    fn the_lengths_of_rf64_are_in_a_chunk_of_their_own() {
        let lengths = [180u64.to_le_bytes(), 100u64.to_le_bytes(), [0; 8]].concat();
        for id in [b"RF64", b"BW64"] {
            let mut whole = wav(&[chunk(b"ds64", &lengths), chunk(b"data", &[7; 100])]);
            whole[..4].copy_from_slice(id);
            whole[4..8].fill(0xff);
            whole[72..76].fill(0xff);
            assert_cut("wav", &whole, 150, "its sound (data chunk) is not whole (74 of 100 bytes)");
        }
    }

    fn wave64(length: u64) -> Vec<u8> {
        let chunk = |id: &[u8; 4], length: u64| [id.as_slice(), &WAVE64_ID, &length.to_le_bytes()].concat();
        let riff =
            [b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".to_vec(), 203u64.to_le_bytes().to_vec()];
        let wave = [b"wave".as_slice(), &WAVE64_ID].concat();
        let parts = [chunk(b"fmt ", 38), vec![0; 16], chunk(b"data", length), vec![7; 99]];
        [riff.concat(), wave, parts.concat()].concat()
    }

    #[test]
    fn a_cut_wave64_file_is_missing_sound() {
        let whole = wave64(123);
        assert_cut("w64", &whole, 150, "its sound (data chunk) is not whole (70 of 123 bytes)");
        assert_cut("w64", &whole, 70, "its header says that it is 203 bytes long, and 70 are there");
        assert_eq!(message("w64", &wave64(i64::MAX as u64)), None);
    }
}
