//! Where the samples of a track go: through its filters into its encoder, or into a meter.

use std::fs::File;

use millrace_schemas::{AudioSettings, Made, Rendition};

use super::coded::Coded;
use crate::{
    child::{
        failure::Failure,
        graph::sound::{Planes, SoundFilters},
        libav::layout::Layout,
        sink::{AudioEnd, AudioSink, MOST_PADDING, Samples, Sink as _},
    },
    dsp::{
        decibels,
        leveling::{Levels, Measured, Measuring},
        loudness::LoudnessMeter,
        peak::PeakMeter,
    },
    protocol::TimeRange,
};

/// What a pass over a track is for.
pub(super) enum Purpose {
    /// To encode it into this file.
    Encode(File),
    /// To measure this of it.
    Measure(Measuring),
}

/// What a pass has made.
pub(super) enum Outcome {
    /// The facts of the work object that it wrote.
    Made(Vec<Made>),
    /// What was measured of the audio, where the pass was to measure it.
    Measured(Measured),
}

/// Filters, and what is behind them.
pub(super) struct Outlet {
    filters: Option<SoundFilters>,
    end: End,
    start: i64,
    /// How many samples came.
    taken: i64,
    channels: usize,
    /// At most so many samples of silence are made at once: a second of them.
    at_once: usize,
    frame_size: i64,
}

enum End {
    Encoder(Box<AudioSink>),
    Meter(Option<Box<Meter>>),
}

impl Outlet {
    /// Opens the encoder, or a meter. `start` is the time of the first sample, in samples.
    ///
    /// # Errors
    /// What libavcodec and libavfilter say.
    pub(super) fn open(
        rendition: &Rendition,
        (settings, layout): (&AudioSettings, Layout),
        purpose: Purpose,
        levels: Levels,
        (start, range, usual_frame): (i64, TimeRange, i64),
    ) -> Result<Self, Failure> {
        let end = match purpose {
            Purpose::Encode(file) => {
                End::Encoder(Box::new(AudioSink::open(rendition, (settings, layout), file, start, range)?))
            }
            Purpose::Measure(Measuring::Length) => End::Meter(None),
            Purpose::Measure(measuring) => {
                End::Meter(Some(Box::new(Meter::new(settings, layout, measuring)?)))
            }
        };
        let frame_size = match &end {
            End::Encoder(sink) => sink.frame_size(),
            End::Meter(_) => usual_frame,
        };
        Ok(Self {
            filters: SoundFilters::new(settings, levels)?,
            end,
            start,
            taken: 0,
            channels: usize::try_from(settings.channels).unwrap_or(0),
            at_once: usize::try_from(settings.sample_rate).unwrap_or(0).max(1),
            frame_size,
        })
    }

    /// Returns how many samples a packet has.
    pub(super) fn frame_size(&self) -> i64 {
        self.frame_size
    }

    /// Returns the time after the last sample that came, in samples.
    pub(super) fn end(&self) -> i64 {
        self.start + self.taken
    }

    /// Returns the time after the last sample that was encoded, in samples; 0 if they are measured only.
    pub(super) fn encoded(&self) -> i64 {
        match &self.end {
            End::Encoder(sink) => sink.end(),
            End::Meter(_) => 0,
        }
    }

    pub(super) fn push(&mut self, samples: Samples<'_>) -> Result<(), Failure> {
        match samples {
            Samples::Planes(planes) => {
                self.taken += planes.first().map_or(0, |plane| plane.len() as i64);
                if let (None, End::Encoder(sink)) = (&self.filters, &mut self.end) {
                    return sink.push(Samples::Planes(planes)).map(drop);
                }
                self.filter(planes.iter().map(|plane| plane.to_vec()).collect())
            }
            Samples::Silence(count) => {
                self.taken += count as i64;
                if let (None, End::Encoder(sink)) = (&self.filters, &mut self.end) {
                    return sink.push(Samples::Silence(count)).map(drop);
                }
                let mut left = count;
                while left > 0 {
                    let now = left.min(self.at_once);
                    self.filter(vec![vec![0.0; now]; self.channels])?;
                    left -= now;
                }
                Ok(())
            }
        }
    }

    fn filter(&mut self, planes: Planes) -> Result<(), Failure> {
        let planes = match &mut self.filters {
            Some(filters) => filters.push(planes)?,
            None => planes,
        };
        self.give(&planes)
    }

    fn give(&mut self, planes: &Planes) -> Result<(), Failure> {
        match &mut self.end {
            End::Encoder(sink) => {
                let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
                sink.push(Samples::Planes(&planes)).map(drop)
            }
            End::Meter(meter) => meter.as_mut().map_or(Ok(()), |meter| meter.push(planes)),
        }
    }

    pub(super) fn finish(mut self, end: AudioEnd<'_>) -> Result<Outcome, Failure> {
        if let Some(filters) = &mut self.filters {
            let rest = filters.finish()?;
            self.give(&rest)?;
        }
        match self.end {
            End::Encoder(sink) => sink.finish(end).map(Outcome::Made),
            End::Meter(meter) => {
                // As the encoder leaves it out.
                let padding = end.ends.map_or(0, |ends| self.start + self.taken - ends);
                let is_padding = usize::try_from(padding).is_ok_and(|padding| padding <= MOST_PADDING);
                let samples = self.taken - if is_padding { padding } else { 0 };
                let measured = meter.map(|meter| meter.finish()).transpose()?;
                let (loudness, peak) = measured.unwrap_or((f64::NEG_INFINITY, f64::NEG_INFINITY));
                Ok(Outcome::Measured(Measured { loudness, peak, samples }))
            }
        }
    }
}

/// Measures loudness and true peak.
struct Meter {
    coded: Option<Coded>,
    loudness: LoudnessMeter,
    peaks: Vec<PeakMeter>,
    peak: f32,
}

impl Meter {
    fn new(settings: &AudioSettings, layout: Layout, measuring: Measuring) -> Result<Self, Failure> {
        let places = layout.places();
        let is_coded = measuring == Measuring::Coded;
        Ok(Self {
            coded: is_coded.then(|| Coded::open(settings, layout)).transpose()?,
            loudness: LoudnessMeter::new(&places, settings.sample_rate.unsigned_abs()),
            peaks: places.iter().map(|_| PeakMeter::new()).collect(),
            peak: 0.0,
        })
    }

    fn push(&mut self, planes: &Planes) -> Result<(), Failure> {
        match &mut self.coded {
            Some(coded) => {
                let decoded = coded.push(planes)?;
                self.measure(&decoded);
            }
            None => self.measure(planes),
        }
        Ok(())
    }

    fn measure(&mut self, planes: &Planes) {
        self.loudness.push(planes);
        for (peaks, plane) in self.peaks.iter_mut().zip(planes) {
            self.peak = plane.iter().fold(self.peak, |peak, sample| peak.max(peaks.push(*sample)));
        }
    }

    /// Returns loudness and true peak.
    fn finish(mut self) -> Result<(f64, f64), Failure> {
        if let Some(mut coded) = self.coded.take() {
            self.measure(&coded.finish()?);
        }
        for peaks in &mut self.peaks {
            self.peak = (0..PeakMeter::LATE).fold(self.peak, |peak, _| peak.max(peaks.push(0.0)));
        }
        Ok((self.loudness.integrated(), decibels(f64::from(self.peak))))
    }
}
