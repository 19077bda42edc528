//! The pictures of a source from a time on, without a look at all of it: its headers and its index are read, and from the keyframe
//! before.

use std::fs::File;

use ffmpeg_next::frame;
use millrace_schemas::{Seek, SeekBy, VideoTrack};

use super::{
    decode::{Event, TrackDecoder, lengths},
    failure::Failure,
    graph::shape,
    inspect::{apply_shape, duration_seconds, video_track},
    libav::stream,
    orientation::Orientation,
    source::{Depth, Source, oversized},
};
use crate::{
    claims::MOST_PIXELS,
    excerpt::{Instants, Needed, last_tick},
};

/// How much earlier reading begins, in seconds, where the index has no keyframe before the last attempt; doubled each time.
const EARLIER: f64 = 2.0;
/// How often an earlier start is tried before reading begins at the start of the source.
const MOST_ATTEMPTS: u32 = 6;

/// A source that is opened for some of its pictures.
pub(super) struct Excerpt {
    decoder: TrackDecoder<frame::Video>,
    stream: i32,
    facts: VideoTrack,
    /// When the source begins, in seconds.
    zero: f64,
    /// How long it is, in seconds; 0 if it does not say.
    seconds: f64,
}

/// A picture that is shown at an instant.
pub(super) struct Shown {
    pub(super) frame: frame::Video,
    /// Its time in ticks of the track.
    pub(super) pts: i64,
    /// The number of the first instant at which it is shown.
    pub(super) number: u32,
}

/// Takes a picture. One of number 0 comes first; if it comes again, what was taken before is void.
pub(super) type Take<'a> = &'a mut dyn FnMut(&Excerpt, Shown) -> Result<(), Failure>;

/// What came of an attempt.
enum Attempt {
    Done,
    /// Reading began too late: a picture before may be missing.
    TooLate,
    /// Pictures that were left out are needed after all.
    LeftOut,
}

impl Excerpt {
    /// Opens a source for its video track.
    ///
    /// # Errors
    /// If it can't be read, or has no video that can be decoded.
    pub(super) fn open(file: File, cores: usize) -> Result<Self, Failure> {
        let source = Source::open(file, Depth::First)?;
        let facts = video_track(&source)?;
        let zero = source.start() as f64 / 1e6;
        let seconds = duration_seconds(&source);
        let stream = facts.stream;
        // Nothing is encoded beside it: it may have all cores.
        let decoder = TrackDecoder::open(source, &[stream], cores)?;
        Ok(Self { decoder, stream, facts, zero, seconds })
    }

    /// Returns the video track, with the shape of the first picture that was given.
    pub(super) fn facts(&self) -> &VideoTrack {
        &self.facts
    }

    /// Returns the time of a picture in seconds from the start of the source.
    pub(super) fn seconds_of(&self, pts: i64) -> f64 {
        (pts as f64 * self.decoder.tick() - self.zero).max(0.0)
    }

    /// Gives each picture that is shown at one of these instants, which begin at a time, in seconds from the start of the source.
    /// Returns when the source ended, in seconds from its start; `None` if it goes on.
    ///
    /// # Errors
    /// If the source ends before the first instant, or no picture can be decoded there, or what `take` returns.
    pub(super) fn pictures(
        &mut self,
        at: f64,
        instants: Instants,
        take: Take<'_>,
    ) -> Result<Option<f64>, Failure> {
        if self.seconds > 0.0 && at >= self.seconds {
            return Err(past_the_end(at, self.seconds));
        }
        let tick = self.decoder.tick();
        let needed = Needed { from: self.zero + at, tick, instants };
        let start = last_tick(self.zero, tick);
        let wanted = needed.last_tick(0);
        let (mut place, mut attempts, mut leaves_out) = (wanted, 0_u32, true);
        let mut is_start = wanted <= start;
        loop {
            let skipping = leaves_out.then_some(needed);
            let has_sought = !is_start && self.restart(SeekBy::Time, (place, false), skipping)?;
            if !has_sought {
                is_start = true;
                // It stands there when it was just opened, and may not be able to seek.
                if attempts > 0 && !self.rewind(start.min(0), skipping)? {
                    return Err(Failure::new("its container can't be read from the start again"));
                }
            }
            let mut end = None;
            match self.attempt((at, needed), is_start, take, &mut end)? {
                Attempt::Done => return Ok(end),
                Attempt::LeftOut => leaves_out = false,
                Attempt::TooLate => {
                    let earlier = EARLIER * 2_f64.powi(attempts.cast_signed()) / tick;
                    place = self.before(place).unwrap_or_else(|| place.saturating_sub(earlier as i64));
                    is_start = attempts >= MOST_ATTEMPTS || place <= start;
                }
            }
            attempts += 1;
        }
    }

