//! How long a media process may take: its work, at a speed that the slowest machine reaches, and some minutes. Pure.
//!
//! A limit is no estimate: it ends what would never end. Whatever hangs without a word is ended earlier, and no task takes longer
//! than the setting `longest_task_seconds` ([`millrace_media::Launcher::with_longest_task`]).

use std::time::Duration;

use millrace_media::{MergeTask, TranscodeTask, VerifyTask};
use millrace_schemas::Rendition;

/// What everything may take: a machine may be busy, a store slow to begin.
const AT_LEAST: Duration = Duration::from_secs(600);
/// Bytes a second that any store gives.
const BYTES: f64 = 250_000.0;
/// The longest limit, thirty years: what a file claims is no overflow.
const AT_MOST: Duration = Duration::from_secs(1_000_000_000);
/// Pixels a second that any machine decodes and encodes: a picture of 1080p, a twentieth of what a core of today does.
const PIXELS: f64 = 2_000_000.0;
/// Samples a second: a fiftieth.
const SAMPLES: f64 = 50_000.0;
/// Samples that a byte of coded sound holds at most, but for silence: that is decoded far faster than what is reckoned with here.
const SAMPLES_A_BYTE: f64 = 1024.0;
/// Samples that any source may hold, however few its bytes are.
const ANY_SAMPLES: f64 = 48_000.0 * 600.0;

fn limit(seconds: f64) -> Duration {
    // NaN is none.
    let longest = (AT_MOST - AT_LEAST).as_secs_f64();
    AT_LEAST + Duration::from_secs_f64(seconds.max(0.0).min(longest))
}

/// So many pixels as are claimed, and no more than are decoded of so many bytes.
fn pixels(area: f64, pictures: f64, bytes: i64) -> f64 {
    let most = millrace_media::pixel_budget(bytes.max(0).unsigned_abs(), area as i64);
    (area * pictures.max(0.0)).min(most as f64)
}

/// So many samples as are claimed, and no more than so many bytes hold.
fn samples(claimed: f64, bytes: i64) -> f64 {
    claimed.clamp(0.0, bytes.max(0) as f64 * SAMPLES_A_BYTE + ANY_SAMPLES)
}

fn reading(bytes: i64) -> f64 {
    bytes.max(0) as f64 / BYTES
}

/// For reading headers, or all of a source's packets where it has no index.
pub(super) fn inspect(bytes: i64) -> Duration {
    limit(reading(bytes))
}

/// For a task on a source of so many bytes, whose ranges are thought to hold so many pictures or samples.
pub(super) fn transcode(task: &TranscodeTask, bytes: i64, units: i64) -> Duration {
    let cost = |rendition: &Rendition| match (&rendition.video, &rendition.audio) {
        (Some(video), _) => {
            pixels(f64::from(video.width) * f64::from(video.height), units as f64, bytes) / PIXELS
        }
        (_, Some(_)) => samples(units as f64, bytes) / SAMPLES,
        _ => 0.0,
    };
    let all: f64 = task.renditions.iter().map(cost).sum();
    // Where a cut lies far behind its keyframe, as much again is decoded to reach it; and containers that tell no length
    // tell of no pictures.
    limit(reading(bytes) + 2.0 * all)
}

/// For putting an output together, and reading it again.
pub(super) fn merge(task: &MergeTask) -> Duration {
    limit(2.0 * reading(task.tracks.iter().map(|track| track.bytes).sum()))
}

/// For decoding a source and an output of so many bytes together, of so many seconds.
pub(super) fn verify(task: &VerifyTask, bytes: i64, seconds: f64) -> Duration {
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
    use millrace_schemas::{AudioSettings, TrackKind};

    use super::*;

    fn sound(units: i64, bytes: i64) -> Duration {
        let audio = AudioSettings {
            codec: "aac".into(),
            bit_rate: 1,
            sample_rate: 48_000,
            channels: 2,
            layout: String::new(),
        };
        let rendition = Rendition { id: String::new(), video: None, audio: Some(audio), side: None };
        let task = TranscodeTask {
            stream: 0,
            kind: TrackKind::Audio,
            ranges: Vec::new(),
            seeks: Vec::new(),
            jumps: Vec::new(),
            longest_gap: 0,
            last_time: 0,
            also: Vec::new(),
            shape: None,
            states: Vec::new(),
            renditions: vec![rendition],
            cores: 1,
        };
        transcode(&task, bytes, units)
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
