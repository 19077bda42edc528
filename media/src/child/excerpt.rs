//! The pictures of a source from a time on, without a look at all of it: its headers and its index are read, and from the keyframe
//! before.

use std::{fs::File, ops::ControlFlow};

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
use crate::{claims::MOST_PIXELS, excerpt};

/// How much earlier reading begins, in seconds, where the index has no keyframe before the last attempt; doubled each time.
const EARLIER: f64 = 2.0;
/// How often an earlier start is tried before reading begins at the start of the source.
const MOST_ATTEMPTS: u32 = 6;
/// How long before the wanted time pictures are left out that no other picture needs, in seconds: longer than a picture is usually
/// shown.
const LEFT_OUT: f64 = 1.0;

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

/// A picture with its time in ticks of the track.
struct Timed {
    frame: frame::Video,
    pts: i64,
}

/// What came of an attempt.
enum Attempt {
    Done,
    /// Reading began too late: a picture before may be missing.
    TooLate,
    /// Pictures that were left out are needed after all.
    LeftOut,
}

/// How the pictures of one attempt are read.
struct Reading {
    /// The wanted time in ticks.
    at: i64,
    /// True if nothing lies before where reading began.
    is_start: bool,
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
        let decoder = TrackDecoder::open(source, &[stream], 4 * cores)?;
        Ok(Self { decoder, stream, facts, zero, seconds })
    }

    /// Returns the video track; of the first picture that was given on.
    pub(super) fn facts(&self) -> &VideoTrack {
        &self.facts
    }

    /// Returns how long a tick of the track is, in seconds.
    pub(super) fn tick(&self) -> f64 {
        self.decoder.tick()
    }

    /// Returns the time of a picture in seconds from the start of the source.
    pub(super) fn seconds_of(&self, pts: i64) -> f64 {
        (pts as f64 * self.tick() - self.zero).max(0.0)
    }

    /// Returns the last tick of a time, which is in seconds from the start of the source.
    pub(super) fn ticks_of(&self, seconds: f64) -> i64 {
        excerpt::last_tick(self.zero + seconds, self.tick())
    }

    /// Decodes the pictures from the one that is shown at a time, in seconds from the start of the source, and calls `take` with each
    /// and its time in ticks until that breaks. Returns the end of the last picture in ticks, if the source has ended.
    ///
    /// # Errors
    /// If the source ends before that time, or no picture can be decoded there, or what `take` returns.
    pub(super) fn pictures(
        &mut self,
        at: f64,
        take: &mut dyn FnMut(&Self, frame::Video, i64) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<Option<i64>, Failure> {
        if self.seconds > 0.0 && at >= self.seconds && at > 0.0 {
            return Err(past_the_end(at, self.seconds));
        }
        let ticks = self.ticks_of(at);
        let mut place = ticks;
        let mut leaves_out = true;
        let mut attempts: u32 = 0;
        let mut is_start = self.ticks_of(0.0) >= ticks;
        loop {
            let wanted_from = leaves_out.then(|| ticks.saturating_sub((LEFT_OUT / self.tick()) as i64));
            if !is_start && !self.restart(place, wanted_from)? {
                is_start = true;
            }
            if is_start && attempts > 0 {
                self.rewind(wanted_from)?;
            }
            let mut end = None;
            match self.attempt(Reading { at: ticks, is_start }, at, take, &mut end)? {
                Attempt::Done => return Ok(end),
                Attempt::LeftOut => leaves_out = false,
                Attempt::TooLate => {
                    let earlier = self.before(place).unwrap_or_else(|| {
                        place.saturating_sub((EARLIER * 2_f64.powi(attempts.cast_signed()) / self.tick()) as i64)
                    });
                    is_start = attempts >= MOST_ATTEMPTS || earlier <= self.ticks_of(0.0);
                    place = earlier;
                }
            }
            attempts += 1;
        }
    }

    /// Reads on from where the source stands.
    fn attempt(
        &mut self,
        reading: Reading,
        at: f64,
        take: &mut dyn FnMut(&Self, frame::Video, i64) -> Result<ControlFlow<()>, Failure>,
        end: &mut Option<i64>,
    ) -> Result<Attempt, Failure> {
        let Reading { at: wanted, is_start } = reading;
        // The last picture at or before the wanted time, until one behind it shows that it is the last.
        let mut held: Option<Timed> = None;
        let mut has_given = false;
        let mut last: Option<(i64, i64)> = None;
        loop {
            let frame = match self.decoder.next()? {
                Event::Packet(_) | Event::Damaged(_) => continue,
                Event::Frame(frame) => Some(frame),
                Event::End(_) => None,
            };
            let Some(frame) = frame else {
                let Some((pts, length)) = last else {
                    return if is_start { Err(nothing(at)) } else { Ok(Attempt::TooLate) };
                };
                let ends = lengths::track_end(&self.decoder.source, self.stream);
                let length = ends.map_or(length, |ends| ends.saturating_sub(pts).max(length));
                if let Some(held) = held {
                    if self.is_left_out_behind(held.pts, wanted) {
                        return Ok(Attempt::LeftOut);
                    }
                    // Nothing says how long the source is: its last picture does.
                    if self.seconds <= 0.0 && length > 0 && pts.saturating_add(length) <= wanted {
                        return Err(past_the_end(at, self.seconds_of(pts + length)));
                    }
                    // Nothing follows that it could break.
                    let _ = self.give(held, take)?;
                }
                *end = Some(pts.saturating_add(length));
                return Ok(Attempt::Done);
            };
            let pts = frame.timestamp().or(last.map(|(pts, _)| pts + 1)).unwrap_or(0);
            last = Some((pts, lengths::length(&frame)));
            let picture = Timed { frame, pts };
            if !has_given && pts <= wanted {
                held = Some(picture);
                continue;
            }
            if !has_given {
                has_given = true;
                match held.take() {
                    Some(shown) => {
                        if self.is_left_out_behind(shown.pts, wanted) {
                            return Ok(Attempt::LeftOut);
                        }
                        if self.give(shown, take)?.is_break() {
                            return Ok(Attempt::Done);
                        }
                    }
                    None if !is_start => return Ok(Attempt::TooLate),
                    None => {}
                }
            }
            if self.give(picture, take)?.is_break() {
                return Ok(Attempt::Done);
            }
        }
    }

    fn give(
        &mut self,
        Timed { frame, pts }: Timed,
        take: &mut dyn FnMut(&Self, frame::Video, i64) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<ControlFlow<()>, Failure> {
        if self.facts.shape.is_none() {
            self.facts.shape = Some(shape::of(&frame, &mut { Orientation::UPRIGHT }));
            apply_shape(&mut self.facts);
            let (width, height) = (self.facts.picture.width, self.facts.picture.height);
            if width < 2 || height < 2 {
                return Err(Failure::new(format!("pictures of {width}x{height} are too small: at least 2x2")));
            }
            if i64::from(width) * i64::from(height) > MOST_PIXELS {
                return Err(Failure::new(oversized(width, height)));
            }
        }
        take(self, frame, pts)
    }

    /// Returns `true` if a picture was left out that is shown after this one, at the wanted time or before.
    fn is_left_out_behind(&self, pts: i64, wanted: i64) -> bool {
        self.decoder.last_left_out().is_some_and(|last| last > pts && last <= wanted)
    }

    fn restart(&mut self, place: i64, wanted_from: Option<i64>) -> Result<bool, Failure> {
        self.decoder.restart(Seek { by: SeekBy::Time, at: place, state: 0 }, wanted_from)
    }

    /// Goes back to the start of the source.
    fn rewind(&mut self, wanted_from: Option<i64>) -> Result<(), Failure> {
        let start = self.ticks_of(0.0).min(0);
        if self.restart(start, wanted_from)? || self.decoder.restart(Seek { by: SeekBy::Byte, at: 0, state: 0 }, wanted_from)? {
            return Ok(());
        }
        Err(Failure::new("its container can't be read from the middle, nor again from the start"))
    }

    /// Returns the time of the keyframe before a place, by the container's index.
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
