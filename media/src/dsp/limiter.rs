//! A limiter: amplifies less around true peaks that would be above its ceiling, beginning before them, the same in all channels.
//!
//! The gain that a sample may have follows from the peak around it. The least one within a window holds, and means over that window
//! make steps into smooth ramps: each value that goes into the mean at a sample is the least of a window that has this sample in it, so
//! the mean can't be above what the sample may have.

use std::collections::VecDeque;

use super::{amplitude, peak::PeakMeter};

/// How long before a peak the gain begins to fall, in seconds: shorter ramps are heard as distortion of low tones.
const AHEAD: f64 = 0.005;
/// In which time the gain comes back by 1 - 1/e of what it fell, in seconds: slow enough that it does not follow the waves of low tones,
/// and fast enough that what is behind a click is not much softer.
const RECOVERY: f64 = 0.1;

/// A limiter of the samples of all channels of a track.
pub(crate) struct Limiter {
    ceiling: f64,
    meters: Vec<PeakMeter>,
    /// The samples that came and are not given back, a queue a channel.
    waiting: Vec<VecDeque<f32>>,
    /// What the gain comes back by from one sample to the next, as a part of what it fell.
    recovery: f64,
    recovered: f64,
    least: Least,
    means: [Mean; 2],
    /// By how many samples the gains are late.
    late: usize,
    /// How many samples came.
    taken: usize,
}

impl Limiter {
    /// A limiter of so many channels at `rate` samples a second, above whose true peaks of `ceiling` dBTP nothing is left.
    pub(crate) fn new(channels: usize, rate: u32, ceiling: f64) -> Self {
        let half = ((f64::from(rate) * AHEAD / 2.0).round() as usize).max(1);
        // Both means together see 2 × half - 1 values; the peak around a sample reaches from the one before it to the one behind it.
        let ramp = 2 * half - 1;
        Self {
            ceiling: amplitude(ceiling),
            meters: (0..channels).map(|_| PeakMeter::new()).collect(),
            waiting: vec![VecDeque::new(); channels],
            recovery: 1.0 - (-1.0 / (RECOVERY * f64::from(rate.max(1)))).exp(),
            recovered: 1.0,
            least: Least::over(ramp + 2),
            means: [Mean::over(half), Mean::over(half)],
            late: ramp + PeakMeter::LATE,
            taken: 0,
        }
    }

    /// Takes samples, of each channel as many, and returns those whose gain is known.
    pub(crate) fn push(&mut self, planes: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let count = planes.first().map_or(0, Vec::len);
        let mut made = vec![Vec::with_capacity(count); self.waiting.len()];
        for i in 0..count {
            let mut peak = 0_f32;
            for ((meter, waiting), plane) in self.meters.iter_mut().zip(&mut self.waiting).zip(planes) {
                let sample = plane.get(i).copied().unwrap_or(0.0);
                peak = peak.max(meter.push(sample));
                waiting.push_back(sample);
            }
            let may_be = (self.ceiling / f64::from(peak).max(self.ceiling)).min(1.0);
            self.recovered += (1.0 - self.recovered) * self.recovery;
            self.recovered = self.recovered.min(may_be);
            let least = self.least.push(self.recovered);
            let gain = self.means.iter_mut().fold(least, |value, mean| mean.push(value));
            self.taken += 1;
            if self.taken <= self.late {
                continue;
            }
            for (waiting, made) in self.waiting.iter_mut().zip(&mut made) {
                made.extend(waiting.pop_front().map(|sample| (f64::from(sample) * gain) as f32));
            }
        }
        made
    }

    /// Returns the samples that are held back.
    pub(crate) fn finish(&mut self) -> Vec<Vec<f32>> {
        let held = self.waiting.first().map_or(0, VecDeque::len);
        let silence = vec![vec![0.0; self.late]; self.waiting.len()];
        let mut made = self.push(&silence);
        for (made, waiting) in made.iter_mut().zip(&mut self.waiting) {
            made.truncate(held);
            waiting.clear();
        }
        made
    }
}

