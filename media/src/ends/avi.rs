//! AVI: lists and indexes that reach past the end of the file, and an index that is missing.

use super::bytes::{Bytes, cut_off, shorter};
use super::chunks::{Chunk, Layout, overstated};
use super::frames::{Frame, partial_frame};

/// How many RIFF lists are visited: each of them is up to 1 GiB long, or 4.
const MOST_LISTS: u32 = 64;
/// `AVIF_HASINDEX` in the flags of the main header (`AVIMAINHEADER`).
const HAS_INDEX: u32 = 0x10;
/// How many entries of the index of a stream are read.
const MOST_ENTRIES: u32 = 1 << 14;
/// How many chunks in a row distinguish the chunks of an AVI file from other bytes.
const LEAST_CHUNKS: u32 = 4;
/// How far from the end an index is searched, in bytes.
const INDEX: u64 = 4 << 20;

/// The last bytes of an AMV file.
const AMV_END: &[u8] = b"AMV_END_";

/// What the headers of an AVI file state about its end.
#[derive(Default)]
struct Stated {
    /// An index follows the frames.
    has_index: bool,
    /// The streams have indexes of their own.
    is_open_dml: bool,
    /// The offset behind the last chunk that these indexes list.
    indexed: u64,
}

/// Returns what is missing at the end of an AVI file (Microsoft AVI RIFF File Reference; OpenDML AVI File Format
/// Extensions 1.02, of which each further RIFF list is an `AVIX`).
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"RIFF").then_some(())?;
    match &bytes.array(8)? {
        b"AVI " => {}
        // The variant of small players, which has no lengths.
        b"AMV " => {
            let (_, tail) = bytes.tail(AMV_END.len())?;
            return (tail != AMV_END).then(|| cut_off("its end mark (AMV_END_) is missing"));
        }
        _ => return None,
    }
    let mut stated = Stated::default();
    let mut at = 0;
    for _ in 0..MOST_LISTS {
        let Some(list) = Layout::Riff.chunk(bytes, at).filter(|list| list.id == *b"RIFF") else { break };
        let has_length = states_length(&list);
        let (mut frames_end, mut index_seen) = (None, false);
        for part in Layout::Riff.chunks(bytes, list.data + 4) {
            let kind = if part.id == *b"LIST" { bytes.array(part.data)? } else { part.id };
            match &kind {
                b"hdrl" => read_headers(bytes, &part, &mut stated),
                b"movi" if states_length(&part) => {
                    if let Some(message) = part.partial(bytes, "list of frames (movi list)") {
                        return Some(message);
                    }
                    frames_end = Some(part.data + part.length);
                }
                b"movi" => return missing_behind(bytes, part.data + 4, &stated),
                b"idx1" => {
                    index_seen = true;
                    if let Some(message) = part.partial(bytes, "index (idx1 chunk)") {
                        return Some(message);
                    }
                }
                // The next list, where this one has no length.
                b"RIFF" => break,
                _ => {}
            }
        }
        if has_length && let Some(message) = overstated(bytes, list.data + list.length) {
            return Some(message);
        }
        if at == 0
            && stated.has_index
            && !stated.is_open_dml
            && !index_seen
            && frames_end.is_some_and(|end| end + 8 >= bytes.size())
        {
            return Some(without_index());
        }
        if !has_length {
            break;
        }
        at = (list.data + list.length).next_multiple_of(2);
    }
    shorter(stated.indexed, bytes.size())
}

/// Whether the length of a list is not a placeholder of a writer that could not go back to fill it in.
fn states_length(list: &Chunk) -> bool {
    (5..0xffff_0000).contains(&list.length)
}

/// The message for a file whose header announces an index that is missing.
fn without_index() -> String {
    cut_off("its header says that an index follows its frames, and there is none")
}

/// Returns what is missing in a file whose list of frames, from the offset `frames` on, has no length: its last chunk is
/// whole, and the index is there that the header announces.
fn missing_behind(bytes: &Bytes<'_>, frames: u64, stated: &Stated) -> Option<String> {
    if let Some(message) = partial_frame(bytes, "last chunk", LEAST_CHUNKS, frame) {
        return Some(message);
    }
    let within = bytes.size().saturating_sub(frames);
    (stated.has_index && !stated.is_open_dml && within <= INDEX).then_some(())?;
    bytes.find_last(b"idx1", within, |_| true).is_none().then(without_index)
}

/// The chunk of a stream at the start of `rest`: its id is the number of the stream and a kind.
fn frame(rest: &[u8]) -> Option<Frame> {
    let [tens, ones, kind @ ..] = *rest.first_chunk::<4>()?;
    let is_chunk = tens.is_ascii_digit()
        && ones.is_ascii_digit()
        && matches!(&kind, b"dc" | b"db" | b"wb" | b"pc" | b"tx" | b"sb");
    is_chunk.then_some(())?;
    let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?);
    // The last byte of padding may be missing.
    let length = usize::try_from(length).ok()?.checked_add(8)?;
    let padded = length.checked_next_multiple_of(2)?;
    let length = if padded > rest.len() { length } else { padded };
    Some(Frame { length, stream: 0, value: 0 })
}

