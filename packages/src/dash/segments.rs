//! Where the segments of a representation are, and when.

use super::xml::Element;
use crate::{Files, IFrames, Segment, Track, names};

/// Returns what says where a track's segments are: a template if their names are numbered, an index if they are in one object that has
/// one, and else a list.
pub(super) fn of_track(track: &Track) -> Vec<Element> {
    match &track.files {
        Files::Many { init: Some(init) } => {
            vec![template(init, &track.segments).unwrap_or_else(|| list(init, None, &track.segments))]
        }
        // A whole file of text.
        Files::Many { init: None } => base_url(track.segments.first()),
        Files::Single { init_bytes: 0, .. } => base_url(track.segments.first()),
        Files::Single { name, init_bytes, index } => single(name, *init_bytes, *index, &track.segments),
    }
}

/// Returns what says where keyframes are.
pub(super) fn of_iframes(iframes: &IFrames) -> Vec<Element> {
    single(&iframes.init, iframes.init_bytes, iframes.index, &iframes.frames)
}

fn base_url(segment: Option<&Segment>) -> Vec<Element> {
    segment.map(|segment| Element::text("BaseURL", names::relative("", &segment.name))).into_iter().collect()
}

fn single(name: &str, init_bytes: u64, index: Option<(u64, u64)>, segments: &[Segment]) -> Vec<Element> {
    let Some((offset, bytes)) = index else {
        return vec![list(name, Some(init_bytes), segments)];
    };
    let init = Element::new("Initialization").with("range", range(0, init_bytes));
    let base = Element::new("SegmentBase")
        .with("timescale", timescale(segments))
        .with("indexRange", range(offset, bytes))
        .containing([init]);
    vec![Element::text("BaseURL", names::relative("", name)), base]
}

fn timescale(segments: &[Segment]) -> u32 {
    segments.first().map_or(1, |segment| segment.timescale)
}

/// A byte range: the first and the last byte (RFC 9110, 14.1.1).
fn range(offset: u64, bytes: u64) -> String {
    format!("{offset}-{}", (offset + bytes).saturating_sub(1))
}

/// Returns a template, if all segments are whole objects whose names are numbered without a gap.
fn template(init: &str, segments: &[Segment]) -> Option<Element> {
    let first = names::relative("", &segments.first()?.name);
    let digits_end = first.rfind(|c: char| c.is_ascii_digit())? + 1;
    // A suffix such as `.m4s` has a digit of its own.
    let digits_end = first[..digits_end]
        .rfind('.')
        .filter(|dot| *dot > first.rfind('/').unwrap_or(0))
        .unwrap_or(digits_end);
    let digits = first[..digits_end].bytes().rev().take_while(u8::is_ascii_digit).count();
    let (prefix, suffix) = (&first[..digits_end - digits], &first[digits_end..]);
    let start: u64 = first[digits_end - digits..digits_end].parse().ok()?;
    for (segment, number) in segments.iter().zip(start..) {
        let name = format!("{prefix}{number:0digits$}{suffix}");
        if segment.offset != 0 || names::relative("", &segment.name) != name {
            return None;
        }
    }
    let template = Element::new("SegmentTemplate")
        .with("timescale", timescale(segments))
        .with("initialization", names::relative("", init))
        .with("media", format!("{prefix}$Number%0{digits}d${suffix}"))
        .with("startNumber", start)
        .containing([timeline(segments)]);
    Some(template)
}

/// Returns a list of segments. `init_bytes` is the size of the initialization segment if it is not a whole object.
fn list(init: &str, init_bytes: Option<u64>, segments: &[Segment]) -> Element {
    let url = names::relative("", init);
    let initialization = Element::new("Initialization").with("sourceURL", &url);
    let initialization = match init_bytes {
        Some(bytes) => initialization.with("range", range(0, bytes)),
        None => initialization,
    };
    let is_whole = init_bytes.is_none() && segments.iter().all(|segment| segment.offset == 0);
    let urls = segments.iter().map(|segment| {
        let url = Element::new("SegmentURL").with("media", names::relative("", &segment.name));
        if is_whole { url } else { url.with("mediaRange", range(segment.offset, segment.bytes)) }
    });
    let list = Element::new("SegmentList").with("timescale", timescale(segments));
    // dash.js knows no timeline in a list.
    let list = match constant(segments) {
        Some(duration) => list.with("duration", duration).containing([initialization]),
        None => list.containing([initialization, timeline(segments)]),
    };
    list.containing(urls)
}

/// Returns the duration that all segments have, the last one at most, if the first one begins at zero.
fn constant(segments: &[Segment]) -> Option<u64> {
    let (first, last) = (segments.first()?, segments.last()?);
    let is_constant = segments[..segments.len() - 1].iter().all(|segment| segment.duration == first.duration);
    (first.start == 0 && is_constant && last.duration <= first.duration).then_some(first.duration)
}

/// Returns starts and durations; equal durations that follow each other are one line.
fn timeline(segments: &[Segment]) -> Element {
    let mut lines: Vec<(Option<u64>, u64, u64)> = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        match lines.last_mut() {
            Some((_, duration, repeated)) if *duration == segment.duration => *repeated += 1,
            _ => lines.push(((number == 0).then_some(segment.start), segment.duration, 0)),
        }
    }
    let lines = lines.into_iter().map(|(start, duration, repeated)| {
        let line = Element::new("S");
        let line = if let Some(start) = start { line.with("t", start) } else { line };
        let line = line.with("d", duration);
        if repeated > 0 { line.with("r", repeated) } else { line }
    });
    Element::new("SegmentTimeline").containing(lines)
}
