//! The proof of a package: each track is read again as a player reads it, and manifests name what is there and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    ops::Range,
};

use millrace_formats::Container;
use millrace_packages::{self as packages, NamedKind, Text};

use super::{
    Written, WrittenMedia, manifests,
    protect::Protector,
    stills::{self, WrittenStills},
    text::{self, WrittenText},
    track::{Setting, WrittenTrack},
};
use crate::{
    child::{
        failure::Failure,
        prove::{Expected, ProvenTrack, facts_of_tracks, prove_fragments, prove_stream, unproven},
        report::Reporter,
        source::{Depth, Source},
    },
    protocol::{MergeTask, Merged, Part},
    timeline::Clock,
};

/// Reads a package again and holds it to what was put in. Its manifests are written meanwhile.
pub(in crate::child::merge) fn prove(
    output: &File,
    task: &MergeTask,
    container: &Container,
    (expected, written): (&[Expected], Written),
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let layout = container.package().ok_or_else(|| Failure::new("its container is none of packages"))?;
    let origin = (0, Clock { num: 1, den: 1 });
    let setting = Setting { container, layout, output: &task.output, plan: super::plan(task)?, origin };
    let protector = Protector::new(task, setting.plan)?;
    let Written { tracks, mut spool } = written;
    spool.flush()?;
    let mut proven = Vec::new();
    let mut stated = Vec::new();
    for (media, expected) in tracks.iter().zip(expected) {
        let WrittenMedia::Segments { track, stills } = media else { continue };
        let of_manifests = |track: &WrittenTrack, stills: Option<&WrittenStills>| {
            manifests::track(&setting, (track, stills), expected, output)
        };
        if protector.is_none() {
            stated.push(of_manifests(track, stills.as_ref())?);
        }
        let part = (output, track.bytes());
        let found = if setting.is_stream() {
            let segments: Vec<Range<u64>> =
                track.segments.iter().map(|segment| segment.bytes.clone()).collect();
            prove_stream(part, (&task.output, container), (expected, &segments), reporter)?
        } else {
            prove_fragments(part, (&task.output, container), (expected, track.shift), reporter)?
        };
        if setting.is_stream() {
            stream_segments(track, &found, expected)?;
        } else {
            segments(track, &found, expected.header.video.is_some())?;
        }
        if let Some(written) = stills {
            keyframes(output, (track, written), &found, expected)?;
        }
        if let Some(protector) = &protector {
            let of = (expected, found.headers());
            let encrypted = protector.track(output, track, of, &mut spool, reporter)?;
            setting.name_objects(&encrypted, &mut spool)?;
            let mut frames = None;
            if let Some(stills) = stills {
                let made = protector.stills(output, (track, stills), of, &mut spool, reporter)?;
                spool.name(setting.name(&track.id, stills::OBJECT), made.bytes())?;
                frames = Some(made);
            }
            let stated_track = of_manifests(&encrypted, frames.as_ref())?;
            spool.flush()?;
            stated.push(packages::Track { encryption: protector.encryption(false), ..stated_track });
        }
        proven.push(found);
    }
    let seconds = proven.iter().map(ProvenTrack::end_seconds).fold(0.0, f64::max);
    let mut languages = Vec::new();
    for (media, expected) in tracks.iter().zip(expected) {
        let WrittenMedia::Text(text) = media else { continue };
        cues(output, text)?;
        let tags = expected.sum.plan.tags.clone().unwrap_or_default();
        let mut track = manifests::text(&setting, text, seconds, &tags);
        track.encryption = protector.as_ref().and_then(|protector| protector.encryption(true));
        if let (Some(protector), true) = (&protector, track.encryption.is_some()) {
            let object = protector.object(output, text.bytes.clone(), &mut spool)?;
            for segment in &mut track.segments {
                segment.bytes = object.end - object.start;
            }
            spool.name(setting.name(&text.id, text::OBJECT), object)?;
        }
        stated.push(track);
        languages.push(tags.language);
    }
    for Text { name, text } in manifests::texts(&setting, seconds, stated.clone())? {
        let bytes = spool.write(text.as_bytes())?;
        spool.name(name, bytes)?;
    }
    spool.flush()?;
    named(output, &spool.parts, &stated)?;
    let mut merged = facts_of_tracks(proven);
    merged.text = languages;
    merged.parts = spool.parts;
    Ok(merged)
}

