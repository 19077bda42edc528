//! Reads of a file at any offset, through a cache of one block.

use std::cell::RefCell;

use crate::read_at::ReadAt;

/// How many bytes are read where a few are needed: what follows is often needed next.
const BLOCK: usize = 16 << 10;

/// A file that is read a few bytes at a time. The number of reads is not bounded.
pub(crate) struct Window<'a> {
    file: &'a dyn ReadAt,
    /// The size of the file, in bytes.
    pub(crate) size: u64,
    /// The block that was read last: its offset, and its bytes.
    block: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Window<'a> {
    /// A file of `size` bytes.
    pub(crate) fn new(file: &'a dyn ReadAt, size: u64) -> Self {
        Self { file, size, block: RefCell::default() }
    }

    /// Returns `N` bytes at the offset `at`; `None` if they reach past the end of the file, or can't be read.
    pub(crate) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        if at.checked_add(N as u64)? > self.size {
            return None;
        }
        let mut block = self.block.borrow_mut();
        let cached = |block: &(u64, Vec<u8>)| {
            let from = usize::try_from(at.checked_sub(block.0)?).ok()?;
            block.1.get(from..)?.first_chunk::<N>().copied()
        };
        if let Some(bytes) = cached(&block) {
            return Some(bytes);
        }
        let length = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(BLOCK);
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < N {
            match self.file.read_at(bytes.get_mut(filled..)?, at + filled as u64).ok()? {
                0 => return None,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        *block = (at, bytes);
        cached(&block)
    }

    /// The big-endian `u32` at an offset.
    pub(crate) fn be32(&self, at: u64) -> Option<u64> {
        self.array(at).map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    }

    /// The big-endian `u64` at an offset.
    pub(crate) fn be64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// The little-endian `u32` at an offset.
    pub(crate) fn le32(&self, at: u64) -> Option<u64> {
        self.array(at).map(|bytes| u64::from(u32::from_le_bytes(bytes)))
    }
}
