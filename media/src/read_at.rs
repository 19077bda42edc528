//! Random access to the bytes of a file.

use std::io;

/// Reads bytes of a file at any offset.
pub(crate) trait ReadAt {
    /// Fills as much of `buffer` as the file has from byte `at` on, and returns the number of bytes read. Fewer bytes
    /// than `buffer` holds do not mean the end of the file; 0 does.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

#[cfg(test)]
impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
