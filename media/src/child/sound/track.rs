//! One rendition of a sound track, or of a part of one.

use ffmpeg_next as ff;
use millrace_schemas::{AudioSettings, Rendition, Trim};

use super::outlet::{Outcome, Outlet, Purpose};

use crate::{
    child::{
        codec::{self, AudioCodec},
        damage::Damage,
        failure::Failure,
        graph::sound::{Planes, SoundGraph},
        libav::layout::Layout,
        report::Reporter,
        sink::{AudioEnd, Samples},
    },
    dsp::leveling::Levels,
    protocol::TimeRange,
    seams::{COMPARED_SAMPLES, Decoded, Overlap},
    timeline::{Clock, rescale_timestamp},
};

/// The most silence that all holes together are filled with, in seconds.
const MOST_SILENCE_SECONDS: i64 = 12 * 3600;

/// The longest hole that is taken for rounding, in samples: what timestamps in milliseconds and their jitter make of 48 kHz, also
/// where packets are long.
const MOST_ROUNDING: i64 = 256;

pub(super) struct Track<'a> {
    settings: AudioSettings,
    codec: &'static dyn AudioCodec,
    layout: Layout,
    rendition: &'a Rendition,
    range: TimeRange,
    /// What the pass is for, until the first samples come.
    purpose: Option<Purpose>,
    levels: Levels,
    /// The start and the end of the part of the source that is used, in samples.
    part: (Option<i64>, Option<i64>),
    /// Whether reading begins at the start of that part.
    sought: bool,
    pub(super) sink: Option<Outlet>,
    /// When the samples so far end, in samples. Those outside of the part are counted, and not encoded.
    at: i64,
    graph: SoundGraph,
    /// The layout of the first decoded frame: its channels are those of the output, one by one, where there are as many.
    first_layout: Option<Layout>,
    /// How many samples of silence have filled holes.
    filled: i64,
    /// How many of the next samples overlap with what is there, and are left out.
    skip: usize,
    /// True if the first samples that were decoded come after those that the part needs first.
    pub(super) late: bool,
    /// What was decoded from the start and from the end of a part on.
    head: Vec<i16>,
    tail: Vec<i16>,
}

impl<'a> Track<'a> {
    /// The track of a range of a part of the source; `sought` says whether reading begins at the start of that part.
    pub(super) fn new(
        rendition: &'a Rendition,
        (range, trim, sought): (TimeRange, Option<Trim>, bool),
        purpose: Purpose,
        levels: Levels,
    ) -> Result<Self, Failure> {
        let settings =
            rendition.audio.clone().ok_or_else(|| Failure::new("a rendition without audio settings"))?;
        let layout = Layout::of(&settings)?;
        let part = trim.map(|trim| trim.samples(i64::from(settings.sample_rate.max(1))));
        Ok(Self {
            graph: SoundGraph::new(layout, settings.sample_rate.unsigned_abs()),
            layout,
            codec: codec::sound(&settings)?,
            settings,
            rendition,
            range,
            purpose: Some(purpose),
            levels,
            part: (part.map(|part| part.0), part.and_then(|part| part.1)),
            sought,
            sink: None,
            at: 0,
            first_layout: None,
            filled: 0,
            skip: 0,
            late: false,
            head: Vec::new(),
            tail: Vec::new(),
        })
    }

    /// Returns the sampling rate, in samples per second.
    pub(super) fn rate(&self) -> i64 {
        i64::from(self.settings.sample_rate.max(1))
    }

    /// Returns how many samples are encoded before a part begins, and thrown away.
    fn lead_in(&self) -> i64 {
        self.codec.lead_in() * self.codec.frame_size()
    }

    /// Returns the first sample that is needed, if reading begins there and not at the start of the source.
    pub(super) fn begins(&self) -> Option<i64> {
        match self.range.start {
            Some(start) => Some(start - self.lead_in()),
            None => self.part.0.filter(|_| self.sought),
        }
    }

