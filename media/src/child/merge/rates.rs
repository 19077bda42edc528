//! The average bit rates of an output's tracks: what they are, and which quality its segments have in the next pass.

use millrace_formats::bit_rate::{KEPT, is_within, next_quality};
use millrace_schemas::{NextPass, RatePass};

use super::{super::failure::Failure, track::Track};

/// What becomes of tracks with an average bit rate.
pub(super) struct Verdict {
    /// Those that are made again.
    pub(super) passes: Vec<NextPass>,
    /// What is said of those that are not made again, and are not as asked.
    pub(super) remarks: Vec<String>,
}

/// Compares the average bit rates of tracks that were read to their ends with what is asked for.
///
/// # Errors
/// If one is too high at the worst quality of its codec.
pub(super) fn judge(tracks: &[Track]) -> Result<Verdict, Failure> {
    let mut verdict = Verdict { passes: Vec::new(), remarks: Vec::new() };
    for track in tracks {
        let asked = track.sum.plan.video.as_ref().filter(|video| !video.is_copy());
        let Some((video, rate)) = asked.and_then(|video| Some((video, video.bit_rate?))) else { continue };
        let (Some(codec), Some(measured), true) = (track.codec.video(), track.bit_rate(), rate.average > 0)
        else {
            continue;
        };
        let scale = codec.quality();
        let last = RatePass { quality: video.crf, bit_rate: measured };
        let passes: Vec<RatePass> = track.sum.passes.iter().copied().chain([last]).collect();
        if let Some(quality) = next_quality(&scale, rate.average, &passes, track.joints.len()) {
            let rendition = track.sum.plan.rendition.clone();
            verdict.passes.push(NextPass { rendition, bit_rate: measured, quality });
            continue;
        }
        if is_within(rate.average, measured, KEPT) {
            continue;
        }
        let (has, asked) = (measured / 1000, rate.average / 1000);
        if measured > rate.average && video.crf >= scale.worst {
            return Err(Failure::new(format!(
                "a bit rate of {asked} kbit/s is too low: at the worst quality of {} ({}), the pictures have {has} kbit/s; set a \
                 greater bitrate, a smaller size or another codec",
                video.codec, scale.worst
            )));
        }
        let why = if video.crf <= scale.best { ", at the best quality" } else { "" };
        verdict.remarks.push(format!("the pictures have {has} kbit/s instead of {asked}{why}"));
    }
    Ok(verdict)
}
