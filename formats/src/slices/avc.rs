//! Headers of slices of H.264 (ITU-T H.264, 7.3.3).

use std::collections::BTreeMap;

use super::{Plain, Slices, at_most, signed, skip_golomb};
use crate::{bits::Bits, sets::avc_record};

/// Types of units (table 7-1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
/// Parts of a slice that is divided, and slices of other views and layers, which no file here has.
const OTHER_SLICES: [u8; 6] = [2, 3, 4, 19, 20, 21];
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

/// Types of slices (table 7-6), without 5 for those of a picture whose slices all are of one type.
const P: u32 = 0;
const B: u32 = 1;
const I: u32 = 2;

/// Profiles whose parameters name a chroma format (7.3.2.1.1).
const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// What a sequence parameter set says of slices.
#[derive(Debug, Clone)]
struct Sequence {
    has_separate_planes: bool,
    /// `ChromaArrayType` is not 0: slices have chroma.
    has_chroma: bool,
    frame_number_bits: u32,
    order_type: u32,
    order_bits: u32,
    is_order_zero: bool,
    is_frames_only: bool,
}

/// What a picture parameter set says of slices.
#[derive(Debug, Clone)]
struct Parameters {
    sequence: u32,
    is_arithmetic: bool,
    has_bottom_order: bool,
    references: [u32; 2],
    is_weighted: bool,
    /// `weighted_bipred_idc` is 1.
    is_both_weighted: bool,
    has_deblocking: bool,
    has_redundant: bool,
}

/// The parameter sets of a file.
#[derive(Debug, Default)]
pub(crate) struct Avc {
    sequences: BTreeMap<u32, Sequence>,
    parameters: BTreeMap<u32, Parameters>,
}

