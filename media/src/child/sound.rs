//! A sound track, or a part of one, decoded once and encoded for each rendition as one continuous stream.
//!
//! A part is a range of samples on the codec's frame grid. Its encoder begins so many frames earlier that it stands
//! where one that began at the start would; their packets are thrown away. So parts join without a seam.

mod clock;
mod track;

use std::{fs::File, time::Duration};

use ffmpeg_next as ff;
use millrace_schemas::{Seek, SeekBy};

use super::{
    Failure, Reporter,
    damage::{Damage, WARY_FRAMES},
    decoder::SoundDecoder,
    encoder::AudioEncoder,
    frames::{Frames, Next},
    inspect::COUNTED,
    leaps::Leaps,
    source::{Depth, Source},
};
use crate::{
    protocol::{TimeRange, TranscodeTask},
    timeline::{Clock, place},
};
pub(super) use clock::{Act, Heard, SoundClock};
use track::Track;

/// How much earlier reading begins than the lead: what a decoder needs to stand where it would.
const PREROLL: Duration = Duration::from_secs(1);

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Decoding)?;
    source.set_jumps(&task.jumps);
    let range = task.ranges.first().copied().unwrap_or(TimeRange { start: None, end: None });
    let mut tracks = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        tracks.push(Track::new(rendition, range, output)?);
    }
    let mut frames = Frames::<SoundDecoder>::open(source, &task.streams(), task.cores)?;
    let (clock, tick) = (frames.clock, frames.tick());
    if let Some(start) = range.start {
        let (rate, lead) = tracks.first().map_or((1, 0), |track| (track.rate(), track.lead_in()));
        seek(&mut frames.source, task.stream, start - lead, rate);
    }
    let seamless = COUNTED.contains(&frames.source.container().as_str()) || tracks.iter().any(Track::is_part);
    let mut hearing = Hearing { tracks, follow: SoundClock::new(tick), clock, wary: 0 };
    let mut damage = Damage::default();
    let mut leaps = Leaps::new(1.0 / tick);
    let (mut estimate, mut packets) = (0, 0_u64);
    loop {
        let frame = match frames.next()? {
            Next::Packet(_) => {
                packets += 1;
                reporter.progress(0, hearing.done());
                continue;
            }
            Next::Damaged(at) => {
                packets += 1;
                damage.packet(at.map(|at| at as f64 * tick));
                hearing.wary = WARY_FRAMES;
                continue;
            }
            Next::Frame(frame) => frame,
            Next::End(error) => {
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
        for ((frame, time), at, lied) in leaps.take((frame, time), at, long) {
            damage.frame(&frame, at as f64 * tick);
            if lied {
                damage.time(at as f64 * tick);
            }
            if hearing.hear(frame, time.filter(|_| !lied), reporter)? && seamless {
                damage.absent(at as f64 * tick);
            }
        }
        if hearing.tracks.iter().all(Track::is_full) {
            break;
        }
    }
    if let Some(((frame, time), at, lied)) = leaps.end() {
        if lied {
            damage.time(at as f64 * tick);
        }
        hearing.hear(frame, time.filter(|_| !lied), reporter)?;
    }
    hearing.end(reporter)?;
    if hearing.tracks.iter().any(|track| track.late) {
        return Err(Failure::new("sound can't be read from where its index says that it lies"));
    }
    if let Some(cut_off) = cut_off(&frames.source, task.stream, estimate) {
        damage.ended(cut_off);
    }
    if let Some(drift) = hearing.follow.drift() {
        damage.note(estimate as f64 * tick, drift);
    }
    let ends = ends(&frames.source, task.stream).filter(|_| range.end.is_none());
    let finish = |track: Track<'_>| {
        let samples = Clock { num: 1, den: track.rate() };
        track.finish(ends.map(|ends| place(ends, clock, (0, samples), samples)), packets > 0, &damage)
    };
    let made = hearing.tracks.into_iter().map(finish).collect::<Result<_, _>>()?;
    reporter.made(0, made);
    Ok(())
}

/// The renditions of a track, and where its timestamps put its sound.
struct Hearing<'a> {
    tracks: Vec<Track<'a>>,
    follow: SoundClock<ff::frame::Audio>,
    clock: Clock,
    /// For how many more frames a time is believed to the millisecond: there was damage before them.
    wary: u32,
}

impl Hearing<'_> {
    fn done(&self) -> i64 {
        self.tracks.first().and_then(|track| track.encoder.as_ref()).map_or(0, AudioEncoder::end)
    }

    /// Takes decoded samples; `time` is theirs in ticks, if they have one that can be believed. `true` where a hole before
    /// them was filled.
    fn hear(
        &mut self,
        frame: ff::frame::Audio,
        time: Option<i64>,
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        let exact = self.wary > 0 || self.tracks.iter().any(Track::is_part);
        self.wary = self.wary.saturating_sub(1);
        let position = self.tracks.first().and_then(Track::position);
        let Some(position) = position.filter(|_| !exact) else {
            let mut filled = self.end(reporter)?;
            for track in &mut self.tracks {
                if track.begin(&frame, time, self.clock)? {
                    filled |= track.move_to(time, self.clock, true, reporter)?;
                    track.play(&frame)?;
                }
            }
            return Ok(filled);
        };
        let length = frame.samples() as f64 / f64::from(frame.rate().max(1));
        let acts = self.follow.take(frame, Heard { at: time, length }, position);
        self.act(acts, reporter)
    }

    /// Plays what is held still.
    fn end(&mut self, reporter: &mut Reporter) -> Result<bool, Failure> {
        let acts = self.follow.end();
        self.act(acts, reporter)
    }

    fn act(&mut self, acts: Vec<Act<ff::frame::Audio>>, reporter: &mut Reporter) -> Result<bool, Failure> {
        let mut filled = false;
        for act in acts {
            for track in &mut self.tracks {
                match &act {
                    Act::Play(frame) => track.play(frame)?,
                    Act::MoveTo(at) => filled |= track.move_to(Some(*at), self.clock, false, reporter)?,
                    Act::Stretch(part) => track.stretch(*part)?,
                }
            }
        }
        Ok(filled)
    }
}

/// How long decoded samples are heard, in ticks.
fn length(frame: &ff::frame::Audio, clock: Clock) -> i64 {
    let samples = Clock { num: 1, den: i64::from(frame.rate().max(1)) };
    place(i64::try_from(frame.samples()).unwrap_or(0), samples, (0, clock), clock)
}

/// Where a stream ends by what an mp4 says of it, which knows what a codec padded; other demuxers tell of each packet.
pub(crate) fn ends(source: &Source, stream: i32) -> Option<i64> {
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

/// Goes to where decoding of a part of the sound begins, less what a decoder needs before it.
fn seek(source: &mut Source, stream: i32, start: i64, rate: i64) {
    let clock = source.clock(stream);
    let samples = Clock { num: 1, den: rate };
    let lead = i64::try_from(PREROLL.as_secs()).unwrap_or(1) * rate;
    let at = place(start - lead, samples, (0, clock), clock);
    // Where it can't, it is read from the start.
    source.seek(stream, Seek { by: SeekBy::Time, at, state: 0 });
}
