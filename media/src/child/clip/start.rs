//! Where a clip begins, and the last packets before its end.

use std::collections::VecDeque;

use ffmpeg_next::Packet;
use millrace_schemas::{Seek, SeekBy};

use crate::{
    child::{alive, failure::Failure, libav::stream, source::Source},
    clip::{FirstPicture, MOST_REORDERED, PictureTimes},
};

/// How often an earlier start is tried.
const MOST_ATTEMPTS: usize = 8;
/// How many packets are read to name the keyframe that follows, and to find a first packet.
pub(super) const MOST_AHEAD: usize = 20_000;

/// A packet that was read, with its stream.
pub(super) type Read = (Packet, i32);

/// The start of a clip.
pub(super) struct Start {
    /// The time of the keyframe from which on the first picture can be decoded, in ticks.
    pub(super) key: i64,
    /// How long before it is shown the keyframe is decoded, in ticks; `None` if the container does not say.
    pub(super) lead: Option<i64>,
    /// True if nothing behind the keyframe needs what is before it.
    pub(super) is_clean: bool,
    /// The time of the picture that is shown at the time that is wanted.
    pub(super) first: i64,
}

/// Returns the times of a packet of pictures; `None` if it has none at all.
pub(super) fn times(packet: &Packet) -> Option<PictureTimes> {
    let pts = packet.pts().or(packet.dts())?;
    Some(PictureTimes { pts, dts: packet.dts() })
}

/// Finds the picture that is shown at a tick of the first one of these streams. `is_clean` says of a keyframe whether nothing behind it
/// needs what is before it.
///
/// # Errors
/// If no keyframe is found.
pub(super) fn find(
    source: &mut Source,
    video: i32,
    wanted: i64,
    is_clean: impl Fn(&Packet) -> bool,
) -> Result<Start, Failure> {
    let (key, mut early) = find_keyframe(source, &[video], wanted)?;
    let keyframe = early.pop_back().map(|(packet, _)| packet);
    let keyframe = keyframe.ok_or_else(|| Failure::new("no keyframe is found before that time"))?;
    let (lead, is_clean) = (keyframe.dts().map(|dts| key.saturating_sub(dts).max(0)), is_clean(&keyframe));
    let mut first = FirstPicture::new(wanted);
    let mut is_found = first.take(PictureTimes { pts: key, dts: keyframe.dts() });
    let mut packet = Packet::empty();
    while !is_found && matches!(source.read_as_it_is(&[video], &mut packet), Ok(Some(_))) {
        alive::sign();
        is_found = times(&packet).is_some_and(|times| first.take(times));
    }
    // Pictures that are shown before the keyframe need what is before it.
    let first = first.found().unwrap_or(key).max(key);
    Ok(Start { key, lead, is_clean, first })
}

/// Returns the times of the last packets of pictures before a tick, in decoding order: from a keyframe on, up to those of which none that
/// follows is shown before it.
///
/// # Errors
/// If no keyframe is found.
pub(super) fn last_packets(source: &mut Source, video: i32, end: i64) -> Result<Vec<PictureTimes>, Failure> {
    let (_, early) = find_keyframe(source, &[video], end.saturating_sub(1))?;
    let mut all: Vec<PictureTimes> = early.iter().filter_map(|(packet, _)| times(packet)).collect();
    let mut packet = Packet::empty();
    let mut behind = 0;
    while behind <= MOST_REORDERED && matches!(source.read_as_it_is(&[video], &mut packet), Ok(Some(_))) {
        alive::sign();
        let Some(times) = times(&packet) else { continue };
        behind = if times.pts < end { 0 } else { behind + 1 };
        if times.dts.is_some_and(|dts| dts >= end) {
            break;
        }
        all.push(times);
    }
    Ok(all)
}

/// Goes to the last keyframe whose picture is shown at or before a tick of the first one of these streams. Returns its time, and the
/// packets that were read up to it.
///
/// # Errors
/// If there is none, or the source can't be read from there.
pub(super) fn find_keyframe(
    source: &mut Source,
    streams: &[i32],
    wanted: i64,
) -> Result<(i64, VecDeque<Read>), Failure> {
    let video = streams.first().copied().unwrap_or(-1);
    let mut place = Some(wanted);
    for _ in 0..MOST_ATTEMPTS {
        let at = place.unwrap_or(i64::MIN);
        if place.is_none() || !source.seek(video, Seek { by: SeekBy::Time, at, state: 0 }) {
            source.rewind(video);
            place = None;
        }
        let mut read = VecDeque::new();
        let mut packet = Packet::empty();
        while let Ok(Some(index)) = source.read_as_it_is(streams, &mut packet) {
            alive::sign();
            let packet = std::mem::replace(&mut packet, Packet::empty());
            let key = packet.pts().filter(|_| index == video && packet.is_key());
            // Before a keyframe no picture can be decoded, and sound is needed from there on.
            if index == video && key.is_none() {
                continue;
            }
            read.push_back((packet, index));
            match key {
                Some(pts) if pts <= wanted || place.is_none() => return Ok((pts, read)),
                Some(_) => break,
                None if read.len() > MOST_AHEAD => break,
                None => {}
            }
        }
        let stream = usize::try_from(video).ok().and_then(|index| source.input.stream(index));
        let before = stream.and_then(|stream| {
            let own = stream::keyframe_before(&stream, at)?;
            stream::keyframe_before(&stream, own.timestamp.checked_sub(1)?)
        });
        place = before.map(|entry| entry.timestamp).filter(|before| *before < at);
    }
    Err(Failure::new("no keyframe is found before that time"))
}

/// Returns the time of the first keyframe behind a tick.
pub(super) fn keyframe_behind(source: &mut Source, video: i32, tick: i64) -> Option<i64> {
    let mut packet = Packet::empty();
    for _ in 0..MOST_AHEAD {
        alive::sign();
        if source.read_as_it_is(&[video], &mut packet).ok()?.is_some()
            && let Some(pts) = packet.pts().filter(|pts| packet.is_key() && *pts > tick)
        {
            return Some(pts);
        }
    }
    None
}

/// Returns the error of a clip that would begin between keyframes, whose pictures can't be encoded for this reason.
pub(super) fn no_keyframe(
    (codec, reason): (&str, &str),
    from: f64,
    before: f64,
    next: Option<f64>,
) -> Failure {
    let next = next.map_or_else(String::new, |next| format!(", and the one behind at {next:.3} s"));
    Failure::new(format!(
        "the picture at {from:.3} s is no keyframe, and pictures of {codec} can't be encoded up to the next one ({reason}), so packets \
         are copied from a keyframe on: the one before is at {before:.3} s{next}. Give one of these, or --from-keyframe for the one \
         before; 'millrace run' with a profile that has [source] trim encodes the whole part"
    ))
}