    /// Reads on from where the source stands.
    fn attempt(
        &mut self,
        (at, needed): (f64, Needed),
        is_start: bool,
        take: Take<'_>,
        end: &mut Option<f64>,
    ) -> Result<Attempt, Failure> {
        let wanted = needed.last_tick(0);
        // The last picture, until the next one shows at which instants it is shown.
        let mut held: Option<Shown> = None;
        let mut last: Option<(i64, i64)> = None;
        loop {
            let frame = match self.decoder.next()? {
                Event::Packet(_) | Event::Damaged(_) => continue,
                Event::Frame(frame) => frame,
                Event::End(_) => break,
            };
            let pts = frame.timestamp().or(last.map(|(pts, _)| pts + 1)).unwrap_or(0);
            last = Some((pts, lengths::length(&frame)));
            if held.is_none() && pts > wanted && !is_start {
                return Ok(Attempt::TooLate);
            }
            // The first picture of a source stands for what comes before it.
            let number = if held.is_some() { needed.before(pts) } else { 0 };
            if let Some(shown) = held.take_if(|held| held.number < number) {
                if self.decoder.has_left_out(shown.pts, needed.last_tick(number - 1)) {
                    return Ok(Attempt::LeftOut);
                }
                self.give(shown, take)?;
            }
            if number >= needed.instants.count {
                return Ok(Attempt::Done);
            }
            held = Some(Shown { frame, pts, number });
        }
        let (Some(shown), Some((pts, length))) = (held, last) else {
            return if is_start { Err(nothing(at)) } else { Ok(Attempt::TooLate) };
        };
        if self.decoder.has_left_out(shown.pts, i64::MAX) {
            return Ok(Attempt::LeftOut);
        }
        let ends = lengths::track_end(&self.decoder.source, self.stream);
        let ended = pts.saturating_add(ends.map_or(length, |ends| ends.saturating_sub(pts).max(length)));
        // Nothing says how long the source is: its last picture does.
        if self.seconds <= 0.0 && length > 0 && shown.number == 0 && ended <= wanted {
            return Err(past_the_end(at, self.seconds_of(ended)));
        }
        if shown.number == 0 || needed.before(ended) > shown.number {
            self.give(shown, take)?;
        }
        *end = Some(self.seconds_of(ended));
        Ok(Attempt::Done)
    }

    fn give(&mut self, shown: Shown, take: Take<'_>) -> Result<(), Failure> {
        if self.facts.shape.is_none() {
            self.facts.shape = Some(shape::of(&shown.frame, &mut { Orientation::UPRIGHT }));
            apply_shape(&mut self.facts);
            let (width, height) = (self.facts.picture.width, self.facts.picture.height);
            if width < 2 || height < 2 {
                return Err(Failure::new(format!(
                    "pictures of {width}x{height} are too small: at least 2x2"
                )));
            }
            if i64::from(width) * i64::from(height) > MOST_PIXELS {
                return Err(Failure::new(oversized(width, height)));
            }
        }
        take(self, shown)
    }

    fn restart(
        &mut self,
        by: SeekBy,
        (at, is_start): (i64, bool),
        needed: Option<Needed>,
    ) -> Result<bool, Failure> {
        self.decoder.restart((Seek { by, at, state: 0 }, is_start), needed)
    }

    /// Goes back to the start of the source; `false` if that is not possible.
    fn rewind(&mut self, start: i64, needed: Option<Needed>) -> Result<bool, Failure> {
        Ok(self.restart(SeekBy::Time, (start, true), needed)?
            || self.restart(SeekBy::Byte, (0, true), needed)?)
    }

    /// Returns the time of the keyframe before the one at a place, by the container's index.
    fn before(&self, place: i64) -> Option<i64> {
        let stream = self.decoder.source.input.stream(usize::try_from(self.stream).ok()?)?;
        let at = stream::keyframe_before(&stream, place)?;
        Some(stream::keyframe_before(&stream, at.timestamp.checked_sub(1)?)?.timestamp)
    }
}

fn past_the_end(at: f64, seconds: f64) -> Failure {
    Failure::new(format!("there is no picture at {at:.3} s: it is {seconds:.3} s long"))
}

fn nothing(at: f64) -> Failure {
    Failure::new(format!("no picture can be decoded at {at:.3} s"))
}
