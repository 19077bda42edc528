//! Files of chunks that each state their length: an iterator over the chunks, and the checks of formats that need nothing else.

use super::bytes::{Bytes, partial, shorter};
use super::frames::{Frame, partial_frame};

/// How many chunks are visited.
const MOST_CHUNKS: u32 = 256;
/// Bytes by which writers overstate the length of a whole file: some count the header that holds the length.
const OVERSTATED: u64 = 16;

/// The length that a live RealMedia file states for its packets, in bytes: at most a header without packets.
const EMPTY_DATA: u64 = 18;
/// How many packets of RealMedia in a row distinguish packets from other bytes.
const LEAST_PACKETS: u32 = 4;

/// The header of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its id of four characters.
    pub(super) id: [u8; 4],
    /// The offset of its data.
    pub(super) data: u64,
    /// The length of its data as its header states it, in bytes.
    pub(super) length: u64,
}

impl Chunk {
    /// The message for a chunk, a `name`, that reaches past the end of the file; `None` if it does not.
    pub(super) fn partial(&self, bytes: &Bytes<'_>, name: &str) -> Option<String> {
        partial(name, bytes.size().checked_sub(self.data)?, self.length)
    }
}

/// The format of the headers of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A little-endian `u32`; data is padded to an even length (RIFF).
    Riff,
    /// A big-endian `u32`; data is padded to an even length (IFF, RIFX).
    Iff,
    /// A big-endian `u64`; data is padded to an even length (DSDIFF).
    Iff64,
    /// A big-endian `u64`; data is not padded (Core Audio).
    CoreAudio,
}

impl Layout {
    /// Returns the chunk whose header is at an offset.
    pub(super) fn chunk(self, bytes: &Bytes<'_>, at: u64) -> Option<Chunk> {
        let (length, header) = match self {
            Self::Riff => (u64::from(bytes.le32(at + 4)?), 8),
            Self::Iff => (u64::from(bytes.be32(at + 4)?), 8),
            Self::Iff64 | Self::CoreAudio => (bytes.be64(at + 4)?, 12),
        };
        Some(Chunk { id: bytes.array(at)?, data: at + header, length })
    }

    /// Returns the chunks from an offset on, up to a number that bounds the cost; the last one may reach past the end of
    /// the file.
    pub(super) fn chunks<'a>(self, bytes: &'a Bytes<'a>, at: u64) -> impl Iterator<Item = Chunk> + use<'a> {
        let mut next = Some(at);
        let chunks = std::iter::from_fn(move || {
            let chunk = self.chunk(bytes, next?).filter(|chunk| is_printable(&chunk.id))?;
            next = self.behind(bytes, &chunk);
            Some(chunk)
        });
        chunks.take(MOST_CHUNKS as usize)
    }

    /// Returns the offset of the chunk behind this one; `None` if it is not in front of the end of the file.
    fn behind(self, bytes: &Bytes<'_>, chunk: &Chunk) -> Option<u64> {
        let end = chunk.data.checked_add(chunk.length).filter(|end| *end < bytes.size())?;
        if self == Self::CoreAudio || end.is_multiple_of(2) == chunk.data.is_multiple_of(2) {
            return Some(end);
        }
        // Some writers leave the padding out.
        let unpadded = bytes.array::<4>(end).is_some_and(|id| is_printable(&id));
        Some(if unpadded { end } else { end + 1 })
    }
}

