//! Mutations of bytes that know nothing of the format but its words.

use fastrand::Rng;

/// Numbers at which something changes.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    1 << 20,
    1 << 28,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];

/// Changes an input in one to eight places. `others` are inputs to take parts from.
pub(crate) fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str], longest: usize, rng: &mut Rng) {
    for _ in 0..1 << rng.u32(0..4) {
        change(bytes, others, words, longest, rng);
    }
    bytes.truncate(longest);
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str], longest: usize, rng: &mut Rng) {
    let at = rng.usize(..=bytes.len());
    // Most changes are small, and a few are not.
    let long = if rng.u8(..) < 250 { rng.usize(1..=16) } else { rng.usize(1..=4096) };
    let end = (at + long).min(bytes.len());
    let word = |rng: &mut Rng| rng.choice(words).map_or(&b""[..], |word| word.as_bytes());
    match rng.u8(0..16) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
        1 if at < bytes.len() => bytes[at] = rng.u8(..),
        2 if at < bytes.len() => {
            bytes[at] = bytes[at].wrapping_add(rng.choice([1, 0xff, 0x10, 0xf0]).unwrap_or(1));
        }
        3 => insert(bytes, at, &(0..long.min(64)).map(|_| rng.u8(..)).collect::<Vec<_>>()),
        4 => drop(bytes.drain(at..end)),
        // What is there, again elsewhere.
        5 => {
            let part = bytes[at..end].to_vec();
            let to = rng.usize(..=bytes.len());
            insert(bytes, to, &part);
        }
        6 => {
            let part = bytes[at..end].to_vec();
            let to = rng.usize(..=bytes.len() - part.len());
            bytes[to..to + part.len()].copy_from_slice(&part);
        }
        // The start of this and the end of another.
        7 => {
            if let Some(other) = rng.choice(others) {
                bytes.truncate(at);
                bytes.extend(&other[rng.usize(..=other.len())..]);
            }
        }
        8 => {
            if let Some(other) = rng.choice(others) {
                let from = rng.usize(..=other.len());
                insert(bytes, at, &other[from..(from + long).min(other.len())]);
            }
        }
        9 => insert(bytes, at, word(rng)),
        10 => {
            let word = word(rng);
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        11 => write_number(bytes, at, rng),
        // A length of Avro's, of any number of bytes.
        12 => {
            let mut number = vec![0x80 | rng.u8(..); rng.usize(0..10)];
            number.push(rng.u8(0..0x80));
            bytes.splice(at..(at + 1).min(bytes.len()), number);
        }
        // Deep in one another, or many in a row.
        13 if rng.u8(..) < 32 => {
            let (word, count) = (word(rng), rng.usize(1..=300));
            insert(bytes, at, &word.repeat(count));
        }
        14 => replace_digits(bytes, at, rng),
        15 if rng.u8(..) < 16 => insert(bytes, at, &vec![rng.u8(..); rng.usize(1..=longest / 2)]),
        _ => bytes.truncate(if rng.u8(..) < 64 { at } else { bytes.len() }),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}

/// Writes a number over what is there, or adds to the one that is there, in any width and order of bytes.
fn write_number(bytes: &mut [u8], at: usize, rng: &mut Rng) {
    let width = rng.choice([1, 2, 4, 8]).unwrap_or(1);
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let is_little = rng.bool();
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(place);
    if !is_little {
        wide[..width].reverse();
    }
    let there = u64::from_le_bytes(wide);
    let number = match rng.u8(0..4) {
        0 => there.wrapping_add(rng.u64(1..=16)),
        1 => there.wrapping_sub(rng.u64(1..=16)),
        2 => there.wrapping_mul(rng.u64(2..=1000)),
        _ => rng.choice(NUMBERS).unwrap_or(0),
    };
    let mut wide = number.to_le_bytes();
    if !is_little {
        wide[..width].reverse();
    }
    place.copy_from_slice(&wide[..width]);
}

/// Writes another number in place of the first decimal one behind a place.
fn replace_digits(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let end = bytes[start..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(bytes.len(), |found| start + found);
    let number = rng.choice(NUMBERS).unwrap_or(0);
    let text = match rng.u8(0..4) {
        0 => format!("-{number}"),
        1 => format!("{number}.{}e-{}", rng.u64(..), rng.u8(0..30)),
        2 => format!("{}", f64::from_bits(rng.u64(..))),
        _ => number.to_string(),
    };
    bytes.splice(start..end, text.into_bytes());
}
