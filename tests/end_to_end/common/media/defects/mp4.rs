//! mp4 and mov (ISO/IEC 14496-12): sample tables of the first video track, headers, edit lists, and fragments. Tables can only
//! change their size if `moov` is the last box, so that chunk offsets stay valid.

use super::packets::{Flag, Form, Packet, Timestamp};
use crate::common::media::mutate::Rng;

/// The start and the end of a box.
type Span = (usize, usize);

const TABLES: [&[u8; 4]; 3] = [b"mdia", b"minf", b"stbl"];

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
}

fn set(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Returns the boxes in a range, up to the first that can't be parsed.
fn children(bytes: &[u8], (start, end): Span) -> Vec<Span> {
    let (mut at, mut found) = (start, Vec::new());
    while at + 8 <= end {
        let size = word(bytes, at) as usize;
        if size < 8 || at + size > end {
            break;
        }
        found.push((at, at + size));
        at += size;
    }
    found
}

fn all(bytes: &[u8], inside: Span, name: &[u8; 4]) -> Vec<Span> {
    let is = |span: &Span| bytes[span.0 + 4..span.0 + 8] == name[..];
    children(bytes, inside).into_iter().filter(is).collect()
}

/// Returns the boxes on a path below `from`, which is the first. `None` if one of them is missing.
fn on_path(bytes: &[u8], from: Span, path: &[&[u8; 4]]) -> Option<Vec<Span>> {
    let mut spans = vec![from];
    for name in path {
        let last = *spans.last()?;
        spans.push(*all(bytes, (last.0 + 8, last.1), name).first()?);
    }
    Some(spans)
}

fn movie(bytes: &[u8]) -> Option<Span> {
    all(bytes, (0, bytes.len()), b"moov").first().copied()
}

fn video(bytes: &[u8]) -> Option<Span> {
    let movie = movie(bytes)?;
    all(bytes, (movie.0 + 8, movie.1), b"trak").into_iter().find(|track| {
        on_path(bytes, *track, &[b"mdia", b"hdlr"])
            .and_then(|spans| bytes.get(spans[2].0 + 16..spans[2].0 + 20).map(|kind| kind == b"vide"))
            == Some(true)
    })
}

/// Returns a sample table of the video track, as the last of the boxes that contain it.
fn table(bytes: &[u8], name: &[u8; 4]) -> Option<Vec<Span>> {
    let mut spans = on_path(bytes, video(bytes)?, &[TABLES[0], TABLES[1], TABLES[2], name])?;
    spans.insert(0, movie(bytes)?);
    Some(spans)
}

/// Replaces the content of the last box after its version and flags, and updates the sizes of all. `None` if the size must not
/// change.
fn replace(bytes: &mut Vec<u8>, spans: &[Span], content: &[u8]) -> Option<()> {
    let span = *spans.last()?;
    let grown = content.len() as i64 - (span.1 - span.0 - 12) as i64;
    let is_last = spans[0].1 == bytes.len();
    if grown != 0 && !is_last {
        return None;
    }
    for span in spans {
        let size = (i64::from(word(bytes, span.0)) + grown) as u32;
        set(bytes, span.0, size);
    }
    bytes.splice(span.0 + 12..span.1, content.iter().copied());
    Some(())
}

fn words(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// Returns the 32-bit words of the last box after its version and flags.
fn content(bytes: &[u8], spans: &[Span]) -> Vec<u32> {
    let span = *spans.last().unwrap();
    bytes[span.0 + 12..span.1].chunks_exact(4).map(|b| u32::from_be_bytes(b.try_into().unwrap())).collect()
}

fn sample_count(bytes: &[u8]) -> Option<u32> {
    table(bytes, b"stsz").map(|spans| content(bytes, &spans)[1]).filter(|count| *count > 3)
}

/// Changes or removes the sync sample table. Returns a description, or `None` if there is none.
pub(super) fn change_sync_samples(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<String> {
    let spans = table(bytes, b"stss")?;
    let count = sample_count(bytes)?;
    let list = content(bytes, &spans)[1..].to_vec();
    let any = |rng: &mut Rng| 1 + rng.below(count as usize) as u32;
    let (list, done) = match rng.below(6) {
        0 => {
            bytes[spans[5].0 + 4..spans[5].0 + 8].copy_from_slice(b"free");
            return Some(
                "the sync sample table is removed, so that every sample counts as a keyframe".into(),
            );
        }
        1 => ((1..=count).collect(), "every sample is a sync sample".into()),
        2 => (vec![1], "only the first sample is a sync sample".into()),
        3 => {
            let off = 1 + rng.below(3) as u32;
            let moved = list.iter().map(|number| (number + off).min(count)).collect();
            (moved, format!("sync samples are {off} samples late"))
        }
        4 => {
            let mut more = list.clone();
            (0..=rng.below(5)).for_each(|_| more.push(any(rng)));
            more.sort_unstable();
            more.dedup();
            let done = format!("sync samples are {more:?} instead of {list:?}");
            (more, done)
        }
        _ => {
            let fewer: Vec<u32> = list.iter().copied().filter(|_| rng.below(2) == 0).collect();
            let done = format!("sync samples are {fewer:?} instead of {list:?}");
            (fewer, done)
        }
    };
    let table = words(std::iter::once(list.len() as u32).chain(list));
    replace(bytes, &spans, &table).map(|()| done)
}

/// Changes the tables of decoding times or composition offsets. Returns a description, or `None` if there is none.
pub(super) fn change_times(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<String> {
    if rng.below(3) == 0 {
        let spans = table(bytes, b"ctts")?;
        if rng.below(2) == 0 {
            bytes[spans[5].0 + 4..spans[5].0 + 8].copy_from_slice(b"free");
            return Some("composition offsets are removed".into());
        }
        let mut list = content(bytes, &spans);
        let entry = rng.below(list[0] as usize);
        let value = list.get_mut(2 + 2 * entry)?;
        *value = value.wrapping_mul(3);
        replace(bytes, &spans, &words(list))?;
        return Some(format!("composition offset {entry} is tripled"));
    }
    let spans = table(bytes, b"stts")?;
    let count = sample_count(bytes)?;
    let list = content(bytes, &spans);
    let delta = *list.get(2)?;
    let at = rng.below(count as usize - 2) as u32;
    let other = match rng.below(4) {
        0 => 0,
        1 => delta.wrapping_mul(20),
        2 => delta.wrapping_mul(400),
        _ => delta / 3,
    };
    let runs = [(at, delta), (1, other), (count - at - 1, delta)];
    let runs: Vec<(u32, u32)> = runs.into_iter().filter(|(count, _)| *count > 0).collect();
    let table = words(std::iter::once(runs.len() as u32).chain(runs.into_iter().flat_map(|(a, b)| [a, b])));
    replace(bytes, &spans, &table)
        .map(|()| format!("the duration of sample {at} is {other} ticks, of all others {delta}"))
}

/// Returns the offset and the size of each sample.
fn sample_locations(bytes: &[u8]) -> Option<Vec<(u32, u32)>> {
    let sizes = content(bytes, &table(bytes, b"stsz")?);
    let chunks = content(bytes, &table(bytes, b"stco")?);
    let runs = content(bytes, &table(bytes, b"stsc")?);
    let mut found = Vec::new();
    for (number, chunk) in (1..).zip(&chunks[1..]) {
        let run = runs[1..].chunks_exact(3).rev().find(|run| run[0] <= number)?;
        let mut at = *chunk;
        for _ in 0..run[1] {
            let size = if sizes[0] > 0 { sizes[0] } else { *sizes.get(2 + found.len())? };
            found.push((at, size));
            at += size;
        }
    }
    Some(found)
}

/// Swaps or repeats samples by changing their locations, not their times. Returns a description, or `None` if the tables can't
/// be changed.
pub(super) fn move_samples(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<String> {
    let mut samples = sample_locations(bytes)?;
    let count = sample_count(bytes)?;
    let at = rng.below(samples.len().min(count as usize) - 1);
    let done = match rng.below(3) {
        0 => {
            samples.swap(at, at + 1);
            format!("samples {at} and {} are swapped, but not their timestamps", at + 1)
        }
        1 => {
            samples[at + 1] = samples[at];
            format!("sample {} is a copy of sample {at}", at + 1)
        }
        _ => {
            let to = (at + 2 + rng.below(10)).min(samples.len() - 1);
            samples[to] = samples[at];
            format!("sample {to} is a copy of sample {at}")
        }
    };
    let count = samples.len() as u32;
    let sizes = words([0, count].into_iter().chain(samples.iter().map(|sample| sample.1)));
    let spans = table(bytes, b"stsz")?;
    replace(bytes, &spans, &sizes)?;
    let spans = table(bytes, b"stco")?;
    replace(bytes, &spans, &words(std::iter::once(count).chain(samples.iter().map(|sample| sample.0))))?;
    let spans = table(bytes, b"stsc")?;
    replace(bytes, &spans, &words([1, 1, 1, 1]))?;
    Some(done)
}

/// Changes a header field. Returns a description, or `None` if the field is not there or keeps its value.
pub(super) fn change_header(bytes: &mut [u8], rng: &mut Rng) -> Option<String> {
    let (movie, track) = (movie(bytes)?, video(bytes)?);
    // Offsets of fields in boxes of version 0.
    let cases: [(&str, Span, &[&[u8; 4]], usize); 7] = [
        ("the timescale of the movie", movie, &[b"mvhd"], 20),
        ("the duration of the movie", movie, &[b"mvhd"], 24),
        ("the duration of the track", track, &[b"tkhd"], 28),
        ("the width of the track", track, &[b"tkhd"], 84),
        ("the timescale of the media", track, &[b"mdia", b"mdhd"], 20),
        ("the duration of the media", track, &[b"mdia", b"mdhd"], 24),
        ("the media time of the first edit", track, &[b"edts", b"elst"], 20),
    ];
    let (name, from, path, field) = cases[rng.below(cases.len())];
    let at = on_path(bytes, from, path)?.last()?.0 + field;
    let old = word(bytes, at);
    let new = match rng.below(5) {
        0 => 0,
        1 => 1,
        2 => old / 2,
        3 => old.saturating_mul(2),
        _ => old.wrapping_add(77),
    };
    set(bytes, at, new);
    (new != old).then(|| format!("{name} is {new} instead of {old}"))
}

/// Changes or removes the edit list. Returns a description, or `None` if there is none.
pub(super) fn change_edits(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<String> {
    let track = video(bytes)?;
    let mut spans = on_path(bytes, track, &[b"edts", b"elst"])?;
    spans.insert(0, movie(bytes)?);
    let list = spans[3];
    match rng.below(3) {
        0 => {
            bytes[spans[2].0 + 4..spans[2].0 + 8].copy_from_slice(b"free");
            Some("the edit list is removed".into())
        }
        1 => {
            let old = word(bytes, list.0 + 16);
            let new = [0, old / 3, old.wrapping_mul(4)][rng.below(3)];
            set(bytes, list.0 + 16, new);
            Some(format!("the duration of the first edit is {new} instead of {old}"))
        }
        _ => {
            let (length, first) = (word(bytes, list.0 + 16), word(bytes, list.0 + 20));
            let half = length / 2;
            let entries = [2, half, first, 0x10000, half, first.wrapping_mul(2), 0x10000];
            replace(bytes, &spans, &words(entries))
                .map(|()| "the edit list has two edits that overlap".into())
        }
    }
}

/// Returns the sample flags and the decode times of fragments, each as a packet.
pub(super) fn packets(bytes: &[u8]) -> Vec<Packet> {
    let mut found = Vec::new();
    // sample_is_non_sync_sample is the lowest bit of the second byte.
    let flag = |at: usize| Flag { at: at + 1, mask: 1, set: 0, clear: 1 };
    for fragment in all(bytes, (0, bytes.len()), b"moof") {
        let Some(track) = all(bytes, (fragment.0 + 8, fragment.1), b"traf").first().copied() else {
            continue;
        };
        for time in all(bytes, (track.0 + 8, track.1), b"tfdt") {
            let form = if bytes[time.0 + 8] == 1 { Form::Big64 } else { Form::Big32 };
            let time = Some(Timestamp { at: time.0 + 12, form, rate: 12_800 });
            found.push(Packet { time, ..Packet::default() });
        }
        for run in all(bytes, (track.0 + 8, track.1), b"trun") {
            let (flags, count) = (word(bytes, run.0 + 8), word(bytes, run.0 + 12));
            let has = |bit: u32| usize::from(flags & bit != 0);
            let mut at = run.0 + 16 + 4 * has(1);
            if has(4) == 1 {
                found.push(Packet { key: Some(flag(at)), ..Packet::default() });
                at += 4;
            }
            let each = 4 * (has(0x100) + has(0x200) + has(0x400) + has(0x800));
            let first = at + 4 * (has(0x100) + has(0x200));
            if has(0x400) == 1 {
                let flags_of_samples =
                    (0..count as usize).map(|i| flag(first + i * each)).take_while(|flag| flag.at < run.1);
                found.extend(flags_of_samples.map(|flag| Packet { key: Some(flag), ..Packet::default() }));
            }
        }
    }
    found
}

/// Removes the index of fragments. Returns a description, or `None` if there is none.
pub(super) fn remove_fragment_index(bytes: &mut [u8]) -> Option<String> {
    let names = [b"mfra", b"sidx"];
    let span = names.into_iter().find_map(|name| all(bytes, (0, bytes.len()), name).first().copied())?;
    bytes[span.0 + 4..span.0 + 8].copy_from_slice(b"free");
    Some("the index of fragments is removed".into())
}
