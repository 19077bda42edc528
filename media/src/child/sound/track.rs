//! One rendition of a sound track, or of a part of one.

use std::fs::File;

use ffmpeg_next as ff;
use millrace_schemas::{AudioSettings, Made, Rendition};

use crate::{
    child::{
        Failure, Reporter,
        codec::{self, AudioCodec},
        damage::Damage,
        encoder::AudioEncoder,
        layout::Layout,
        resampler::Resampler,
    },
    protocol::TimeRange,
    seams::{COMPARED_SAMPLES, Decoded, Overlap},
    timeline::{Clock, place},
};

/// How much silence holes are filled with at the most, in seconds, all together.
const MOST_SILENCE_SECONDS: i64 = 12 * 3600;

pub(super) struct Track<'a> {
    settings: AudioSettings,
    codec: &'static dyn AudioCodec,
    layout: Layout,
    rendition: &'a Rendition,
    range: TimeRange,
    output: Option<File>,
    pub(super) encoder: Option<AudioEncoder>,
    resampler: Option<Resampler>,
    /// The layout of the first decoded frame: its channels are those of the output, one by one, where there are as many.
    first_layout: Option<Layout>,
    /// How many samples of silence holes were filled with.
    filled: i64,
    /// How many of the next samples overlap with what is there, and are left out.
    skip: usize,
    /// By which part of it each second is made longer.
    stretch: f64,
    /// Whether the first samples came after those that were to be first.
    pub(super) late: bool,
    /// What was decoded from the start and from the end of a part on.
    head: Vec<i16>,
    tail: Vec<i16>,
}

impl<'a> Track<'a> {
    pub(super) fn new(rendition: &'a Rendition, range: TimeRange, output: File) -> Result<Self, Failure> {
        let settings =
            rendition.audio.clone().ok_or_else(|| Failure::new("a rendition without audio settings"))?;
        Ok(Self {
            layout: Layout::of(&settings)?,
            codec: codec::sound(&settings)?,
            settings,
            rendition,
            range,
            output: Some(output),
            encoder: None,
            resampler: None,
            first_layout: None,
            filled: 0,
            skip: 0,
            stretch: 0.0,
            late: false,
            head: Vec::new(),
            tail: Vec::new(),
        })
    }

    /// Samples a second.
    pub(super) fn rate(&self) -> i64 {
        i64::from(self.settings.sample_rate.max(1))
    }

    /// How many samples are encoded before a part begins, and thrown away.
    pub(super) fn lead_in(&self) -> i64 {
        self.codec.lead_in() * self.codec.frame_size()
    }

    /// Whether all was encoded that a part needs.
    pub(super) fn is_full(&self) -> bool {
        match (&self.encoder, self.range.end) {
            (Some(encoder), Some(end)) => encoder.end() >= end + self.codec.lead_out() * encoder.frame_size(),
            _ => false,
        }
    }

    /// Whether this is a part of a track: then it is known that the source has no holes, and each sample its place.
    pub(super) fn is_part(&self) -> bool {
        self.range.start.is_some() || self.range.end.is_some()
    }

    /// Where the sound so far ends, in seconds; `None` before there is any.
    pub(super) fn position(&self) -> Option<f64> {
        Some(self.end()? as f64 / self.rate() as f64)
    }

    /// Where the sound so far ends, in samples.
    fn end(&self) -> Option<i64> {
        let held = self.resampler.as_ref().map_or(0, Resampler::delay);
        Some(self.encoder.as_ref()?.end() + held)
    }

    fn open(&mut self, first: i64) -> Result<(), Failure> {
        let output = self.output.take().ok_or_else(|| Failure::new("an output was used twice"))?;
        self.encoder = Some(AudioEncoder::open(
            self.rendition,
            (&self.settings, self.layout),
            output,
            first,
            self.range,
        )?);
        Ok(())
    }

