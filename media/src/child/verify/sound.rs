//! Sound: when it is heard, and how much it is alike.

use ffmpeg_next::{
    self as ff, ChannelLayout,
    ffi::{av_samples_set_silence, swr_convert_frame},
    format::{Sample, sample::Type},
    frame,
    software::resampling,
};

use super::frames::Frames;
use crate::{
    child::{Failure, Reporter, decoder::SoundDecoder, source::Source},
    protocol::{Heard, SecondMeasured},
    timeline::{Clock, place},
};

/// A stop of the sound that is longer, in seconds, is a hole.
const HOLE_SECONDS: f64 = 0.002;
/// Sound is compared at so many samples a second, one channel.
const RATE: i64 = 8000;
/// How far it is looked for, in samples each way.
const REACH: usize = 480;
/// A second that is more silent, on average, is not compared.
const SILENT: f64 = 1e-3;
/// The longest hole that is filled, in seconds. It lies in memory.
const LONGEST_HOLE_SECONDS: i64 = 3600;

/// Decodes a track to its end.
pub(super) fn measure(source: Source, stream: i32, reporter: &mut Reporter) -> Result<Heard, Failure> {
    let mut frames = Frames::<SoundDecoder>::open(source, stream)?;
    let mut heard = Heard::default();
    let mut begun = false;
    while let Some(frame) = frames.next() {
        reporter.progress(0, 0);
        let (rate, samples) = (f64::from(frame.rate().max(1)), frame.samples() as f64);
        let at = frame.timestamp().map_or(heard.end, |pts| pts as f64 * frames.tick());
        if !std::mem::replace(&mut begun, true) {
            heard = Heard {
                start: at,
                rate: frame.rate().cast_signed(),
                channels: i32::from(frame.channels()),
                ..Heard::default()
            };
        } else if (at - heard.end).abs() > HOLE_SECONDS {
            heard.holes += 1;
        }
        heard.end = at + samples / rate;
        heard.samples += frame.samples() as i64;
    }
    heard.damaged = frames.damaged;
    Ok(heard)
}

/// A track as one channel of few samples a second, each in its place.
pub(super) struct Mono {
    frames: Frames<SoundDecoder>,
    resampler: Option<resampling::Context>,
    /// Where the sound that was put in so far ends, in the source's samples.
    end: i64,
    /// Time zero, in samples.
    zero: i64,
    /// The samples from `start` on, in samples from time zero.
    samples: Vec<f32>,
    start: i64,
    ended: bool,
}

impl Mono {
    /// `zero` is the time that counts as zero, in seconds.
    pub(super) fn open(source: Source, stream: i32, zero: f64) -> Result<Self, Failure> {
        let frames = Frames::open(source, stream)?;
        let zero = (zero * RATE as f64).round() as i64;
        Ok(Self { frames, resampler: None, end: 0, zero, samples: Vec::new(), start: 0, ended: false })
    }

    /// Makes samples from `from` up to `to` be there, and forgets those before; `false` where it ends earlier.
    fn need(&mut self, from: i64, to: i64) -> Result<bool, Failure> {
        let old = usize::try_from(from - self.start).unwrap_or(0).min(self.samples.len());
        self.samples.drain(..old);
        self.start += old as i64;
        while self.start + (self.samples.len() as i64) < to && !self.ended {
            match self.frames.next() {
                Some(frame) => self.take(Some(&frame))?,
                None => {
                    self.take(None)?;
                    self.ended = true;
                }
            }
        }
        Ok(self.start + self.samples.len() as i64 >= to)
    }

    fn take(&mut self, frame: Option<&frame::Audio>) -> Result<(), Failure> {
        if let Some(frame) = frame {
            let at = frame.timestamp().map(|pts| {
                let samples = Clock { num: 1, den: RATE };
                place(pts, self.frames.clock, (0, samples), samples) - self.zero
            });
            let fits = self.resampler.as_ref().is_some_and(|r| {
                let input = r.input();
                (input.format, input.rate, input.channel_layout)
                    == (frame.format(), frame.rate(), frame.channel_layout())
            });
            let rate = i64::from(frame.rate().max(1));
            let in_source = Clock { num: 1, den: rate };
            let exact = frame.timestamp().map(|pts| place(pts, self.frames.clock, (0, in_source), in_source));
            let begins = self.resampler.is_none();
            if !fits {
                self.resample(None)?;
                let mono = ChannelLayout::MONO;
                let format = Sample::F32(Type::Planar);
                let made = resampling::Context::get(
                    frame.format(),
                    frame.channel_layout(),
                    frame.rate(),
                    format,
                    mono,
                    RATE as u32,
                );
                if let Some(old) = &self.resampler {
                    let old = Clock { num: 1, den: i64::from(old.input().rate.max(1)) };
                    self.end = place(self.end, old, (0, in_source), in_source);
                }
                self.resampler = Some(made.map_err(Failure::at("converting sound"))?);
            }
            if begins && self.samples.is_empty() {
                self.start = at.unwrap_or(0);
                self.end = exact.unwrap_or(0);
            }
            // As sound is transcoded: what is shorter is the container's rounding, but for behind damage. Silence goes in at
            // the source's rate: a part of a sample here would move all that follows.
            let rounding = if self.frames.is_wary() { rate / 200 } else { rate / 20 };
            let mut hole = exact.map_or(0, |exact| exact - self.end);
            if (rounding..LONGEST_HOLE_SECONDS * rate).contains(&hole) {
                self.end += hole;
                while hole > 0 {
                    let long = hole.min(rate);
                    self.resample(Some(&silence(frame, usize::try_from(long).unwrap_or(0))))?;
                    hole -= long;
                }
            }
            self.end += frame.samples() as i64;
        }
        self.resample(frame)
    }

