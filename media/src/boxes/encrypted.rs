//! Reads what files of encrypted samples state (ISO/IEC 23001-7; scheme `cbcs`, 10.4). Pure; nothing is decrypted here.

use super::{
    encrypt::{Parts, Scheme},
    layout::{Boxes, Fields, Malformed, Parsed, optional, required},
};

/// The type of a box.
type Code = [u8; 4];

/// The bytes of a sample entry in front of its boxes (ISO/IEC 14496-12, 12.1.3 and 12.2.3).
const VISUAL: usize = 78;
const AUDIO: usize = 28;

/// What an initialization segment states of the encryption of its only track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stated {
    /// The type of its sample entry, if it were clear.
    pub(crate) kind: [u8; 4],
    pub(crate) scheme: Scheme,
    /// The boxes of its sample entry but for those of encryption, with all that is in front of them.
    pub(crate) entry: Vec<u8>,
}

/// Reads an initialization segment. `None` if its track is not encrypted, or in another way, or the boxes are malformed.
pub(crate) fn initialization(segment: &[u8], is_video: bool) -> Option<Stated> {
    read_initialization(segment, is_video).ok()
}

fn read_initialization(segment: &[u8], is_video: bool) -> Parsed<Stated> {
    let (code, content) = entry(segment)?;
    let (name, front) = if is_video { (b"encv", VISUAL) } else { (b"enca", AUDIO) };
    if code != *name {
        return Err(Malformed);
    }
    let boxes = content.get(front..).ok_or(Malformed)?;
    let protection = required(boxes, b"sinf")?;
    let kind = Fields(required(protection, b"frma")?).array::<4>()?;
    let mut scheme = Fields(required(protection, b"schm")?);
    scheme.version()?;
    if &scheme.array::<4>()? != b"cbcs" || scheme.u32()? != 0x0001_0000 {
        return Err(Malformed);
    }
    let mut defaults = Fields(required(required(protection, b"schi")?, b"tenc")?);
    let (version, _) = defaults.version()?;
    let [_, pattern, is_encrypted, vector_bytes] = defaults.array::<4>()?;
    let key_id = defaults.array::<16>()?;
    let [constant] = defaults.array::<1>()?;
    if (version, is_encrypted, vector_bytes, constant) != (1, 1, 0, 16) {
        return Err(Malformed);
    }
    let vector = defaults.array::<16>()?;
    let scheme = Scheme { key_id, vector, pattern: (pattern >> 4, pattern & 15) };
    Ok(Stated { kind, scheme, entry: without(content, front, b"sinf")? })
}

/// Returns the sample entry of a clear initialization segment, as [`Stated`] has it.
pub(crate) fn clear_entry(segment: &[u8]) -> Option<([u8; 4], Vec<u8>)> {
    entry(segment).map(|(code, content)| (code, content.to_vec())).ok()
}

/// Returns the type and the content of the only sample entry.
fn entry(segment: &[u8]) -> Parsed<(Code, &[u8])> {
    let mut at = segment;
    for code in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"] {
        at = required(at, code)?;
    }
    let mut entries = Boxes(at.get(8..).ok_or(Malformed)?);
    let first = entries.next().ok_or(Malformed)??;
    if entries.next().is_some() { Err(Malformed) } else { Ok(first) }
}

/// Returns the bytes of a sample entry without boxes of one type.
fn without(content: &[u8], front: usize, code: &Code) -> Parsed<Vec<u8>> {
    let mut kept = content.get(..front).ok_or(Malformed)?.to_vec();
    for child in Boxes(content.get(front..).ok_or(Malformed)?) {
        let (name, body) = child?;
        if name != *code {
            kept.extend(u32::try_from(body.len() + 8).map_err(|_| Malformed)?.to_be_bytes());
            kept.extend(name);
            kept.extend(body);
        }
    }
    Ok(kept)
}

/// What a movie fragment box states of its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Samples {
    /// They are encrypted as a whole.
    Whole,
    /// These parts of each are encrypted.
    InParts(Vec<Parts>),
}

/// Returns what a movie fragment box states of its samples; `None` if its boxes are malformed, or contradict each other.
pub(crate) fn samples(moof: &[u8]) -> Option<Samples> {
    read_parts(moof).ok().map(|parts| parts.map_or(Samples::Whole, Samples::InParts))
}

fn read_parts(moof: &[u8]) -> Parsed<Option<Vec<Parts>>> {
    let fragment = required(moof, b"moof")?;
    let track = required(fragment, b"traf")?;
    let Some(content) = optional(track, b"senc")? else {
        let is_none = optional(track, b"saiz")?.is_none() && optional(track, b"saio")?.is_none();
        return if is_none { Ok(None) } else { Err(Malformed) };
    };
    let mut fields = Fields(content);
    if fields.version()? != (0, 2) {
        return Err(Malformed);
    }
    let count = fields.u32()?;
    let mut sizes = Fields(required(track, b"saiz")?);
    let (_, flags) = sizes.version()?;
    if flags != 0 || sizes.array::<1>()? != [0] || sizes.u32()? != count {
        return Err(Malformed);
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let before = fields.0.len();
        let mut parts = Parts::new();
        for _ in 0..fields.u16()? {
            parts.push((fields.u16()?, fields.u32()?));
        }
        if sizes.array::<1>()? != [u8::try_from(before - fields.0.len()).map_err(|_| Malformed)?] {
            return Err(Malformed);
        }
        all.push(parts);
    }
    let mut places = Fields(required(track, b"saio")?);
    if places.version()? != (0, 0) || places.u32()? != 1 {
        return Err(Malformed);
    }
    // The first sample's lie behind flags and count.
    let place = usize::try_from(places.u32()?).map_err(|_| Malformed)?;
    let listed = content.get(8..).ok_or(Malformed)?;
    let is_there = moof.get(place..).is_some_and(|from| from.starts_with(listed));
    if is_there && fields.0.is_empty() { Ok(Some(all)) } else { Err(Malformed) }
}