    /// Begins with the first frame, whose time is this one; `false` for frames that come before the range, or behind it.
    pub(super) fn begin(
        &mut self,
        frame: &ff::frame::Audio,
        time: Option<i64>,
        clock: Clock,
    ) -> Result<bool, Failure> {
        if self.is_full() {
            return Ok(false);
        }
        if self.encoder.is_none() {
            let samples = Clock { num: 1, den: self.rate() };
            let at = time.map(|pts| place(pts, clock, (0, samples), samples));
            let first = match self.range.start {
                None => at.unwrap_or(0),
                Some(start) => {
                    let begins = start - self.lead_in();
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

    /// Fills with silence up to a time in ticks, or leaves out what overlaps; `true` where there was a hole. Where the time
    /// is `exact`, a hole of less than a quarter of a packet is rounding.
    pub(super) fn move_to(
        &mut self,
        time: Option<i64>,
        clock: Clock,
        exact: bool,
        reporter: &mut Reporter,
    ) -> Result<bool, Failure> {
        let samples = Clock { num: 1, den: self.rate() };
        let (is_part, end) = (self.is_part(), self.end());
        let (Some(time), Some(end), Some(encoder)) = (time, end, &mut self.encoder) else { return Ok(false) };
        let hole = place(time, clock, (0, samples), samples) - end;
        let tolerance = if exact { encoder.frame_size() / 4 } else { 0 };
        self.skip = 0;
        if hole > tolerance {
            self.filled = self.filled.saturating_add(hole);
            if self.filled > MOST_SILENCE_SECONDS * samples.den {
                return Err(Failure::new(
                    "the sound has holes of more than 12 hours: its timestamps are damaged",
                ));
            }
            // What the resampler holds comes before the silence.
            self.convert(None)?;
            self.resampler = None;
            let Some(encoder) = &mut self.encoder else { return Ok(false) };
            // A long silence takes its time, too.
            let (mut left, minute) =
                (place(time, clock, (0, samples), samples) - encoder.end(), 60 * samples.den);
            while left > 0 {
                encoder.silence(usize::try_from(left.min(minute)).unwrap_or(0))?;
                left -= minute;
                reporter.progress(0, encoder.end());
            }
        } else if hole < -tolerance || (is_part && hole < 0) {
            self.skip = usize::try_from(-hole).unwrap_or(0);
        }
        Ok(hole > tolerance)
    }

    /// Makes each second longer by this part of it; 0 for no longer.
    pub(super) fn stretch(&mut self, part: f64) -> Result<(), Failure> {
        self.stretch = part;
        self.resampler.as_mut().map_or(Ok(()), |resampler| resampler.stretch(part))
    }

    /// Encodes decoded samples.
    pub(super) fn play(&mut self, frame: &ff::frame::Audio) -> Result<(), Failure> {
        if self.is_full() {
            return Ok(());
        }
        self.convert(Some(frame))
    }

    /// The layout by which a frame is converted: channels of the first one's layout are passed on one by one.
    fn input_layout(&mut self, frame: &ff::frame::Audio) -> Layout {
        let own = Layout::of_frame(frame);
        let first = *self.first_layout.get_or_insert(own);
        if own == first && own.channels() == self.settings.channels { self.layout } else { own }
    }

    /// Resamples and encodes; `None` takes what the resampler holds.
    fn convert(&mut self, frame: Option<&ff::frame::Audio>) -> Result<(), Failure> {
        if let Some(frame) = frame {
            let from = self.input_layout(frame);
            if !self.resampler.as_ref().is_some_and(|resampler| resampler.fits(frame, from)) {
                self.convert(None)?;
                let rate = self.settings.sample_rate.unsigned_abs();
                let mut made = Resampler::new(frame, from, self.layout, rate)?;
                if self.stretch != 0.0 {
                    made.stretch(self.stretch)?;
                }
                self.resampler = Some(made);
            }
        }
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        let planes = resampler.convert(frame)?;
        let count = planes.first().map_or(0, Vec::len);
        let skip = self.skip.min(count);
        self.skip -= skip;
        if count == skip {
            return Ok(());
        }
        let channels: Vec<&[f32]> = planes.iter().map(|plane| &plane[skip..]).collect();
        if self.is_part() {
            self.note(&channels);
        }
        match &mut self.encoder {
            Some(encoder) => encoder.push(&channels),
            None => Ok(()),
        }
    }

    /// Notes samples behind both ends of a part, of one channel after the other, for the proof of its seams.
    fn note(&mut self, channels: &[&[f32]]) {
        let Some(at) = self.encoder.as_ref().map(AudioEncoder::end) else { return };
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

    /// Ends the work object. `ends` is where the container says that the sound ends, in samples.
    pub(super) fn finish(
        mut self,
        ends: Option<i64>,
        has_packets: bool,
        damage: &Damage,
    ) -> Result<Made, Failure> {
        self.convert(None)?;
        if self.encoder.is_none() && (self.range.start.is_some() || !has_packets) {
            // A part behind the end of a source that is cut off, or a track without a packet, which is left out later.
            self.open(self.range.start.unwrap_or(0))?;
        }
        let encoder = self.encoder.ok_or_else(|| Failure::new("no sound of the track could be decoded"))?;
        let overlap = |samples| Overlap { samples, ..Overlap::default() };
        let TimeRange { start, end } = self.range;
        let (head, tail) = (overlap(self.head), overlap(self.tail));
        encoder.finish(ends, Decoded { start, end, from: None, head, tail }, damage)
    }
}
