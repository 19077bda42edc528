//! Where a source can be cut: keyframes with their presentation times, out of its index, or by reading its packets.

use std::time::Instant;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ffmpeg_next::{Packet, ffi::AVFMT_NO_BYTE_SEEK};
use millrace_schemas::{Keyframe, Seek, SeekBy, VideoTrack};

use super::survey::{self, First, Note, Seen, Survey};
use crate::{
    child::{
        alive,
        decode::Decoder,
        failure::Failure,
        libav::{
            codec::{KeyframeParser, has_references},
            input::format_flags,
            stream::{fields, index_entry, index_length},
        },
        light,
        report::Reporter,
        source::{COUNTED, DiscontinuityFinder, Source},
    },
    claims,
    protocol::Inspected,
};

/// Finds keyframes near the cuts that are asked for, whether the timestamps can be trusted, and the first picture; `false`
/// where the track has no packets. `survey` is of all packets, where they were read already.
pub(super) fn find(
    source: &mut Source,
    segment_seconds: f64,
    survey: Option<Survey>,
    facts: &mut VideoTrack,
    found: &mut Inspected,
    reporter: &mut Reporter,
) -> Result<bool, Failure> {
    let step = (segment_seconds / facts.picture.time_base.as_f64()) as i64;
    let streams: Vec<i32> = std::iter::once(facts.stream).chain(facts.more_streams.iter().copied()).collect();
    let survey = match survey {
        Some(survey) => survey,
        None => {
            source.only(&streams)?;
            let mut keys = None;
            if is_indexed(&found.container) {
                let first = first_picture(source, facts.stream, reporter);
                set_first(facts, first.picture);
                if first.packets == 0 {
                    return Ok(false);
                }
                bound_work(source, facts, listed(source, facts.stream))?;
                match indexed(source, facts, step.max(1), &found.container) {
                    Index::Keyframes(keyframes) => {
                        facts.keyframes = keyframes;
                        facts.trusted = true;
                        return Ok(true);
                    }
                    // An mp4 without a list of sync samples says that every sample is one (ISO/IEC 14496-12, 8.6.2).
                    Index::AllKeys => keys = key_parser(source, facts.stream),
                    Index::None => {}
                }
                source.rewind(facts.stream);
            }
            Survey::take(source, Some((&streams, keys)), reporter)?
        }
    };
    if streams.iter().all(|stream| !survey.streams.contains_key(stream)) {
        return Ok(false);
    }
    let pictures = survey.pictures.iter().filter(|note| streams.contains(&note.stream)).count();
    scanned(source, facts, (&streams, survey), found);
    bound_work(source, facts, i64::try_from(pictures).unwrap_or(i64::MAX))?;
    // Times that were counted from where reading began are others in the middle, and colours that come beside the pictures
    // when they change are missing there.
    let counted = BARE.contains(&found.container.as_str());
    if counted || (facts.picture.pixel_format == "pal8" && !found.container.contains("mp4")) {
        facts.trusted = false;
        facts.keyframes.clear();
    }
    Ok(true)
}

/// How many pictures an index that lists all of them lists; 0 where there is no such index.
fn listed(source: &Source, stream: i32) -> i64 {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    match stream {
        Some(stream) if source.container().contains("mp4") => i64::from(index_length(&stream)),
        _ => 0,
    }
}

/// Refuses pictures that are more work than is done for the bytes of their file.
fn bound_work(source: &Source, facts: &VideoTrack, pictures: i64) -> Result<(), Failure> {
    let stated = (facts.picture.width, facts.picture.height);
    let size = facts.shape.as_ref().map_or(stated, |shape| (shape.width, shape.height));
    claims::too_much_work(source.size(), size, pictures).map_or(Ok(()), |reason| Err(Failure::new(reason)))
}

/// Tells keyframes of a stream by their bytes.
fn key_parser(source: &Source, stream: i32) -> Option<KeyframeParser> {
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    KeyframeParser::new(fields(&stream).1)
}

/// Containers that may have an index which says where keyframes are.
fn is_indexed(container: &str) -> bool {
    container.contains("mp4") || container.contains("matroska")
}

/// Packets that are read for a first picture.
const MOST_TRIES: u64 = 500;

/// Takes over what the first picture is. What the container says of its light stands over what the stream says.
fn set_first(facts: &mut VideoTrack, first: Option<First>) {
    let (shape, light) = first.map(|first| (first.shape, first.light)).unzip();
    facts.shape = shape;
    facts.picture.light = light::merged(facts.picture.light.take(), light.flatten());
}

