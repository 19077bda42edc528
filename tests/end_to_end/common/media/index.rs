//! Reads and changes what a finished mp4 (ISO/IEC 14496-12) or flv states of its tracks.

use std::ops::Range;

/// A box: where it begins, and where it ends.
type Span = Range<usize>;

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The bytes between a box's own header and the first box in it.
fn fields(name: &[u8]) -> usize {
    match name {
        b"stsd" => 8,
        b"avc1" => 78,
        b"mp4a" => 28,
        _ => 0,
    }
}

/// The boxes of a name in a range.
fn boxes(bytes: &[u8], range: Span, name: &str) -> Vec<Span> {
    let (mut found, mut at) = (Vec::new(), range.start);
    while at + 8 <= range.end {
        let size = number(bytes, at) as usize;
        assert!(size >= 8, "a box without a size at {at}");
        if &bytes[at + 4..at + 8] == name.as_bytes() {
            found.push(at..at + size);
        }
        at += size;
    }
    found
}

/// An mp4.
pub struct Mp4(pub Vec<u8>);

impl Mp4 {
    /// A box on a path below `moov`, with all that it lies in, the outermost first. `trak` is the track with this handler,
    /// `vide` or `soun`.
    fn spans(&self, handler: &str, path: &[&str]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut inside = 0..self.0.len();
        for name in std::iter::once(&"moov").chain(path) {
            let found = boxes(&self.0, inside, name);
            let is_asked = |span: &&Span| {
                *name != "trak" || self.0[(*span).clone()].windows(4).any(|w| w == handler.as_bytes())
            };
            let span = found.iter().find(is_asked).unwrap_or_else(|| panic!("no {name} of {path:?}")).clone();
            inside = span.start + 8 + fields(name.as_bytes())..span.end;
            spans.push(span);
        }
        spans
    }

    /// The content of a box.
    pub fn content(&self, handler: &str, path: &[&str]) -> &[u8] {
        let span = self.spans(handler, path).pop().unwrap();
        &self.0[span.start + 8..span.end]
    }

    /// Gives a box other content; what lies behind the index stays where it is.
    pub fn replace(&mut self, handler: &str, path: &[&str], content: &[u8]) {
        let spans = self.spans(handler, path);
        let last = spans.last().unwrap().clone();
        let old = last.len() - 8;
        let grown = i64::try_from(content.len()).unwrap() - i64::try_from(old).unwrap();
        let resize = |bytes: &mut [u8], at: usize, by: i64| {
            let size = u32::try_from(i64::from(number(bytes, at)) + by).unwrap();
            bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
        };
        // The index has room behind it, or nothing.
        let movie_ends = spans[0].end;
        if movie_ends < self.0.len() {
            assert_eq!(&self.0[movie_ends + 4..movie_ends + 8], b"free");
            resize(&mut self.0, movie_ends, -grown);
            let room = movie_ends + 8;
            let (from, to) = (room..room + usize::try_from(grown.max(0)).unwrap(), room..room);
            if grown >= 0 {
                self.0.drain(from);
            } else {
                self.0.splice(to, vec![0; usize::try_from(-grown).unwrap()]);
            }
        }
        for span in &spans {
            resize(&mut self.0, span.start, grown);
        }
        self.0.splice(last.start + 8..last.end, content.iter().copied());
    }

    /// Changes a number of four bytes in a box, at an offset behind its header.
    pub fn change(&mut self, handler: &str, path: &[&str], at: usize, change: impl FnOnce(u32) -> u32) {
        let mut content = self.content(handler, path).to_vec();
        assert_eq!(content[0], 0, "version 0 of {path:?}");
        let new = change(number(&content, at));
        content[at..at + 4].copy_from_slice(&new.to_be_bytes());
        self.replace(handler, path, &content);
    }

    /// A number of four bytes in a box.
    pub fn number(&self, handler: &str, path: &[&str], at: usize) -> u32 {
        number(self.content(handler, path), at)
    }

    /// Returns the last edit of a track: its length in ticks of the movie, and its first time in ticks of the track.
    fn last_edit(&self, handler: &str) -> (i64, i64) {
        let list = self.content(handler, &EDITS);
        let (size, at) = place_of_last_edit(list);
        let read = |at: usize| match size {
            8 => i64::from_be_bytes(list[at..at + 8].try_into().unwrap()),
            _ => i64::from(number(list, at).cast_signed()),
        };
        (read(at), read(at + size))
    }

