//! Parses the boxes of a movie box.

use std::iter::repeat_n;

use super::layout::{Boxes, EMPTY_TABLE, Fields, Malformed, Parsed, optional, parse_table, required};
use super::model::{Code, Edit, Movie, Samples, Track};

/// The largest number of tracks in a movie.
const MOST_TRACKS: usize = 1 << 10;

/// The largest number of edits and sample entries in all tracks of a movie together.
const MOST_ENTRIES: usize = 1 << 16;

/// The largest number of boxes of a sample entry.
const MOST_ENTRY_BOXES: usize = 1 << 8;

/// What is left of the limits that all tracks of a movie share.
struct Budget {
    samples: u64,
    entries: usize,
}

pub(super) fn parse_movie(content: &[u8], most_samples: u64) -> Parsed<Movie> {
    let (timescale, duration) = parse_times(required(content, b"mvhd")?)?;
    let mut budget = Budget { samples: most_samples, entries: MOST_ENTRIES };
    let mut tracks = Vec::new();
    for child in Boxes(content) {
        match child? {
            (code, _) if code != *b"trak" => {}
            _ if tracks.len() == MOST_TRACKS => return Err(Malformed),
            (_, track) => tracks.push(parse_track(track, &mut budget)?),
        }
    }
    Ok(Movie { timescale, duration, tracks })
}

/// Parses the timescale and the duration, which a movie header and a media header have at the same place.
fn parse_times(content: &[u8]) -> Parsed<(u32, u64)> {
    let mut fields = Fields(content);
    let (version, _) = fields.version()?;
    let (_created, _modified) = (fields.time(version)?, fields.time(version)?);
    let (timescale, duration) = (fields.u32()?, fields.duration(version)?);
    if timescale == 0 { Err(Malformed) } else { Ok((timescale, duration)) }
}

fn parse_track(content: &[u8], budget: &mut Budget) -> Parsed<Track> {
    let mut header = Fields(required(content, b"tkhd")?);
    let (version, flags) = header.version()?;
    let (_created, _modified) = (header.time(version)?, header.time(version)?);
    let (id, _reserved) = (header.u32()?, header.u32()?);
    let tkhd_duration = header.duration(version)?;
    let edits = optional(optional(content, b"edts")?.unwrap_or(&[]), b"elst")?;
    let edits = parse_edits(edits.unwrap_or(EMPTY_TABLE), budget)?;
    let media = required(content, b"mdia")?;
    let (timescale, media_duration) = parse_times(required(media, b"mdhd")?)?;
    let handler = match optional(media, b"hdlr")? {
        Some(handler) => Fields(handler.get(8..).ok_or(Malformed)?).array()?,
        None => [0; 4],
    };
    let tables = optional(optional(media, b"minf")?.unwrap_or(&[]), b"stbl")?.unwrap_or(&[]);
    let description = optional(tables, b"stsd")?.unwrap_or(EMPTY_TABLE);
    let (entries, protection) = parse_entries(description, &handler, budget)?;
    let sample_rate = find_sample_rate(description, &handler);
    let entry = entry_boxes(description, &handler);
    let samples = parse_samples(tables, &handler, budget)?;
    let enabled = flags & 1 != 0;
    Ok(Track {
        id,
        enabled,
        tkhd_duration,
        handler,
        timescale,
        media_duration,
        edits,
        entries,
        entry,
        protection,
        sample_rate,
        samples,
    })
}

fn parse_edits(content: &[u8], budget: &mut Budget) -> Parsed<Vec<Edit>> {
    let (version, entries) = parse_table(content, [12, 20])?;
    budget.entries = budget.entries.checked_sub(entries.len()).ok_or(Malformed)?;
    let parse_edit = |entry| {
        let mut fields = Fields(entry);
        let duration = fields.time(version)?;
        // Casts to the signed type of the same width: the fields are two's complement.
        let media_time = if version == 1 { fields.u64()? as i64 } else { i64::from(fields.u32()? as i32) };
        Ok(Edit { duration, media_time, rate: (fields.u16()? as i16, fields.u16()? as i16) })
    };
    entries.map(parse_edit).collect()
}

/// Parses a sample description box: the sample entry types, and the protection of the first protected entry.
fn parse_entries(content: &[u8], handler: &Code, budget: &mut Budget) -> Parsed<(Vec<Code>, Option<Code>)> {
    let mut fields = Fields(content);
    let ((version, _), count) = (fields.version()?, fields.u32()?);
    let (mut entries, mut protection) = (Vec::new(), None);
    let mut boxes = Boxes(fields.0);
    budget.entries = budget.entries.checked_sub(count as usize).ok_or(Malformed)?;
    for _ in 0..count {
        let (code, entry) = boxes.next().ok_or(Malformed)??;
        entries.push(code);
        protection = protection.or_else(|| find_protection(&code, entry, version, handler));
    }
    Ok((entries, protection))
}

/// The fields in front of the boxes of a sample entry of pictures, in bytes (`VisualSampleEntry`, 12.1.3).
const VISUAL_FIELDS: usize = 78;

/// Returns the boxes of a sample description as [`Track::entry`] states them.
fn entry_boxes(description: &[u8], handler: &Code) -> Vec<(Code, Vec<u8>)> {
    let first = || Boxes(description.get(8..)?).next()?.ok()?.1.get(VISUAL_FIELDS..);
    let boxes = first().filter(|_| handler == b"vide").unwrap_or(&[]);
    let found = Boxes(boxes).map_while(Parsed::ok).take(MOST_ENTRY_BOXES);
    found.map(|(code, content)| (code, content.to_vec())).collect()
}

