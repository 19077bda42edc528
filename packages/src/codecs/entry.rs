//! The sample entry of an initialization segment.

/// Sizes of sample entries up to their boxes, behind size and type (ISO/IEC 14496-12, 8.5.2, 12.1.3, 12.2.3).
const VISUAL: usize = 78;
const AUDIO: usize = 28;

/// The configuration boxes of sample entries.
const CONFIGURATIONS: [[u8; 4]; 10] =
    [*b"avcC", *b"hvcC", *b"av1C", *b"vpcC", *b"esds", *b"dOps", *b"dfLa", *b"dac3", *b"dec3", *b"alac"];

/// Sample entries of which samples are encrypted (8.12).
const ENCRYPTED: [[u8; 4]; 2] = [*b"encv", *b"enca"];

/// A box: its type and its content.
type Found<'a> = ([u8; 4], &'a [u8]);

/// Splits the first box off; `None` if it is cut off.
fn first(bytes: &[u8]) -> Option<(Found<'_>, &[u8])> {
    let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = bytes.get(4..8)?.try_into().ok()?;
    let (header, size) = match size {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?)).ok()?),
        size => (8, size),
    };
    Some(((kind, bytes.get(header..size)?), bytes.get(size..)?))
}

/// Returns the content of the first box that `wanted` accepts.
fn child(mut bytes: &[u8], wanted: impl Fn([u8; 4]) -> bool) -> Option<Found<'_>> {
    loop {
        let (found, rest) = first(bytes)?;
        if wanted(found.0) {
            return Some(found);
        }
        bytes = rest;
    }
}

/// Returns the type of the sample entry, of an encrypted one that it would have, and the content of its configuration box, which is empty if it has none.
pub(super) fn find(init: &[u8]) -> Option<Found<'_>> {
    let mut at = init;
    for wanted in [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"] {
        at = child(at, |kind| kind == wanted)?.1;
    }
    // Version, flags and the count of entries.
    let ((kind, entry), _) = first(at.get(8..)?)?;
    let configuration = [VISUAL, AUDIO].into_iter().find_map(|fixed| {
        let boxes = entry.get(fixed..)?;
        child(boxes, |kind| CONFIGURATIONS.contains(&kind))
    });
    let configuration = configuration.map_or(&[][..], |(_, content)| content);
    if !ENCRYPTED.contains(&kind) {
        return Some((kind, configuration));
    }
    // What it is of says the box of its protection (8.12).
    let original = [VISUAL, AUDIO].into_iter().find_map(|fixed| {
        let (_, protection) = child(entry.get(fixed..)?, |kind| kind == *b"sinf")?;
        child(protection, |kind| kind == *b"frma")?.1.try_into().ok()
    });
    Some((original?, configuration))
}