    /// Changes the last edit of a track, see [`Self::last_edit`].
    pub fn edit(&mut self, handler: &str, change: impl FnOnce(&mut i64, &mut i64)) {
        let (mut length, mut first) = self.last_edit(handler);
        change(&mut length, &mut first);
        let mut list = self.content(handler, &EDITS).to_vec();
        let (size, at) = place_of_last_edit(&list);
        for (value, at) in [(length, at), (first, at + size)] {
            list[at..at + size].copy_from_slice(&value.to_be_bytes()[8 - size..]);
        }
        self.replace(handler, &EDITS, &list);
    }

    /// For how long the edit list shows a track, in ticks of the track.
    pub fn shown(&self, handler: &str) -> f64 {
        let ticks = f64::from(self.number(handler, &MEDIA_HEADER, TIMESCALE));
        self.last_edit(handler).0 as f64 * ticks / f64::from(self.number("", &MOVIE_HEADER, TIMESCALE))
    }

    /// Changes the length of the last sample of a track, as its table states it.
    pub fn last_length(&mut self, handler: &str, change: impl FnOnce(u32) -> u32) {
        let mut table = self.content(handler, &TIMES).to_vec();
        let count = number(&table, 4);
        let last = table.len() - 8;
        let (samples, length) = (number(&table, last), number(&table, last + 4));
        table.truncate(last);
        if samples > 1 {
            table.extend((samples - 1).to_be_bytes());
            table.extend(length.to_be_bytes());
            table[4..8].copy_from_slice(&(count + 1).to_be_bytes());
        }
        table.extend(1_u32.to_be_bytes());
        table.extend(change(length).to_be_bytes());
        self.replace(handler, &TIMES, &table);
    }
}

impl Mp4 {
    /// Swaps the times at which two samples in a row of the pictures are shown, at or behind this one.
    pub fn swap_times(&mut self, from: usize) {
        let table = self.content("vide", &OFFSETS).to_vec();
        let mut offsets: Vec<i64> = Vec::new();
        for entry in table[8..].chunks(8) {
            let offset = i64::from(number(entry, 4).cast_signed());
            offsets.extend(std::iter::repeat_n(offset, number(entry, 0) as usize));
        }
        let length = i64::from(number(self.content("vide", &TIMES), 12));
        // The second is decoded a picture later.
        let at =
            (from..).find(|at| offsets[*at] != offsets[at + 1] + length && offsets[*at] > length).unwrap();
        let (a, b) = (offsets[at], offsets[at + 1]);
        (offsets[at], offsets[at + 1]) = (b + length, a - length);
        let mut new = table[..4].to_vec();
        new.extend(u32::try_from(offsets.len()).unwrap().to_be_bytes());
        for offset in offsets {
            new.extend(1_u32.to_be_bytes());
            new.extend(i32::try_from(offset).unwrap().to_be_bytes());
        }
        self.replace("vide", &OFFSETS, &new);
    }

    /// Gives a box another name of four letters.
    pub fn rename(&mut self, handler: &str, path: &[&str], name: &str) {
        let span = self.spans(handler, path).pop().unwrap();
        self.0[span.start + 4..span.start + 8].copy_from_slice(name.as_bytes());
    }

    /// Removes the list of keyframes from the index of the pictures.
    pub fn remove_keyframes(&mut self) {
        self.rename("vide", &KEYFRAMES, "free");
    }

    /// Removes the last sample of a track from its index.
    pub fn remove_last(&mut self, handler: &str) {
        let mut sizes = self.content(handler, &SIZES).to_vec();
        let count = number(&sizes, 8) - 1;
        sizes[8..12].copy_from_slice(&count.to_be_bytes());
        if number(&sizes, 4) == 0 {
            sizes.truncate(sizes.len() - 4);
        }
        self.replace(handler, &SIZES, &sizes);
        let mut table = self.content(handler, &TIMES).to_vec();
        let (entries, last) = (number(&table, 4), table.len() - 8);
        match number(&table, last) - 1 {
            0 => {
                table.truncate(last);
                table[4..8].copy_from_slice(&(entries - 1).to_be_bytes());
            }
            samples => table[last..last + 4].copy_from_slice(&samples.to_be_bytes()),
        }
        self.replace(handler, &TIMES, &table);
    }
}

/// The size of a number in an edit list, and where the last edit begins in it (8.6.6).
fn place_of_last_edit(list: &[u8]) -> (usize, usize) {
    let size = if list[0] == 1 { 8 } else { 4 };
    (size, list.len() - 4 - 2 * size)
}

