//! MP4 and QuickTime: boxes that reach past the end of the file.

use super::bytes::{Bytes, cut_off, partial, shorter};

/// How many boxes are visited from the front before the search goes on from the end.
const MOST_BOXES: u32 = 16;
/// How far from the end the last fragment is searched, in bytes.
const LAST_FRAGMENT: u64 = 8 << 20;
/// How many tracks are looked at.
const MOST_TRACKS: u32 = 32;
/// How many samples of the last chunk of a track are looked at.
const MOST_SAMPLES: u32 = 1 << 16;

/// A box (ISO/IEC 14496-12, 4.2), or an atom of QuickTime.
#[derive(Clone, Copy)]
struct Mp4Box {
    kind: [u8; 4],
    /// The offset of its header.
    at: u64,
    /// The offset of its content.
    payload: u64,
    /// The offset behind it, according to its size.
    end: u64,
}

impl Mp4Box {
    /// Returns the box at an offset; `None` if no box is there, or its header is not whole.
    ///
    /// A box of size 0 reaches to the end of the file.
    fn at(bytes: &Bytes<'_>, at: u64) -> Option<Self> {
        let kind = bytes.array(at.checked_add(4)?)?;
        let (header, length) = match bytes.be32(at)? {
            0 if kind == [0; 4] => return None,
            0 => (8, bytes.size() - at),
            1 => (16, bytes.be64(at + 8)?),
            length => (8, u64::from(length)),
        };
        (length >= header).then_some(())?;
        Some(Self { kind, at, payload: at + header, end: at.checked_add(length)? })
    }

    /// Returns the first child of a kind; `None` if there is none, or the bytes in front of it are no boxes.
    fn child(&self, bytes: &Bytes<'_>, kind: &[u8; 4]) -> Option<Self> {
        let mut at = self.payload;
        while at < self.end {
            let child = Self::at(bytes, at)?;
            if child.kind == *kind {
                return Some(child);
            }
            at = child.end;
        }
        None
    }
}

/// Returns what is missing at the end of an MP4 or QuickTime file.
///
/// Media data that reaches past the end, while the sample tables in front of it list nothing there, is whole: only its
/// size is wrong. A fragmented file also states its length in its segment index (`sidx`, ISO/IEC 14496-12, 8.16.3).
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let mut walk = Walk { bytes, movie: None, indexed: 0, last: [0; 4] };
    let ended = match walk.visit(0, MOST_BOXES) {
        Some(Step::Cut(message)) => return Some(message),
        Some(Step::Ended) => true,
        None => false,
    };
    if let Some(message) = shorter(walk.indexed, bytes.size()) {
        return Some(message);
    }
    if ended || walk.last != *b"moof" && walk.last != *b"mdat" {
        return walk.without_data();
    }
    // A fragmented file of many fragments: the last one is found from the end.
    let kind = bytes.find_last(b"moof", LAST_FRAGMENT, |kind| {
        kind.checked_sub(4).is_some_and(|at| {
            let header = Mp4Box::at(bytes, at).and_then(|fragment| Mp4Box::at(bytes, fragment.payload));
            header.is_some_and(|header| header.kind == *b"mfhd" && header.end - header.at == 16)
        })
    })?;
    match walk.visit(kind - 4, MOST_BOXES)? {
        Step::Cut(message) => Some(message),
        Step::Ended => walk.without_data(),
    }
}

/// The reason why a walk over the top-level boxes ended.
enum Step {
    /// A box reaches past the end of the file.
    Cut(String),
    /// The last box ends with the file, or bytes follow that are no box.
    Ended,
}

/// A walk over the top-level boxes of a file.
struct Walk<'a> {
    bytes: &'a Bytes<'a>,
    /// The last movie box, if no fragment follows it: it lists all media data then.
    movie: Option<Mp4Box>,
    /// The offset behind the last fragment that a segment index lists.
    indexed: u64,
    /// The kind of the last box.
    last: [u8; 4],
}

