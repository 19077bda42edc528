//! For how long frames are shown.

use ffmpeg_next::Frame;

use crate::{
    child::source::Source,
    timeline::{Clock, rescale_timestamp},
};

/// Returns when a track ends by an mp4's own boxes, in ticks; `None` if they do not say it. An edit list may end a track within a
/// picture, and says for how long the last picture is shown if another one was decoded after it.
pub(crate) fn track_end(source: &Source, stream: i32) -> Option<i64> {
    let movie = source.movie(0).filter(|_| source.container().contains("mp4"))?;
    let of_it = source.input.stream(usize::try_from(stream).ok()?)?;
    // libavformat takes the track's ID for the stream's.
    let track = movie.tracks.iter().find(|track| i64::from(track.id) == i64::from(of_it.id()))?;
    let (length, timescale) = if track.edits.is_empty() {
        (track.media_duration, track.timescale)
    } else {
        let all = track.edits.iter().try_fold(0_u64, |all, edit| all.checked_add(edit.duration))?;
        (all, movie.timescale)
    };
    let clock = Clock { num: 1, den: i64::from(timescale) };
    // An edit of no length lasts to the end of what a fragmented file holds.
    let length = i64::try_from(length).ok().filter(|length| (1..LONGEST_TRACK).contains(length))?;
    Some(rescale_timestamp(length, clock, (0, clock), source.clock(stream)))
}

/// The longest track whose end is believed, in ticks.
const LONGEST_TRACK: i64 = 1 << 50;

/// Returns for how long the last picture of a track is shown, in ticks: until the track ends, if that is known, or as its packet
/// says; 0 if neither is known.
pub(crate) fn last_length(frame: &Frame, pts: i64, track_end: Option<i64>) -> i64 {
    track_end.map_or(0, |end| end.saturating_sub(pts)).max(0).max(length_within(frame, pts, track_end))
}

/// Returns for how long a picture is shown as its packet says, in ticks, and no longer than its track.
fn length_within(frame: &Frame, pts: i64, track_end: Option<i64>) -> i64 {
    match track_end {
        Some(end) if end > pts => length(frame).min(end - pts),
        _ => length(frame),
    }
}

/// Returns for how long a decoded frame is shown, in ticks, as its packet says; 0 if it does not.
pub(crate) fn length(frame: &Frame) -> i64 {
    frame.packet().duration.max(0)
}

/// Returns when a stream ends by its duration in an mp4, in ticks, which leaves out what a codec padded. Demuxers of other containers
/// leave it out of packets.
pub(crate) fn stream_end(source: &Source, stream: i32) -> Option<i64> {
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    let first = stream.start_time();
    let known = stream.duration() > 0 && first > i64::MIN && source.container().contains("mp4");
    known.then(|| first.saturating_add(stream.duration()))
}
