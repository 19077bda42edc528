//! A sound track, or a part of one, decoded once and encoded for each rendition as one continuous stream.
//!
//! A part is a range of samples on the codec's frame grid. Its encoder begins so many frames earlier that it stands
//! where one that began at the start would; their packets are thrown away. So parts join without a seam.

use std::{fs::File, time::Duration};

use ffmpeg_next::{
    self as ff, ChannelLayout, Packet,
    ffi::swr_convert_frame,
    format::{Sample, sample::Type},
    software::resampling,
};
use millrace_schemas::{AudioSettings, Made, Seek, SeekBy};

use super::{
    Failure, Reporter,
    damage::{self, Damage, WARY_FRAMES},
    decoder::{Received, SoundDecoder},
    encoder::AudioEncoder,
    inspect::COUNTED,
    leaps::Leaps,
    source::{Depth, Source},
};
use crate::{
    protocol::{TimeRange, TranscodeTask},
    timeline::{Clock, place},
};

/// A hole, or samples that overlap, shorter than this are the container's rounding.
const TOLERANCE_SECONDS: f64 = 0.05;
/// How much silence holes are filled with at the most, in seconds, all together.
const MOST_SILENCE_SECONDS: i64 = 12 * 3600;
/// How many frames are encoded before a part begins and thrown away. Windows and bits in hand of AAC stand where they would
/// after 32, but how finely it quantizes goes on settling: measured on tones, the error was 9 dB above the rest after 32, and
/// is where it would be after 60.
const LEAD_FRAMES: i64 = 128;
/// How many frames behind the end of a part are encoded: what the last packets overlap with, and are weighed by.
const TAIL_FRAMES: i64 = 4;
/// How much earlier reading begins than the lead: what a decoder needs to stand where it would.
const PREROLL: Duration = Duration::from_secs(1);

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Decoding)?;
    source.only(task.stream)?;
    source.set_jumps(&task.jumps);
    let clock = source.clock(task.stream);
    let range = task.ranges.first().copied().unwrap_or(TimeRange { start: None, end: None });
    let mut tracks = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        let settings =
            rendition.audio.clone().ok_or_else(|| Failure::new("a rendition without audio settings"))?;
        tracks.push(Track {
            settings,
            rendition,
            range,
            output: Some(output),
            encoder: None,
            resampler: None,
            filled: 0,
            late: false,
        });
    }
    let mut decoder = SoundDecoder::open(&source, task.stream)?;
    if let Some(start) = range.start {
        seek(&mut source, task.stream, start, tracks.first().map_or(1, Track::rate));
    }
    let mut damage = Damage::default();
    let tick = clock.num as f64 / clock.den as f64;
    let mut packet = Packet::empty();
    let mut leaps = Leaps::new(1.0 / tick);
    let mut estimate = 0;
    let seamless = COUNTED.contains(&source.container().as_str()) || tracks.iter().any(Track::is_part);
    let mut wary = 0;
    loop {
        let ended = match source.read(task.stream, &mut packet) {
            Ok(there) => !there,
            Err(error) => {
                damage.ended(format!("the source can't be read on, and its sound ends there: {error}"));
                true
            }
        };
        let done = tracks.first().and_then(|track| track.encoder.as_ref()).map_or(0, AudioEncoder::end);
        reporter.progress(0, done);
        if ended {
            decoder.end();
        } else if decoder.send(&packet).is_err() {
            damage.packet(damage::at(&packet, tick));
            wary = WARY_FRAMES;
            continue;
        }
        loop {
            let mut frame = ff::frame::Audio::empty();
            match decoder.receive(&mut frame) {
                Received::Frame => {}
                Received::Nothing => break,
                Received::Damaged => {
                    damage.packet(damage::at(&packet, tick));
                    wary = WARY_FRAMES;
                    continue;
                }
            }
            let (time, long) = (frame.timestamp(), length(&frame, clock));
            let at = time.unwrap_or(estimate);
            estimate = at.saturating_add(long);
            for ((frame, time), at, lied) in leaps.take((frame, time), at, long) {
                damage.frame(&frame, at as f64 * tick);
                if lied {
                    damage.time(at as f64 * tick);
                }
                let time = time.filter(|_| !lied);
                if hear(&mut tracks, &frame, time, (clock, wary > 0), reporter)? && seamless {
                    damage.absent(at as f64 * tick);
                }
                wary = wary.saturating_sub(1);
            }
        }
        if ended && let Some(((frame, time), at, lied)) = leaps.end() {
            if lied {
                damage.time(at as f64 * tick);
            }
            hear(&mut tracks, &frame, time.filter(|_| !lied), (clock, wary > 0), reporter)?;
        }
        if ended || tracks.iter().all(Track::is_full) {
            break;
        }
    }
    if tracks.iter().any(|track| track.late) {
        return Err(Failure::new("sound can't be read from where its index says that it lies"));
    }
    if let Some(cut_off) = cut_off(&source, task.stream, estimate) {
        damage.ended(cut_off);
    }
    let ends = ends(&source, task.stream).filter(|_| range.end.is_none());
    let finish = |track: Track<'_>| {
        let samples = Clock { num: 1, den: track.rate() };
        track.finish(ends.map(|ends| place(ends, clock, (0, samples), samples)), &damage)
    };
    let made = tracks.into_iter().map(finish).collect::<Result<_, _>>()?;
    reporter.made(0, made);
    Ok(())
}

