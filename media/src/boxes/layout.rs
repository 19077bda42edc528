//! Finds the movie box in a file, and boxes and fields in its content.

use std::io::ErrorKind;
use std::slice::ChunksExact;

use super::model::Code;
use crate::read_at::ReadAt;

/// The largest movie box that is read, in bytes: enough for more than a day of 60 pictures per second.
const MOST_MOVIE_BYTES: u64 = 256 << 20;

/// The number of boxes at the top of a file among which the movie box is searched.
const MOST_TOP_BOXES: usize = 1 << 16;

/// A box that breaks its own structure, contradicts another, or has a version that is not known.
#[derive(Debug)]
pub(super) struct Malformed;

pub(super) type Parsed<T> = Result<T, Malformed>;

/// Returns the content of the first movie box.
pub(super) fn read_movie_box(size: u64, file: &impl ReadAt) -> Option<Vec<u8>> {
    let mut at = 0;
    for _ in 0..MOST_TOP_BOXES {
        let left = size.checked_sub(at)?;
        let start = read_range(file, at, left.min(16))?;
        let header = parse_header(&start, left).ok()?;
        if header.code == *b"moov" {
            let content = header.size - header.length;
            return if content > MOST_MOVIE_BYTES {
                None
            } else {
                read_range(file, at + header.length, content)
            };
        }
        at += header.size;
    }
    None
}

/// Reads all of a range, in steps, so that a range beyond the end of the file takes no memory.
pub(super) fn read_range(file: &impl ReadAt, at: u64, length: u64) -> Option<Vec<u8>> {
    const STEP: usize = 1 << 20;
    let length = usize::try_from(length).ok()?;
    let mut bytes = Vec::new();
    let mut filled = 0;
    while filled < length {
        bytes.resize(length.min(filled + STEP), 0);
        filled += match file.read_at(&mut bytes[filled..], at.checked_add(filled as u64)?) {
            Ok(0) => return None,
            Ok(read) => read.min(bytes.len() - filled),
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => return None,
        };
    }
    Some(bytes)
}

/// Reads the type and the size of the box at an offset of a file of `size` bytes; `None` if there is none.
pub(super) fn read_header(file: &impl ReadAt, at: u64, size: u64) -> Option<(Code, u64)> {
    let left = size.checked_sub(at)?;
    let start = read_range(file, at, left.min(16))?;
    let header = parse_header(&start, left).ok()?;
    Some((header.code, header.size))
}

/// The header of a box (4.2).
struct Header {
    code: Code,
    /// The length of the header in bytes: 8, or 16 with a 64-bit size.
    length: u64,
    /// The length of the box with its header in bytes, at most what is left of its parent.
    size: u64,
}

/// Parses the header at the start of `bytes`; `left` is the number of bytes from there to the end of its parent.
fn parse_header(bytes: &[u8], left: u64) -> Parsed<Header> {
    let mut fields = Fields(bytes);
    let (size, code) = (fields.u32()?, fields.array()?);
    let (length, size) = match size {
        0 => (8, left),
        1 => (16, fields.u64()?),
        size => (8, u64::from(size)),
    };
    if size < length || size > left { Err(Malformed) } else { Ok(Header { code, length, size }) }
}

/// The boxes in the content of a box. Ends after the first error. Up to 7 bytes at the end are skipped: QuickTime
/// closes some lists with 4 zeros.
pub(super) struct Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = Parsed<(Code, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.len() < 8 {
            return None;
        }
        Some(parse_header(bytes, bytes.len() as u64).map(|header| {
            // Both numbers are at most the length of the slice.
            let (content, rest) = bytes.split_at(header.size as usize);
            self.0 = rest;
            (header.code, &content[header.length as usize..])
        }))
    }
}

/// Returns the content of the box `code` in the content of its parent; an error if there are two.
pub(super) fn optional<'a>(parent: &'a [u8], code: &Code) -> Parsed<Option<&'a [u8]>> {
    let mut found = None;
    for child in Boxes(parent) {
        let (name, content) = child?;
        if name == *code && found.replace(content).is_some() {
            return Err(Malformed);
        }
    }
    Ok(found)
}

/// Returns the content of the only box `code` in the content of its parent; an error if there is none.
pub(super) fn required<'a>(parent: &'a [u8], code: &Code) -> Parsed<&'a [u8]> {
    optional(parent, code)?.ok_or(Malformed)
}

/// The fields of a box that are not read yet, big-endian.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    /// Reads the next `N` bytes; an error if fewer are left, as in all methods here.
    pub(super) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u16(&mut self) -> Parsed<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads the version and the flags of a full box (4.2); all boxes that are read here have the versions 0 and 1.
    pub(super) fn version(&mut self) -> Parsed<(u8, u32)> {
        let [version, flags @ ..] = self.array::<4>()?;
        let flags = flags.iter().fold(0, |flags, byte| flags << 8 | u32::from(*byte));
        if version > 1 { Err(Malformed) } else { Ok((version, flags)) }
    }

    /// Reads a time, which has 64 bits in version 1 and 32 in version 0.
    pub(super) fn time(&mut self, version: u8) -> Parsed<u64> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// Reads a duration like a time. All ones, in either width, mean an unknown duration and become `u64::MAX`.
    pub(super) fn duration(&mut self, version: u8) -> Parsed<u64> {
        let duration = self.time(version)?;
        Ok(if version == 0 && duration == u64::from(u32::MAX) { u64::MAX } else { duration })
    }
}

/// A table without entries, in place of one that is missing.
pub(super) const EMPTY_TABLE: &[u8] = &[0; 8];

/// Returns the version of a table and its entries, whose width in bytes depends on the version; an error if the box
/// holds fewer entries than it states.
pub(super) fn parse_table(content: &[u8], widths: [usize; 2]) -> Parsed<(u8, ChunksExact<'_, u8>)> {
    let mut fields = Fields(content);
    let (version, _) = fields.version()?;
    let width = widths[usize::from(version)];
    let length = usize::try_from(fields.u32()?).ok().and_then(|count| count.checked_mul(width));
    let entries = length.and_then(|length| fields.0.get(..length)).ok_or(Malformed)?;
    Ok((version, entries.chunks_exact(width)))
}