/// Decodes the first picture of a stream, from its start.
fn first_picture(source: &mut Source, stream: i32, reporter: &mut Reporter) -> Seen {
    source.rewind(stream);
    let mut seen = Seen::default();
    let Ok(mut decoder) = Decoder::open(source, stream, 1) else {
        seen.packets = 1;
        return seen;
    };
    let mut packet = Packet::empty();
    let begun = Instant::now();
    while seen.packets < MOST_TRIES
        && begun.elapsed() < survey::LONGEST_TRIES
        && source.next_packet(&mut packet).is_ok()
    {
        reporter.progress(0, 0);
        if i32::try_from(packet.stream()).ok() != Some(stream) {
            continue;
        }
        seen.packets += 1;
        seen.picture = survey::first_picture(&mut decoder, &packet);
        if seen.picture.is_some() {
            return seen;
        }
    }
    decoder.end();
    seen.picture = survey::received(&mut decoder);
    seen
}

/// Returns by how many microseconds each part behind a discontinuity is moved, of a source without pictures.
pub(super) fn discontinuities(
    source: &mut Source,
    streams: &[i32],
    reporter: &mut Reporter,
) -> Result<Vec<i64>, Failure> {
    if is_indexed(&source.container()) || COUNTED.contains(&source.container().as_str()) {
        return Ok(Vec::new());
    }
    let survey = Survey::take(source, Some((streams, None)), reporter)?;
    Ok(survey.discontinuities(source, streams))
}

/// What a container's index says.
enum Index {
    /// Keyframes near the cuts.
    Keyframes(Vec<Keyframe>),
    /// That every picture of a codec that refers to others is a keyframe, which nobody needs to believe.
    AllKeys,
    /// Too little: there is none, or it does not cover the stream.
    None,
}