/// Segments are those that were written: each begins with a keyframe and where the one before ends, and is as long as is said.
fn segments(written: &WrittenTrack, found: &ProvenTrack, is_video: bool) -> Result<(), Failure> {
    let mut fragments = found.fragments.iter().peekable();
    for (number, segment) in (1..).zip(&written.segments) {
        let from = segment.bytes.start - written.init.start..segment.bytes.end - written.init.start;
        let wrong = |what: &str| Err(unproven(format!("segment {number} of {} {what}", written.id)));
        let Some(first) = fragments.peek().filter(|first| first.bytes.start == from.start) else {
            return wrong("does not begin with a fragment");
        };
        if first.start != segment.start || (is_video && !first.is_entry) {
            return wrong("does not begin with a keyframe at its time");
        }
        let (mut end, mut duration) = (from.start, 0);
        while let Some(fragment) = fragments.next_if(|fragment| fragment.bytes.end <= from.end) {
            end = fragment.bytes.end;
            duration += fragment.duration;
        }
        if end != from.end || duration != segment.duration {
            return wrong("is of another length than is said");
        }
    }
    match fragments.next() {
        None => Ok(()),
        Some(_) => Err(unproven(format!("a fragment of {} is in no segment", written.id))),
    }
}

/// Segments of a transport stream are those that were written: each begins with a keyframe and at its time, and together they are as long
/// as the track.
fn stream_segments(written: &WrittenTrack, found: &ProvenTrack, expected: &Expected) -> Result<(), Failure> {
    let is_video = expected.header.video.is_some();
    for (number, (segment, part)) in (1..).zip(written.segments.iter().zip(&found.fragments)) {
        if part.start != segment.start || (is_video && !part.is_entry) {
            let what =
                format!("segment {number} of {} does not begin with a keyframe at its time", written.id);
            return Err(unproven(what));
        }
    }
    let lasts: u64 = written.segments.iter().map(|segment| segment.duration).sum();
    let start = written.segments.first().map_or(0, |first| first.start);
    let end = if is_video { expected.ends } else { expected.media_end };
    if found.fragments.len() == written.segments.len() && i64::try_from(start + lasts) == Ok(end) {
        return Ok(());
    }
    Err(unproven(format!("the segments of {} are of another length than it", written.id)))
}

/// Keyframes by themselves are those of the track, at their times.
fn keyframes(
    output: &File,
    (track, stills): (&WrittenTrack, &WrittenStills),
    found: &ProvenTrack,
    expected: &Expected,
) -> Result<(), Failure> {
    let wrong = |what: String| unproven(format!("keyframes of {} by themselves: {what}", track.id));
    let copy = output.try_clone().map_err(Failure::at("reading the output again"))?;
    let source = Source::open_part(copy, stills.bytes(), Depth::Decoding)?;
    let mut entries = found.fragments.iter().filter(|fragment| fragment.is_entry);
    let mut frames = stills.frames.iter();
    source
        .fragments(&mut |fragment| {
            let (Some(entry), Some(frame)) = (entries.next(), frames.next()) else {
                return Err("there are more than keyframes".into());
            };
            let (start, place) = source.first_sample(fragment.offset)?;
            let data = source.sample(place).map_err(|error| error.to_string())?;
            let is_it = crate::child::codec::digest(expected.codec, &data, crate::child::codec::Form::File)
                == entry.first;
            let front = stills.init.start;
            let is_there =
                (frame.bytes.start - front..frame.bytes.end - front) == (fragment.offset..fragment.end());
            let is_timed =
                start == entry.start && start == frame.start && fragment.duration() == frame.duration;
            if fragment.samples.len() == 1 && is_it && is_there && is_timed {
                return Ok(());
            }
            Err(format!("the one at {start} ticks is not as written"))
        })
        .map_err(wrong)?;
    if entries.next().is_some() || frames.next().is_some() {
        return Err(wrong("some are missing".into()));
    }
    Ok(())
}

