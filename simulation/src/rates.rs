//! Average bit rates of a simulated encoder.

use millrace_formats::{
    Codec, TABLES,
    bit_rate::{KEPT, is_within, next_quality},
};
use millrace_schemas::{NextPass, RatePass, TrackSum};
use millrace_topology::ports::PortError;

/// The bit rate of a pass of the simulated encoder, in bits per second: it halves with each six steps of quality.
fn simulated_rate(quality: f64) -> i64 {
    (2e6 * 2_f64.powf((23.0 - quality) / 6.0)) as i64
}

/// Returns the next pass of a track with an average bit rate; none if its average is as asked.
pub(crate) fn next_pass(sum: &TrackSum) -> Result<Vec<NextPass>, PortError> {
    let Some(video) = &sum.plan.video else { return Ok(Vec::new()) };
    let average = video.bit_rate.map_or(0, |rate| rate.average);
    let codec = TABLES.codec(&video.codec).ok().and_then(<dyn Codec>::video);
    let (Some(codec), true) = (codec, average > 0) else { return Ok(Vec::new()) };
    let bit_rate = simulated_rate(video.crf);
    let last = RatePass { quality: video.crf, bit_rate };
    let passes: Vec<RatePass> = sum.passes.iter().copied().chain([last]).collect();
    let rendition = sum.plan.rendition.clone();
    match next_quality(&codec.quality(), average, &passes, sum.plan.indices().len()) {
        Some(quality) => Ok(vec![NextPass { rendition, bit_rate, quality }]),
        None if is_within(average, bit_rate, KEPT) => Ok(Vec::new()),
        None => Err(PortError::Refused(format!("an average of {bit_rate} instead of {average}: {passes:?}"))),
    }
}
