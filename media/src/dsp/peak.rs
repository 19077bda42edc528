//! True peaks: the greatest amplitude of the continuous signal that samples stand for, estimated at four times the sampling rate (ITU-R
//! BS.1770-5, annex 2).

use std::{array, f64::consts::PI, sync::LazyLock};

/// Samples on both sides of the gap in which amplitudes are estimated. Annex 2 has 12 in all; more see further up to half the sampling
/// rate.
const REACH: usize = 12;
const TAPS: usize = 2 * REACH;
/// Amplitudes that are estimated between two samples.
const BETWEEN: usize = 3;

/// A sine cardinal under a Hann window, for each place between two samples.
static FILTERS: LazyLock<[[f32; TAPS]; BETWEEN]> = LazyLock::new(|| {
    array::from_fn(|place| {
        let place = (place + 1) as f64 / (BETWEEN + 1) as f64;
        array::from_fn(|tap| {
            let distance = tap as f64 - (REACH - 1) as f64 - place;
            let window = 0.5 + 0.5 * (PI * distance / REACH as f64).cos();
            (window * (PI * distance).sin() / (PI * distance)) as f32
        })
    })
});

/// Estimates the true peak around each sample of a channel.
pub(crate) struct PeakMeter {
    /// The last samples, twice, so that they always lie in a row.
    last: [f32; 2 * TAPS],
    /// Where the next sample goes.
    at: usize,
}

impl PeakMeter {
    /// By how many samples its answers are late.
    pub(crate) const LATE: usize = REACH;

    pub(crate) fn new() -> Self {
        Self { last: [0.0; 2 * TAPS], at: 0 }
    }

    /// Takes a sample, and returns the greatest amplitude from the one [`Self::LATE`] samples before it up to the next one.
    pub(crate) fn push(&mut self, sample: f32) -> f32 {
        self.last[self.at] = sample;
        self.last[self.at + TAPS] = sample;
        self.at = (self.at + 1) % TAPS;
        let row = &self.last[self.at..self.at + TAPS];
        let own = row[REACH - 1].abs();
        FILTERS.iter().fold(own, |most, filter| most.max(dot(row, filter).abs()))
    }
}

/// The sum of products, in four sums that a processor adds to at once.
fn dot(a: &[f32], b: &[f32; TAPS]) -> f32 {
    let mut sums = [0_f32; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_between_two_samples_is_found_and_one_at_a_sample_stays() {
        let peak = |phase: f64| {
            let mut meter = PeakMeter::new();
            let wave = (0..400).map(|i| (PI / 2.0 * f64::from(i) + phase).sin() as f32);
            wave.map(|sample| meter.push(sample)).skip(50).fold(0.0, f32::max)
        };
        // A quarter of the sampling rate: the samples lie 3 dB below the peaks, or on them.
        assert!((peak(PI / 4.0) - 1.0).abs() < 0.01, "{}", peak(PI / 4.0));
        assert!((peak(0.0) - 1.0).abs() < 0.01, "{}", peak(0.0));
    }

    #[test]
    fn an_answer_is_late_by_what_it_says() {
        let mut meter = PeakMeter::new();
        let answers: Vec<f32> = (0..100).map(|i| meter.push(if i == 40 { 1.0 } else { 0.0 })).collect();
        let most = answers.iter().copied().fold(0.0, f32::max);
        let at = answers.iter().position(|answer| *answer == most);
        assert_eq!((most, at), (1.0, Some(40 + PeakMeter::LATE)));
    }
}
