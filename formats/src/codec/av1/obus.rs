//! Units of AV1 (open bitstream units), and the sequence header.

use crate::bits::Bits;

/// Types of units (6.2.2).
pub(super) const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
pub(super) const FRAME_HEADER: u8 = 3;
pub(super) const METADATA: u8 = 5;
pub(super) const FRAME: u8 = 6;
const REDUNDANT_FRAME_HEADER: u8 = 7;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// Returns `true` for a type of units that files leave out.
pub(super) fn is_separator(kind: u8) -> bool {
    [TEMPORAL_DELIMITER, REDUNDANT_FRAME_HEADER, TILE_LIST, PADDING].contains(&kind)
}

/// A unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    pub(super) kind: u8,
    /// The unit with its header.
    pub(super) whole: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Returns the units of a packet; `None` if it is not made of whole units, each with its size (5.3).
pub(super) fn obus(packet: &[u8]) -> Option<Vec<Obu<'_>>> {
    let mut units = Vec::new();
    let mut rest = packet;
    while let Some(first) = rest.first() {
        let (has_extension, has_size) = (first & 4 != 0, first & 2 != 0);
        if first & 0x81 != 0 || !has_size {
            return None;
        }
        let header = 1 + usize::from(has_extension);
        let (size, length) = leb128(rest.get(header..)?)?;
        let start = header + length;
        let end = start.checked_add(size)?;
        let (whole, behind) = rest.split_at_checked(end)?;
        units.push(Obu { kind: first >> 3, whole, payload: whole.get(start..)? });
        rest = behind;
    }
    Some(units)
}

/// Reads a number in groups of seven bits (4.10.5), and returns how many bytes it has.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0_u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(number).ok()?, i + 1));
        }
    }
    None
}

/// Reads a sequence header (5.5), and returns the four bytes that files have of it; `None` where it can't be read, or is of one
/// picture.
pub(super) fn sequence(payload: &[u8]) -> Option<[u8; 4]> {
    let mut bits = Bits::new(payload);
    let profile = bits.number(3)?;
    let (_still, reduced) = (bits.flag()?, bits.flag()?);
    if reduced {
        return None;
    }
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(32)?;
        bits.skip(32)?;
        if bits.flag()? {
            bits.golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.skip(32)?;
            bits.skip(10)?;
        }
    }
    let has_delay = bits.flag()?;
    let mut first = None;
    for _point in 0..=bits.number(5)? {
        bits.skip(12)?;
        let level = bits.number(5)?;
        let tier = if level > 7 { bits.number(1)? } else { 0 };
        first.get_or_insert((level, tier));
        if let Some(length) = delay_bits
            && bits.flag()?
        {
            bits.skip(length)?;
            bits.skip(length)?;
            bits.skip(1)?;
        }
        if has_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    let (level, tier) = first?;
    let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
    bits.skip(width_bits)?;
    bits.skip(height_bits)?;
    if bits.flag()? {
        bits.skip(7)?;
    }
    tools(&mut bits)?;
    Some([0x81, (profile << 5 | level) as u8, (tier << 7) as u8 | color(&mut bits, profile)?, 0])
}

/// Skips which tools pictures are coded with.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(3)?;
    bits.skip(4)?;
    let has_order = bits.flag()?;
    if has_order {
        bits.skip(2)?;
    }
    // 2: each picture says so.
    let screen = if bits.flag()? { 2 } else { bits.number(1)? };
    if screen > 0 && !bits.flag()? {
        bits.skip(1)?;
    }
    if has_order {
        bits.skip(3)?;
    }
    bits.skip(3)
}

/// Reads depth, sampling and place of chroma (5.5.2), as the record has them in one byte.
fn color(bits: &mut Bits<'_>, profile: u32) -> Option<u8> {
    const SRGB: [u32; 3] = [1, 13, 0];
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let described = if bits.flag()? { [bits.number(8)?, bits.number(8)?, bits.number(8)?] } else { [2; 3] };
    let (mut sampling, mut place) = ((true, true), 0);
    if monochrome {
        bits.skip(1)?;
    } else if described == SRGB {
        sampling = (false, false);
    } else {
        bits.skip(1)?;
        sampling = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let across = bits.flag()?;
                (across, across && bits.flag()?)
            }
            _ => (true, false),
        };
        if sampling == (true, true) {
            place = bits.number(2)?;
        }
    }
    let flags = [high, twelve, monochrome, sampling.0, sampling.1];
    let flags = flags.iter().fold(0, |flags, flag| flags << 1 | u8::from(*flag));
    Some(flags << 2 | place as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_whole_units_or_none() {
        let packet = [0x12, 0, 0x36, 0x08, 0x81, 0x00, 7];
        let units = obus(&packet).unwrap();
        assert_eq!(units.iter().map(|unit| unit.kind).collect::<Vec<_>>(), [2, 6]);
        assert_eq!((units[1].whole, units[1].payload), (&packet[2..], &packet[6..]));
        assert_eq!(obus(&packet[..6]), None, "cut off");
        assert_eq!(obus(&[0x30, 1]), None, "without a size");
        assert_eq!(obus(&[0x92, 0]), None, "a bit that must be 0");
        assert_eq!(leb128(&[0x80; 9]), None);
    }

    #[test]
    fn a_record_repeats_the_sequence_header() {
        let svt = [0, 0, 0, 4, 0x3c, 0xfe, 0xcc, 0x02, 0xf8, 0, 0x40];
        assert_eq!(sequence(&svt), Some([0x81, 0, 0x0c, 0]));
        assert_eq!(sequence(&svt[..9]), None);
        assert_eq!(sequence(&[0x18]), None, "of one picture");
    }
}
