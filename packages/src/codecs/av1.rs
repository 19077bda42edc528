//! AV1: the configuration record, and the colours that only the sequence header has.

use super::bits::Bits;

/// The type of an OBU that is a sequence header.
const SEQUENCE_HEADER: u8 = 1;
/// Colour values that are unspecified (ISO/IEC 23091-2).
const UNSPECIFIED: (u32, u32, u32) = (2, 2, 2);
/// BT.709, which the short form stands for.
const BT709: (u32, u32, u32) = (1, 1, 1);

/// Returns the codec string of an `av1C` box's content. The optional fields are there if any of them differs from its default: colours
/// that aren't BT.709, full range, monochrome, or another chroma format than 4:2:0 ("AV1 Codec ISO Media File Format Binding", 5).
pub(super) fn codec_string(record: &[u8]) -> Option<String> {
    let (first, second) = (*record.get(1)?, *record.get(2)?);
    let (profile, level) = (first >> 5, first & 0x1f);
    let tier = if second & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (second & 0x40 != 0, second & 0x20 != 0) {
        (false, _) => 8,
        (true, twelve) => 10 + 2 * u8::from(twelve),
    };
    let (monochrome, x, y, position) = (second >> 4 & 1, second >> 3 & 1, second >> 2 & 1, second & 3);
    let short = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    let header = sequence_header(record.get(4..)?);
    let colors = header.and_then(Colors::read).unwrap_or_default();
    let described = colors.description.unwrap_or(UNSPECIFIED);
    let is_default = described == UNSPECIFIED || described == BT709;
    if is_default && (monochrome, x, y, position) == (0, 1, 1, 0) && !colors.full_range {
        return Some(short);
    }
    let (primaries, transfer, matrix) = described;
    let range = u8::from(colors.full_range);
    Some(format!("{short}.{monochrome}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{range}"))
}

/// Returns the content of the first sequence header among OBUs that have sizes.
fn sequence_header(mut obus: &[u8]) -> Option<&[u8]> {
    loop {
        let header = *obus.first()?;
        let (kind, has_extension, has_size) = (header >> 3 & 0xf, header & 4 != 0, header & 2 != 0);
        let mut at = if has_extension { 2 } else { 1 };
        if !has_size {
            return (kind == SEQUENCE_HEADER).then_some(obus.get(at..)?);
        }
        let mut size = 0usize;
        // leb128, of at most 4 bytes for any size that a box of this kind has.
        for place in 0..4 {
            let byte = *obus.get(at)?;
            at += 1;
            size |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = obus.get(at..at.checked_add(size)?)?;
        if kind == SEQUENCE_HEADER {
            return Some(content);
        }
        obus = obus.get(at + size..)?;
    }
}

/// The colours of a sequence header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Colors {
    /// Primaries, transfer characteristics and matrix coefficients (ISO/IEC 23091-2), if they are described.
    pub(super) description: Option<(u32, u32, u32)>,
    /// Whether samples have their full range.
    pub(super) full_range: bool,
}

impl Colors {
    /// Reads a sequence header up to its colours ("AV1 Bitstream & Decoding Process Specification", 5.5).
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(header);
        let profile = bits.read(3)?;
        bits.read(1)?;
        let is_reduced = bits.flag()?;
        if is_reduced {
            bits.read(5)?;
        } else {
            skip_operating_points(&mut bits)?;
        }
        let (width_bits, height_bits) = (bits.read(4)? as usize + 1, bits.read(4)? as usize + 1);
        bits.read(width_bits)?;
        bits.read(height_bits)?;
        if !is_reduced && bits.flag()? {
            bits.read(4 + 3)?;
        }
        // Superblocks, intra filter, intra edge filter.
        bits.read(3)?;
        if !is_reduced {
            skip_tools(&mut bits)?;
        }
        // Super-resolution, cdef, restoration.
        bits.read(3)?;
        let high_depth = bits.flag()?;
        if profile == 2 && high_depth {
            bits.read(1)?;
        }
        let monochrome = profile != 1 && bits.flag()?;
        let description = match bits.flag()? {
            true => Some((bits.read(8)?, bits.read(8)?, bits.read(8)?)),
            false => None,
        };
        // sRGB has no bit for its range.
        let is_rgb = !monochrome && description == Some((1, 13, 0));
        Some(Self { description, full_range: is_rgb || bits.flag()? })
    }
}

/// Skips timing information and operating points.
fn skip_operating_points(bits: &mut Bits) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.read(32)?;
        bits.read(32)?;
        if bits.flag()? {
            let mut zeros = 0;
            while !bits.flag()? {
                zeros += 1;
            }
            if zeros < 32 {
                bits.read(zeros)?;
            }
        }
        if bits.flag()? {
            delay_bits = Some(bits.read(5)? as usize + 1);
            bits.read(32)?;
            bits.read(5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    for _ in 0..=bits.read(5)? {
        bits.read(12)?;
        if bits.read(5)? > 7 {
            bits.read(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.read(delay_bits)?;
            bits.read(delay_bits)?;
            bits.read(1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.read(4)?;
        }
    }
    Some(())
}

/// Skips the flags of coding tools.
fn skip_tools(bits: &mut Bits) -> Option<()> {
    // Inter-intra, masked and warped compound, dual filter.
    bits.read(4)?;
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        bits.read(2)?;
    }
    let chooses_screen_content = bits.flag()?;
    let has_screen_content = chooses_screen_content || bits.flag()?;
    if has_screen_content && !bits.flag()? {
        bits.read(1)?;
    }
    if has_order_hint {
        bits.read(3)?;
    }
    Some(())
}