/// The least of the last so many values.
struct Least {
    over: usize,
    count: usize,
    /// The values that may become the least, with their numbers; they ascend.
    candidates: VecDeque<(usize, f64)>,
}

impl Least {
    fn over(over: usize) -> Self {
        Self { over, count: 0, candidates: VecDeque::new() }
    }

    fn push(&mut self, value: f64) -> f64 {
        while self.candidates.back().is_some_and(|(_, last)| *last >= value) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((self.count, value));
        self.count += 1;
        while self.candidates.front().is_some_and(|(number, _)| number + self.over < self.count) {
            self.candidates.pop_front();
        }
        self.candidates.front().map_or(value, |(_, least)| *least)
    }
}

/// The mean of the last so many values, before which there were ones.
struct Mean {
    last: VecDeque<f64>,
    sum: f64,
}

impl Mean {
    fn over(over: usize) -> Self {
        Self { last: vec![1.0; over].into(), sum: over as f64 }
    }

    fn push(&mut self, value: f64) -> f64 {
        self.sum += value - self.last.pop_front().unwrap_or(0.0);
        self.last.push_back(value);
        self.sum / self.last.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dsp::decibels;

    fn limited(planes: &[Vec<f32>], rate: u32, ceiling: f64, step: usize) -> Vec<Vec<f32>> {
        let mut limiter = Limiter::new(planes.len(), rate, ceiling);
        let mut made = vec![Vec::new(); planes.len()];
        let count = planes[0].len();
        let mut add = |more: Vec<Vec<f32>>| {
            made.iter_mut().zip(more).for_each(|(made, more)| made.extend(more));
        };
        for at in (0..count).step_by(step) {
            let end = count.min(at + step);
            add(limiter.push(&planes.iter().map(|plane| plane[at..end].to_vec()).collect::<Vec<_>>()));
        }
        add(limiter.finish());
        made
    }

    fn peak(plane: &[f32]) -> f64 {
        let mut meter = PeakMeter::new();
        let silence = [0.0; PeakMeter::LATE];
        decibels(f64::from(
            plane.iter().chain(&silence).map(|sample| meter.push(*sample)).fold(0.0, f32::max),
        ))
    }

    #[test]
    fn sound_below_the_ceiling_stays_as_it_is() {
        let wave: Vec<f32> = (0..5000).map(|i| 0.5 * (i as f32 * 0.1).sin()).collect();
        assert_eq!(limited(std::slice::from_ref(&wave), 48_000, -1.0, 777), [wave]);
    }

    #[test]
    fn a_peak_of_one_channel_lowers_all_alike_and_only_around_it() {
        let mut left = vec![0.1_f32; 40_000];
        left[20_000] = 2.0;
        let right = vec![0.1_f32; 40_000];
        let made = limited(&[left, right], 48_000, -6.0, 4096);
        assert!(peak(&made[0]) <= -5.95, "{}", peak(&made[0]));
        assert_eq!((made[1][0], made[1][19_000]), (0.1, 0.1));
        assert!(made[1][20_000] < 0.03 && made[1][39_000] > 0.08, "{:?}", (made[1][20_000], made[1][39_000]));
    }

    proptest! {
        #[test]
        fn true_peaks_are_held_and_no_sample_is_lost(
            seed in any::<u32>(), loud in 0.5_f32..20.0, count in 1_usize..6000, step in 1_usize..3000,
            rate in prop::sample::select(vec![8000_u32, 44_100, 48_000, 96_000]), ceiling in -12.0..0.0_f64,
        ) {
            let mut state = seed;
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            // Noise without the highest tones, in bursts.
            let mut last = 0.0;
            let wave: Vec<f32> = (0..count)
                .map(|i| {
                    last = 0.6 * last + 0.4 * noise();
                    if i / 700 % 2 == 0 { loud * last } else { 0.1 * last }
                })
                .collect();
            let made = limited(&[wave.clone(), wave], rate, ceiling, step);
            prop_assert_eq!((made[0].len(), made[1].len()), (count, count));
            prop_assert!(peak(&made[0]) <= ceiling + 0.05, "{} dBTP of {}", peak(&made[0]), ceiling);
        }
    }
}