/// Whether an id is printable ASCII characters, as all ids are.
fn is_printable(id: &[u8]) -> bool {
    id.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// The message for a file whose outermost chunk ends at the offset `end`; `None` if it reaches past the end of the file by no more
/// than writers overstate.
pub(super) fn overstated(bytes: &Bytes<'_>, end: u64) -> Option<String> {
    (end > bytes.size().saturating_add(OVERSTATED)).then(|| shorter(end, bytes.size()))?
}

/// Whether a length of 32 bits is a placeholder of a writer that could not go back to fill it in: 0, or about the
/// largest signed or unsigned number.
pub(super) fn is_placeholder(length: u32) -> bool {
    length == 0 || (0x7fff_0000..=0x8000_ffff).contains(&length) || length >= 0xffff_0000
}

/// Whether a length of 64 bits is a placeholder, as [`is_placeholder`]: 0, or 2^62 or more.
pub(super) fn is_placeholder_64(length: u64) -> bool {
    length == 0 || length >= 1 << 62
}

/// Returns what is missing at the end of an IFF file: AIFF, AIFF-C, 8SVX (EA IFF 85) or DSDIFF.
pub(super) fn iff(bytes: &Bytes<'_>) -> Option<String> {
    let (layout, header) = match &bytes.array(0)? {
        b"FORM" => (Layout::Iff, 12),
        b"FRM8" => (Layout::Iff64, 16),
        _ => return None,
    };
    let form = layout.chunk(bytes, 0)?;
    let states_nothing = |length| match layout {
        Layout::Iff64 => is_placeholder_64(length),
        _ => is_placeholder(u32::try_from(length).unwrap_or(0)),
    };
    for chunk in layout.chunks(bytes, header) {
        let name = match &chunk.id {
            b"SSND" | b"BODY" | b"DSD " | b"DST " => "sound (data chunk)",
            _ => continue,
        };
        if states_nothing(chunk.length) {
            return None;
        }
        if let Some(message) = chunk.partial(bytes, name) {
            return Some(message);
        }
    }
    (!states_nothing(form.length)).then(|| overstated(bytes, form.data + form.length))?
}

/// Returns what is missing at the end of a Core Audio file (Apple Core Audio Format Specification 1.0): a `data` chunk
/// of length -1 reaches to the end of the file.
pub(super) fn core_audio(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"caff").then_some(())?;
    Layout::CoreAudio.chunks(bytes, 8).find_map(|chunk| {
        let name = match &chunk.id {
            b"data" if chunk.length < 1 << 62 => "sound (data chunk)",
            b"pakt" => "packet table (pakt chunk)",
            _ => return None,
        };
        chunk.partial(bytes, name)
    })
}

/// Returns what is missing at the end of a RealMedia file (RealMedia File Format Reference): a chunk that
/// reaches past the end, or an index behind it. In a live file, whose packets have no length in all, the last packet is
/// whole.
pub(super) fn real_media(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b".RMF").then_some(())?;
    let mut at = 0;
    for _ in 0..MOST_CHUNKS {
        // The length counts the header.
        let Chunk { id, length, .. } = Layout::Iff.chunk(bytes, at)?;
        let name = match &id {
            b"DATA" => "packet data (DATA chunk)",
            b"INDX" => "index (INDX chunk)",
            b".RMF" | b"PROP" | b"CONT" | b"MDPR" => "header",
            _ => return None,
        };
        // libavformat overstates the length of the packets.
        let there = bytes.size() - at;
        if there.saturating_add(if id == *b"DATA" { OVERSTATED } else { 0 }) < length {
            return partial(name, there, length);
        }
        if id == *b"PROP" {
            let index = u64::from(bytes.be32(at + 38)?);
            if let Some(message) = shorter(index, bytes.size()) {
                return Some(message);
            }
        }
        if id == *b"DATA" && length <= EMPTY_DATA {
            return partial_frame(bytes, "last packet", LEAST_PACKETS, real_media_packet);
        }
        at += length.max(8);
    }
    None
}

/// The packet of RealMedia at the start of `rest`: a version of 0 or 1, its length and the number of its stream.
fn real_media_packet(rest: &[u8]) -> Option<Frame> {
    let [0, 0 | 1, a, b, 0, 0..64] = *rest.first_chunk::<6>()? else { return None };
    let length = usize::from(u16::from_be_bytes([a, b]));
    (length >= 12).then_some(Frame { length, stream: 0, value: 0 })
}

/// Returns what is missing at the end of a Creative Voice file: blocks of a type and a length of 24 bits.
pub(super) fn creative_voice(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"Creative Voice File\x1a").then_some(())?;
    let mut at = u64::from(bytes.le16(20)?);
    for _ in 0..MOST_CHUNKS {
        let [kind, a, b, c] = bytes.array(at)?;
        let length = u64::from(u32::from_le_bytes([a, b, c, 0]));
        (1..=9).contains(&kind).then_some(())?;
        if let Some(message) = partial("last block", bytes.size() - at - 4, length) {
            return Some(message);
        }
        at += 4 + length;
    }
    None
}