/// Of the times of an index, those that a cut near a multiple of `step` after the first may use: the last at or before
/// it, and the first after it.
fn near(times: &[i64], step: i64) -> Vec<usize> {
    let Some(first) = times.first() else { return Vec::new() };
    let mut chosen = vec![0];
    let mut target = first.saturating_add(step);
    for (i, pair) in times.windows(2).enumerate() {
        if pair[1] > target {
            chosen.extend([i, i + 1]);
            let past = pair[1].saturating_sub(*first) / step;
            target = first.saturating_add(step.saturating_mul(past.saturating_add(1)));
        } else if pair[1] == target {
            chosen.push(i + 1);
            target = target.saturating_add(step);
        }
    }
    chosen.push(times.len() - 1);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Keyframes out of the container's index.
fn indexed(source: &mut Source, facts: &VideoTrack, step: i64, container: &str) -> Index {
    let is_mp4 = container.contains("mp4");
    if !is_mp4 {
        if source.is_concatenated() {
            return Index::None;
        }
        // Matroska's cues are read when somebody first seeks.
        source.seek(facts.stream, Seek { by: SeekBy::Time, at: facts.first, state: 0 });
    }
    let mut entries = Vec::new();
    let (mut last, mut count, mut refers) = (None, 0, false);
    if let Some(stream) = usize::try_from(facts.stream).ok().and_then(|index| source.input.stream(index)) {
        count = index_length(&stream);
        for i in 0..count {
            let Some(entry) = index_entry(&stream, i) else { return Index::None };
            last = Some(entry.timestamp);
            if entry.is_keyframe {
                entries.push(entry.timestamp);
            }
        }
        refers = has_references(fields(&stream).1.codec_id);
    }
    if is_mp4 && refers && count > 1 && entries.len() == usize::try_from(count).unwrap_or(0) {
        return Index::AllKeys;
    }
    // A fragmented mp4 is indexed as far as it was read.
    let span = facts.end.saturating_sub(facts.first);
    let covered = last.unwrap_or(facts.first).saturating_sub(facts.first);
    let whole = if is_mp4 { covered >= (span - span / 10).saturating_sub(step) } else { entries.len() > 1 };
    if entries.is_empty() || !whole {
        return Index::None;
    }
    if !is_mp4 {
        // The cues' times are presentation times.
        let near = near(&entries, step);
        let keyframe = |i: &usize| Keyframe {
            pts: entries[*i],
            seek: Seek { by: SeekBy::Time, at: entries[*i], state: 0 },
        };
        return Index::Keyframes(near.iter().map(keyframe).collect());
    }
    // mp4's index gives decoding times. The demuxer knows the presentation times of the packets, whose bytes are not
    // needed for that.
    source.make_hollow();
    let mut keyframes = Vec::new();
    for i in near(&entries, step) {
        alive::sign();
        let seek = Seek { by: SeekBy::Time, at: entries[i], state: 0 };
        let mut packet = Packet::empty();
        if source.seek(facts.stream, seek) && source.next_packet(&mut packet).is_ok() {
            keyframes.extend(packet.pts().map(|pts| Keyframe { pts, seek }));
        }
    }
    keyframes.sort_unstable_by_key(|keyframe| keyframe.pts);
    Index::Keyframes(keyframes)
}

/// What the packets of a track tell: keyframes and where to begin reading for them, the exact span, the longest time between
/// two pictures, whether every picture has a time of its own, and where timestamps are discontinuous.
fn scanned(
    source: &Source,
    facts: &mut VideoTrack,
    (streams, survey): (&[i32], Survey),
    found: &mut Inspected,
) {
    let by_byte =
        format_flags(&source.input) & AVFMT_NO_BYTE_SEEK == 0 && BY_BYTE.contains(&found.container.as_str());
    let mut discontinuities = DiscontinuityFinder::new(source.clock(facts.stream), source.is_discontinuous());
    let mut times = Vec::new();
    // Of mxf whose index does not tell the order of pictures, libavformat gives decoding times as presentation times: pictures
    // come out of the decoder later than their packets say.
    let delay = source.input.stream(usize::try_from(facts.stream).unwrap_or(usize::MAX));
    let delayed = found.container == "mxf" && delay.is_some_and(|stream| fields(&stream).1.video_delay > 0);
    let unordered = delayed && survey.pictures.len() > 1 && survey.pictures.iter().all(|n| n.pts == n.dts);
    let mut trusted = !survey.too_many_states && !unordered;
    let mut notes: Vec<&Note> =
        survey.pictures.iter().filter(|note| streams.contains(&note.stream)).collect();
    if streams.len() > 1 && notes.iter().all(|note| note.at >= 0) {
        // What a demuxer holds back until another stream has ended belongs where it lies.
        notes.sort_by_key(|note| note.at);
    }
    for note in notes {
        let moved = discontinuities.step(note.pts, note.dts, note.duration);
        let Some(pts) = note.pts else {
            trusted = false;
            continue;
        };
        let pts = pts.saturating_add(moved);
        if note.is_key {
            let (by, at) = if by_byte && note.at >= 0 {
                (SeekBy::Byte, note.at)
            } else {
                (SeekBy::Time, note.dts.unwrap_or(pts))
            };
            facts.keyframes.push(Keyframe { pts, seek: Seek { by, at, state: note.state } });
        }
        times.push((pts, note.duration));
    }
    times.sort_unstable();
    trusted &= times.windows(2).all(|pair| pair[0].0 < pair[1].0);
    trusted &=
        facts.keyframes.windows(2).all(|pair| pair[0].pts < pair[1].pts && pair[0].seek.at < pair[1].seek.at);
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        facts.first = first.0;
        facts.last_time = last.0;
        facts.end = last.0.saturating_add(last.1.max(1));
    }
    facts.longest_gap = times.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).max().unwrap_or(0);
    set_first(facts, streams.iter().find_map(|stream| survey.streams.get(stream)?.picture.clone()));
    facts.states = survey.states.iter().map(|state| BASE64_STANDARD.encode(state)).collect();
    found.facts.discontinuities = discontinuities.moves();
    facts.trusted = trusted && found.facts.discontinuities.is_empty() && !facts.keyframes.is_empty();
    if !facts.trusted {
        facts.keyframes.clear();
    }
}

/// Containers where a byte offset says more than a time: they have no index at all.
const BY_BYTE: [&str; 3] = ["mpegts", "mpeg", "flv"];

/// Streams of a codec alone, which say no times.
const BARE: [&str; 8] = ["h261", "h263", "h264", "hevc", "mpegvideo", "vc1", "cavsvideo", "dnxhd"];

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn keyframes_on_both_sides_of_each_cut_are_kept() {
        assert_eq!(near(&[0, 10, 20, 30, 40, 50, 60], 25), [0, 2, 3, 5, 6]);
        assert_eq!(near(&[0, 10, 20], 100), [0, 2]);
        assert_eq!(near(&[0], 5), [0]);
        assert_eq!(near(&[], 5), [0; 0]);
        assert_eq!(near(&[0, 1000, 1001], 5), [0, 1, 2]);
    }
}
