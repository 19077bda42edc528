//! MPEG audio: the length in the header of Xing, LAME or Fraunhofer, and the last frame.

use super::bytes::{Bytes, shorter};
use super::frames::{Ending, Frame, ending_of, partial_frame};

/// How many frames in a row distinguish MPEG audio from other bytes.
const LEAST_FRAMES: u32 = 4;
/// How far behind the tags the first frame is searched, in bytes.
const FIRST_FRAME: usize = 16 << 10;
/// How many ID3v2 tags are skipped.
const MOST_TAGS: u32 = 16;

/// Bit rates in kbit/s (ISO/IEC 11172-3, 2.4.2.3): of layers 1, 2 and 3, then of the lower sampling frequencies of layer
/// 1, and of layers 2 and 3 (ISO/IEC 13818-3, 2.4.2.3).
const BIT_RATES: [[u16; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// Sampling frequencies in Hz of MPEG-1; MPEG-2 has half of them, and MPEG-2.5 a quarter.
const SAMPLE_RATES: [usize; 3] = [44_100, 48_000, 32_000];

/// Returns what is missing at the end of an MPEG audio file.
///
/// The header that states the number of bytes is in the first frame; where it is missing, the last frame is whole. More
/// bytes than it states are the tags behind the sound, or another file behind the first one.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let tags = tags_end(bytes)?;
    let start = bytes.read(tags, FIRST_FRAME)?;
    let first = (0..start.len()).find(|at| {
        let rest = start.get(*at..).unwrap_or_default();
        let behind = frame(rest).and_then(|first| rest.get(first.length..));
        behind.is_some_and(|behind| behind.is_empty() || frame(behind).is_some())
    })?;
    let Some(length) = start.get(first..).and_then(stated_length) else {
        // The writer of a tag saw this end.
        return (!ends_with_tag(bytes)?).then(|| partial_frame(bytes, "last frame", LEAST_FRAMES, frame))?;
    };
    let end = tags + first as u64 + u64::from(length);
    if end <= bytes.size() {
        return None;
    }
    // Some writers count the tags in front of the first frame.
    let counts_tags = u64::from(length) <= bytes.size();
    if counts_tags && !matches!(ending_of(bytes, LEAST_FRAMES, frame)?, Ending::Cut { .. }) {
        return None;
    }
    shorter(end, bytes.size())
}

/// Returns the offset behind the ID3v2 tags at the start of the file (ID3v2.4.0, 3.1).
fn tags_end(bytes: &Bytes<'_>) -> Option<u64> {
    let mut at = 0;
    for _ in 0..MOST_TAGS {
        let Some([b'I', b'D', b'3', _, _, flags, a, b, c, d]) = bytes.array::<10>(at) else { break };
        let length = [a, b, c, d].iter().fold(0, |length, byte| length << 7 | u64::from(byte & 0x7f));
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        at += 10 + length + footer;
    }
    Some(at)
}

/// Whether the file ends with an ID3v1 tag.
fn ends_with_tag(bytes: &Bytes<'_>) -> Option<bool> {
    Some(bytes.tail(128)?.1.starts_with(b"TAG"))
}

/// The length of the sound in bytes, from the start of the first frame on, as that frame states it.
fn stated_length(first: &[u8]) -> Option<u32> {
    let number = |at: usize| Some(u32::from_be_bytes(*first.get(at..)?.first_chunk()?));
    // VBRI is always behind 32 bytes: an id, version, delay and quality, then the bytes.
    if first.get(36..40)? == b"VBRI" {
        return number(46).filter(|length| *length > 0);
    }
    let is_mpeg_1 = first.get(1)? & 0x08 != 0;
    let is_mono = first.get(3)? >> 6 == 3;
    let at = match (is_mpeg_1, is_mono) {
        (true, false) => 36,
        (true, true) | (false, false) => 21,
        (false, true) => 13,
    };
    matches!(first.get(at..at + 4)?, b"Xing" | b"Info").then_some(())?;
    let flags = number(at + 4)?;
    let frames = if flags & 1 == 0 { 0 } else { 4 };
    (flags & 2 != 0).then(|| number(at + 8 + frames))?.filter(|length| *length > 0)
}

/// The frame at the start of `rest`.
fn frame(rest: &[u8]) -> Option<Frame> {
    let [0xff, b, c, d] = *rest.first_chunk::<4>()? else { return None };
    let (version, layer) = (b >> 3 & 3, b >> 1 & 3);
    (b >= 0xe0 && version != 1 && layer != 0 && d & 3 != 2).then_some(())?;
    let is_mpeg_1 = version == 3;
    let rates = match (is_mpeg_1, layer) {
        (true, layer) => 3 - usize::from(layer),
        (false, 3) => 3,
        (false, _) => 4,
    };
    let bit_rate = BIT_RATES[rates].get(usize::from(c >> 4).checked_sub(1)?)?;
    let divisor = match version {
        3 => 1,
        2 => 2,
        _ => 4,
    };
    let sample_rate = SAMPLE_RATES.get(usize::from(c >> 2 & 3))? / divisor;
    let (bits, padding) = (usize::from(*bit_rate) * 1000, usize::from(c >> 1 & 1));
    let length = match layer {
        3 => (12 * bits / sample_rate + padding) * 4,
        1 if !is_mpeg_1 => 72 * bits / sample_rate + padding,
        _ => 144 * bits / sample_rate + padding,
    };
    let stream = u32::from_be_bytes([0, 0, b & 0xfe, c & 0x0c]);
    Some(Frame { length, stream, value: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    /// A frame of 104 bytes: MPEG-1 layer 3, 32 kbit/s, 44.1 kHz, mono.
    fn frame() -> Vec<u8> {
        [vec![0xff, 0xfb, 0x10, 0xc4], vec![0x55; 100]].concat()
    }

    /// A first frame that states the length of `frames` frames.
    fn first_frame(frames: u32) -> Vec<u8> {
        let mut first = frame();
        first[21..25].copy_from_slice(b"Info");
        first[25..29].copy_from_slice(&3u32.to_be_bytes());
        first[29..33].copy_from_slice(&frames.to_be_bytes());
        first[33..37].copy_from_slice(&(104 * frames).to_be_bytes());
        first
    }

    fn id3v2(length: u8) -> Vec<u8> {
        [b"ID3\x04\0\0\0\0\0".to_vec(), vec![length], vec![0; length.into()]].concat()
    }

    #[test]
    fn a_cut_mp3_file_has_fewer_bytes_than_its_first_frame_states() {
        let whole = [id3v2(50), first_frame(9), frame().repeat(8)].concat();
        let why = "its header says that it is 996 bytes long, and 800 are there";
        assert_cut("mp3", &whole, 800, why);
    }

    #[test]
    fn a_length_in_the_header_of_fraunhofer_counts() {
        let mut first = frame();
        first[36..40].copy_from_slice(b"VBRI");
        first[46..50].copy_from_slice(&936u32.to_be_bytes());
        let whole = [first, frame().repeat(8)].concat();
        assert_cut("mp3", &whole, 500, "its header says that it is 936 bytes long, and 500 are there");
    }

    #[test]
    fn a_length_that_counts_the_tags_is_not_missing_bytes() {
        let mut whole = [id3v2(50), first_frame(9), frame().repeat(8)].concat();
        let length = whole.len() as u32;
        whole[60 + 33..60 + 37].copy_from_slice(&length.to_be_bytes());
        assert_cut("mp3", &whole, 950, "its header says that it is 1,056 bytes long, and 950 are there");
    }

    #[test]
    fn joined_mp3_files_are_whole() {
        let file = [first_frame(9), frame().repeat(8)].concat();
        assert_eq!(message("mp3", &file.repeat(2)), None);
    }

    #[test]
    fn mp3_frames_without_a_length_end_with_a_whole_frame() {
        let whole = frame().repeat(9);
        assert_cut("mp3", &whole, 900, "its last frame is not whole (68 of 104 bytes)");
        let tag = [b"TAG".to_vec(), vec![0; 125]].concat();
        assert_eq!(message("mp3", &[&whole[..900], &tag].concat()), None);
    }
}