/// Returns what is missing at the end of a DTS-HD file: chunks of an id of 8 characters and a
/// length of 64 bits.
pub(super) fn dts_hd(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"DTSHDHDR").then_some(())?;
    let mut at = 0;
    for _ in 0..MOST_CHUNKS {
        let (id, length) = (bytes.array::<8>(at)?, bytes.be64(at + 8)?);
        is_printable(&id).then_some(())?;
        if id == *b"STRMDATA" {
            return partial("sound (STRMDATA chunk)", bytes.size() - at - 16, length);
        }
        at = at.checked_add(16)?.checked_add(length)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::*;

    fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let padding = vec![0; data.len() % 2];
        [id, (data.len() as u32).to_be_bytes().as_slice(), data, &padding].concat()
    }

    #[test]
    fn a_cut_aiff_file_is_missing_sound() {
        let sound = chunk(b"SSND", &[7; 101]);
        let whole = chunk(b"FORM", &[b"AIFF".to_vec(), chunk(b"COMM", &[0; 18]), sound].concat());
        assert_cut("aiff", &whole, 100, "its sound (data chunk) is not whole (54 of 101 bytes)");
        assert_eq!(message("aiff", &whole[..whole.len() - 1]), None, "padding");
        let mut live = whole[..100].to_vec();
        live[4..8].fill(0);
        live[42..46].fill(0);
        assert_eq!(message("aiff", &live), None);
    }

    #[test]
    fn a_dsdiff_file_has_lengths_of_64_bits() {
        let sound = [b"DSD ".as_slice(), &100u64.to_be_bytes(), &[7; 100]].concat();
        let whole = [b"FRM8".as_slice(), &116u64.to_be_bytes(), b"DSD ", &sound].concat();
        assert_cut("iff", &whole, 100, "its sound (data chunk) is not whole (72 of 100 bytes)");
    }

    #[test]
    fn a_cut_core_audio_file_is_missing_sound_or_its_packet_table() {
        let chunk = |id: &[u8; 4], length: i64| [id.as_slice(), &length.to_be_bytes(), &[7; 101]].concat();
        let whole = [b"caff\0\x01\0\0".to_vec(), chunk(b"data", 101), chunk(b"pakt", 101)].concat();
        assert_cut("caf", &whole, 100, "its sound (data chunk) is not whole (80 of 101 bytes)");
        assert_cut("caf", &whole, 190, "its packet table (pakt chunk) is not whole (57 of 101 bytes)");
        assert_eq!(message("caf", &[b"caff\0\x01\0\0".to_vec(), chunk(b"data", -1)].concat()), None);
    }

    #[test]
    fn chunks_may_lack_their_padding() {
        let file = [b"odd \x03\0\0\0abc", b"odd \x03\0\0\0abc".as_slice(), b"even\x02\0\0\0ab"].concat();
        let bytes = Bytes::new(&file, file.len() as u64);
        let found: Vec<_> = Layout::Riff.chunks(&bytes, 0).map(|chunk| (chunk.data, chunk.length)).collect();
        assert_eq!(found, [(8, 3), (19, 3), (30, 2)]);
    }

    /// A RealMedia file whose header states the length of its packets, in bytes.
    fn real_media(length: u32) -> Vec<u8> {
        let header = |id: &[u8; 4], length: u32| [id.as_slice(), &length.to_be_bytes()].concat();
        let packet = [[0, 0, 0, 50, 0, 1].as_slice(), &[7; 44]].concat();
        [
            [header(b".RMF", 18), vec![0; 10]].concat(),
            [header(b"PROP", 50), vec![0; 42]].concat(),
            [header(b"DATA", length), vec![0; 10], packet.repeat(6)].concat(),
        ]
        .concat()
    }

    #[test]
    fn a_cut_real_media_file_is_missing_packets() {
        let whole = real_media(318);
        assert_cut("rm", &whole, 300, "its packet data (DATA chunk) is not whole (232 of 318 bytes)");
        assert_eq!(message("rm", &real_media(328)), None, "libavformat counts 10 bytes too many");
        let live = real_media(0);
        assert_cut("rm", &live, live.len() - 3, "its last packet is not whole (47 of 50 bytes)");
    }

    #[test]
    fn a_real_media_index_is_not_behind_the_end() {
        let mut whole = [real_media(318), b"INDX\0\0\0\x14".to_vec(), vec![0; 12]].concat();
        whole[18 + 38..18 + 42].copy_from_slice(&386u32.to_be_bytes());
        assert_cut("rm", &whole, 380, "its header says that it is 386 bytes long, and 380 are there");
    }

    #[test]
    fn a_cut_creative_voice_file_ends_in_a_block() {
        let blocks = [b"\x01\x50\0\0".as_slice(), &[7; 80], &[0]].concat();
        let whole = [b"Creative Voice File\x1a\x1a\0\x0a\x01\x29\x11".to_vec(), blocks].concat();
        assert_cut("voc", &whole, 100, "its last block is not whole (70 of 80 bytes)");
    }

    #[test]
    fn a_cut_dts_hd_file_is_missing_sound() {
        let chunk = |id: &[u8; 8], length: u64| [id.as_slice(), &length.to_be_bytes(), &[7; 50]].concat();
        let whole = [chunk(b"DTSHDHDR", 50), chunk(b"STRMDATA", 50)].concat();
        assert_cut("dtshd", &whole, 100, "its sound (STRMDATA chunk) is not whole (18 of 50 bytes)");
    }
}