/// Reads what the headers state about the end of the file.
fn read_headers(bytes: &Bytes<'_>, headers: &Chunk, stated: &mut Stated) {
    for part in Layout::Riff.chunks(bytes, headers.data + 4) {
        if part.data >= headers.data + headers.length {
            return;
        }
        match &part.id {
            b"avih" => {
                stated.has_index = bytes.le32(part.data + 12).is_some_and(|flags| flags & HAS_INDEX != 0);
            }
            b"LIST" if bytes.array(part.data) == Some(*b"strl") => {
                let parts = Layout::Riff.chunks(bytes, part.data + 4);
                for index in parts.take_while(|inner| inner.data < part.data + part.length) {
                    if index.id == *b"indx" {
                        stated.is_open_dml = true;
                        stated.indexed = stated.indexed.max(indexed_end(bytes, &index).unwrap_or(0));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns the offset behind the last chunk that an index of indexes lists (OpenDML, `AVISUPERINDEX`).
fn indexed_end(bytes: &Bytes<'_>, index: &Chunk) -> Option<u64> {
    let (words_per_entry, kind) = (bytes.le16(index.data)?, bytes.array::<1>(index.data + 3)?[0]);
    (words_per_entry == 4 && kind == 0).then_some(())?;
    let entries = bytes.le32(index.data + 4)?;
    let mut end = 0;
    for entry in 0..u64::from(entries.min(MOST_ENTRIES)) {
        let at = index.data + 24 + 16 * entry;
        (at + 16 <= index.data + index.length).then_some(())?;
        let (offset, length) = (bytes.le64(at)?, bytes.le32(at + 8)?);
        end = end.max(offset.checked_add(u64::from(length))?);
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let padding = vec![0; data.len() % 2];
        [id, (data.len() as u32).to_le_bytes().as_slice(), data, &padding].concat()
    }

    fn list(id: &[u8; 4], kind: &[u8; 4], parts: &[u8]) -> Vec<u8> {
        chunk(id, &[kind, parts].concat())
    }

    fn headers(flags: u8, stream: &[u8]) -> Vec<u8> {
        let mut header = [0; 56];
        header[12] = flags;
        list(b"LIST", b"hdrl", &[chunk(b"avih", &header), list(b"LIST", b"strl", stream)].concat())
    }

    fn frames() -> Vec<u8> {
        list(b"LIST", b"movi", &chunk(b"00dc", &[7; 99]).repeat(6))
    }

    fn avi(parts: &[Vec<u8>]) -> Vec<u8> {
        list(b"RIFF", b"AVI ", &parts.concat())
    }

    #[test]
    fn a_cut_avi_file_is_missing_frames_or_its_index() {
        let whole = avi(&[headers(0x10, &[]), frames(), chunk(b"idx1", &[0; 96])]);
        let why = "its list of frames (movi list) is not whole (392 of 652 bytes)";
        assert_cut("avi", &whole, 500, why);
        let why = "its index (idx1 chunk) is not whole (94 of 96 bytes)";
        assert_cut("avi", &whole, whole.len() - 2, why);
        let why = "its header says that it is 864 bytes long, and 760 are there";
        assert_cut("avi", &whole, whole.len() - 104, why);
    }

    #[test]
    fn an_index_that_the_header_announces_is_there() {
        let without = avi(&[headers(0x10, &[]), frames()]);
        let why =
            "the source is cut off: its header says that an index follows its frames, and there is none";
        assert_eq!(message("avi", &without).as_deref(), Some(why));
        assert_eq!(message("avi", &avi(&[headers(0, &[]), frames()])), None);
        assert_eq!(message("avi", &avi(&[headers(0x10, &chunk(b"indx", &[0; 24])), frames()])), None);
    }

    #[test]
    fn a_length_that_counts_its_own_header_is_not_missing_bytes() {
        let mut whole = avi(&[headers(0, &[]), frames()]);
        let length = whole.len() as u32;
        whole[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(message("avi", &whole), None);
    }

    #[test]
    fn a_further_list_of_open_dml_is_whole() {
        let first = avi(&[headers(0x10, &chunk(b"indx", &[0; 24])), frames()]);
        let whole = [first, list(b"RIFF", b"AVIX", &frames())].concat();
        let why = "its list of frames (movi list) is not whole (642 of 652 bytes)";
        assert_cut("avi", &whole, whole.len() - 10, why);
    }

    #[test]
    fn an_index_of_indexes_lists_nothing_behind_the_end() {
        let mut index = [0; 40];
        (index[0], index[4], index[33]) = (4, 1, 4);
        let first = |index: &[u8]| avi(&[headers(0x10, &chunk(b"indx", index)), frames()]);
        index[24..26].copy_from_slice(&100u16.to_le_bytes());
        let whole = [first(&index), list(b"RIFF", b"AVIX", &frames())].concat();
        let why = "its header says that it is 1,124 bytes long, and 808 are there";
        assert_cut("avi", &whole, first(&index).len(), why);
    }

    #[test]
    fn the_last_chunk_of_a_live_avi_file_is_whole() {
        let mut whole = avi(&[headers(0, &[]), frames()]);
        let list = whole.len() - 660;
        whole[4..8].fill(0xff);
        whole[list + 4..list + 8].fill(0xff);
        assert_cut("avi", &whole, whole.len() - 9, "its last chunk is not whole (99 of 107 bytes)");
    }

    #[test]
    fn a_live_avi_file_has_the_index_that_its_header_announces() {
        let mut whole = avi(&[headers(0x10, &[]), frames(), chunk(b"idx1", &[0; 96])]);
        let list = whole.len() - 660 - 104;
        whole[4..8].fill(0);
        whole[list + 4..list + 8].fill(0);
        let why = "its header says that an index follows its frames, and there is none";
        assert_cut("avi", &whole, whole.len() - 104, why);
    }

    #[test]
    fn an_amv_file_ends_with_its_mark() {
        let whole = [b"RIFF\0\0\0\0AMV ".to_vec(), vec![7; 100], b"AMV_END_".to_vec()].concat();
        assert_cut("avi", &whole, 100, "its end mark (AMV_END_) is missing");
    }
}
