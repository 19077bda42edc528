//! Where the tracks of a source are cut. Pure.

use millrace_formats::ticks::Ticks;
use millrace_schemas::{AudioFilters, AudioTrack, Rendition, VideoTrack};

use super::cuts;
use crate::request::tables;

/// The shortest segment of a long audio track, in seconds. Its lead-in is a hundredth of that.
const SHORTEST_PART_SECONDS: f64 = 60.0;
/// The length of an audio segment, in video segments. A second of audio costs about a hundredth of a second of video.
const SEGMENTS_A_PART: f64 = 4.0;

/// Returns the ranges of an audio track: one, unless it is long and can be cut. It can be cut if all renditions have the source's
/// sample rate, since a resampler that starts elsewhere returns other samples, and no filter that depends on other samples. Cuts are
/// multiples of all their frame sizes.
pub(super) fn parts(
    sound: &AudioTrack,
    renditions: &[Rendition],
    seconds: f64,
) -> Vec<(Option<i64>, Option<i64>)> {
    let whole = vec![(None, None)];
    let grid = |rendition: &Rendition| {
        let settings =
            rendition.audio.as_ref().filter(|audio| audio.sample_rate == sound.sound.sample_rate)?;
        settings.filters.as_ref().is_none_or(AudioFilters::is_cuttable).then_some(())?;
        tables().codec(&settings.codec).ok()?.sound_grid()
    };
    let grid = renditions.iter().map(grid).reduce(|one, two| common(one?, two?)).flatten();
    let (Some(first), Some(grid)) = (sound.first, grid) else { return whole };
    let part =
        (SHORTEST_PART_SECONDS.max(SEGMENTS_A_PART * seconds) * f64::from(sound.sound.sample_rate)) as i64;
    cuts::parts(first, sound.samples, part, grid)
}

/// Returns the least common multiple of two frame sizes; `None` if there is none.
fn common(one: i64, two: i64) -> Option<i64> {
    let (mut divisor, mut rest) = (one, two);
    while rest != 0 {
        (divisor, rest) = (rest, divisor.checked_rem(rest)?);
    }
    one.checked_div(divisor)?.checked_mul(two)
}

fn ticks(video: &VideoTrack, seconds: f64) -> i64 {
    // A time base is never 0. A time out of range saturates, so that there is one cut or none.
    (seconds / video.picture.time_base.as_f64()) as i64
}

/// Returns the ranges of a track of pictures for segments of this length.
pub(super) fn ranges(video: &VideoTrack, seconds: f64) -> Vec<cuts::Range> {
    let keyframes = if video.trusted { video.keyframes.as_slice() } else { &[] };
    let lead = ticks(video, cuts::LONGEST_LEAD_SECONDS);
    cuts::plan(video.first, video.end, keyframes, ticks(video, seconds), lead)
}

/// Returns the lengths of these ranges, in seconds.
pub(super) fn lengths(video: &VideoTrack, ranges: &[cuts::Range]) -> Vec<f64> {
    let tick = video.picture.time_base.as_f64();
    let length = |range: &cuts::Range| {
        let (start, end) = (range.start.unwrap_or(video.first), range.end.unwrap_or(video.end));
        end.saturating_sub(start) as f64 * tick
    };
    ranges.iter().map(length).collect()
}

/// Returns how many pictures a segment has in its first rendition.
pub(super) fn expected_pictures(video: &VideoTrack, range: &cuts::Range, renditions: &[Rendition]) -> i64 {
    let range = range.start.unwrap_or(video.first)..range.end.unwrap_or(video.end);
    let settings = renditions.first().and_then(|rendition| rendition.video.as_ref());
    if let Some(ticks) = settings.and_then(|settings| Ticks::of(settings, video.picture.time_base)) {
        return ticks.ticks_in(range);
    }
    let long = range.end.saturating_sub(range.start).max(0);
    (long as f64 * video.picture.time_base.as_f64() * video.picture.frame_rate.as_f64()).round() as i64
}