/// Reads the parameter sets of a file.
pub(crate) fn read(headers: &[u8]) -> Option<Box<dyn Slices>> {
    let record = avc_record(headers).filter(|record| record.length_size == 4)?;
    let mut sets = Avc::default();
    for unit in record.sets {
        let plain = Plain::of(unit);
        let (first, rest) = plain.bytes.split_first()?;
        let mut bits = Bits::new(rest);
        match first & 31 {
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

/// 7.3.2.1.1, up to `frame_mbs_only_flag`.
fn read_sequence(bits: &mut Bits<'_>) -> Option<(u32, Sequence)> {
    let profile = bits.number(8)?;
    bits.skip(16)?;
    let id = at_most(bits, 31)?;
    let (mut chroma, mut has_separate_planes) = (1, false);
    if HIGH.contains(&profile) {
        chroma = at_most(bits, 3)?;
        if chroma == 3 {
            has_separate_planes = bits.flag()?;
        }
        skip_golomb(bits, 2)?;
        bits.skip(1)?;
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    let frame_number_bits = at_most(bits, 12)? + 4;
    let order_type = at_most(bits, 2)?;
    let (mut order_bits, mut is_order_zero) = (0, false);
    match order_type {
        0 => order_bits = at_most(bits, 12)? + 4,
        1 => {
            is_order_zero = bits.flag()?;
            skip_golomb(bits, 2)?;
            let cycle = at_most(bits, 255)?;
            skip_golomb(bits, cycle)?;
        }
        _ => {}
    }
    bits.golomb()?;
    bits.skip(1)?;
    skip_golomb(bits, 2)?;
    let is_frames_only = bits.flag()?;
    let has_chroma = chroma != 0 && !has_separate_planes;
    let sequence = Sequence {
        has_separate_planes,
        has_chroma,
        frame_number_bits,
        order_type,
        order_bits,
        is_order_zero,
        is_frames_only,
    };
    Some((id, sequence))
}

/// 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + signed(bits)? + 256) % 256;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// 7.3.2.2, up to `redundant_pic_cnt_present_flag`.
fn read_parameters(bits: &mut Bits<'_>) -> Option<(u32, Parameters)> {
    let (id, sequence) = (at_most(bits, 255)?, at_most(bits, 31)?);
    let (is_arithmetic, has_bottom_order) = (bits.flag()?, bits.flag()?);
    // Groups of slices, which no profile of files here has.
    if bits.golomb()? != 0 {
        return None;
    }
    let references = [at_most(bits, 31)? + 1, at_most(bits, 31)? + 1];
    let (is_weighted, both) = (bits.flag()?, bits.number(2)?);
    skip_golomb(bits, 3)?;
    let has_deblocking = bits.flag()?;
    bits.skip(1)?;
    let has_redundant = bits.flag()?;
    let parameters = Parameters {
        sequence,
        is_arithmetic,
        has_bottom_order,
        references,
        is_weighted,
        is_both_weighted: both == 1,
        has_deblocking,
        has_redundant,
    };
    Some((id, parameters))
}

impl Slices for Avc {
    fn clear_bytes(&self, unit: &[u8]) -> Option<usize> {
        let kind = unit.first()? & 31;
        if OTHER_SLICES.contains(&kind) {
            return None;
        }
        if kind != SLICE && kind != IDR_SLICE {
            return Some(unit.len());
        }
        let plain = Plain::of(unit);
        let mut bits = Bits::new(plain.bytes.get(1..)?);
        self.skip_header(&mut bits, (kind, unit.first()? >> 5 & 3))?;
        plain.escaped(1 + bits.align())
    }
}

impl Avc {
    /// 7.3.3.
    fn skip_header(&self, bits: &mut Bits<'_>, (kind, reference): (u8, u8)) -> Option<()> {
        bits.golomb()?;
        let slice = at_most(bits, 9)? % 5;
        if ![P, B, I].contains(&slice) {
            return None;
        }
        let parameters = self.parameters.get(&bits.golomb()?)?;
        let sequence = self.sequences.get(&parameters.sequence)?;
        if sequence.has_separate_planes {
            bits.skip(2)?;
        }
        bits.skip(sequence.frame_number_bits)?;
        let is_field = !sequence.is_frames_only && bits.flag()?;
        if is_field {
            bits.skip(1)?;
        }
        if kind == IDR_SLICE {
            bits.golomb()?;
        }
        let has_bottom_order = parameters.has_bottom_order && !is_field;
        match sequence.order_type {
            0 => {
                bits.skip(sequence.order_bits)?;
                skip_golomb(bits, u32::from(has_bottom_order))?;
            }
            1 if !sequence.is_order_zero => skip_golomb(bits, 1 + u32::from(has_bottom_order))?,
            _ => {}
        }
        if parameters.has_redundant {
            bits.golomb()?;
        }
        if slice == B {
            bits.skip(1)?;
        }
        let mut references = parameters.references;
        let lists = match slice {
            P => 1,
            B => 2,
            _ => 0,
        };
        if lists > 0 && bits.flag()? {
            for count in references.iter_mut().take(lists) {
                *count = at_most(bits, 31)? + 1;
            }
        }
        for _ in 0..lists {
            skip_list_changes(bits)?;
        }
        if (slice == P && parameters.is_weighted) || (slice == B && parameters.is_both_weighted) {
            skip_golomb(bits, 1 + u32::from(sequence.has_chroma))?;
            for count in references.iter().take(lists) {
                skip_weights(bits, *count, sequence.has_chroma)?;
            }
        }
        if reference != 0 {
            skip_marking(bits, kind == IDR_SLICE)?;
        }
        if parameters.is_arithmetic && slice != I {
            bits.golomb()?;
        }
        bits.golomb()?;
        if parameters.has_deblocking && bits.golomb()? != 1 {
            skip_golomb(bits, 2)?;
        }
        Some(())
    }
}

/// 7.3.3.1, of one list.
fn skip_list_changes(bits: &mut Bits<'_>) -> Option<()> {
    if !bits.flag()? {
        return Some(());
    }
    while at_most(bits, 3)? != 3 {
        bits.golomb()?;
    }
    Some(())
}

/// 7.3.3.2, of one list.
fn skip_weights(bits: &mut Bits<'_>, count: u32, has_chroma: bool) -> Option<()> {
    for _ in 0..count {
        if bits.flag()? {
            skip_golomb(bits, 2)?;
        }
        if has_chroma && bits.flag()? {
            skip_golomb(bits, 4)?;
        }
    }
    Some(())
}

/// 7.3.3.3.
fn skip_marking(bits: &mut Bits<'_>, is_idr: bool) -> Option<()> {
    if is_idr {
        return bits.skip(2);
    }
    if !bits.flag()? {
        return Some(());
    }
    loop {
        match at_most(bits, 6)? {
            0 => return Some(()),
            3 => skip_golomb(bits, 2)?,
            5 => {}
            _ => skip_golomb(bits, 1)?,
        }
    }
}
