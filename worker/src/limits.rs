//! Time limits of media processes: the task's work at the speed of the slowest machine, plus ten minutes. Pure.
//!
//! A limit is no estimate: it ends tasks that would never end. Processes that report no progress are ended earlier, and no task takes
//! longer than the setting `longest_task_seconds` ([`millrace_media::Launcher::with_longest_task`]).

use std::time::Duration;

use millrace_formats::{Codec, TABLES, codec::VideoCodec};
use millrace_media::{MergeTask, TranscodeTask, VerifyTask};
use millrace_schemas::{Rendition, VideoSettings};

/// The shortest limit: a machine may be busy, and a store slow to respond.
const AT_LEAST: Duration = Duration::from_secs(600);
/// Bytes per second that the slowest store delivers.
const BYTES: f64 = 250_000.0;
/// The longest limit, thirty years: a file's claims can't overflow it.
const AT_MOST: Duration = Duration::from_secs(1_000_000_000);
/// Pixels per second that the slowest machine decodes and encodes, of a codec whose effort is 1: one 1080p picture, a twentieth of what one core does today.
const PIXELS: f64 = 2_000_000.0;
/// Audio samples per second that the slowest machine decodes and encodes: a fiftieth of what one core does today.
const SAMPLES: f64 = 50_000.0;
/// The most samples per byte of coded audio. Silence has more, and is decoded far faster than assumed here.
const SAMPLES_PER_BYTE: f64 = 1024.0;
/// Samples that are allowed for however small a source is: ten minutes.
const MIN_SAMPLES: f64 = 48_000.0 * 600.0;

/// Pictures a second that a source may have of which fewer are encoded.
const DECODED_RATE: f64 = 60.0;

fn limit(seconds: f64) -> Duration {
    // `max` turns NaN into 0.
    let longest = (AT_MOST - AT_LEAST).as_secs_f64();
    AT_LEAST + Duration::from_secs_f64(seconds.max(0.0).min(longest))
}

/// Returns the pixels of so many pictures, at most those that can be decoded from so many bytes.
fn pixels(area: f64, pictures: f64, bytes: i64) -> f64 {
    let most = millrace_media::pixel_budget(bytes.max(0).unsigned_abs(), area as i64);
    (area * pictures.max(0.0)).min(most as f64)
}

/// Returns the samples that a source claims, at most those that so many bytes can hold.
fn samples(claimed: f64, bytes: i64) -> f64 {
    claimed.clamp(0.0, bytes.max(0) as f64 * SAMPLES_PER_BYTE + MIN_SAMPLES)
}

/// Returns the seconds for reading so many bytes from the slowest store.
fn reading(bytes: i64) -> f64 {
    bytes.max(0) as f64 / BYTES
}

/// Returns the limit for an inspection, which reads headers, or all packets of a source without an index.
pub(crate) fn inspect(bytes: i64) -> Duration {
    limit(reading(bytes))
}

/// Returns the limit for a clip of a source of so many bytes, of which all pictures may be encoded.
pub(crate) fn clip(bytes: i64) -> Duration {
    let most = millrace_media::pixel_budget(bytes.max(0).unsigned_abs(), 0);
    // It is read up to four times in part: to plan the start and the end, and to encode and copy.
    limit(4.0 * reading(bytes) + most as f64 / PIXELS)
}

/// Returns the limit for transcoding ranges that are expected to hold `units` pictures or samples, of a source of `bytes`.
pub(crate) fn transcode(task: &TranscodeTask, bytes: i64, units: i64) -> Duration {
    let rate = |video: &VideoSettings| video.frame_rate.as_f64().clamp(1.0, 1000.0);
    // Pictures are counted in the first rendition.
    let seconds =
        task.renditions.first().and_then(|first| first.video.as_ref()).map(|v| units as f64 / rate(v));
    let cost = |rendition: &Rendition| match (&rendition.video, &rendition.audio) {
        (Some(video), _) => {
            let decoded = if video.is_resampled() { DECODED_RATE } else { 0.0 };
            let units = seconds.map_or(units as f64, |seconds| seconds * rate(video).max(decoded));
            let codec = TABLES.codec(&video.codec).ok().and_then(<dyn Codec>::video);
            let effort = codec.map_or(1.0, VideoCodec::effort);
            pixels(f64::from(video.width) * f64::from(video.height), units, bytes) / PIXELS * effort
        }
        (_, Some(audio)) => {
            // A filter is no more work than an encoder.
            let passes = millrace_media::most_passes(audio) as f64;
            let filters = if audio.filters.is_some() { 2.0 } else { 1.0 };
            samples(units as f64, bytes) / SAMPLES * passes * filters
        }
        _ => 0.0,
    };
    let all: f64 = task.renditions.iter().map(cost).sum();
    // Twice: reaching a cut far behind its keyframe may decode as much again. Containers without a duration claim no pictures.
    limit(reading(bytes) + 2.0 * all)
}

