//! Writes what files of encrypted samples state (ISO/IEC 23001-7; scheme `cbcs`, 10.4). Pure; nothing is encrypted here.

use super::edit::{boxed, children};

/// The scheme, and its version (ISO/IEC 23001-7, 4.2).
const SCHEME: &[u8; 4] = b"cbcs";
const VERSION: u32 = 0x0001_0000;

/// The system of players that are given a key as it is ("Common PSSH box", W3C, "cenc" initialization data format, 4).
const COMMON_SYSTEM: [u8; 16] =
    [0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b];

/// Of a sample, how many bytes are clear, and how many behind them are encrypted, again and again.
pub(crate) type Parts = Vec<(u16, u32)>;

/// How samples of a track are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme {
    /// The id of the key.
    pub(crate) key_id: [u8; 16],
    /// The initialization vector of each part of a sample.
    pub(crate) vector: [u8; 16],
    /// How many blocks of 16 bytes are encrypted, and how many behind them are not; (0, 0) if all are.
    pub(crate) pattern: (u8, u8),
}

/// Returns a copy of boxes in which the first one at the end of a path of types has another content. `None` if there is none, or `change`
/// returns that.
fn within(bytes: &[u8], path: &[&[u8; 4]], change: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let Some((name, rest)) = path.split_first() else { return change(bytes) };
    let (_, span) = children(bytes, 0, bytes.len()).into_iter().find(|(kind, _)| kind == *name)?;
    let content = within(bytes.get(span.body..span.end)?, rest, change)?;
    Some([bytes.get(..span.at)?, &boxed(name, &content), bytes.get(span.end..)?].concat())
}

const DESCRIPTION: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];

/// Returns an initialization segment that says that the samples of its only track are encrypted. `None` if it has another number of sample
/// entries.
pub(crate) fn in_initialization(segment: &[u8], is_video: bool, scheme: Scheme) -> Option<Vec<u8>> {
    let made = within(segment, &DESCRIPTION, &|content| {
        let [(kind, span)] = children(content, 8, content.len())[..] else { return None };
        let name = if is_video { b"encv" } else { b"enca" };
        let entry = [content.get(span.body..span.end)?, &protection(kind, scheme)].concat();
        Some([content.get(..8)?, &boxed(name, &entry)].concat())
    })?;
    // Version 1 has the ids of keys; and no data.
    let mut system = vec![1, 0, 0, 0];
    system.extend(COMMON_SYSTEM);
    system.extend(1_u32.to_be_bytes());
    system.extend(scheme.key_id);
    system.extend(0_u32.to_be_bytes());
    within(&made, &[b"moov"], &|content| Some([content, &boxed(b"pssh", &system)].concat()))
}

/// Returns what a sample entry says of its encryption (ISO/IEC 14496-12, 8.12; ISO/IEC 23001-7, 8.2).
fn protection(kind: [u8; 4], scheme: Scheme) -> Vec<u8> {
    let original = boxed(b"frma", &kind);
    let named = boxed(b"schm", &[&[0; 4][..], SCHEME, &VERSION.to_be_bytes()].concat());
    let (encrypted, clear) = scheme.pattern;
    // Version 1; a pattern; encrypted; no vector of each sample, but one of 16 bytes for all.
    let mut defaults = vec![1, 0, 0, 0, 0, encrypted << 4 | clear & 15, 1, 0];
    defaults.extend(scheme.key_id);
    defaults.push(16);
    defaults.extend(scheme.vector);
    let information = boxed(b"schi", &boxed(b"tenc", &defaults));
    boxed(b"sinf", &[original, named, information].concat())
}

/// Returns a movie fragment box that says which parts of its samples are encrypted: each sample's parts, in order (ISO/IEC 23001-7, 7.2;
/// ISO/IEC 14496-12, 8.7.8 and 8.7.9). `None` if it is not one of one track, or a sample has more than 42 parts.
pub(crate) fn in_fragment(moof: &[u8], parts: &[Parts]) -> Option<Vec<u8>> {
    let count = u32::try_from(parts.len()).ok()?;
    let mut sizes = vec![0, 0, 0, 0, 0];
    sizes.extend(count.to_be_bytes());
    // Flag 2: samples have parts.
    let mut all = vec![0, 0, 0, 2];
    all.extend(count.to_be_bytes());
    for parts in parts {
        sizes.push(u8::try_from(2 + 6 * parts.len()).ok()?);
        all.extend(u16::try_from(parts.len()).ok()?.to_be_bytes());
        for (clear, encrypted) in parts {
            all.extend(clear.to_be_bytes());
            all.extend(encrypted.to_be_bytes());
        }
    }
    let (sizes, all) = (boxed(b"saiz", &sizes), boxed(b"senc", &all));
    let place =
        |offset: u32| boxed(b"saio", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &offset.to_be_bytes()].concat());
    let more = sizes.len() + place(0).len() + all.len();
    let length = moof.len() + more;
    // They are the last bytes of the box; in front of the first sample's are a header, flags and the count.
    let offset = u32::try_from(length - all.len() + 16).ok()?;
    let more_data = u32::try_from(more).ok()?;
    let made = within(moof, &[b"moof", b"traf"], &|content| {
        let mut content = content.to_vec();
        for (kind, span) in children(&content, 0, content.len()) {
            if kind == *b"trun" {
                // Flag 1: behind the count is where its data begins, from the start of the movie fragment box.
                let has_offset = content.get(span.body + 3)? & 1 != 0;
                let data = content.get_mut(span.body + 8..span.body + 12).filter(|_| has_offset)?;
                let moved = u32::from_be_bytes((&*data).try_into().ok()?).checked_add(more_data)?;
                data.copy_from_slice(&moved.to_be_bytes());
            }
        }
        Some([&content[..], &sizes, &place(offset), &all].concat())
    })?;
    let is_last = children(moof, 8, moof.len()).last().is_some_and(|(kind, _)| kind == b"traf");
    (is_last && made.len() == length).then_some(made)
}

/// Adds a part of a sample: so many clear bytes, of which one part can have at most 65,535, and encrypted ones behind them.
pub(crate) fn push_part(parts: &mut Parts, mut clear: u32, encrypted: u32) {
    while clear > u32::from(u16::MAX) {
        parts.push((u16::MAX, 0));
        clear -= u32::from(u16::MAX);
    }
    parts.push((clear as u16, encrypted));
}