/// Paths of boxes, below `moov`.
pub const MOVIE_HEADER: [&str; 1] = ["mvhd"];
pub const TRACK_HEADER: [&str; 2] = ["trak", "tkhd"];
pub const MEDIA_HEADER: [&str; 3] = ["trak", "mdia", "mdhd"];
pub const EDITS: [&str; 3] = ["trak", "edts", "elst"];
pub const TIMES: [&str; 5] = ["trak", "mdia", "minf", "stbl", "stts"];
pub const AVC_HEADERS: [&str; 7] = ["trak", "mdia", "minf", "stbl", "stsd", "avc1", "avcC"];
pub const AAC_HEADERS: [&str; 7] = ["trak", "mdia", "minf", "stbl", "stsd", "mp4a", "esds"];
pub const AVC_ENTRY: [&str; 6] = ["trak", "mdia", "minf", "stbl", "stsd", "avc1"];
pub const ASPECT: [&str; 7] = ["trak", "mdia", "minf", "stbl", "stsd", "avc1", "pasp"];
pub const AAC_ENTRY: [&str; 6] = ["trak", "mdia", "minf", "stbl", "stsd", "mp4a"];
const SIZES: [&str; 5] = ["trak", "mdia", "minf", "stbl", "stsz"];
const OFFSETS: [&str; 5] = ["trak", "mdia", "minf", "stbl", "ctts"];
const KEYFRAMES: [&str; 5] = ["trak", "mdia", "minf", "stbl", "stss"];
/// Offsets of numbers in them, of version 0.
pub const TIMESCALE: usize = 12;
pub const HEADER_LENGTH: usize = 16;
pub const TRACK_LENGTH: usize = 20;

/// Returns a codec header of H.264 with the picture parameter sets of another one behind its own (ISO/IEC 14496-15, 5.3.3.1).
pub fn with_picture_sets(own: &[u8], other: &[u8]) -> Vec<u8> {
    let pictures = |header: &[u8]| {
        let length = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let count = 8 + length(6);
        (count, count + 3 + length(count + 1))
    };
    let ((count, end), (others, others_end)) = (pictures(own), pictures(other));
    let mut both = own[..end].to_vec();
    both[count] = 2;
    both.extend(&other[others + 1..others_end]);
    both.extend(&own[end..]);
    both
}

/// Kinds of tags of an flv.
pub const SOUND: u8 = 8;
pub const PICTURES: u8 = 9;
/// Bytes of a tag of pictures before their contents (E.4.3).
pub const PICTURE_FIELDS: usize = 5;

/// A tag of an flv (Adobe Flash Video File Format, E.4).
#[derive(Debug, Clone)]
pub struct Tag {
    /// [`SOUND`], [`PICTURES`] or data.
    pub kind: u8,
    /// In milliseconds.
    pub time: u32,
    pub data: Vec<u8>,
}

impl Tag {
    /// Whether it holds codec headers.
    pub fn is_header(&self) -> bool {
        matches!(self.kind, SOUND | PICTURES) && self.data.get(1) == Some(&0)
    }
}

/// The tags of an flv.
pub fn tags(bytes: &[u8]) -> Vec<Tag> {
    let (mut tags, mut at) = (Vec::new(), 13);
    while at + 11 <= bytes.len() {
        let size = (number(bytes, at) & 0xff_ffff) as usize;
        let time = number(bytes, at + 4) >> 8 | u32::from(bytes[at + 7]) << 24;
        tags.push(Tag { kind: bytes[at], time, data: bytes[at + 11..at + 11 + size].to_vec() });
        at += 11 + size + 4;
    }
    tags
}

/// An flv of these tags.
pub fn flv(tags: &[Tag]) -> Vec<u8> {
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for Tag { kind, time, data } in tags {
        let size = u32::try_from(data.len()).unwrap();
        bytes.push(*kind);
        bytes.extend(&size.to_be_bytes()[1..]);
        bytes.extend(&time.to_be_bytes()[1..]);
        bytes.push(time.to_be_bytes()[0]);
        bytes.extend([0, 0, 0]);
        bytes.extend(data);
        bytes.extend((size + 11).to_be_bytes());
    }
    bytes
}

/// Where the length lies in the metadata of an flv (E.5).
fn place_of_duration(tags: &[Tag]) -> Span {
    const NAME: &[u8] = b"\x00\x08duration\x00";
    let at = tags[0].data.windows(NAME.len()).position(|bytes| bytes == NAME).unwrap() + NAME.len();
    at..at + 8
}

/// The length in the metadata of an flv, in seconds.
pub fn duration(tags: &[Tag]) -> f64 {
    f64::from_be_bytes(tags[0].data[place_of_duration(tags)].try_into().unwrap())
}

/// Sets the length in the metadata of an flv, in seconds.
pub fn set_duration(tags: &mut [Tag], seconds: f64) {
    let at = place_of_duration(tags);
    tags[0].data[at].copy_from_slice(&seconds.to_be_bytes());
}