impl Walk<'_> {
    /// Visits up to `most` boxes from an offset on. Returns `None` if there are more.
    fn visit(&mut self, mut at: u64, most: u32) -> Option<Step> {
        let size = self.bytes.size();
        for _ in 0..most {
            let Some(part) = Mp4Box::at(self.bytes, at) else { return Some(Step::Ended) };
            if part.end > size {
                return Some(self.cut(&part).map_or(Step::Ended, Step::Cut));
            }
            self.last = part.kind;
            match &part.kind {
                b"sidx" => self.indexed = self.indexed.max(index_end(self.bytes, &part).unwrap_or(0)),
                b"moov" => self.movie = Some(part),
                b"moof" => self.movie = None,
                _ => {}
            }
            at = part.end;
        }
        None
    }

    /// The message for a box that reaches past the end of the file.
    fn cut(&self, part: &Mp4Box) -> Option<String> {
        let name = match &part.kind {
            b"mdat" => {
                let size = self.bytes.size();
                let listed = self.movie.as_ref().and_then(|movie| listed_end(self.bytes, movie));
                if listed.is_some_and(|end| end <= size) {
                    return None;
                }
                "media data (mdat box)"
            }
            b"moov" => "list of samples (moov box)",
            b"moof" => "last fragment (moof box)",
            b"mfra" => "index of fragments (mfra box)",
            b"sidx" => "segment index (sidx box)",
            b"ftyp" | b"styp" => "file type (ftyp box)",
            b"meta" | b"udta" | b"uuid" => "metadata",
            // Padding, and what may be no box at all.
            _ => return None,
        };
        partial(name, self.bytes.size() - part.at, part.end - part.at)
    }

    /// The message for a file whose last box announces media data that does not follow.
    fn without_data(&self) -> Option<String> {
        (self.last == *b"moof").then(|| cut_off("the media data (mdat box) of its last fragment is missing"))
    }
}

/// Returns the offset behind the last part of the file that a segment index lists.
fn index_end(bytes: &Bytes<'_>, index: &Mp4Box) -> Option<u64> {
    // Version and flags, reference id, timescale; then two times and offsets of 4 or 8 bytes, 2 reserved bytes.
    let version = bytes.array::<1>(index.payload)?[0];
    let (first_offset, entries) = match version {
        0 => (u64::from(bytes.be32(index.payload + 16)?), index.payload + 22),
        _ => (bytes.be64(index.payload + 20)?, index.payload + 30),
    };
    let mut end = index.end.checked_add(first_offset)?;
    for entry in 0..u64::from(bytes.be16(entries)?) {
        let at = entries + 2 + 12 * entry;
        (at + 12 <= index.end).then_some(())?;
        end = end.checked_add(u64::from(bytes.be32(at)? & 0x7fff_ffff))?;
        if entry == 0 && end < bytes.size() {
            // An index that was not updated when the fragments changed states nothing.
            let next = Mp4Box::at(bytes, end)?;
            [b"moof", b"styp", b"sidx", b"emsg", b"prft", b"free", b"mfra"]
                .contains(&&next.kind)
                .then_some(())?;
        }
    }
    Some(end)
}

/// Returns the offset behind the last sample that the tables of a movie box list; `None` if they list none, or can't be
/// read.
fn listed_end(bytes: &Bytes<'_>, movie: &Mp4Box) -> Option<u64> {
    let (mut at, mut listed) = (movie.payload, None);
    for _ in 0..MOST_TRACKS {
        if at >= movie.end {
            return listed;
        }
        let Some(track) = Mp4Box::at(bytes, at) else { return listed };
        at = track.end;
        if track.kind == *b"trak" {
            let table = track.child(bytes, b"mdia")?.child(bytes, b"minf")?.child(bytes, b"stbl")?;
            listed = listed.max(last_chunk_end(bytes, &table)?);
        }
    }
    None
}