/// How long decoded samples are heard, in ticks.
fn length(frame: &ff::frame::Audio, clock: Clock) -> i64 {
    let samples = Clock { num: 1, den: i64::from(frame.rate().max(1)) };
    place(i64::try_from(frame.samples()).unwrap_or(0), samples, (0, clock), clock)
}

/// Gives decoded samples to all tracks; `time` is theirs, if they have one that can be believed. `true` where a hole before them
/// was filled.
fn hear(
    tracks: &mut [Track<'_>],
    frame: &ff::frame::Audio,
    time: Option<i64>,
    (clock, wary): (Clock, bool),
    reporter: &mut Reporter,
) -> Result<bool, Failure> {
    let mut filled = false;
    for track in tracks {
        filled |= track.take(frame, time, (clock, wary), reporter)?;
    }
    Ok(filled)
}

/// Where a stream ends by what an mp4 says of it, which knows what a codec padded; other demuxers tell of each packet.
fn ends(source: &Source, stream: i32) -> Option<i64> {
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    let first = stream.start_time();
    let known = stream.duration() > 0 && first > i64::MIN && source.container().contains("mp4");
    known.then(|| first.saturating_add(stream.duration()))
}

/// What a container that counts samples says, where the sound ends so much earlier that it was cut off.
fn cut_off(source: &Source, stream: i32, end: i64) -> Option<String> {
    let of_it = source.input.stream(usize::try_from(stream).ok()?)?;
    let seconds = |ticks: i64| ticks as f64 * f64::from(of_it.time_base());
    let (long, heard) = (seconds(of_it.duration()), seconds(end));
    (COUNTED.contains(&source.container().as_str()) && heard + 0.5 < long).then(|| {
        format!(
            "the source is cut off: it says that it is {long:.3} s long, and its sound ends near {heard:.3} s"
        )
    })
}

/// Goes to where a part of the sound begins, less what comes before it.
fn seek(source: &mut Source, stream: i32, start: i64, rate: i64) {
    let clock = source.clock(stream);
    let samples = Clock { num: 1, den: rate };
    let lead = LEAD_FRAMES * 1024 + i64::try_from(PREROLL.as_secs()).unwrap_or(1) * rate;
    let at = place(start - lead, samples, (0, clock), clock);
    // Where it can't, it is read from the start.
    source.seek(stream, Seek { by: SeekBy::Time, at });
}

struct Track<'a> {
    settings: AudioSettings,
    rendition: &'a millrace_schemas::Rendition,
    range: TimeRange,
    output: Option<File>,
    encoder: Option<AudioEncoder>,
    resampler: Option<resampling::Context>,
    /// How many samples of silence holes were filled with.
    filled: i64,
    /// Whether the first samples came after those that were to be first.
    late: bool,
}

