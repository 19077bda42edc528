//! Channels of sound: whether each carries what the source's does.

use ffmpeg_next::frame;

use super::reading::Reading;
use crate::{
    child::{
        failure::Failure,
        libav::{layout::Layout, resampler::Resampler},
        report::Reporter,
        source::Source,
    },
    protocol::ChannelSimilarity,
};

/// Channels are looked at at so many samples a second.
const RATE: u32 = 16_000;
/// How many bands a channel is parted into, from 60 Hz to 6 kHz, and by how much each is above the one before.
const BANDS: usize = 32;
const LOWEST_HZ: f64 = 60.0;
const HIGHEST_HZ: f64 = 6000.0;
/// A channel whose level is a smaller part of the loudest one's is not compared.
const SILENT: f64 = 0.03;

/// The level of each band of each channel, second by second.
pub(super) fn levels(
    source: Source,
    streams: &[i32],
    reporter: &mut Reporter,
) -> Result<Vec<Vec<Vec<f64>>>, Failure> {
    let mut reading = Reading::<frame::Audio>::open(source, streams)?;
    let mut resampler: Option<(Resampler, Layout)> = None;
    let mut channels: Vec<Vec<Band>> = Vec::new();
    let (mut seconds, mut heard) = (Vec::new(), 0);
    while let Some(frame) = reading.next()? {
        reporter.progress(0, 0);
        let layout = first_layout(&resampler, &frame);
        if !resampler.as_ref().is_some_and(|(known, _)| known.fits(&frame, Layout::of_frame(&frame))) {
            let made = Resampler::new(&frame, Layout::of_frame(&frame), layout, RATE)?;
            resampler = Some((made, layout));
        }
        let Some((known, _)) = &mut resampler else { break };
        let planes = known.convert(Some(&frame))?;
        channels.resize_with(planes.len().max(channels.len()), || (0..BANDS).map(Band::new).collect());
        for (bands, plane) in channels.iter_mut().zip(&planes) {
            bands.iter_mut().for_each(|band| plane.iter().for_each(|sample| band.hear(f64::from(*sample))));
        }
        heard += planes.first().map_or(0, Vec::len);
        if heard >= RATE as usize {
            heard = 0;
            let level = |bands: &mut Vec<Band>| bands.iter_mut().map(Band::take_level).collect();
            seconds.push(channels.iter_mut().map(level).collect());
        }
    }
    Ok(seconds)
}

/// The layout of the first frame: what follows is brought to it.
fn first_layout(resampler: &Option<(Resampler, Layout)>, frame: &frame::Audio) -> Layout {
    resampler.as_ref().map_or_else(|| Layout::of_frame(frame), |(_, layout)| *layout)
}

/// Compares levels second by second and channel by channel; silent ones are left out.
pub(super) fn compare(a: &[Vec<Vec<f64>>], b: &[Vec<Vec<f64>>], track: usize) -> Vec<ChannelSimilarity> {
    let seconds = a.iter().zip(b).enumerate();
    seconds.flat_map(|(second, (a, b))| compare_second(a, b, track, second)).collect()
}

fn compare_second(a: &[Vec<f64>], b: &[Vec<f64>], track: usize, second: usize) -> Vec<ChannelSimilarity> {
    let norm = |levels: &[f64]| levels.iter().map(|x| x * x).sum::<f64>().sqrt();
    let loudest = a.iter().map(|levels| norm(levels)).fold(0.0, f64::max);
    let pairs = a.iter().zip(b).enumerate();
    pairs
        .filter(|(_, (a, _))| norm(a) > SILENT * loudest)
        .map(|(channel, (a, b))| {
            let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
            ChannelSimilarity { track, channel, second, likeness: dot / (norm(a) * norm(b) + 1e-12) }
        })
        .collect()
}

/// A band of a channel: a resonator of two poles, and the energy that comes out of it.
struct Band {
    a: f64,
    b: f64,
    last: (f64, f64),
    energy: f64,
    count: u64,
}

impl Band {
    fn new(number: usize) -> Self {
        let ratio = (HIGHEST_HZ / LOWEST_HZ).powf(number as f64 / (BANDS - 1) as f64);
        let frequency = LOWEST_HZ * ratio;
        // As wide as the bands are apart.
        let radius = 1.0 - 0.07 * frequency * std::f64::consts::PI / f64::from(RATE);
        let angle = 2.0 * std::f64::consts::PI * frequency / f64::from(RATE);
        Self { a: 2.0 * radius * angle.cos(), b: -radius * radius, last: (0.0, 0.0), energy: 0.0, count: 0 }
    }

    fn hear(&mut self, sample: f64) {
        let now = sample * (1.0 + self.b) + self.a * self.last.0 + self.b * self.last.1;
        self.last = (now, self.last.0);
        self.energy += now * now;
        self.count += 1;
    }

    /// The level since it was asked for last.
    fn take_level(&mut self) -> f64 {
        let (energy, count) = (std::mem::take(&mut self.energy), std::mem::take(&mut self.count));
        (energy / count.max(1) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64) -> Vec<f64> {
        let mut bands: Vec<Band> = (0..BANDS).map(Band::new).collect();
        for i in 0..RATE {
            let sample = (2.0 * std::f64::consts::PI * hertz * f64::from(i) / f64::from(RATE)).sin();
            bands.iter_mut().for_each(|band| band.hear(sample));
        }
        bands.iter_mut().map(Band::take_level).collect()
    }

    #[test]
    fn channels_that_were_swapped_are_not_alike() {
        let (a, b) = (tone(400.0), tone(700.0));
        let right = compare_second(&[a.clone(), b.clone()], &[a.clone(), b.clone()], 0, 0);
        assert!(right.iter().all(|channel| channel.likeness > 0.99));
        let swapped = compare_second(&[a.clone(), b.clone()], &[b, a.clone()], 0, 0);
        assert!(swapped.iter().all(|channel| channel.likeness < 0.5), "{swapped:?}");
        let silent = compare_second(&[a.clone(), vec![0.0; BANDS]], &[a.clone(), a], 0, 0);
        assert_eq!(silent.len(), 1, "a silent one is like nothing");
    }
}
