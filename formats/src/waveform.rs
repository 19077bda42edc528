//! Pictures of the sound's peaks: what a packet of peaks holds, and what is drawn of all of them. Pure.
//!
//! A pair of peaks is the least and the greatest of [`STEP`] samples of a channel. A packet states how many samples it stands for, in
//! two bytes, and has the pairs of each channel for each step behind it, in four bytes each; numbers are little-endian.

use crate::picture::{Coding, RGB};

/// Samples of a pair of peaks; the last one of a sound may have fewer.
pub const STEP: usize = 32;

/// The extension of a file.
pub const EXTENSION: &str = crate::drawing::EXTENSION;

/// How a picture is coded: with an alpha channel, for backgrounds that are transparent.
pub const CODING: Coding = Coding {
    is_lossless: true,
    encoders: &["png"],
    scaled_format: PIXEL_FORMAT,
    pixel_format: PIXEL_FORMAT,
    color: RGB,
    options: &[],
};

/// Red, green, blue and alpha, a byte each.
const PIXEL_FORMAT: &str = "rgba";

/// Bytes in front of the pairs of a packet, and of a pair.
const COUNT: usize = 2;
const PAIR: usize = 4;

/// The greatest sample.
const FULL: i64 = i16::MAX as i64;

/// The least and the greatest of some samples, from -32,767 to 32,767.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// The least.
    pub low: i16,
    /// The greatest.
    pub high: i16,
}

impl Peak {
    /// The peaks of silence.
    pub const SILENCE: Self = Self { low: 0, high: 0 };

    /// Returns the peaks of samples from -1 to 1; others are clipped.
    #[must_use]
    pub fn of(samples: &[f32]) -> Self {
        let whole = |sample: f32| (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16;
        // What is no number is passed over.
        let low = samples.iter().copied().reduce(f32::min).unwrap_or(0.0);
        let high = samples.iter().copied().reduce(f32::max).unwrap_or(0.0);
        Self { low: whole(low), high: whole(high) }
    }

    fn and(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// Returns the packet of these samples, a slice a channel, all of the same length of at most 65,535.
#[must_use]
pub fn packet(channels: &[&[f32]]) -> Vec<u8> {
    let count = channels.first().map_or(0, |samples| samples.len());
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let mut packet = count.to_le_bytes().to_vec();
    for start in (0..usize::from(count)).step_by(STEP) {
        let end = (start + STEP).min(usize::from(count));
        for samples in channels {
            let Peak { low, high } = samples.get(start..end).map_or(Peak::SILENCE, Peak::of);
            packet.extend(low.to_le_bytes());
            packet.extend(high.to_le_bytes());
        }
    }
    packet
}

/// A packet that was read.
#[derive(Debug, Clone, Copy)]
pub struct Peaks<'a> {
    /// How many samples a channel it stands for, 1 or more.
    pub samples: usize,
    channels: usize,
    pairs: &'a [u8],
}

impl<'a> Peaks<'a> {
    /// Reads a packet of so many channels; `None` if it is none of them.
    #[must_use]
    pub fn read(packet: &'a [u8], channels: usize) -> Option<Self> {
        let (count, pairs) = packet.split_first_chunk::<COUNT>()?;
        let samples = usize::from(u16::from_le_bytes(*count));
        let bytes = channels.checked_mul(PAIR)?.checked_mul(samples.div_ceil(STEP))?;
        let is_whole = samples > 0 && channels > 0 && pairs.len() == bytes;
        is_whole.then_some(Self { samples, channels, pairs })
    }

    /// Returns the samples that each step stands for, and the peaks of its channels.
    fn steps(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = Peak>)> {
        let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, i16::from_le_bytes);
        let peak = move |pair: &[u8]| Peak { low: number(pair), high: pair.get(2..).map_or(0, number) };
        let steps = self.pairs.chunks_exact(PAIR * self.channels).enumerate();
        let samples = self.samples;
        steps.map(move |(at, pairs)| {
            let count = STEP.min(samples.saturating_sub(at * STEP));
            (count, pairs.chunks_exact(PAIR).map(peak))
        })
    }
}

/// How a waveform is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The width, in pixels, 1 or more.
    pub width: usize,
    /// The height, in pixels, one for each lane or more.
    pub height: usize,
    /// The colour of the peaks: red, green, blue and alpha.
    pub color: [u8; 4],
    /// The colour behind them.
    pub background: [u8; 4],
}

