//! Bits of codec headers, the most significant one first.

/// What is left of a header.
#[derive(Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// The number of bits that were read.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads a number of at most 32 bits; `None` if fewer are left, as in all methods here.
    pub(crate) fn number(&mut self, bits: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..bits {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    pub(crate) fn skip(&mut self, bits: u32) -> Option<()> {
        self.number(bits).map(drop)
    }

    /// Goes on to the begin of the next byte. Returns how many bytes are in front of it.
    pub(crate) fn align(&mut self) -> usize {
        self.at = self.at.next_multiple_of(8);
        self.at / 8
    }

    /// Reads a number of as many bits as zeros are in front of it (`ue(v)`: ITU-T H.265, 9.2; `uvlc()`: AV1, 4.10.3).
    pub(crate) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_bit_by_bit_up_to_the_end() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010]);
        assert_eq!((bits.flag(), bits.number(2)), (Some(true), Some(1)));
        assert_eq!((bits.golomb(), bits.golomb(), bits.golomb()), (Some(5), Some(1), None));
        assert_eq!(bits.number(1), None);
        let mut bits = Bits::new(&[0, 0xff]);
        assert_eq!((bits.align(), bits.number(1), bits.align()), (0, Some(0), 1));
        assert_eq!((bits.number(8), bits.align()), (Some(0xff), 2));
    }
}
