//! Headers of slice segments of HEVC (ITU-T H.265, 7.3.6), of one layer and without extensions.

use std::collections::BTreeMap;

use super::{Plain, Slices, at_most, bits_below, skip_golomb};
use crate::{bits::Bits, sets::hevc_record};

/// Types of units (table 7-1): those that are slices, those at which decoding can begin, and among them those without pictures before
/// them.
const SLICES: std::ops::RangeInclusive<u8> = 0..=31;
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const IDR_PICTURES: std::ops::RangeInclusive<u8> = 19..=20;
const SEQUENCE_PARAMETERS: u8 = 33;
const PICTURE_PARAMETERS: u8 = 34;

/// Types of slices (table 7-7).
const B: u32 = 0;
const P: u32 = 1;
const I: u32 = 2;

/// A set of pictures that a picture may refer to (7.3.7): how many of them it does refer to.
#[derive(Debug, Clone, Copy)]
struct References {
    used: u32,
}

/// What a sequence parameter set says of slices.
#[derive(Debug, Clone)]
struct Sequence {
    has_separate_planes: bool,
    /// `ChromaArrayType` is not 0: slices have chroma.
    has_chroma: bool,
    order_bits: u32,
    /// The bits of the number of a coding tree unit of a picture.
    address_bits: u32,
    sets: Vec<References>,
    /// Of pictures that are kept for long, whether each is referred to; `None` if there are none.
    long: Option<Vec<bool>>,
    has_offsets: bool,
    has_motion: bool,
}

/// What a picture parameter set says of slices.
#[derive(Debug, Clone)]
struct Parameters {
    sequence: u32,
    has_dependent: bool,
    has_output: bool,
    extra_bits: u32,
    has_tables: bool,
    references: [u32; 2],
    has_chroma_offsets: bool,
    is_weighted: bool,
    is_both_weighted: bool,
    has_entry_points: bool,
    is_filtered_across: bool,
    can_override_deblocking: bool,
    is_deblocking_disabled: bool,
    has_list_changes: bool,
    has_extension: bool,
}

/// The parameter sets of a file.
#[derive(Debug, Default)]
pub(crate) struct Hevc {
    sequences: BTreeMap<u32, Sequence>,
    parameters: BTreeMap<u32, Parameters>,
}

fn unit_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|first| first >> 1 & 63)
}

/// Reads the parameter sets of a file.
pub(crate) fn read(headers: &[u8]) -> Option<Box<dyn Slices>> {
    let record = hevc_record(headers).filter(|record| record.length_size == 4)?;
    let mut sets = Hevc::default();
    for unit in record.sets {
        let plain = Plain::of(unit);
        let mut bits = Bits::new(plain.bytes.get(2..)?);
        match unit_type(unit)? {
            SEQUENCE_PARAMETERS => {
                let (id, sequence) = read_sequence(&mut bits)?;
                sets.sequences.insert(id, sequence);
            }
            PICTURE_PARAMETERS => {
                let (id, parameters) = read_parameters(&mut bits)?;
                sets.parameters.insert(id, parameters);
            }
            _ => {}
        }
    }
    Some(Box::new(sets))
}

/// 7.3.2.2.1, up to `sps_temporal_mvp_enabled_flag`.
fn read_sequence(bits: &mut Bits<'_>) -> Option<(u32, Sequence)> {
    bits.skip(4)?;
    let layers = bits.number(3)?;
    bits.skip(1)?;
    skip_profile(bits, layers)?;
    let id = at_most(bits, 15)?;
    let chroma = at_most(bits, 3)?;
    let has_separate_planes = chroma == 3 && bits.flag()?;
    let (width, height) = (at_most(bits, 1 << 16)?, at_most(bits, 1 << 16)?);
    if bits.flag()? {
        skip_golomb(bits, 4)?;
    }
    skip_golomb(bits, 2)?;
    let order_bits = at_most(bits, 12)? + 4;
    let stated = if bits.flag()? { layers + 1 } else { 1 };
    skip_golomb(bits, 3 * stated)?;
    let block = at_most(bits, 3)? + 3 + at_most(bits, 3)?;
    skip_golomb(bits, 4)?;
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(1)?;
    let has_offsets = bits.flag()?;
    if bits.flag()? {
        bits.skip(8)?;
        skip_golomb(bits, 2)?;
        bits.skip(1)?;
    }
    let count = at_most(bits, 64)?;
    let mut sets = Vec::new();
    for number in 0..count {
        sets.push(read_references(bits, number)?);
    }
    let long = if bits.flag()? {
        let count = at_most(bits, 32)?;
        let mut all = Vec::new();
        for _ in 0..count {
            bits.skip(order_bits)?;
            all.push(bits.flag()?);
        }
        Some(all)
    } else {
        None
    };
    let has_motion = bits.flag()?;
    let blocks = width.div_ceil(1 << block) * height.div_ceil(1 << block);
    let has_chroma = chroma != 0 && !has_separate_planes;
    let address_bits = bits_below(blocks);
    let sequence = Sequence {
        has_separate_planes,
        has_chroma,
        order_bits,
        address_bits,
        sets,
        long,
        has_offsets,
        has_motion,
    };
    Some((id, sequence))
}