/// The peaks of each column of a picture, gathered packet by packet. A column stands for an equal part of the samples.
#[derive(Debug, Clone)]
pub struct Columns {
    /// A row of columns for each lane.
    lanes: Vec<Vec<Option<Peak>>>,
    width: u64,
    /// All samples, and those that were taken.
    samples: u64,
    taken: u64,
}

impl Columns {
    /// Returns the columns of a picture of this width and of so many samples, with a lane for each of so many channels, or one for
    /// all of them if there is one lane: it shows the peaks of the loudest.
    #[must_use]
    pub fn new(width: usize, lanes: usize, samples: u64) -> Self {
        let lanes = vec![vec![None; width.max(1)]; lanes.max(1)];
        Self { lanes, width: width.max(1) as u64, samples, taken: 0 }
    }

    /// Returns how many samples were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next packet. What is more than all samples is left out.
    pub fn add(&mut self, peaks: &Peaks<'_>) {
        for (count, channels) in peaks.steps() {
            let start = self.taken;
            self.taken = start.saturating_add(count as u64);
            let Some((first, last)) = self.columns(start, self.taken) else { continue };
            for (channel, peak) in channels.enumerate() {
                let lane = channel.min(self.lanes.len() - 1);
                let columns = self.lanes.get_mut(lane).and_then(|lane| lane.get_mut(first..=last));
                for column in columns.unwrap_or_default() {
                    *column = Some(column.map_or(peak, |before| before.and(peak)));
                }
            }
        }
    }

    /// Returns the first and the last column that these samples lie in; `None` if they lie behind the last one.
    fn columns(&self, start: u64, end: u64) -> Option<(usize, usize)> {
        let end = end.min(self.samples);
        let place = |sample: u64| u128::from(sample) * u128::from(self.width);
        let last = place(end).checked_sub(1).filter(|_| end > start)?;
        let samples = u128::from(self.samples.max(1));
        Some((usize::try_from(place(start) / samples).ok()?, usize::try_from(last / samples).ok()?))
    }

    /// Draws them: rows of pixels of four bytes from the top, without padding. Silence is a line of one pixel in the middle of its lane.
    #[must_use]
    pub fn draw(&self, style: &Style) -> Vec<u8> {
        let width = self.lanes.first().map_or(0, Vec::len);
        let mut pixels = style.background.repeat(width * style.height);
        let count = self.lanes.len();
        for (number, lane) in self.lanes.iter().enumerate() {
            let (top, end) = (number * style.height / count, (number + 1) * style.height / count);
            for (x, peak) in lane.iter().enumerate() {
                let Peak { low, high } = peak.unwrap_or(Peak::SILENCE);
                for y in row(high, end - top)..=row(low, end - top) {
                    let at = ((top + y) * width + x) * PIXEL_BYTES;
                    if let Some(pixel) = pixels.get_mut(at..at + PIXEL_BYTES) {
                        pixel.copy_from_slice(&style.color);
                    }
                }
            }
        }
        pixels
    }
}

/// The bytes of a pixel.
pub const PIXEL_BYTES: usize = 4;

