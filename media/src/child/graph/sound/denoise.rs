//! Removes noise, by libavfilter's `afftdn` with its usual options (12 dB less of a floor of noise at -50 dB).

use crate::child::{failure::Failure, libav::sound_filter::SoundFilter};

const FILTER: &str = "afftdn";
const DOING: &str = "removing noise";

/// Removes the noise of all channels of a track.
pub(super) struct Denoiser {
    channels: Vec<SoundFilter>,
    /// What came out of each channel's filter and was not given back.
    made: Vec<Vec<f32>>,
    /// How many samples that come out next are of before the first one.
    early: usize,
    /// By how many samples what comes out is late.
    late: usize,
    taken: usize,
    given: usize,
}

impl Denoiser {
    /// A filter of so many channels at `rate` samples a second.
    ///
    /// # Errors
    /// If this FFmpeg is built without it, or what libavfilter says.
    pub(super) fn new(channels: usize, rate: i32) -> Result<Self, Failure> {
        let late = lateness(rate)?;
        let build = |_| SoundFilter::build(FILTER, rate, DOING);
        Ok(Self {
            channels: (0..channels).map(build).collect::<Result<_, _>>()?,
            made: vec![Vec::new(); channels],
            early: late,
            late,
            taken: 0,
            given: 0,
        })
    }

    /// Takes samples, of each channel as many, and returns those that are done.
    pub(super) fn push(&mut self, planes: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Failure> {
        self.taken += planes.first().map_or(0, Vec::len);
        for ((channel, made), plane) in self.channels.iter_mut().zip(&mut self.made).zip(planes) {
            channel.push(plane)?;
            channel.pull(made)?;
        }
        Ok(self.give(usize::MAX))
    }

    /// Returns the samples that are held back.
    pub(super) fn finish(&mut self) -> Result<Vec<Vec<f32>>, Failure> {
        for (channel, made) in self.channels.iter_mut().zip(&mut self.made) {
            channel.push(&vec![0.0; self.late])?;
            channel.flush()?;
            channel.pull(made)?;
        }
        let left = self.taken - self.given;
        let made = self.give(left);
        if made.iter().all(|plane| plane.len() == left) {
            Ok(made)
        } else {
            Err(Failure::new(format!("{DOING}: samples are missing at the end")))
        }
    }

    /// Gives back at most so many samples of each channel.
    fn give(&mut self, most: usize) -> Vec<Vec<f32>> {
        let there = self.made.iter().map(Vec::len).min().unwrap_or(0);
        let early = self.early.min(there);
        self.early -= early;
        let count = (there - early).min(most);
        self.given += count;
        let mut given = Vec::with_capacity(self.made.len());
        for made in &mut self.made {
            given.push(made[early..early + count].to_vec());
            made.drain(..early + count);
        }
        given
    }
}

/// Returns by how many samples the filter's output is late: where an impulse comes out. FFmpeg's versions differ in the windows that it
/// looks at, and state no time of it.
fn lateness(rate: i32) -> Result<usize, Failure> {
    let second = usize::try_from(rate).unwrap_or(0);
    let mut filter = SoundFilter::build(FILTER, rate, DOING)?;
    let mut samples = vec![0.0; second];
    let at = second / 4;
    samples[at] = 0.9;
    filter.push(&samples)?;
    filter.flush()?;
    let mut made = Vec::new();
    filter.pull(&mut made)?;
    let loudest = made.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let found = loudest.and_then(|(found, _)| found.checked_sub(at));
    found.ok_or_else(|| Failure::new(format!("{DOING}: '{FILTER}' gives samples before they come")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_stay_where_they_are_noise_gets_less_and_no_sample_is_lost() {
        for rate in [8000, 44_100, 48_000] {
            let tone =
                |i: usize| (i as f32 * 0.2).sin() * if (i / 3000).is_multiple_of(2) { 0.5 } else { 0.0 };
            let mut state = 1_u32;
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.003
            };
            let samples: Vec<f32> = (0..30_001).map(|i| tone(i) + noise()).collect();
            let mut denoiser = Denoiser::new(2, rate).unwrap();
            let mut made = Vec::new();
            for piece in samples.chunks(1024) {
                made.extend(denoiser.push(&[piece.to_vec(), piece.to_vec()]).unwrap().remove(1));
            }
            made.extend(denoiser.finish().unwrap().remove(1));
            assert_eq!(made.len(), samples.len());
            let energy = |samples: &[f32]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
            let rest = |shift: usize| {
                let pairs = made[shift..].iter().zip((0..30_001).map(tone));
                energy(&pairs.map(|(made, tone)| made - tone).collect::<Vec<f32>>())
            };
            let noisy = energy(&samples.iter().enumerate().map(|(i, s)| s - tone(i)).collect::<Vec<f32>>());
            assert!(rest(0) < rest(1) && rest(0) < noisy * 200.0, "{rate}: {} of {noisy}", rest(0));
            // In the second half of a pause.
            let pause = 28_500..29_900;
            assert!(energy(&made[pause.clone()]) < 0.5 * energy(&samples[pause]), "{rate}");
        }
    }
}