    /// Returns `true` if all samples that a part needs were encoded.
    pub(super) fn is_full(&self) -> bool {
        let Some(sink) = &self.sink else { return false };
        let needed = self.range.end.map(|end| end + self.codec.lead_out() * sink.frame_size());
        needed.into_iter().chain(self.part.1).min().is_some_and(|end| self.at >= end)
    }

    /// Returns `true` if this is a part of a track, which is cut only if the source has no holes and exact times.
    pub(super) fn is_part(&self) -> bool {
        self.range.start.is_some() || self.range.end.is_some() || self.sought
    }

    /// Returns when the sound so far ends, in seconds; `None` before there is any.
    pub(super) fn position(&self) -> Option<f64> {
        Some(self.end()? as f64 / self.rate() as f64)
    }

    /// Returns when the sound so far ends, in samples.
    fn end(&self) -> Option<i64> {
        self.sink.as_ref()?;
        Some(self.at + self.graph.delay())
    }

    /// Opens the sink of a track whose first sample is at this time, in samples.
    fn open(&mut self, first: i64) -> Result<(), Failure> {
        let purpose = self.purpose.take().ok_or_else(|| Failure::new("an output was used twice"))?;
        self.at = first;
        let settings = (&self.settings, self.layout);
        let first = self.part.0.map_or(first, |from| first.max(from));
        let place = (first, self.range, self.codec.frame_size());
        self.sink = Some(Outlet::open(self.rendition, settings, purpose, self.levels, place)?);
        Ok(())
    }