/// A text track has the cues that were put in.
fn cues(output: &File, written: &WrittenText) -> Result<(), Failure> {
    let bytes = manifests::read(output, written.bytes.clone())?;
    let found = String::from_utf8(bytes).ok().and_then(|text| text::read(&text, written.is_of_stream));
    if found.as_ref() == Some(&written.cues) {
        return Ok(());
    }
    Err(unproven(format!("the texts of {} are not those that were put in", written.id)))
}

/// Manifests, read again, name all objects and nothing else, and segments at their times.
fn named(output: &File, parts: &[Part], tracks: &[packages::Track]) -> Result<(), Failure> {
    let mut texts = Vec::new();
    let is_manifest = |part: &&Part| part.name.ends_with(".m3u8") || part.name.ends_with(".mpd");
    for part in parts.iter().filter(is_manifest) {
        let bytes = manifests::read(output, part.offset..part.offset + part.bytes)?;
        let text = String::from_utf8(bytes).map_err(|error| unproven(format!("{}: {error}", part.name)))?;
        texts.push(Text { name: part.name.clone(), text });
    }
    let named = packages::read(&texts).map_err(|error| unproven(error.to_string()))?;
    let sizes: BTreeMap<&str, u64> = parts.iter().map(|part| (part.name.as_str(), part.bytes)).collect();
    let frames = |track: &'_ packages::Track| track.iframes.as_ref().map(|iframes| iframes.frames.clone());
    let all: Vec<packages::Segment> = tracks
        .iter()
        .flat_map(|track| track.segments.iter().cloned().chain(frames(track).into_iter().flatten()))
        .collect();
    let segments: BTreeMap<(&str, u64), &packages::Segment> =
        all.iter().map(|segment| ((segment.name.as_str(), segment.offset), segment)).collect();
    let encryptions: BTreeMap<&str, &packages::Encryption> = tracks
        .iter()
        .filter_map(|track| Some((track, track.encryption.as_ref()?)))
        .flat_map(|(track, encryption)| {
            let all = track.segments.iter().chain(track.iframes.iter().flat_map(|iframes| &iframes.frames));
            all.map(move |segment| (segment.name.as_str(), encryption))
        })
        .collect();
    let mut seen: BTreeSet<&str> =
        texts.iter().filter(|text| !text.name.contains('/')).map(|text| text.name.as_str()).collect();
    for one in &named {
        let wrong = |what: &str| Err(unproven(format!("{} names '{}', {what}", one.by, one.name)));
        let Some(size) = sizes.get(one.name.as_str()) else { return wrong("which is not there") };
        if one.range.is_some_and(|(offset, bytes)| offset.checked_add(bytes).is_none_or(|end| end > *size)) {
            return wrong("which is shorter");
        }
        seen.insert(&one.name);
        let is_stated = match (encryptions.get(one.name.as_str()), &one.key) {
            (Some(encryption), Some(stated)) => encryption.is_stated(stated),
            (encryption, stated) => encryption.is_none() && stated.is_none(),
        };
        let is_encrypted_kind = matches!(one.kind, NamedKind::Segment | NamedKind::IFrame | NamedKind::Text);
        if is_encrypted_kind && !is_stated {
            return wrong("and says otherwise how it is encrypted");
        }
        if !matches!(one.kind, NamedKind::Segment | NamedKind::IFrame) {
            continue;
        }
        let Some(lasts) = one.seconds else { continue };
        let at = (one.name.as_str(), one.range.map_or(0, |range| range.0));
        let Some(segment) = segments.get(&at) else { return wrong("of which no segment is there") };
        let ticks = f64::from(segment.timescale);
        let is_near = |said: f64, ticks_of: u64| (said - ticks_of as f64 / ticks).abs() < 0.001;
        let is_whole = one.range.map_or(*size == segment.bytes, |(_, bytes)| bytes == segment.bytes);
        if !is_near(lasts, segment.duration) || !is_whole {
            return wrong("a segment of another length");
        }
    }
    match parts.iter().find(|part| !seen.contains(part.name.as_str())) {
        None => Ok(()),
        Some(part) => Err(unproven(format!("no manifest names '{}'", part.name))),
    }
}
