//! AVI: indexes of indexes (OpenDML AVI File Format Extensions 1.02), which may refer to each other in a loop.

use super::{
    limits::{most_entries, refusal},
    window::Window,
};

/// How many chunks in front of the frames are visited.
const MOST_CHUNKS: u32 = 10_000;

/// Returns the reason why the indexes of an AVI file claim too much; `None` if they do not, or it is no AVI file.
pub(super) fn overclaimed(window: &Window<'_>) -> Option<String> {
    if window.array(0)? != *b"RIFF" || !matches!(&window.array(8)?, b"AVI " | b"AVIX" | b"ON2 " | b"AMV ") {
        return None;
    }
    let (mut at, mut entries) = (12, 0);
    for _ in 0..MOST_CHUNKS {
        let code: [u8; 4] = window.array(at)?;
        let size = window.le32(at + 4)?;
        match &code {
            b"LIST" if window.array(at + 8)? == *b"movi" => return None,
            b"LIST" | b"RIFF" => {
                at += 12;
                continue;
            }
            b"indx" => {
                entries = count_entries(window, at + 8, entries);
                if entries > most_entries(window.size) {
                    return Some(refusal("entries of an index", entries, window.size));
                }
            }
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size & 1)?;
    }
    None
}

/// Adds to `entries` the number of entries that a demuxer visits from the index at an offset on. Stops above
/// [`most_entries`].
fn count_entries(window: &Window<'_>, at: u64, mut entries: u64) -> u64 {
    // The open indexes: the offset of the next entry, and the number of entries that are left.
    let mut open = Vec::from_iter(super_index(window, at));
    while let Some((next, left)) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let entry = *next;
        *next += 16;
        entries += 1;
        if entries > most_entries(window.size) {
            return entries;
        }
        let Some(child) = window.array(entry).map(u64::from_le_bytes).and_then(|at| at.checked_add(8)) else {
            open.pop();
            continue;
        };
        match super_index(window, child) {
            Some(_) if open.len() >= 1000 => {}
            Some(index) => open.push(index),
            None => entries += frame_entries(window, child),
        }
    }
    entries
}

/// Returns the offset of the first entry of an index of indexes, and its number of entries; `None` if it is another index.
fn super_index(window: &Window<'_>, at: u64) -> Option<(u64, u64)> {
    let [_, _, _, kind] = window.array(at)?;
    (kind == 0).then_some((at + 24, window.le32(at + 4)?))
}

/// Returns the number of entries that an index of frames has within the file.
fn frame_entries(window: &Window<'_>, at: u64) -> u64 {
    let there = window.size.saturating_sub(at.saturating_add(24)) / 8;
    window.array::<4>(at).and_then(|_| window.le32(at + 4)).unwrap_or(0).min(there)
}
