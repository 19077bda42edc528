//! Sound: when it is heard, and how much it is alike.

use ffmpeg_next::frame;
use millrace_schemas::Trim;

use super::reading::Reading;
use crate::{
    child::{
        decode::lengths,
        failure::Failure,
        graph::sound::{Planes, SoundGraph},
        libav::layout::Layout,
        report::Reporter,
        sound::{self, Action, SoundClock},
        source::Source,
    },
    protocol::{AudioMeasurement, SecondSimilarity},
    timeline::{Clock, rescale_timestamp},
};

/// A stop of the sound that is longer, in seconds, is a hole.
const HOLE_SECONDS: f64 = 0.002;
/// Sound is compared at so many samples a second, one channel.
const RATE: i64 = 8000;
/// How far it is looked for, in samples each way.
const REACH: usize = 480;
/// Less is not compared at the end, in samples.
const SHORTEST: usize = 1600;
/// A short part of a second, in samples, and how loud it is at least, as a part of the second's energy.
const PART: usize = 160;
const LOUD_PART: f64 = 0.2;
/// A second that is more silent, on average, is not compared.
const SILENT: f64 = 1e-3;
/// The longest hole that is filled, in seconds. It lies in memory.
const LONGEST_HOLE_SECONDS: i64 = 3600;

/// Decodes a track, or a part of it, to its end.
pub(super) fn measure(
    source: Source,
    streams: &[i32],
    part: Option<Trim>,
    reporter: &mut Reporter,
) -> Result<AudioMeasurement, Failure> {
    let first = streams.first().copied().unwrap_or(-1);
    let ends = lengths::track_end(&source, first).or_else(|| lengths::stream_end(&source, first));
    let mut reading = Reading::<frame::Audio>::open(source, streams)?;
    let tick = reading.track.tick();
    let mut heard = AudioMeasurement::default();
    let mut begun = false;
    while let Some(frame) = reading.next()? {
        reporter.progress(0, 0);
        let (rate, samples) = (f64::from(frame.rate().max(1)), frame.samples() as f64);
        let mut at = frame.timestamp().map_or(heard.end, |pts| pts as f64 * tick);
        let mut samples = samples;
        if let Some(part) = part {
            let (from, to) = part_of(part, frame.rate());
            let end = (at + samples / rate).min(to);
            at = at.max(from);
            if at >= to {
                break;
            }
            samples = ((end - at) * rate).round();
            if samples < 1.0 {
                continue;
            }
        }
        if !std::mem::replace(&mut begun, true) {
            heard = AudioMeasurement {
                start: at,
                rate: frame.rate().cast_signed(),
                channels: i32::from(frame.channels()),
                layout: Layout::of_frame(&frame).name(),
                ..AudioMeasurement::default()
            };
        } else if (at - heard.end).abs() > HOLE_SECONDS {
            heard.holes += 1;
        }
        heard.end = at + samples / rate;
        heard.samples += samples as i64;
    }
    // A decoder gives the padding of the last packet, too.
    if let Some(end) = ends.map(|end| end as f64 * tick).filter(|end| *end < heard.end) {
        heard.samples -= ((heard.end - end) * f64::from(heard.rate)).round() as i64;
        heard.end = end;
    }
    heard.damaged = reading.damaged;
    Ok(heard)
}

/// When a part begins and ends, in seconds: at whole samples.
fn part_of(part: Trim, rate: u32) -> (f64, f64) {
    let (from, to) = part.samples(i64::from(rate.max(1)));
    let seconds = |samples: i64| samples as f64 / f64::from(rate.max(1));
    (seconds(from), to.map_or(f64::INFINITY, seconds))
}

/// A track as one channel of few samples a second, each in its place.
pub(super) struct Mono {
    reading: Reading<frame::Audio>,
    follow: SoundClock<frame::Audio>,
    graph: SoundGraph,
    /// Time zero, in samples.
    zero: i64,
    /// The samples from `start` on, in samples from time zero.
    samples: Vec<f32>,
    start: i64,
    /// How many of the next samples overlap with what is there, and are left out.
    skip: usize,
    begun: bool,
    ended: bool,
}

impl Mono {
    /// `zero` is the time that counts as zero, in seconds.
    pub(super) fn open(source: Source, streams: &[i32], zero: f64) -> Result<Self, Failure> {
        let reading = Reading::open(source, streams)?;
        Ok(Self {
            follow: SoundClock::new(reading.track.tick()),
            reading,
            graph: SoundGraph::new(Layout::mono(), RATE as u32),
            zero: (zero * RATE as f64).round() as i64,
            samples: Vec::new(),
            start: 0,
            skip: 0,
            begun: false,
            ended: false,
        })
    }

    /// Makes samples from `from` up to `to` be there, and forgets those before; `false` where it ends earlier.
    fn need(&mut self, from: i64, to: i64) -> Result<bool, Failure> {
        let old = usize::try_from(from - self.start).unwrap_or(0).min(self.samples.len());
        self.samples.drain(..old);
        self.start += old as i64;
        while self.start + (self.samples.len() as i64) < to && !self.ended {
            if let Some(frame) = self.reading.next()? {
                self.take(frame)?;
            } else {
                let held = self.follow.finish();
                self.apply(held)?;
                self.flush()?;
                self.ended = true;
            }
        }
        Ok(self.start + self.samples.len() as i64 >= to)
    }