/// Returns the row of a sample in a lane of so many rows, of which the first is that of the greatest sample.
fn row(sample: i16, rows: usize) -> usize {
    let last = i64::try_from(rows).unwrap_or(0).saturating_sub(1).max(0);
    let down = FULL - i64::from(sample).clamp(-FULL, FULL);
    usize::try_from((down * last + FULL) / (2 * FULL)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(channels: &[&[f32]], width: usize, lanes: usize) -> Columns {
        let samples = channels[0].len() as u64;
        let mut columns = Columns::new(width, lanes, samples);
        for start in (0..channels[0].len()).step_by(4096) {
            let part: Vec<&[f32]> =
                channels.iter().map(|all| &all[start..(start + 4096).min(all.len())]).collect();
            columns.add(&Peaks::read(&packet(&part), channels.len()).unwrap());
        }
        assert_eq!(columns.taken(), samples);
        columns
    }

    const STYLE: Style = Style { width: 10, height: 9, color: [1, 2, 3, 255], background: [0, 0, 0, 0] };

    /// The rows that are drawn of each column.
    fn rows(columns: &Columns, width: usize) -> Vec<Vec<usize>> {
        let pixels = columns.draw(&Style { width, ..STYLE });
        let is_drawn = |x: usize, y: usize| pixels[(y * width + x) * 4] == 1;
        (0..width).map(|x| (0..STYLE.height).filter(|y| is_drawn(x, *y)).collect()).collect()
    }

    #[test]
    fn a_packet_has_the_least_and_the_greatest_of_each_step() {
        let mut left = vec![0.0; 70];
        (left[0], left[33], left[40], left[69]) = (2.0, -0.5, 0.25, f32::NAN);
        let right = vec![-0.125; 70];
        let packet = packet(&[&left, &right]);
        assert_eq!(packet.len(), 2 + 3 * 2 * 4);
        let read = Peaks::read(&packet, 2).unwrap();
        assert_eq!(read.samples, 70);
        let steps: Vec<(usize, Vec<(i16, i16)>)> =
            read.steps().map(|(count, of)| (count, of.map(|peak| (peak.low, peak.high)).collect())).collect();
        let quiet = (-4096, -4096);
        assert_eq!(
            steps,
            [(32, vec![(0, 32_767), quiet]), (32, vec![(-16_384, 8192), quiet]), (6, vec![(0, 0), quiet]),]
        );
    }

    #[test]
    fn a_packet_of_another_length_is_none() {
        let packet = packet(&[&[0.5; 40]]);
        assert!(Peaks::read(&packet, 1).is_some());
        for (bytes, channels) in
            [(&packet[..9], 1), (&packet[..], 2), (&packet[..], 0), (&[0, 0][..], 1), (&[7][..], 1), (&[], 1)]
        {
            assert!(Peaks::read(bytes, channels).is_none(), "{bytes:?} of {channels}");
        }
    }

    #[test]
    fn a_tone_is_drawn_in_the_columns_of_its_samples_and_silence_is_a_line() {
        let mut samples = vec![0.0; 32_000];
        for (at, sample) in samples[9600..12_800].iter_mut().enumerate() {
            *sample = if at % 2 == 0 { 1.0 } else { -1.0 };
        }
        let rows = rows(&taken(&[&samples], 10, 1), 10);
        for (x, drawn) in rows.iter().enumerate() {
            let expected = if x == 3 { (0..9).collect() } else { vec![4] };
            assert_eq!(*drawn, expected, "column {x}");
        }
    }

    #[test]
    fn channels_have_lanes_of_their_own_or_one_that_shows_the_loudest() {
        let (loud, quiet) = (vec![1.0; 640], vec![0.0; 640]);
        let mixed = rows(&taken(&[&quiet, &loud], 10, 1), 10);
        assert!(mixed.iter().all(|drawn| *drawn == [0, 1, 2, 3, 4]), "{mixed:?}");
        let split = rows(&taken(&[&quiet, &loud], 10, 2), 10);
        // Four rows of the first, whose middle is between two of them, and five of the second.
        assert!(split.iter().all(|drawn| *drawn == [2, 4]), "{split:?}");
    }

    #[test]
    fn sound_of_fewer_samples_than_columns_fills_all_of_them() {
        let rows = rows(&taken(&[&[1.0, 1.0, -1.0]], 10, 1), 10);
        assert!(rows.iter().all(|drawn| drawn.len() == 9), "one step: {rows:?}");
        let silent = Columns::new(4, 1, 0).draw(&Style { width: 4, ..STYLE });
        assert_eq!(silent.chunks(4).filter(|pixel| pixel[0] == 1).count(), 4);
    }
}