/// 7.3.3, of so many sub-layers below the highest one.
fn skip_profile(bits: &mut Bits<'_>, layers: u32) -> Option<()> {
    let skip = |bits: &mut Bits<'_>, count: u32| (0..count).try_for_each(|_| bits.skip(8));
    skip(bits, 12)?;
    let mut stated = Vec::new();
    for _ in 0..layers {
        stated.push((bits.flag()?, bits.flag()?));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers))?;
    }
    for (has_profile, has_level) in stated {
        skip(bits, if has_profile { 11 } else { 0 } + u32::from(has_level))?;
    }
    Some(())
}

/// 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4_u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if bits.flag()? {
                let coefficients = 64.min(1 << (4 + (size << 1)));
                skip_golomb(bits, coefficients + u32::from(size > 1))?;
            } else {
                bits.golomb()?;
            }
        }
    }
    Some(())
}

/// 7.3.7. A set that is predicted from another one is not read: encoders of files here write none.
fn read_references(bits: &mut Bits<'_>, number: u32) -> Option<References> {
    if number > 0 && bits.flag()? {
        return None;
    }
    let count = at_most(bits, 16)? + at_most(bits, 16)?;
    let mut used = 0;
    for _ in 0..count {
        bits.golomb()?;
        used += u32::from(bits.flag()?);
    }
    Some(References { used })
}

/// 7.3.2.3.1, up to its extensions, of which there are none.
fn read_parameters(bits: &mut Bits<'_>) -> Option<(u32, Parameters)> {
    let (id, sequence) = (at_most(bits, 63)?, at_most(bits, 15)?);
    let (has_dependent, has_output) = (bits.flag()?, bits.flag()?);
    let extra_bits = bits.number(3)?;
    bits.skip(1)?;
    let has_tables = bits.flag()?;
    let references = [at_most(bits, 14)? + 1, at_most(bits, 14)? + 1];
    bits.golomb()?;
    bits.skip(2)?;
    if bits.flag()? {
        bits.golomb()?;
    }
    skip_golomb(bits, 2)?;
    let has_chroma_offsets = bits.flag()?;
    let (is_weighted, is_both_weighted) = (bits.flag()?, bits.flag()?);
    bits.skip(1)?;
    let (has_tiles, has_rows) = (bits.flag()?, bits.flag()?);
    if has_tiles {
        let (columns, rows) = (at_most(bits, 63)?, at_most(bits, 63)?);
        if !bits.flag()? {
            skip_golomb(bits, columns + rows)?;
        }
        bits.skip(1)?;
    }
    let is_filtered_across = bits.flag()?;
    let (mut can_override_deblocking, mut is_deblocking_disabled) = (false, false);
    if bits.flag()? {
        (can_override_deblocking, is_deblocking_disabled) = (bits.flag()?, bits.flag()?);
        if !is_deblocking_disabled {
            skip_golomb(bits, 2)?;
        }
    }
    if bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    let has_list_changes = bits.flag()?;
    bits.golomb()?;
    let has_extension = bits.flag()?;
    if bits.flag()? {
        return None;
    }
    let parameters = Parameters {
        sequence,
        has_dependent,
        has_output,
        extra_bits,
        has_tables,
        references,
        has_chroma_offsets,
        is_weighted,
        is_both_weighted,
        has_entry_points: has_tiles || has_rows,
        is_filtered_across,
        can_override_deblocking,
        is_deblocking_disabled,
        has_list_changes,
        has_extension,
    };
    Some((id, parameters))
}

impl Slices for Hevc {
    fn clear_bytes(&self, unit: &[u8]) -> Option<usize> {
        let kind = unit_type(unit)?;
        if !SLICES.contains(&kind) {
            return Some(unit.len());
        }
        let plain = Plain::of(unit);
        let mut bits = Bits::new(plain.bytes.get(2..)?);
        self.skip_header(&mut bits, kind)?;
        plain.escaped(2 + bits.align())
    }
}

impl Hevc {
    /// 7.3.6.1, up to the first bit of data.
    fn skip_header(&self, bits: &mut Bits<'_>, kind: u8) -> Option<()> {
        let is_first = bits.flag()?;
        if RANDOM_ACCESS.contains(&kind) {
            bits.skip(1)?;
        }
        let parameters = self.parameters.get(&bits.golomb()?)?;
        let sequence = self.sequences.get(&parameters.sequence)?;
        let mut is_dependent = false;
        if !is_first {
            is_dependent = parameters.has_dependent && bits.flag()?;
            bits.skip(sequence.address_bits)?;
        }
        if !is_dependent {
            skip_independent(bits, kind, (parameters, sequence))?;
        }
        if parameters.has_entry_points {
            let count = at_most(bits, 1 << 16)?;
            if count > 0 {
                let length = at_most(bits, 31)? + 1;
                for _ in 0..count {
                    bits.skip(length)?;
                }
            }
        }
        if parameters.has_extension {
            let bytes = at_most(bits, 256)?;
            for _ in 0..bytes {
                bits.skip(8)?;
            }
        }
        // The bit in front of the alignment.
        bits.skip(1)
    }
}

