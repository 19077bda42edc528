//! Integrated loudness (ITU-R BS.1770-5, annex 1; EBU R 128).

use std::f64::consts::PI;

/// Blocks below this loudness are silence, in LUFS.
pub(crate) const SILENCE: f64 = -70.0;
/// Blocks are left out that are by so much softer than all together, in LU.
const SOFTER: f64 = -10.0;
/// Steps of a block, each of which another one begins at: 400 ms that overlap by three quarters.
const STEPS: usize = 4;
const STEPS_A_SECOND: u32 = 10;

/// How much a channel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In front of the listener.
    Front,
    /// At the side or behind: by 1.5 dB more.
    Around,
    /// The effects of low frequency, which do not count.
    LowFrequency,
}

impl Place {
    fn weight(self) -> f64 {
        match self {
            Self::Front => 1.0,
            Self::Around => 1.41,
            Self::LowFrequency => 0.0,
        }
    }
}

/// A filter of the second order: numerator, and denominator without its first.
type Filter = ([f64; 3], [f64; 2]);

/// Measures the loudness of a track.
pub(crate) struct LoudnessMeter {
    filters: [Filter; 2],
    channels: Vec<(f64, [[f64; 2]; 2])>,
    step: usize,
    /// Of the step that is being measured: how many samples there are of it, and their weighted energy.
    count: usize,
    energy: f64,
    /// Energies of the last steps.
    steps: [f64; STEPS],
    measured: usize,
    /// Mean energies of the blocks that are no silence.
    blocks: Vec<f32>,
}

impl LoudnessMeter {
    /// A meter of channels in these places at `rate` samples a second.
    pub(crate) fn new(places: &[Place], rate: u32) -> Self {
        Self {
            filters: weighting(f64::from(rate.max(1))),
            channels: places.iter().map(|place| (place.weight(), [[0.0; 2]; 2])).collect(),
            step: ((rate + STEPS_A_SECOND / 2) / STEPS_A_SECOND).max(1) as usize,
            count: 0,
            energy: 0.0,
            steps: [0.0; STEPS],
            measured: 0,
            blocks: Vec::new(),
        }
    }

    /// Takes samples, of each channel as many.
    pub(crate) fn push(&mut self, planes: &[Vec<f32>]) {
        let count = planes.first().map_or(0, Vec::len);
        let mut from = 0;
        while from < count {
            let to = count.min(from + self.step - self.count);
            for ((weight, states), plane) in self.channels.iter_mut().zip(planes) {
                let mut energy = 0.0;
                for sample in plane.get(from..to).unwrap_or_default() {
                    let mut value = f64::from(*sample);
                    for ((b, a), state) in self.filters.iter().zip(states.iter_mut()) {
                        let output = b[0] * value + state[0];
                        state[0] = b[1] * value - a[0] * output + state[1];
                        state[1] = b[2] * value - a[1] * output;
                        value = output;
                    }
                    energy += value * value;
                }
                self.energy += *weight * energy;
            }
            self.count += to - from;
            from = to;
            if self.count == self.step {
                self.end_step();
            }
        }
    }

    fn end_step(&mut self) {
        self.steps.rotate_left(1);
        self.steps[STEPS - 1] = std::mem::take(&mut self.energy) / self.step as f64;
        self.count = 0;
        self.measured += 1;
        let mean = self.steps.iter().sum::<f64>() / STEPS as f64;
        if self.measured >= STEPS && loudness(mean) >= SILENCE {
            self.blocks.push(mean as f32);
        }
    }

    /// Returns the loudness of all that it was given, in LUFS; minus infinity for silence, and for less than a block.
    pub(crate) fn integrated(&self) -> f64 {
        let mean = |least: f64| {
            let loud = self.blocks.iter().map(|energy| f64::from(*energy)).filter(|energy| *energy >= least);
            let (count, sum) = loud.fold((0_u64, 0.0), |(count, sum), energy| (count + 1, sum + energy));
            if count == 0 { 0.0 } else { sum / count as f64 }
        };
        loudness(mean(mean(0.0) * 10_f64.powf(SOFTER / 10.0)))
    }
}

