//! Where reading begins for the start of a part of a source. No segment comes before it, whose pictures would show whether decoding
//! can begin at that keyframe: so two decodes, each from another keyframe, must give the same pictures.

use std::{collections::VecDeque, fs::File};

use ffmpeg_next as ff;
use millrace_schemas::{Seek, SeekBy};

use super::opened::{open, state};
use crate::{
    child::{
        decode::{Event, TrackDecoder},
        failure::Failure,
        libav::stream,
        overlap::Notes,
        report::Reporter,
        source::Source,
    },
    protocol::{TimeRange, TranscodeTask},
    seams::Overlap,
};

/// How many keyframes are tried: the nearest may be shown after the start, and the one before it, too.
const MOST_TRIES: usize = 6;

/// Returns the seek point of the keyframe from which to read; `None` if it must be read from the start of the source, since pictures
/// differ by where decoding begins, or there is no other keyframe before it.
///
/// # Errors
/// If the source can't be opened, or has no such track.
pub(super) fn proven(
    file: &File,
    task: &TranscodeTask,
    reporter: &mut Reporter,
) -> Result<Option<Seek>, Failure> {
    let mut places: VecDeque<Seek> = task.seeks.iter().copied().collect();
    let mut nearest: Option<(Seek, Overlap)> = None;
    for _ in 0..MOST_TRIES {
        let Some(place) = places.pop_front() else { break };
        let Decoded { place, head, earlier } = decode(file, task, place, reporter)?;
        match (head, &nearest) {
            (Some(head), Some((seek, pictures))) if place != *seek => {
                return Ok((head == *pictures).then_some(*seek));
            }
            (Some(head), None) => nearest = Some((place, head)),
            _ => {}
        }
        earlier.into_iter().for_each(|seek| places.push_front(seek));
    }
    Ok(None)
}

/// What was decoded from a keyframe.
struct Decoded {
    /// Its seek point.
    place: Seek,
    /// The first pictures of the part; `None` if decoding begins behind its start.
    head: Option<Overlap>,
    /// The seek point of the keyframe before it, if an index has one.
    earlier: Option<Seek>,
}

fn decode(
    file: &File,
    task: &TranscodeTask,
    place: Seek,
    reporter: &mut Reporter,
) -> Result<Decoded, Failure> {
    let mut decoder = open(file, task)?;
    let mut decoded = Decoded { place, head: None, earlier: None };
    if !decoder.source.seek(task.stream, place) {
        return Ok(decoded);
    }
    // Some containers read their index when somebody first seeks.
    if let Some(keyframe) = at_or_before(&decoder.source, task.stream, place) {
        let before = Seek { at: keyframe.at.saturating_sub(1), ..keyframe };
        decoded.earlier = at_or_before(&decoder.source, task.stream, before);
        decoded.place = keyframe;
        if !decoder.source.seek(task.stream, keyframe) {
            return Ok(decoded);
        }
    }
    if let Some(headers) = state(task, place)? {
        decoder.set_state(headers);
    }
    decoded.head = head(&mut decoder, task, reporter)?;
    Ok(decoded)
}

/// Returns the seek point of the keyframe at or before another one, by the container's index.
fn at_or_before(source: &Source, stream: i32, place: Seek) -> Option<Seek> {
    if place.by != SeekBy::Time {
        return None;
    }
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    let entry = stream::keyframe_before(&stream, place.at)?;
    Some(Seek { at: entry.timestamp, ..place })
}

/// Returns the first pictures of the part, as many as seams are compared by.
fn head(
    decoder: &mut TrackDecoder<ff::frame::Video>,
    task: &TranscodeTask,
    reporter: &mut Reporter,
) -> Result<Option<Overlap>, Failure> {
    let ticks = task.trim.map(|trim| trim.ticks((decoder.clock.num, decoder.clock.den)));
    let Some((from, to)) = ticks else { return Ok(None) };
    let range = TimeRange { start: Some(from), end: None };
    let mut notes = Notes::new(&[range], 0);
    let mut first = None;
    while !notes.has_seen_enough(from) {
        match decoder.next()? {
            Event::Packet(_) | Event::Damaged(_) => reporter.progress(0, 0),
            Event::End(_) => break,
            Event::Frame(frame) => {
                let Some(pts) = frame.timestamp() else { return Ok(None) };
                if *first.get_or_insert(pts) > from {
                    return Ok(None);
                }
                if to.is_some_and(|to| pts >= to) {
                    break;
                }
                notes.picture(&frame, pts);
            }
        }
    }
    Ok(first.map(|_| notes.decoded(range).head))
}