/// What a slice segment says that depends on none before it.
fn skip_independent(
    bits: &mut Bits<'_>,
    kind: u8,
    (parameters, sequence): (&Parameters, &Sequence),
) -> Option<()> {
    bits.skip(parameters.extra_bits)?;
    let slice = at_most(bits, I)?;
    if parameters.has_output {
        bits.skip(1)?;
    }
    if sequence.has_separate_planes {
        bits.skip(2)?;
    }
    let (mut used, mut has_motion) = (0, false);
    if !IDR_PICTURES.contains(&kind) {
        bits.skip(sequence.order_bits)?;
        let count = u32::try_from(sequence.sets.len()).ok()?;
        used = if bits.flag()? {
            let number = bits.number(bits_below(count))?;
            sequence.sets.get(usize::try_from(number).ok()?)?.used
        } else {
            read_references(bits, count)?.used
        };
        if let Some(known) = &sequence.long {
            used += read_long(bits, known, sequence.order_bits)?;
        }
        has_motion = sequence.has_motion && bits.flag()?;
    }
    let mut is_offset = false;
    if sequence.has_offsets {
        is_offset = bits.flag()?;
        is_offset |= sequence.has_chroma && bits.flag()?;
    }
    if slice != I {
        let mut references = parameters.references;
        let lists = if slice == B { 2 } else { 1 };
        if bits.flag()? {
            for count in references.iter_mut().take(lists) {
                *count = at_most(bits, 14)? + 1;
            }
        }
        if parameters.has_list_changes && used > 1 {
            for count in references.iter().take(lists) {
                if bits.flag()? {
                    for _ in 0..*count {
                        bits.skip(bits_below(used))?;
                    }
                }
            }
        }
        if slice == B {
            bits.skip(1)?;
        }
        if parameters.has_tables {
            bits.skip(1)?;
        }
        if has_motion {
            let list = usize::from(slice == B && !bits.flag()?);
            if references.get(list).is_some_and(|count| *count > 1) {
                bits.golomb()?;
            }
        }
        if (slice == P && parameters.is_weighted) || (slice == B && parameters.is_both_weighted) {
            skip_golomb(bits, 1 + u32::from(sequence.has_chroma))?;
            for count in references.iter().take(lists) {
                skip_weights(bits, *count, sequence.has_chroma)?;
            }
        }
        bits.golomb()?;
    }
    bits.golomb()?;
    if parameters.has_chroma_offsets {
        skip_golomb(bits, 2)?;
    }
    let mut is_disabled = parameters.is_deblocking_disabled;
    if parameters.can_override_deblocking && bits.flag()? {
        is_disabled = bits.flag()?;
        if !is_disabled {
            skip_golomb(bits, 2)?;
        }
    }
    if parameters.is_filtered_across && (is_offset || !is_disabled) {
        bits.skip(1)?;
    }
    Some(())
}

/// Reads which pictures that are kept for long a slice may refer to; returns how many it does refer to.
fn read_long(bits: &mut Bits<'_>, known: &[bool], order_bits: u32) -> Option<u32> {
    let count = u32::try_from(known.len()).ok()?;
    let of_sequence = if known.is_empty() { 0 } else { at_most(bits, 32)? };
    let own = at_most(bits, 32)?;
    let mut used = 0;
    for number in 0..of_sequence + own {
        let is_used = if number < of_sequence {
            let place = bits.number(bits_below(count))?;
            *known.get(usize::try_from(place).ok()?)?
        } else {
            bits.skip(order_bits)?;
            bits.flag()?
        };
        used += u32::from(is_used);
        if bits.flag()? {
            bits.golomb()?;
        }
    }
    Some(used)
}

/// 7.3.6.3, of one list.
fn skip_weights(bits: &mut Bits<'_>, count: u32, has_chroma: bool) -> Option<()> {
    let flags = |bits: &mut Bits<'_>| (0..count).map(|_| bits.flag()).collect::<Option<Vec<bool>>>();
    let luma = flags(bits)?;
    let chroma = if has_chroma { flags(bits)? } else { vec![false; luma.len()] };
    for (luma, chroma) in luma.into_iter().zip(chroma) {
        skip_golomb(bits, if luma { 2 } else { 0 } + if chroma { 4 } else { 0 })?;
    }
    Some(())
}
