//! What samples go through between graph and encoder: [`AudioFilters`], in its order.

use millrace_schemas::{AudioFilters, AudioSettings};

use super::{Planes, denoise::Denoiser};
use crate::{
    child::failure::Failure,
    dsp::{amplitude, fades::Fades, high_pass::HighPass, leveling::Levels, limiter::Limiter},
};

/// The filters of a track. They give as many samples as they take, in the end.
pub(crate) struct SoundFilters {
    high_pass: Option<HighPass>,
    denoiser: Option<Denoiser>,
    gain: f32,
    limiter: Option<Limiter>,
    fades: Fades,
    /// How many samples were given back.
    given: i64,
}

impl SoundFilters {
    /// The filters of these settings, in a pass with these levels; `None` if there are none.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn new(settings: &AudioSettings, levels: Levels) -> Result<Option<Self>, Failure> {
        let Some(filters) = &settings.filters else { return Ok(None) };
        let AudioFilters { high_pass, denoise, gain, loudness: _, fade_in, fade_out } = *filters;
        let channels = usize::try_from(settings.channels).unwrap_or(0);
        let rate = settings.sample_rate.unsigned_abs().max(1);
        let samples = |seconds: f64| (seconds * f64::from(rate)).round();
        // When it ends is known from the second pass on.
        let fade_out = levels.samples.map_or(0.0, |_| samples(fade_out));
        Ok(Some(Self {
            high_pass: (high_pass > 0).then(|| HighPass::new(channels, rate, f64::from(high_pass))),
            denoiser: denoise.then(|| Denoiser::new(channels, settings.sample_rate)).transpose()?,
            gain: amplitude(gain + levels.gain) as f32,
            limiter: levels.ceiling.map(|ceiling| Limiter::new(channels, rate, ceiling)),
            fades: Fades {
                fade_in: samples(fade_in),
                fade_out,
                end: levels.samples.map_or(f64::INFINITY, |samples| samples as f64),
            },
            given: 0,
        }))
    }

    /// Takes samples, of each channel as many, and returns those that are done.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn push(&mut self, mut planes: Planes) -> Result<Planes, Failure> {
        if let Some(high_pass) = &mut self.high_pass {
            high_pass.apply(&mut planes);
        }
        if let Some(denoiser) = &mut self.denoiser {
            planes = denoiser.push(&planes)?;
        }
        Ok(self.amplify(planes))
    }

    /// Returns the samples that are held back.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn finish(&mut self) -> Result<Planes, Failure> {
        let held = self.denoiser.as_mut().map(Denoiser::finish).transpose()?;
        let mut made = held.map(|held| self.amplify(held)).unwrap_or_default();
        if let Some(limiter) = &mut self.limiter {
            let mut rest = limiter.finish();
            self.fade(&mut rest);
            made.resize(rest.len(), Vec::new());
            made.iter_mut().zip(rest).for_each(|(made, rest)| made.extend(rest));
        }
        Ok(made)
    }

    fn amplify(&mut self, mut planes: Planes) -> Planes {
        if self.gain != 1.0 {
            planes.iter_mut().flatten().for_each(|sample| *sample *= self.gain);
        }
        if let Some(limiter) = &mut self.limiter {
            planes = limiter.push(&planes);
        }
        self.fade(&mut planes);
        planes
    }

    fn fade(&mut self, planes: &mut Planes) {
        self.fades.apply(self.given, planes);
        self.given += planes.first().map_or(0, |plane| plane.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Sound;

    use super::*;

    fn settings(filters: Option<AudioFilters>) -> AudioSettings {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
        AudioSettings { filters, ..AudioSettings::of("pcm", &sound) }
    }

    #[test]
    fn all_filters_together_keep_the_number_of_samples_and_their_places() {
        let all = AudioFilters {
            high_pass: 20,
            denoise: true,
            gain: -6.0,
            loudness: Some(-16.0),
            fade_in: 0.01,
            fade_out: 0.02,
        };
        let levels = Levels { gain: 6.0, ceiling: Some(-1.0), samples: Some(20_000) };
        let mut filters = SoundFilters::new(&settings(Some(all)), levels).unwrap().unwrap();
        let mut click = vec![0.0; 20_000];
        click[10_000] = 0.8;
        let mut made = Vec::new();
        for piece in click.chunks(999) {
            made.extend(filters.push(vec![piece.to_vec(); 2]).unwrap().remove(0));
        }
        made.extend(filters.finish().unwrap().remove(0));
        assert_eq!(made.len(), 20_000);
        let loudest = made.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap();
        assert_eq!(loudest.0, 10_000);
        assert!((loudest.1 - 0.8).abs() < 0.05, "{}", loudest.1);
    }

    #[test]
    fn settings_without_filters_have_none_and_a_gain_is_one() {
        assert!(SoundFilters::new(&settings(None), Levels::default()).unwrap().is_none());
        let gain = AudioFilters { gain: -20.0, ..AudioFilters::default() };
        let mut filters = SoundFilters::new(&settings(Some(gain)), Levels::default()).unwrap().unwrap();
        assert_eq!(filters.push(vec![vec![1.0], vec![-0.5]]).unwrap(), [[0.1], [-0.05]]);
        assert!(filters.finish().unwrap().is_empty());
    }
}