    /// A time in ticks, in samples from time zero.
    fn place(&self, at: i64) -> i64 {
        let samples = Clock { num: 1, den: RATE };
        rescale_timestamp(at, self.reading.track.clock, (0, samples), samples) - self.zero
    }

    /// Where the sound so far ends, in samples from time zero.
    fn end(&self) -> i64 {
        self.start + self.samples.len() as i64 + self.graph.delay()
    }

    /// Takes the next frame to where its time says, as sound is transcoded.
    fn take(&mut self, frame: frame::Audio) -> Result<(), Failure> {
        let at = frame.timestamp();
        if !std::mem::replace(&mut self.begun, true) {
            self.start = at.map_or(0, |at| self.place(at));
        }
        if self.reading.is_wary() {
            let held = self.follow.finish();
            self.apply(held)?;
            let hole = at.map_or(0, |at| self.place(at) - self.end());
            let actions = if hole.abs() > RATE / 200 { at.map(Action::MoveTo) } else { None };
            return self.apply(actions.into_iter().chain([Action::Play(frame)]).collect());
        }
        let length = frame.samples() as f64 / f64::from(frame.rate().max(1));
        let position = (self.end() + self.zero) as f64 / RATE as f64;
        let actions = self.follow.push(frame, sound::FrameTime { at, length }, position);
        self.apply(actions)
    }

    fn apply(&mut self, actions: Vec<Action<frame::Audio>>) -> Result<(), Failure> {
        for action in actions {
            match action {
                Action::Play(frame) => {
                    let made = self.graph.push(&frame, Layout::of_frame(&frame))?;
                    made.iter().for_each(|planes| self.append(planes));
                }
                Action::Stretch(part) => self.graph.stretch(part)?,
                Action::MoveTo(at) => {
                    self.skip = 0;
                    let hole = self.place(at) - self.end();
                    if (1..LONGEST_HOLE_SECONDS * RATE).contains(&hole) {
                        self.flush()?;
                        self.graph.restart();
                        let there = usize::try_from(self.place(at) - self.start).unwrap_or(0);
                        self.samples.resize(there.max(self.samples.len()), 0.0);
                    } else {
                        self.skip = usize::try_from(-hole).unwrap_or(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends what the graph holds.
    fn flush(&mut self) -> Result<(), Failure> {
        if let Some(planes) = self.graph.flush()? {
            self.append(&planes);
        }
        Ok(())
    }

    /// Appends samples that came out of the graph.
    fn append(&mut self, planes: &Planes) {
        let new = planes.first().map_or(&[][..], Vec::as_slice);
        let skip = self.skip.min(new.len());
        self.skip -= skip;
        self.samples.extend_from_slice(&new[skip..]);
    }

    /// Samples from a place on; those before the first are silent.
    fn slice(&self, from: i64, count: usize) -> Vec<f32> {
        let at = |i: usize| usize::try_from(from + i as i64 - self.start).ok();
        (0..count).map(|i| at(i).and_then(|at| self.samples.get(at)).copied().unwrap_or(0.0)).collect()
    }
}

/// Compares two tracks, second by second of the first.
///
/// `until` is where it ends, in seconds from time zero; `None` for the end of the source.
pub(super) fn compare(
    mut a: Mono,
    mut b: Mono,
    (track, until): (usize, Option<f64>),
    reporter: &mut Reporter,
) -> Result<Vec<SecondSimilarity>, Failure> {
    let window = RATE as usize;
    a.need(i64::MIN / 2, i64::MIN / 2 + 1)?;
    let mut measured = Vec::new();
    let mut at = a.start.max(REACH as i64);
    loop {
        let reach = REACH as i64;
        // The last one may be shorter.
        let is_there = a.need(at, at + window as i64)?;
        let until = until.map_or(i64::MAX, |seconds| (seconds * RATE as f64) as i64);
        let end = if is_there { until } else { a.end().min(until) };
        let whole = is_there && at + window as i64 <= until;
        let window = if whole { window } else { usize::try_from(end - at).unwrap_or(0) };
        if window < SHORTEST {
            return Ok(measured);
        }
        let long = window as i64;
        b.need(at - reach, at + long + reach)?;
        reporter.progress(0, 0);
        let piece = a.slice(at, window);
        let around = b.slice(at - reach, window + 2 * REACH);
        if let Some(best) = best(&piece, &around) {
            measured.push(SecondSimilarity {
                track,
                second: at / RATE,
                likeness: best.likeness,
                shift_ms: (best.lag as f64 - REACH as f64) * 1000.0 / RATE as f64,
                level_db: best.level_db,
                least: best.least,
            });
        }
        if !whole {
            return Ok(measured);
        }
        at += long;
    }
}

struct Best {
    lag: usize,
    likeness: f64,
    level_db: f64,
    least: f64,
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
    let level_db = 20.0 * (all[lag].1 / norm).max(1e-9).log10();
    Some(Best { lag, likeness: most, level_db, least: least(piece, &around[lag..]) })
}

/// The least likeness of a short part of a piece to what lies in its place; parts that are softer than the rest are left out.
fn least(piece: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let loud = LOUD_PART * dot(piece, piece) * PART as f64 / piece.len() as f64;
    let parts = piece.windows(PART).zip(other.windows(PART)).step_by(PART / 2);
    let loud = parts.filter(|(a, _)| dot(a, a) > loud);
    loud.map(|(a, b)| dot(a, b) / ((dot(a, a) * dot(b, b)).sqrt() + 1e-9)).fold(1.0, f64::min)
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