/// Returns the limit for a merge, which reads work objects and what is copied, writes an output and reads it again for the proof.
pub(crate) fn merge(task: &MergeTask) -> Duration {
    limit(2.0 * reading(task.bytes()))
}

/// Returns the limit for a verification, which decodes a source and an output of `bytes` together, and of `seconds` each.
pub(crate) fn verify(task: &VerifyTask, bytes: i64, seconds: f64) -> Duration {
    let video = task.video.as_ref();
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    let picture = video.map_or(0.0, |v| f64::from(v.width) * f64::from(v.height));
    let rate = video.map_or(0.0, |v| v.frame_rate.as_f64().clamp(1.0, 1000.0));
    let sounds = task.source.sounds.len() as f64;
    limit(
        2.0 * reading(bytes)
            + 2.0 * pixels(picture, seconds * rate, bytes) / PIXELS
            + 4.0 * sounds * samples(seconds * 48_000.0, bytes) / SAMPLES,
    )
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{AudioFilters, AudioSettings, Sound, TrackKind};

    use super::*;

    fn sound(units: i64, bytes: i64) -> Duration {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
        transcode(&task(AudioSettings::of("aac", &sound)), bytes, units)
    }

    fn task(audio: AudioSettings) -> TranscodeTask {
        let rendition = Rendition { id: String::new(), video: None, audio: Some(audio), side: None };
        TranscodeTask {
            stream: 0,
            kind: TrackKind::Audio,
            ranges: Vec::new(),
            seeks: Vec::new(),
            planned: Vec::new(),
            jumps: Vec::new(),
            longest_gap: 0,
            last_time: 0,
            also: Vec::new(),
            shape: None,
            states: Vec::new(),
            trim: None,
            renditions: vec![rendition],
            assets: Vec::new(),
            cores: 1,
        }
    }

    #[test]
    fn a_limit_follows_bytes_that_are_there_and_not_what_they_claim() {
        assert!(sound(i64::MAX, 130_000) < Duration::from_secs(4 * 3600), "{:?}", sound(i64::MAX, 130_000));
        let claimed = pixels(1920.0 * 1080.0, 1e15, 130_000) / PIXELS;
        assert!(claimed < 4.0 * 3600.0, "{claimed}");
        // 4 GB of 1080p, eight hours: what is there is not cut short.
        let whole = 1920.0 * 1080.0 * 25.0 * 8.0 * 3600.0;
        assert_eq!(pixels(1920.0 * 1080.0, 25.0 * 8.0 * 3600.0, 4_000_000_000), whole);
    }

    #[test]
    fn sound_that_is_measured_first_may_take_longer() {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
        let mut task = task(AudioSettings::of("aac", &sound));
        let plain = transcode(&task, 60_000_000, 48_000 * 3600);
        let audio = task.renditions[0].audio.as_mut().unwrap();
        audio.filters = Some(AudioFilters { loudness: Some(-16.0), ..AudioFilters::default() });
        assert!(transcode(&task, 60_000_000, 48_000 * 3600) > plain * 5);
    }

    #[test]
    fn a_limit_grows_with_the_work() {
        assert_eq!(sound(0, 0), AT_LEAST);
        let hour = sound(48_000 * 3600, 60_000_000);
        assert!(hour > Duration::from_secs(3600) && hour < Duration::from_secs(3 * 3600), "{hour:?}");
        assert!(sound(0, 4_000_000_000) > AT_LEAST + Duration::from_secs(3600));
        assert_eq!(sound(i64::MAX, i64::MAX), AT_MOST);
        assert_eq!(limit(f64::NAN), AT_LEAST);
        assert_eq!(inspect(-1), AT_LEAST);
    }
}
