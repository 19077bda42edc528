//! A sound track, or a part of one, decoded once and encoded for each rendition as one continuous stream.
//!
//! A part is a range of samples on the codec's frame grid. Its encoder begins so many frames earlier that its state
//! is the one that it would have if it had begun at the start; their packets are thrown away. So parts join without a seam.

mod clock;
mod track;

use std::{fs::File, time::Duration};

use ffmpeg_next as ff;
use millrace_schemas::{Seek, SeekBy};

use super::{
    damage::{Damage, WARY_FRAMES},
    decode::{Event, TrackDecoder, lengths},
    failure::Failure,
    outliers::{OutlierFilter, Timed},
    report::Reporter,
    sink::AudioSink,
    source::{COUNTED, Depth, Source},
};
use crate::{
    protocol::{TimeRange, TranscodeTask},
    timeline::{Clock, rescale_timestamp},
};
pub(super) use clock::{Action, FrameTime, SoundClock};
use track::Track;

/// How much earlier than the lead-in reading begins: the pre-roll of the decoder.
const PREROLL: Duration = Duration::from_secs(1);

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Decoding)?;
    source.set_discontinuities(&task.jumps);
    let range = task.ranges.first().copied().unwrap_or(TimeRange { start: None, end: None });
    let mut tracks = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        tracks.push(Track::new(rendition, range, output)?);
    }
    let mut decoder = TrackDecoder::<ff::frame::Audio>::open(source, &task.streams(), task.cores)?;
    let (clock, tick) = (decoder.clock, decoder.tick());
    if let Some(start) = range.start {
        let (rate, lead) = tracks.first().map_or((1, 0), |track| (track.rate(), track.lead_in()));
        seek(&mut decoder.source, task.stream, start - lead, rate);
    }
    let seamless =
        COUNTED.contains(&decoder.source.container().as_str()) || tracks.iter().any(Track::is_part);
    let mut renditions = Renditions { tracks, follow: SoundClock::new(tick), clock, wary: 0 };
    let mut damage = Damage::default();
    let mut outliers = OutlierFilter::new(1.0 / tick);
    let (mut estimate, mut packets) = (0, 0_u64);
    loop {
        let frame = match decoder.next()? {
            Event::Packet(_) => {
                packets += 1;
                reporter.progress(0, renditions.done());
                continue;
            }
            Event::Damaged(at) => {
                packets += 1;
                damage.packet(at.map(|at| at as f64 * tick));
                renditions.wary = WARY_FRAMES;
                continue;
            }
            Event::Frame(frame) => frame,
            Event::End(error) => {
                if let Some(error) = error {
                    let text = format!("the source can't be read on, and its sound ends there: {error}");
                    damage.ended(text);
                }
                break;
            }
        };
        let (time, long) = (frame.timestamp(), length(&frame, clock));
        let at = time.unwrap_or(estimate);
        estimate = at.saturating_add(long);
        for Timed { frame: (frame, time), at, is_corrected } in outliers.push((frame, time), at, long) {
            damage.frame(&frame, at as f64 * tick);
            if is_corrected {
                damage.time(at as f64 * tick);
            }
            if renditions.push(frame, time.filter(|_| !is_corrected), reporter)? && seamless {
                damage.absent(at as f64 * tick);
            }
        }
        if renditions.tracks.iter().all(Track::is_full) {
            break;
        }
    }
    if let Some(Timed { frame: (frame, time), at, is_corrected }) = outliers.finish() {
        if is_corrected {
            damage.time(at as f64 * tick);
        }
        renditions.push(frame, time.filter(|_| !is_corrected), reporter)?;
    }
    renditions.flush(reporter)?;
    if renditions.tracks.iter().any(|track| track.late) {
        return Err(Failure::new("sound can't be read from where its index says that it lies"));
    }
    if let Some(cut_off) = cut_off(&decoder.source, task.stream, estimate) {
        damage.ended(cut_off);
    }
    if let Some(drift) = renditions.follow.drift() {
        damage.note(estimate as f64 * tick, drift);
    }
    let ends = lengths::stream_end(&decoder.source, task.stream).filter(|_| range.end.is_none());
    let finish = |track: Track<'_>| {
        let samples = Clock { num: 1, den: track.rate() };
        track.finish(
            ends.map(|ends| rescale_timestamp(ends, clock, (0, samples), samples)),
            packets > 0,
            &damage,
        )
    };
    let made = renditions.tracks.into_iter().map(finish).collect::<Result<Vec<_>, _>>()?;
    reporter.made(0, made.concat());
    Ok(())
}

/// The renditions of a track, and the clock by which its sound is placed.
struct Renditions<'a> {
    tracks: Vec<Track<'a>>,
    follow: SoundClock<ff::frame::Audio>,
    clock: Clock,
    /// For how many more frames timestamps are followed to the millisecond, after damage.
    wary: u32,
}

impl Renditions<'_> {
    fn done(&self) -> i64 {
        self.tracks.first().and_then(|track| track.sink.as_ref()).map_or(0, AudioSink::end)
    }

    /// Takes decoded samples; `time` is their timestamp in ticks, unless it is missing or an outlier. Returns `true` if a hole before
    /// them was filled.
    fn push(
        &mut self,
        frame: ff::frame::Audio,
        time: Option<i64>,
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        let exact = self.wary > 0 || self.tracks.iter().any(Track::is_part);
        self.wary = self.wary.saturating_sub(1);
        let position = self.tracks.first().and_then(Track::position);
        let Some(position) = position.filter(|_| !exact) else {
            let mut filled = self.flush(reporter)?;
            for track in &mut self.tracks {
                if track.begin(&frame, time, self.clock)? {
                    filled |= track.move_to(time, self.clock, true, reporter)?;
                    track.play(&frame)?;
                }
            }
            return Ok(filled);
        };
        let length = frame.samples() as f64 / f64::from(frame.rate().max(1));
        let actions = self.follow.push(frame, FrameTime { at: time, length }, position);
        self.apply(actions, reporter)
    }

    /// Plays what is held until the next frame.
    fn flush(&mut self, reporter: &mut Reporter) -> Result<bool, Failure> {
        let actions = self.follow.finish();
        self.apply(actions, reporter)
    }

    fn apply(
        &mut self,
        actions: Vec<Action<ff::frame::Audio>>,
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        let mut filled = false;
        for action in actions {
            for track in &mut self.tracks {
                match &action {
                    Action::Play(frame) => track.play(frame)?,
                    Action::MoveTo(at) => filled |= track.move_to(Some(*at), self.clock, false, reporter)?,
                    Action::Stretch(part) => track.stretch(*part)?,
                }
            }
        }
        Ok(filled)
    }
}

/// Returns how long decoded samples last, in ticks.
fn length(frame: &ff::frame::Audio, clock: Clock) -> i64 {
    let samples = Clock { num: 1, den: i64::from(frame.rate().max(1)) };
    rescale_timestamp(i64::try_from(frame.samples()).unwrap_or(0), samples, (0, clock), clock)
}

/// Returns a warning that the source is cut off, if it has fewer samples than its container says.
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

/// Seeks to where a part of the sound begins, less the pre-roll; `start` is less the lead-in already.
fn seek(source: &mut Source, stream: i32, start: i64, rate: i64) {
    let clock = source.clock(stream);
    let samples = Clock { num: 1, den: rate };
    let lead = i64::try_from(PREROLL.as_secs()).unwrap_or(1) * rate;
    let at = rescale_timestamp(start - lead, samples, (0, clock), clock);
    // If that is not possible, it is read from the start.
    source.seek(stream, Seek { by: SeekBy::Time, at, state: 0 });
}
