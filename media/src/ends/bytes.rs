//! Bounded reads of a file, and the messages about files that are cut off.

use std::cell::{Cell, RefCell};

use crate::read_at::ReadAt;

/// How often a file is read at most.
const MOST_READS: u32 = 200;
/// How many bytes are read at most.
const MOST_BYTES: u64 = 16 << 20;
/// How many bytes are read where a few are needed: what follows is often needed next.
const BLOCK: usize = 16 << 10;
/// How many bytes a search from the end reads at a time.
const STEP: u64 = 256 << 10;
/// How many bytes of a table are read.
const MOST_TABLE: u64 = 1 << 20;

/// A file whose reads are bounded: after [`MOST_READS`] reads or [`MOST_BYTES`] bytes each further read gives `None`.
pub(super) struct Bytes<'a> {
    file: &'a dyn ReadAt,
    size: u64,
    reads_left: Cell<u32>,
    bytes_left: Cell<u64>,
    block: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Bytes<'a> {
    /// A file of `size` bytes.
    pub(super) fn new(file: &'a dyn ReadAt, size: u64) -> Self {
        Self {
            file,
            size,
            reads_left: Cell::new(MOST_READS),
            bytes_left: Cell::new(MOST_BYTES),
            block: RefCell::default(),
        }
    }

    /// The size of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns up to `most` bytes from the offset `at` on, fewer at the end of the file.
    pub(super) fn read(&self, at: u64, most: usize) -> Option<Vec<u8>> {
        let there = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = most.min(there);
        self.bytes_left.set(self.bytes_left.get().checked_sub(length as u64)?);
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while filled < length {
            self.reads_left.set(self.reads_left.get().checked_sub(1)?);
            match self.file.read_at(buffer.get_mut(filled..)?, at + filled as u64).ok()? {
                0 => return None,
                count => filled += count,
            }
        }
        Some(buffer)
    }

    /// Returns the last bytes of the file, `most` or all there are, and the offset of the first of them.
    pub(super) fn tail(&self, most: usize) -> Option<(u64, Vec<u8>)> {
        let at = self.size.saturating_sub(most as u64);
        Some((at, self.read(at, most)?))
    }

    /// Returns up to `most` bytes from the offset `at` on, as [`read`](Self::read) does, and keeps what follows them for
    /// the next one.
    pub(super) fn near(&self, at: u64, most: usize) -> Option<Vec<u8>> {
        self.in_block(at, most, |bytes| bytes.get(..most).unwrap_or(bytes).to_vec())
    }

    /// Returns `N` bytes at the offset `at`; `None` if they reach past the end of the file.
    pub(super) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.in_block(at, N, |bytes| bytes.first_chunk().copied())?
    }

    /// Passes the bytes from the offset `at` on to `parse`: at least `length` of them, or all up to the end of the file.
    fn in_block<T>(&self, at: u64, length: usize, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (start, block) = &mut *self.block.borrow_mut();
        let offset = at.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(bytes) = offset.and_then(|offset| block.get(offset..))
            && (bytes.len() >= length || *start + block.len() as u64 == self.size)
        {
            return Some(parse(bytes));
        }
        (*start, *block) = (at, self.read(at, BLOCK.max(length))?);
        Some(parse(block))
    }

    /// The big-endian `u16` at an offset.
    pub(super) fn be16(&self, at: u64) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The big-endian `u32` at an offset.
    pub(super) fn be32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The big-endian `u64` at an offset.
    pub(super) fn be64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// The little-endian `u16` at an offset.
    pub(super) fn le16(&self, at: u64) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// The little-endian `u32` at an offset.
    pub(super) fn le32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The little-endian `u64` at an offset.
    pub(super) fn le64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// Returns a table of `count` little-endian `u32` at the offset `at`; `None` if it is longer than 1 MiB, or reaches past the
    /// end of the file.
    pub(super) fn le32_table(&self, at: u64, count: u64) -> Option<Vec<u32>> {
        let length = count.checked_mul(4).filter(|length| *length <= MOST_TABLE)?;
        let table = self.read(at, length as usize).filter(|table| table.len() as u64 == length)?;
        Some(table.as_chunks().0.iter().map(|entry| u32::from_le_bytes(*entry)).collect())
    }

    /// Searches backwards for `pattern` in the last `within` bytes of the file, and returns the offset of the last
    /// occurrence for which `accept` returns `true`.
    pub(super) fn find_last(
        &self,
        pattern: &[u8],
        within: u64,
        mut accept: impl FnMut(u64) -> bool,
    ) -> Option<u64> {
        let least = self.size.saturating_sub(within);
        let mut end = self.size;
        while end > least {
            let start = end.saturating_sub(STEP).max(least);
            // Reaches into the block behind, for a pattern that lies in both.
            let length = usize::try_from(end - start).ok()? + pattern.len() - 1;
            let block = self.read(start, length)?;
            let found = block.windows(pattern.len()).enumerate().rev();
            for (offset, _) in found.filter(|(_, bytes)| *bytes == pattern) {
                if accept(start + offset as u64) {
                    return Some(start + offset as u64);
                }
            }
            end = start;
        }
        None
    }
}

/// A number of bytes with its digits in groups of three, e.g. `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The message for a file that is cut off.
pub(super) fn cut_off(why: &str) -> String {
    format!("the source is cut off: {why}")
}

/// The message for a file of `there` bytes whose header states a length of `length` bytes; `None` if all are there.
pub(super) fn shorter(length: u64, there: u64) -> Option<String> {
    (length > there).then(|| {
        cut_off(&format!(
            "its header says that it is {} bytes long, and {} are there",
            grouped(length),
            grouped(there)
        ))
    })
}

/// The message for a part of a file that is `whole` bytes long, `there` of which lie in the file; `None` if all do.
pub(super) fn partial(part: &str, there: u64, whole: u64) -> Option<String> {
    (there < whole).then(|| {
        cut_off(&format!("its {part} is not whole ({} of {} bytes)", grouped(there), grouped(whole)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 150_123, 1_234_567].map(grouped),
            ["0", "999", "1,000", "150,123", "1,234,567"]
        );
    }

    #[test]
    fn reads_end_at_the_end_of_the_file() {
        let file = (0..100).collect::<Vec<u8>>();
        let bytes = Bytes::new(&file, 100);
        assert_eq!(bytes.read(98, 10), Some(vec![98, 99]));
        assert_eq!(bytes.array(96), Some([96, 97, 98, 99]));
        assert_eq!(bytes.array::<4>(97), None);
        assert_eq!(bytes.array::<4>(u64::MAX), None);
        assert_eq!(bytes.tail(3), Some((97, vec![97, 98, 99])));
    }

    #[test]
    fn a_file_shorter_than_its_size_is_not_readable() {
        let file = vec![0; 10];
        assert_eq!(Bytes::new(&file, 20).read(0, 20), None);
    }

    #[test]
    fn a_search_finds_a_pattern_on_a_border_of_its_blocks() {
        let mut file = vec![0; 3 * (256 << 10) + 5];
        let border = file.len() - (256 << 10);
        file[border - 2..border + 2].copy_from_slice(b"moof");
        let bytes = Bytes::new(&file, file.len() as u64);
        assert_eq!(bytes.find_last(b"moof", u64::MAX, |_| true), Some(border as u64 - 2));
        assert_eq!(bytes.find_last(b"moof", u64::MAX, |_| false), None);
        assert_eq!(bytes.find_last(b"moof", 100, |_| true), None);
    }
}