/// Returns the offset behind the last chunk of a sample table (ISO/IEC 14496-12, 8.7): `Some(None)` if it has no chunk,
/// `None` if it can't be read.
fn last_chunk_end(bytes: &Bytes<'_>, table: &Mp4Box) -> Option<Option<u64>> {
    let (offsets, width) = match table.child(bytes, b"stco") {
        Some(offsets) => (offsets, 4),
        None => (table.child(bytes, b"co64")?, 8),
    };
    let chunks = u64::from(bytes.be32(offsets.payload + 4)?);
    let Some(last) = chunks.checked_sub(1) else { return Some(None) };
    let entry = offsets.payload + 8 + width * last;
    let start = if width == 4 { u64::from(bytes.be32(entry)?) } else { bytes.be64(entry)? };

    let runs = table.child(bytes, b"stsc")?.payload;
    let last_run = u64::from(bytes.be32(runs + 4)?).checked_sub(1)?;
    let in_chunk = bytes.be32(runs + 8 + 12 * last_run + 4)?;

    let sizes = table.child(bytes, b"stsz")?.payload;
    let (uniform, samples) = (bytes.be32(sizes + 4)?, bytes.be32(sizes + 8)?);
    let in_chunk = in_chunk.min(samples);
    let length = if uniform > 0 {
        u64::from(uniform) * u64::from(in_chunk)
    } else {
        (in_chunk <= MOST_SAMPLES).then_some(())?;
        let first = sizes + 12 + 4 * u64::from(samples - in_chunk);
        (0..u64::from(in_chunk))
            .try_fold(0, |sum, sample| Some(sum + u64::from(bytes.be32(first + 4 * sample)?)))?
    };
    start.checked_add(length).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    fn mp4_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 8).to_be_bytes(), kind.as_slice(), payload].concat()
    }

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// A movie box of one track, with one chunk of two samples of 50 bytes.
    fn movie(chunk: u32) -> Vec<u8> {
        let tables = [
            mp4_box(b"stsc", &numbers(&[0, 1, 1, 2, 1])),
            mp4_box(b"stsz", &numbers(&[0, 0, 2, 50, 50])),
            mp4_box(b"stco", &numbers(&[0, 1, chunk])),
        ];
        let inner = mp4_box(b"minf", &mp4_box(b"stbl", &tables.concat()));
        mp4_box(b"moov", &mp4_box(b"trak", &mp4_box(b"mdia", &inner)))
    }

    fn fragment(length: usize) -> Vec<u8> {
        let header = mp4_box(b"moof", &mp4_box(b"mfhd", &[0; 8]));
        [header, mp4_box(b"mdat", &vec![7; length])].concat()
    }

    #[test]
    fn a_cut_mp4_file_is_missing_media_data() {
        let whole = [mp4_box(b"ftyp", b"isom"), mp4_box(b"mdat", &[7; 100]), movie(20)].concat();
        assert_cut(
            "mov,mp4,m4a,3gp,3g2,mj2",
            &whole,
            70,
            "its media data (mdat box) is not whole (58 of 108 bytes)",
        );
        let why = "its list of samples (moov box) is not whole (80 of 116 bytes)";
        assert_cut("mov,mp4,m4a,3gp,3g2,mj2", &whole, 200, why);
    }

    #[test]
    fn a_box_may_have_a_size_of_64_bits_or_none() {
        let mut whole = [mp4_box(b"ftyp", b"isom"), mp4_box(b"mdat", &[0; 100])].concat();
        whole[12..16].copy_from_slice(&[0, 0, 0, 1]);
        whole[20..28].copy_from_slice(&108u64.to_be_bytes());
        assert_cut("mov", &whole, 119, "its media data (mdat box) is not whole (107 of 108 bytes)");
        whole[12..16].fill(0);
        assert_eq!(message("mov", &whole[..60]), None);
    }

    #[test]
    fn media_data_is_whole_if_all_samples_are_there() {
        let movie = movie(124);
        assert_eq!(movie.len(), 116);
        let mut whole = [movie, mp4_box(b"mdat", &[7; 100])].concat();
        assert_cut("mov", &whole, 223, "its media data (mdat box) is not whole (107 of 108 bytes)");
        whole[116..120].copy_from_slice(&999u32.to_be_bytes());
        assert_eq!(message("mov", &whole), None);
    }

    #[test]
    fn the_last_fragment_is_whole() {
        let whole = [movie(0), fragment(100), fragment(200)].concat();
        assert_cut(
            "mov",
            &whole,
            whole.len() - 10,
            "its media data (mdat box) is not whole (198 of 208 bytes)",
        );
        let why = "the media data (mdat box) of its last fragment is missing";
        assert_cut("mov", &whole, whole.len() - 208, why);
    }

    #[test]
    fn the_last_of_many_fragments_is_found_from_the_end() {
        let whole = fragment(1000).repeat(500);
        assert_cut(
            "mov",
            &whole,
            whole.len() - 1,
            "its media data (mdat box) is not whole (1,007 of 1,008 bytes)",
        );
    }

    #[test]
    fn a_segment_index_states_the_length() {
        let fragment = fragment(100);
        let length = fragment.len() as u32;
        let fields = numbers(&[0, 1, 90_000, 0, 0, 2, length, 0, 0, length, 0, 0]);
        let whole = [mp4_box(b"sidx", &fields), fragment.repeat(2)].concat();
        let why = "its header says that it is 320 bytes long, and 188 are there";
        assert_cut("mov", &whole, whole.len() - fragment.len(), why);
    }

    #[test]
    fn an_outdated_segment_index_states_nothing() {
        let fragment = fragment(100);
        let length = fragment.len() as u32 + 9;
        let fields = numbers(&[0, 1, 90_000, 0, 0, 2, length, 0, 0, length, 0, 0]);
        assert_eq!(message("mov", &[mp4_box(b"sidx", &fields), fragment.repeat(2)].concat()), None);
    }

    #[test]
    fn padding_and_bytes_that_are_no_box_state_nothing() {
        let whole = [movie(0), mp4_box(b"mdat", &[7; 100])].concat();
        for end in [&b"\0\0\x10\0free"[..], b"\0\0\0\0", b"\0\0\0\x03mdat", b"\xff\xff\xff\xffSEFT", &[0; 90]]
        {
            assert_eq!(message("mov", &[&whole, end].concat()), None);
        }
    }
}