    /// Opens the sink with the first frame, whose time is this one. Returns `false` for frames before the range or behind it.
    pub(super) fn begin(
        &mut self,
        frame: &ff::frame::Audio,
        time: Option<i64>,
        clock: Clock,
    ) -> Result<bool, Failure> {
        if self.is_full() {
            return Ok(false);
        }
        if self.sink.is_none() {
            let samples = Clock { num: 1, den: self.rate() };
            let at = time.map(|pts| rescale_timestamp(pts, clock, (0, samples), samples));
            let first = match self.begins() {
                None => at.unwrap_or(0),
                Some(begins) => {
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
        Ok(true)
    }

    /// Fills with silence up to a time in ticks, or leaves out what overlaps. Returns `true` if there was a hole. If the time is `exact`,
    /// a hole of less than a quarter of a packet is taken for rounding.
    pub(super) fn move_to(
        &mut self,
        time: Option<i64>,
        clock: Clock,
        exact: bool,
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        let samples = Clock { num: 1, den: self.rate() };
        let (is_part, end) = (self.is_part(), self.end());
        let (Some(time), Some(end), Some(sink)) = (time, end, &self.sink) else { return Ok(false) };
        let hole = rescale_timestamp(time, clock, (0, samples), samples) - end;
        let tolerance = if exact { (sink.frame_size() / 4).min(MOST_ROUNDING) } else { 0 };
        self.skip = 0;
        if hole > tolerance {
            self.filled = self.filled.saturating_add(hole);
            if self.filled > MOST_SILENCE_SECONDS * samples.den {
                return Err(Failure::new(
                    "the sound has holes of more than 12 hours: its timestamps are damaged",
                ));
            }
            // What the resampler holds comes before the silence.
            self.flush()?;
            self.graph.restart();
            let until = rescale_timestamp(time, clock, (0, samples), samples);
            self.be_silent(until, reporter)?;
        } else if hole < -tolerance || (is_part && hole < 0) {
            self.skip = usize::try_from(-hole).unwrap_or(0);
        }
        Ok(hole > tolerance)
    }

    /// Encodes silence up to a time in samples.
    fn be_silent(&mut self, until: i64, reporter: &mut Reporter) -> Result<(), Failure> {
        let minute = 60 * self.rate();
        while self.at < until {
            // Encoding a long silence takes long, so progress is reported.
            let count = (until - self.at).min(minute);
            let used = self.used(count);
            if let Some(sink) = self.sink.as_mut().filter(|_| !used.is_empty()) {
                sink.push(Samples::Silence(used.len()))?;
                reporter.progress(0, sink.end());
            }
            self.at += count;
        }
        Ok(())
    }

    /// Returns which of the next `count` samples are in the part of the source that is used.
    fn used(&self, count: i64) -> std::ops::Range<usize> {
        let (from, to) = self.part;
        let place = |at: Option<i64>, or: i64| at.map_or(or, |at| at.saturating_sub(self.at).clamp(0, count));
        let index = |place: i64| usize::try_from(place).unwrap_or(0);
        index(place(from, 0))..index(place(to, count))
    }

    /// Makes each second longer by this part of it; 0 for no longer.
    pub(super) fn stretch(&mut self, part: f64) -> Result<(), Failure> {
        self.graph.stretch(part)
    }

    /// Encodes decoded samples.
    pub(super) fn play(&mut self, frame: &ff::frame::Audio) -> Result<(), Failure> {
        if self.is_full() {
            return Ok(());
        }
        let from = self.input_layout(frame);
        self.graph.push(frame, from)?.iter().try_for_each(|planes| self.encode(planes))
    }

    /// The layout by which a frame is converted: channels of the first one's layout are passed on one by one.
    fn input_layout(&mut self, frame: &ff::frame::Audio) -> Layout {
        let own = Layout::of_frame(frame);
        let first = *self.first_layout.get_or_insert(own);
        if own == first && own.channels() == self.settings.channels { self.layout } else { own }
    }

    /// Encodes what the graph holds.
    fn flush(&mut self) -> Result<(), Failure> {
        match self.graph.flush()? {
            Some(planes) => self.encode(&planes),
            None => Ok(()),
        }
    }

    /// Encodes samples that came out of the graph.
    fn encode(&mut self, planes: &Planes) -> Result<(), Failure> {
        let count = planes.first().map_or(0, Vec::len);
        let skip = self.skip.min(count);
        self.skip -= skip;
        if count == skip {
            return Ok(());
        }
        let count = count - skip;
        let used = self.used(count as i64);
        let channels: Vec<&[f32]> = planes.iter().map(|plane| &plane[skip..][used.clone()]).collect();
        self.at += used.start as i64;
        if self.is_part() && !used.is_empty() {
            self.note(&channels);
        }
        self.at += (count - used.start) as i64;
        match &mut self.sink {
            Some(sink) if !used.is_empty() => sink.push(Samples::Planes(&channels)),
            _ => Ok(()),
        }
    }

    /// Notes samples behind both ends of a part, of one channel after the other, for the proof of its seams.
    fn note(&mut self, channels: &[&[f32]]) {
        let at = self.at;
        let count = channels.first().map_or(0, |channel| channel.len());
        for (boundary, noted) in [(self.range.start, &mut self.head), (self.range.end, &mut self.tail)] {
            let Some(boundary) = boundary else { continue };
            let from = usize::try_from(boundary + noted.len() as i64 - at).unwrap_or(0).min(count);
            let to = count.min(from + COMPARED_SAMPLES.saturating_sub(noted.len()));
            if at + (count as i64) <= boundary {
                continue;
            }
            for i in from..to {
                let channel = channels.get(noted.len() * channels.len() / COMPARED_SAMPLES);
                let sample = channel.and_then(|channel| channel.get(i)).copied().unwrap_or(0.0);
                noted.push((sample * f32::from(i16::MAX)) as i16);
            }
        }
    }

    /// Ends the pass. `ends` is when the sound ends as the container says, in samples.
    pub(super) fn finish(
        mut self,
        ends: Option<i64>,
        has_packets: bool,
        damage: &Damage,
    ) -> Result<Outcome, Failure> {
        self.flush()?;
        if self.sink.is_none() && (self.range.start.is_some() || !has_packets) {
            // A part behind the end of a source that is cut off, or a track without a packet, which is left out later.
            self.open(self.range.start.unwrap_or(0))?;
        }
        let sink = self.sink.ok_or_else(|| Failure::new("no sound of the track could be decoded"))?;
        let overlap = |samples| Overlap { samples, ..Overlap::default() };
        let TimeRange { start, end } = self.range;
        let (head, tail) = (overlap(self.head), overlap(self.tail));
        sink.finish(AudioEnd {
            ends,
            decoded: &Decoded { start, end, head, tail, ..Decoded::default() },
            damage,
        })
    }
}
