//! Decoded sound as samples of one rate and layout, whatever kind of frames it comes in.

mod denoise;
mod filters;

use ffmpeg_next::frame;

use crate::child::{
    failure::Failure,
    libav::{layout::Layout, resampler::Resampler},
};

pub(crate) use self::filters::SoundFilters;

/// Samples of each channel.
pub(crate) type Planes = Vec<Vec<f32>>;

/// Converts frames of sound to one rate and layout, and stretches them.
pub(crate) struct SoundGraph {
    to: Layout,
    /// Samples per second.
    rate: u32,
    resampler: Option<Resampler>,
    /// By which part of it each second is made longer.
    stretch: f64,
}

impl SoundGraph {
    /// A graph that makes sound of this layout, at so many samples per second.
    pub(crate) fn new(to: Layout, rate: u32) -> Self {
        Self { to, rate, resampler: None, stretch: 0.0 }
    }

    /// Returns how many samples it holds, at the rate that comes out.
    pub(crate) fn delay(&self) -> i64 {
        self.resampler.as_ref().map_or(0, Resampler::delay)
    }

    /// Makes each second longer by this part of it from here on; 0 for no longer.
    ///
    /// # Errors
    /// What libswresample says.
    pub(crate) fn stretch(&mut self, part: f64) -> Result<(), Failure> {
        self.stretch = part;
        self.resampler.as_mut().map_or(Ok(()), |resampler| resampler.stretch(part))
    }

    /// Converts a frame, whose channels are those of `from`. If it is of another kind than the one before, what was held of that
    /// one comes out first.
    ///
    /// # Errors
    /// What libswresample says.
    pub(crate) fn push(&mut self, frame: &frame::Audio, from: Layout) -> Result<Vec<Planes>, Failure> {
        let mut made = Vec::new();
        let mut resampler = match self.resampler.take() {
            Some(resampler) if resampler.fits(frame, from) => resampler,
            mut other => {
                made.extend(other.as_mut().map(|other| other.convert(None)).transpose()?);
                let mut new = Resampler::new(frame, from, self.to, self.rate)?;
                if self.stretch != 0.0 {
                    new.stretch(self.stretch)?;
                }
                new
            }
        };
        made.push(resampler.convert(Some(frame))?);
        self.resampler = Some(resampler);
        Ok(made)
    }

    /// Returns what is held.
    ///
    /// # Errors
    /// What libswresample says.
    pub(crate) fn flush(&mut self) -> Result<Option<Planes>, Failure> {
        self.resampler.as_mut().map(|resampler| resampler.convert(None)).transpose()
    }

    /// Forgets what came before: the next frame does not go on from it.
    pub(crate) fn restart(&mut self) {
        self.resampler = None;
    }
}
