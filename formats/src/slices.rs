//! How long the headers of slices are. Where samples are encrypted by themselves, they stay clear (ISO/IEC 23001-7, 9.5.2): players
//! read them before anything is decrypted.

pub(crate) mod avc;
pub(crate) mod hevc;
#[cfg(test)]
mod tests;

use crate::bits::Bits;

/// What tells which bytes of a codec's packets stay clear.
pub trait Slices: std::fmt::Debug {
    /// Returns how many bytes at the start of a unit stay clear: all of one that is no slice, and the header of a slice. `None` if it
    /// can't be read.
    fn clear_bytes(&self, unit: &[u8]) -> Option<usize>;
}

/// Reads the parameter sets of a file's codec headers; `None` if they can't be read, or say something that is not known here.
pub type ReadSlices = fn(&[u8]) -> Option<Box<dyn Slices>>;

/// The longest header that is read, in bytes, without escapes.
const LONGEST_HEADER: usize = 4096;

/// The first bytes of a unit, without those that keep it from looking like a start code (ITU-T H.264, 7.4.1; H.265, 7.4.2).
struct Plain {
    bytes: Vec<u8>,
    /// Where each of them is in the unit.
    places: Vec<usize>,
}

impl Plain {
    fn of(unit: &[u8]) -> Self {
        let mut plain = Self { bytes: Vec::new(), places: Vec::new() };
        let mut zeros = 0;
        for (place, byte) in unit.iter().enumerate() {
            if plain.bytes.len() >= LONGEST_HEADER {
                break;
            }
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            plain.bytes.push(*byte);
            plain.places.push(place);
        }
        plain
    }

    /// Returns how many bytes of the unit its first so many plain ones take.
    fn escaped(&self, count: usize) -> Option<usize> {
        count.checked_sub(1).map_or(Some(0), |last| self.places.get(last).map(|place| place + 1))
    }
}

/// Reads a number that may be negative (`se(v)`).
fn signed(bits: &mut Bits<'_>) -> Option<i64> {
    let number = i64::from(bits.golomb()?);
    Some(if number % 2 == 0 { -(number / 2) } else { (number + 1) / 2 })
}

/// Reads so many numbers of a variable length, signed or not, and forgets them.
fn skip_golomb(bits: &mut Bits<'_>, count: u32) -> Option<()> {
    for _ in 0..count {
        bits.golomb()?;
    }
    Some(())
}

/// Reads a number that is at most so large.
fn at_most(bits: &mut Bits<'_>, most: u32) -> Option<u32> {
    bits.golomb().filter(|number| *number <= most)
}

/// Returns how many bits a number below `count` takes.
fn bits_below(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}
