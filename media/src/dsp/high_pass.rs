//! A high-pass filter of the second order, without a peak (Butterworth): 3 dB less at its frequency, 12 dB an octave below it.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A high-pass filter of all channels of a track.
pub(crate) struct HighPass {
    /// Of the numerator, and of the denominator without its first.
    b: [f64; 3],
    a: [f64; 2],
    state: Vec<[f64; 2]>,
}

impl HighPass {
    /// A filter of so many channels at `rate` samples a second, which attenuates what is below `hertz`.
    pub(crate) fn new(channels: usize, rate: u32, hertz: f64) -> Self {
        // Robert Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients". Half the sampling rate is out of reach.
        let angle = 2.0 * PI * (hertz / f64::from(rate.max(1))).min(0.49);
        let (cosine, alpha) = (angle.cos(), angle.sin() / (2.0 * FRAC_1_SQRT_2));
        let a0 = 1.0 + alpha;
        let outer = (1.0 + cosine) / 2.0 / a0;
        Self {
            b: [outer, -2.0 * outer, outer],
            a: [-2.0 * cosine / a0, (1.0 - alpha) / a0],
            state: vec![[0.0; 2]; channels],
        }
    }

    /// Filters samples in place.
    pub(crate) fn apply(&mut self, planes: &mut [Vec<f32>]) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        for (plane, [first, second]) in planes.iter_mut().zip(&mut self.state) {
            for sample in plane {
                let input = f64::from(*sample);
                let output = b0 * input + *first;
                *first = b1 * input - a1 * output + *second;
                *second = b2 * input - a2 * output;
                *sample = output as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_below_the_frequency_are_attenuated_by_12_decibels_an_octave() {
        let level = |hertz: f64| {
            let tone = |i: usize| (2.0 * PI * hertz * i as f64 / 48_000.0).sin() as f32;
            let mut planes = vec![(0..48_000).map(tone).collect::<Vec<f32>>()];
            HighPass::new(1, 48_000, 100.0).apply(&mut planes);
            let energy: f64 = planes[0][24_000..].iter().map(|s| f64::from(*s).powi(2)).sum();
            10.0 * (energy / 12_000.0).log10()
        };
        for (hertz, wanted) in [(1000.0, 0.0), (100.0, -3.01), (50.0, -12.3), (25.0, -24.1)] {
            assert!((level(hertz) - wanted).abs() < 0.1, "{hertz} Hz: {} dB", level(hertz));
        }
    }
}