/// Returns the sample rate of a sample description as [`Track::sample_rate`] states it.
fn find_sample_rate(description: &[u8], handler: &Code) -> Option<u16> {
    if handler != b"soun" {
        return None;
    }
    let (_, entry) = Boxes(description.get(8..)?).next()?.ok()?;
    Fields(entry.get(24..)?).u16().ok()
}

/// Returns the protection of a sample entry as [`Track::protection`] states it. An entry may have content that is not
/// boxes, such as the color table of QuickTime, so the search ends at what is malformed.
fn find_protection(code: &Code, entry: &[u8], version: u8, handler: &Code) -> Option<Code> {
    let fields_length = match (code, handler) {
        (b"encv" | b"drmi", _) | (_, b"vide" | b"pict" | b"auxv") => VISUAL_FIELDS,
        // AudioSampleEntry, 12.2.3; the versions 1 and 2 of QuickTime add fields if the box has version 0.
        (b"enca" | b"drms", _) | (_, b"soun") => match entry.get(8..10) {
            Some([0, 1]) if version == 0 => 44,
            Some([0, 2]) if version == 0 => 64,
            _ => 28,
        },
        _ => entry.len(),
    };
    let find = |parent, code: &Code| Boxes(parent).map_while(Parsed::ok).find(|child| child.0 == *code);
    let information = find(entry.get(fields_length..).unwrap_or(&[]), b"sinf");
    let scheme = information.and_then(|(_, information)| find(information, b"schm"));
    let scheme = scheme.and_then(|(_, scheme)| Fields(scheme.get(4..)?).array().ok());
    let entry_type = (code.starts_with(b"enc") || code.starts_with(b"drm")).then_some(*code);
    scheme.or(entry_type).or(information.map(|(code, _)| code))
}

fn parse_samples(tables: &[u8], handler: &Code, budget: &mut Budget) -> Parsed<Samples> {
    let (count, has_one_size) = parse_sample_count(tables)?;
    let (_, deltas) = parse_runs(optional(tables, b"stts")?)?;
    let (ctts_version, offsets) = parse_runs(optional(tables, b"ctts")?)?;
    let (mut stts_count, mut total) = (0_u64, 0_u64);
    for (run, delta) in deltas.clone() {
        stts_count += u64::from(run); // Cannot overflow: a movie box has fewer than 2^32 runs.
        total = total.checked_add(u64::from(run) * u64::from(delta)).ok_or(Malformed)?;
    }
    let mut times = Vec::new();
    let is_tick = |(_, delta): (u32, u32)| delta == 1;
    let is_each_tick = handler == b"soun"
        && has_one_size
        && offsets.clone().next().is_none()
        && stts_count == count
        && deltas.clone().all(is_tick);
    if count <= budget.samples && !is_each_tick {
        budget.samples -= count;
        let length = usize::try_from(count.min(stts_count)).map_err(|_| Malformed)?;
        times.reserve_exact(length);
        let mut offsets = offsets.flat_map(|(run, offset)| repeat_n(offset, run as usize));
        let mut decoding_time = 0_i64;
        for delta in deltas.flat_map(|(run, delta)| repeat_n(delta, run as usize)).take(length) {
            // Signed in version 0 too: QuickTime files have negative offsets there, and none has 2^31 ticks or more.
            let offset = i64::from(offsets.next().unwrap_or(0) as i32);
            times.push((decoding_time.checked_add(offset).ok_or(Malformed)?, delta));
            decoding_time = decoding_time.checked_add(i64::from(delta)).ok_or(Malformed)?;
        }
    }
    let keyframes = optional(tables, b"stss")?.map(|content| parse_table(content, [4, 4])).transpose()?;
    let (has_sync_table, keyframes) = keyframes.map_or((false, count), |(_, keys)| (true, keys.len() as u64));
    Ok(Samples { count, times, is_each_tick, ctts_version, stts_count, total, has_sync_table, keyframes })
}

/// Returns the number of samples, and whether all have one size; an error if the box holds fewer sizes than it states.
fn parse_sample_count(tables: &[u8]) -> Parsed<(u64, bool)> {
    let (content, compact) = match (optional(tables, b"stsz")?, optional(tables, b"stz2")?) {
        (Some(content), None) => (content, false),
        (None, Some(content)) => (content, true),
        (None, None) => return Ok((0, false)),
        (Some(_), Some(_)) => return Err(Malformed),
    };
    let mut fields = Fields(content);
    fields.version()?;
    let (size, count) = (fields.u32()?, u64::from(fields.u32()?));
    let bits = match (compact, size & 0xff) {
        (false, _) if size == 0 => 32,
        (false, _) => 0,
        (true, bits @ (4 | 8 | 16)) => u64::from(bits),
        (true, _) => return Err(Malformed),
    };
    if (count * bits).div_ceil(8) > fields.0.len() as u64 { Err(Malformed) } else { Ok((count, bits == 0)) }
}

/// Returns the version and the runs of a run-length table: the number of samples and the value of each.
fn parse_runs(content: Option<&[u8]>) -> Parsed<(u8, impl Iterator<Item = (u32, u32)> + Clone)> {
    let (version, entries) = parse_table(content.unwrap_or(EMPTY_TABLE), [8, 8])?;
    let half = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
    Ok((version, entries.map(move |entry| (half(&entry[..4]), half(&entry[4..])))))
}