impl Track<'_> {
    fn rate(&self) -> i64 {
        i64::from(self.settings.sample_rate.max(1))
    }

    /// Whether all was encoded that a part needs.
    fn is_full(&self) -> bool {
        match (&self.encoder, self.range.end) {
            (Some(encoder), Some(end)) => encoder.end() >= end + TAIL_FRAMES * encoder.frame_size(),
            _ => false,
        }
    }

    /// Whether this is a part of a track: then it is known that the source has no holes, and each sample its place.
    fn is_part(&self) -> bool {
        self.range.start.is_some() || self.range.end.is_some()
    }

    fn open(&mut self, first: i64) -> Result<&mut AudioEncoder, Failure> {
        let output = self.output.take().ok_or_else(|| Failure::new("an output was used twice"))?;
        let encoder = AudioEncoder::open(self.rendition, &self.settings, output, first, self.range)?;
        Ok(self.encoder.insert(encoder))
    }

    /// Takes decoded samples to where their time says, which is to be believed to the millisecond behind damage (`wary`); `true`
    /// where a hole was filled.
    fn take(
        &mut self,
        frame: &ff::frame::Audio,
        time: Option<i64>,
        (clock, wary): (Clock, bool),
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        if self.is_full() {
            return Ok(false);
        }
        let samples = Clock { num: 1, den: self.rate() };
        let at = time.map(|pts| place(pts, clock, (0, samples), samples));
        let (is_part, range) = (self.is_part(), self.range);
        if self.encoder.is_none() {
            let first = match range.start {
                None => at.unwrap_or(0),
                Some(start) => {
                    let begins = start - LEAD_FRAMES * AudioEncoder::frame_size_of(&self.settings)?;
                    let ends = at.unwrap_or(0) + frame.samples() as i64;
                    if ends <= begins {
                        return Ok(false);
                    }
                    self.late = at.is_none_or(|at| at > begins);
                    begins
                }
            };
            self.open(first)?;
        }
        let Some(encoder) = &mut self.encoder else { return Ok(false) };
        let tolerance = if is_part || wary {
            encoder.frame_size() / 4
        } else {
            (TOLERANCE_SECONDS * samples.den as f64) as i64
        };
        let held =
            self.resampler.as_ref().and_then(resampling::Context::delay).map_or(0, |delay| delay.output);
        let hole = at.map_or(0, |at| at - (encoder.end() + held));
        let mut skip = 0;
        if hole > tolerance {
            self.filled = self.filled.saturating_add(hole);
            if self.filled > MOST_SILENCE_SECONDS * samples.den {
                return Err(Failure::new(
                    "the sound has holes of more than 12 hours: its timestamps are damaged",
                ));
            }
            // A long silence takes its time, too.
            let (mut left, minute) = (hole, 60 * samples.den);
            while left > 0 {
                encoder.silence(usize::try_from(left.min(minute)).unwrap_or(0))?;
                left -= minute;
                reporter.progress(0, encoder.end());
            }
        } else if hole < -tolerance || (is_part && hole < 0) {
            skip = usize::try_from(-hole).unwrap_or(0);
        }
        self.convert(Some(frame), skip)?;
        Ok(hole > tolerance)
    }

    /// Resamples, leaving out the first so many samples; `None` takes what the resampler holds.
    fn convert(&mut self, frame: Option<&ff::frame::Audio>, skip: usize) -> Result<(), Failure> {
        let layout = ChannelLayout::default(self.settings.channels);
        let format = Sample::F32(Type::Planar);
        if let Some(frame) = frame {
            let from = frame.channel_layout();
            let fits = self.resampler.as_ref().is_some_and(|r| {
                (r.input().format, r.input().rate) == (frame.format(), frame.rate())
                    && r.input().channel_layout == from
            });
            if !fits {
                if self.resampler.is_some() {
                    self.convert(None, 0)?;
                }
                let rate = self.settings.sample_rate.unsigned_abs();
                let made = resampling::Context::get(frame.format(), from, frame.rate(), format, layout, rate);
                self.resampler = Some(made.map_err(Failure::at("converting sound"))?);
            }
        }
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        let mut out = ff::frame::Audio::empty();
        out.set_format(format);
        out.set_channel_layout(layout);
        out.set_rate(self.settings.sample_rate.unsigned_abs());
        // SAFETY: the resampler is set up for frames like the input; the output has no buffer, so that one of the
        // right size is made.
        let result = unsafe {
            let input = frame.map_or(std::ptr::null(), |frame| frame.as_ptr());
            swr_convert_frame(resampler.as_mut_ptr(), out.as_mut_ptr(), input)
        };
        if result < 0 {
            return Err(Failure::at("converting sound")(ff::Error::from(result)));
        }
        let count = out.samples();
        if count <= skip {
            return Ok(());
        }
        let channels: Vec<&[f32]> = (0..out.planes()).map(|i| &out.plane::<f32>(i)[skip..count]).collect();
        match &mut self.encoder {
            Some(encoder) => encoder.push(&channels),
            None => Ok(()),
        }
    }

    fn finish(mut self, ends: Option<i64>, damage: &Damage) -> Result<Made, Failure> {
        self.convert(None, 0)?;
        if self.encoder.is_none()
            && let Some(start) = self.range.start
        {
            // A part behind the end of a source that is cut off.
            self.open(start)?;
        }
        let encoder = self.encoder.ok_or_else(|| Failure::new("no sound of the track could be decoded"))?;
        encoder.finish(ends, damage)
    }
}
