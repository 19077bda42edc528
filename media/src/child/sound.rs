//! A sound track, or a part of one, decoded once and encoded for each rendition as one continuous stream. What is to have a loudness, or
//! to fade out, is decoded and measured before, as often as [`Leveling`] asks for.
//!
//! A part is a range of samples on the codec's frame grid. Its encoder begins so many frames earlier that its state
//! is the one that it would have if it had begun at the start; their packets are thrown away. So parts join without a seam.

mod clock;
mod coded;
mod outlet;
mod track;

use std::{fs::File, time::Duration};

use ffmpeg_next as ff;
use millrace_schemas::{Rendition, Seek, SeekBy};

use super::{
    codec,
    damage::{Damage, WARY_FRAMES},
    decode::{Event, TrackDecoder, lengths},
    failure::Failure,
    outliers::{OutlierFilter, Timed},
    report::Reporter,
    source::{COUNTED, Depth, Source},
};
use crate::{
    dsp::leveling::Leveling,
    protocol::{TimeRange, TranscodeTask},
    timeline::{Clock, rescale_timestamp},
};
pub(super) use clock::{Action, FrameTime, SoundClock};
use outlet::{Outcome, Outlet, Purpose};
use track::Track;

/// How much earlier than the lead-in reading begins: the pre-roll of the decoder.
const PREROLL: Duration = Duration::from_secs(1);

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let range = task.ranges.first().copied().unwrap_or(TimeRange { start: None, end: None });
    // Where reading may begin in the middle, an index says that timestamps are exact.
    let place = (range, task.trim, range.start.is_none() && !task.seeks.is_empty());
    let mut levels = task.renditions.iter().map(leveling).collect::<Result<Vec<_>, _>>()?;
    while levels.iter().any(|leveling| !leveling.is_settled()) {
        let mut tracks = Vec::new();
        for (rendition, leveling) in task.renditions.iter().zip(&levels).filter(|(_, l)| !l.is_settled()) {
            let purpose = Purpose::Measure(leveling.measuring());
            tracks.push(Track::new(rendition, place, purpose, leveling.levels())?);
        }
        let again = file.try_clone().map_err(Failure::at("reading the source"))?;
        let outcomes = pass(again, task, tracks, &[], reporter)?;
        let open = levels.iter_mut().filter(|leveling| !leveling.is_settled());
        for (leveling, outcome) in open.zip(outcomes) {
            if let Outcome::Measured(measured) = outcome {
                leveling.note(measured);
            }
        }
    }
    let mut tracks = Vec::new();
    for ((rendition, leveling), output) in task.renditions.iter().zip(&levels).zip(outputs) {
        tracks.push(Track::new(rendition, place, Purpose::Encode(output), leveling.levels())?);
    }
    let notes: Vec<String> = levels.iter().filter_map(Leveling::shortfall).collect();
    let made = pass(file, task, tracks, &notes, reporter)?.into_iter().flat_map(|outcome| match outcome {
        Outcome::Made(made) => made,
        Outcome::Measured(_) => Vec::new(),
    });
    reporter.made(0, made.collect());
    Ok(())
}

/// The levels of a rendition, before it is measured.
fn leveling(rendition: &Rendition) -> Result<Leveling, Failure> {
    let settings =
        rendition.audio.as_ref().ok_or_else(|| Failure::new("a rendition without audio settings"))?;
    Ok(Leveling::new(settings, codec::sound(settings)?.bits().is_some()))
}

/// Decodes what a task asks for once, and sends it to tracks. `notes` are warnings about what is made.
fn pass(
    file: File,
    task: &TranscodeTask,
    tracks: Vec<Track<'_>>,
    notes: &[String],
    reporter: &mut Reporter,
) -> Result<Vec<Outcome>, Failure> {
    let mut source = Source::open(file, Depth::Decoding)?;
    source.set_discontinuities(&task.jumps);
    let range = task.ranges.first().copied().unwrap_or(TimeRange { start: None, end: None });
    let mut decoder = TrackDecoder::<ff::frame::Audio>::open(source, &task.streams(), 1)?;
    let (clock, tick) = (decoder.clock, decoder.tick());
    // Codecs differ in how much they need before a part.
    if let Some((begins, rate)) =
        tracks.iter().filter_map(|track| Some((track.begins()?, track.rate()))).min()
    {
        seek(&mut decoder.source, task.stream, begins, rate);
    }
    let seamless =
        COUNTED.contains(&decoder.source.container().as_str()) || tracks.iter().any(Track::is_part);
    let mut renditions = Renditions { tracks, follow: SoundClock::new(tick), clock, wary: 0 };
    let seconds = |micros: i64| micros as f64 / 1e6;
    let part = task.trim.map(|trim| (seconds(trim.from), trim.to.map(seconds)));
    let mut damage = part.map_or_else(Damage::default, |(from, to)| Damage::within(Some(from), to));
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
    let is_read = !renditions.tracks.iter().all(Track::is_full);
    if let Some(cut_off) = cut_off(&decoder.source, task.stream, estimate).filter(|_| is_read) {
        damage.ended(cut_off);
    }
    for note in notes {
        damage.note(0.0, note.clone());
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
    renditions.tracks.into_iter().map(finish).collect()
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
        self.tracks.first().and_then(|track| track.sink.as_ref()).map_or(0, Outlet::encoded)
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
