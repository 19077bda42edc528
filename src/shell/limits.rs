//! How long a media process may take: its work, at a speed that the slowest machine reaches, and some minutes. Pure.
//!
//! A limit is no estimate: it ends what would never end. Whatever hangs without a word is ended earlier.

use std::time::Duration;

use millrace_media::{MergeTask, TranscodeTask, VerifyTask};
use millrace_schemas::Rendition;

/// What everything may take: a machine may be busy, a store slow to begin.
const AT_LEAST: Duration = Duration::from_secs(600);
/// Bytes a second that any store gives.
const BYTES: f64 = 250_000.0;
/// Pixels a second that any core decodes and encodes: a fiftieth of what one of today does.
const PIXELS: f64 = 500_000.0;
/// Samples a second: a fiftieth, too.
const SAMPLES: f64 = 50_000.0;

fn limit(seconds: f64) -> Duration {
    // A year is as good as any longer time.
    AT_LEAST + Duration::from_secs_f64(seconds.clamp(0.0, 31_536_000.0))
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
        (Some(video), _) => f64::from(video.width) * f64::from(video.height) / PIXELS,
        (_, Some(_)) => 1.0 / SAMPLES,
        _ => 0.0,
    };
    let each: f64 = task.renditions.iter().map(cost).sum();
    // Where a cut lies far behind its keyframe, as much again is decoded to reach it; and containers that tell no length
    // tell of no pictures.
    limit(reading(bytes) + each * 2.0 * units.max(0) as f64)
}

/// For putting an output together, and reading it again.
pub(super) fn merge(task: &MergeTask) -> Duration {
    limit(2.0 * reading(task.tracks.iter().map(|track| track.bytes).sum()))
}

/// For decoding a source and an output of so many bytes together, of so many seconds.
pub(super) fn verify(task: &VerifyTask, bytes: i64, seconds: f64) -> Duration {
    let video = task.video.as_ref();
    let picture = video.map_or(0.0, |v| f64::from(v.width) * f64::from(v.height) / PIXELS);
    let rate = video.map_or(0.0, |v| v.frame_rate.as_f64().clamp(1.0, 1000.0));
    let sounds = task.source.sounds.len() as f64;
    limit(
        2.0 * reading(bytes) + seconds.max(0.0) * (2.0 * picture * rate + 4.0 * sounds * 48_000.0 / SAMPLES),
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
    fn a_limit_grows_with_the_work() {
        assert_eq!(sound(0, 0), AT_LEAST);
        let hour = sound(48_000 * 3600, 0);
        assert!(hour > Duration::from_secs(3600) && hour < Duration::from_secs(3 * 3600), "{hour:?}");
        assert!(sound(0, 4_000_000_000) > AT_LEAST + Duration::from_secs(3600));
        assert!(
            sound(i64::MAX, i64::MAX) < Duration::from_secs(40_000_000),
            "what a file claims is no overflow"
        );
        assert_eq!(inspect(-1), AT_LEAST);
    }
}
