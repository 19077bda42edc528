//! Bits of a header, most significant first.

/// Reads bits of a slice.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the next `count` bits, at most 32; `None` past the end.
    pub(super) fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// Returns whether the next bit is set.
    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.read(1)? == 1)
    }
}