/// The loudness of a mean energy (formula 2).
fn loudness(energy: f64) -> f64 {
    -0.691 + 10.0 * energy.log10()
}

/// The two filters of "K" weighting, which the tables of annex 1 have for 48 kHz, at any rate: a head's shelf above 1.7 kHz, and a
/// high pass at 38 Hz. The frequencies and their qualities are those of the filters in the tables (as libebur128 has them, too).
fn weighting(rate: f64) -> [Filter; 2] {
    let (hertz, decibels, quality) = (1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
    let k = (PI * hertz / rate).tan();
    let high = 10_f64.powf(decibels / 20.0);
    let band = high.powf(0.499_666_774_154_541_6);
    let a0 = 1.0 + k / quality + k * k;
    let shelf = (
        [
            (high + band * k / quality + k * k) / a0,
            2.0 * (k * k - high) / a0,
            (high - band * k / quality + k * k) / a0,
        ],
        [2.0 * (k * k - 1.0) / a0, (1.0 - k / quality + k * k) / a0],
    );
    let (hertz, quality) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);
    let k = (PI * hertz / rate).tan();
    let a0 = 1.0 + k / quality + k * k;
    let pass = ([1.0, -2.0, 1.0], [2.0 * (k * k - 1.0) / a0, (1.0 - k / quality + k * k) / a0]);
    [shelf, pass]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, seconds: u32, level: f64) -> Vec<f32> {
        let amplitude = 10_f64.powf(level / 20.0);
        let at = |i: u32| (amplitude * (2.0 * PI * 997.0 * f64::from(i) / f64::from(rate)).sin()) as f32;
        (0..rate * seconds).map(at).collect()
    }

    /// BS.1770, annex 1: a tone of 997 Hz of full scale in one channel has -3.01 LUFS; EBU Tech 3341, tests 1 and 2.
    #[test]
    fn tones_have_the_loudness_that_the_standards_say() {
        for rate in [44_100, 48_000, 96_000] {
            let of = |levels: &[f64], places: &[Place]| {
                let mut meter = LoudnessMeter::new(places, rate);
                meter.push(&levels.iter().map(|level| tone(rate, 3, *level)).collect::<Vec<_>>());
                meter.integrated()
            };
            let front = [Place::Front; 2];
            for (made, wanted) in [
                (of(&[0.0], &front[..1]), -3.01),
                (of(&[-23.0, -23.0], &front), -23.0),
                (of(&[-33.0, -33.0], &front), -33.0),
                (of(&[0.0], &[Place::Around]), -1.52),
                (of(&[0.0], &[Place::LowFrequency]), f64::NEG_INFINITY),
            ] {
                assert!(made == wanted || (made - wanted).abs() < 0.05, "{rate}: {made}, not {wanted}");
            }
        }
    }

    /// EBU Tech 3341, test 3: what is softer by more than 10 LU does not count.
    #[test]
    fn softer_parts_are_left_out_and_silence_has_none() {
        let mut meter = LoudnessMeter::new(&[Place::Front; 2], 48_000);
        for (seconds, level) in [(10, -36.0), (60, -23.0), (10, -36.0)] {
            let plane = tone(48_000, seconds, level);
            meter.push(&[plane.clone(), plane]);
        }
        assert!((meter.integrated() + 23.0).abs() < 0.1, "{}", meter.integrated());
        let mut silent = LoudnessMeter::new(&[Place::Front], 48_000);
        silent.push(&[vec![0.0; 96_000]]);
        assert_eq!(silent.integrated(), f64::NEG_INFINITY);
    }

    #[test]
    fn the_size_of_pieces_makes_no_difference() {
        let plane = tone(44_100, 2, -12.0);
        let of = |step: usize| {
            let mut meter = LoudnessMeter::new(&[Place::Front], 44_100);
            plane.chunks(step).for_each(|piece| meter.push(&[piece.to_vec()]));
            meter.integrated()
        };
        assert_eq!(of(1), of(100_000));
    }
}