    fn resample(&mut self, frame: Option<&frame::Audio>) -> Result<(), Failure> {
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        let mut out = frame::Audio::empty();
        out.set_format(Sample::F32(Type::Planar));
        out.set_channel_layout(ChannelLayout::MONO);
        out.set_rate(RATE as u32);
        // SAFETY: the resampler is set up for frames like the input; the output has no buffer, so that one of the
        // right size is made.
        let result = unsafe {
            let input = frame.map_or(std::ptr::null(), |frame| frame.as_ptr());
            swr_convert_frame(resampler.as_mut_ptr(), out.as_mut_ptr(), input)
        };
        if result < 0 {
            return Err(Failure::at("converting sound")(ff::Error::from(result)));
        }
        if out.samples() > 0 {
            self.samples.extend_from_slice(&out.plane::<f32>(0)[..out.samples()]);
        }
        Ok(())
    }

    /// Samples from a place on; those before the first are silent.
    fn slice(&self, from: i64, count: usize) -> Vec<f32> {
        let at = |i: usize| usize::try_from(from + i as i64 - self.start).ok();
        (0..count).map(|i| at(i).and_then(|at| self.samples.get(at)).copied().unwrap_or(0.0)).collect()
    }
}

/// So many samples of silence, like a frame.
fn silence(like: &frame::Audio, samples: usize) -> frame::Audio {
    let mut silent = frame::Audio::new(like.format(), samples, like.channel_layout());
    silent.set_rate(like.rate());
    // SAFETY: the frame was made here with room for so many samples, in this format.
    unsafe {
        let raw = silent.as_mut_ptr();
        av_samples_set_silence(
            (*raw).extended_data,
            0,
            (*raw).nb_samples,
            (*raw).ch_layout.nb_channels,
            like.format().into(),
        );
    }
    silent
}

/// Compares two tracks, second by second of the first.
pub(super) fn compare(
    mut a: Mono,
    mut b: Mono,
    track: usize,
    reporter: &mut Reporter,
) -> Result<Vec<SecondMeasured>, Failure> {
    let window = RATE as usize;
    a.need(i64::MIN / 2, i64::MIN / 2 + 1)?;
    let mut measured = Vec::new();
    let mut at = a.start.max(REACH as i64);
    loop {
        let (reach, long) = (REACH as i64, window as i64);
        if !a.need(at, at + long)? || !b.need(at - reach, at + long + reach)? {
            return Ok(measured);
        }
        reporter.progress(0, 0);
        let piece = a.slice(at, window);
        let around = b.slice(at - reach, window + 2 * REACH);
        if let Some(best) = best(&piece, &around) {
            measured.push(SecondMeasured {
                track,
                second: at / RATE,
                likeness: best.likeness,
                shift_ms: (best.lag as f64 - REACH as f64) * 1000.0 / RATE as f64,
                level_db: best.level_db,
            });
        }
        at += long;
    }
}

struct Best {
    lag: usize,
    likeness: f64,
    level_db: f64,
}

/// Where a piece is found in what lies around its place; none where it is silent. Of places that are as like, the nearest.
fn best(piece: &[f32], around: &[f32]) -> Option<Best> {
    let loud = piece.iter().map(|x| f64::from(x.abs())).sum::<f64>() / piece.len() as f64;
    if loud < SILENT {
        return None;
    }
    let energy = |s: &[f32]| s.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
    let norm = energy(piece).sqrt();
    let lags = around.len() + 1 - piece.len();
    let all: Vec<(f64, f64)> = (0..lags)
        .map(|lag| {
            let other = &around[lag..lag + piece.len()];
            let dot: f32 = piece.iter().zip(other).map(|(x, y)| x * y).sum();
            let other = energy(other).sqrt();
            (f64::from(dot) / (norm * other + 1e-9), other)
        })
        .collect();
    let most = all.iter().map(|(likeness, _)| *likeness).fold(f64::MIN, f64::max);
    let middle = lags / 2;
    let lag = (0..lags).filter(|lag| all[*lag].0 >= most - 0.01).min_by_key(|lag| lag.abs_diff(middle))?;
    Some(Best { lag, likeness: most, level_db: 20.0 * (all[lag].1 / norm).max(1e-9).log10() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_found_where_it_lies_and_as_loud_as_it_is() {
        let noise = |i: usize| ((i * i * 7919 + i * 104_729) % 1000) as f32 / 500.0 - 1.0;
        let piece: Vec<f32> = (0..4000).map(noise).collect();
        let around: Vec<f32> =
            (0..4000 + 2 * REACH).map(|i| if i < 500 { 0.0 } else { 2.0 * noise(i - 500) }).collect();
        let best = best(&piece, &around).unwrap();
        assert_eq!(best.lag, 500);
        assert!(best.likeness > 0.99);
        assert!((best.level_db - 6.02).abs() < 0.05, "{}", best.level_db);
        assert!(super::best(&[0.0; 4000], &around).is_none(), "silence is like anything");
    }
}
