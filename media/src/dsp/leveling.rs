//! By how much a track is amplified so that it has the loudness that is asked for: what is measured of it decides, pass by pass.

use millrace_schemas::{AudioFilters, AudioSettings};

use super::loudness::SILENCE;

/// True peaks of outputs stay below this, in dBTP (EBU R 128, recommendation g).
const CEILING: f64 = -1.0;
/// Peaks are measured to be so far below the ceiling, in dB: another meter, which looks at other places between samples, finds more.
const HELD: f64 = 0.1;
/// How far below the ceiling sound is limited at first, in dB; and that of a lossy codec, which makes higher peaks of it. What is
/// measured then decides.
const MARGIN: f64 = 0.2;
const LOSSY_MARGIN: f64 = 0.7;
/// How near the loudness is to be, in LU, if that can be had: a third of what is promised.
const NEAR: f64 = 0.1;
/// How near it is promised to be, in LU.
const PROMISED: f64 = 0.3;
/// How many passes try levels at the most, after the first one has measured the source. The loudness behind a limiter is nearly straight
/// in its gain, and the peaks that a codec makes of it are about as high with each gain: two or three are usual.
const MOST_TRIED: usize = 7;
/// By how much more than its loudness asks for a track is amplified at the most, in dB, to make up for what is limited.
const MOST_EXTRA: f64 = 20.0;
/// Blocks that are softer than the whole by so much are left out of its loudness, in LU.
const SOFTER: f64 = 10.0;

/// Returns how many times a track of these settings is decoded at the most.
#[must_use]
pub fn most_passes(settings: &AudioSettings) -> usize {
    match &settings.filters {
        Some(AudioFilters { loudness: Some(_), .. }) => MOST_TRIED + 2,
        Some(AudioFilters { fade_out, .. }) if *fade_out > 0.0 => 2,
        _ => 1,
    }
}

/// How a track is amplified, faded and limited in one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Levels {
    /// By how much it is amplified, in dB.
    pub(crate) gain: f64,
    /// Above which true peak it is limited, in dBTP; `None` for not at all.
    pub(crate) ceiling: Option<f64>,
    /// How many samples there are, if that is known.
    pub(crate) samples: Option<i64>,
}

/// What a pass has measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// The integrated loudness, in LUFS.
    pub(crate) loudness: f64,
    /// The true peak, in dBTP.
    pub(crate) peak: f64,
    /// How many samples there are.
    pub(crate) samples: i64,
}

/// What a pass measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measuring {
    /// How many samples there are.
    Length,
    /// Loudness and true peak, too.
    Levels,
    /// Those of what is encoded and decoded again: a lossy codec changes both.
    Coded,
}

/// The levels of a track, as far as they are known.
#[derive(Debug, Clone)]
pub(crate) struct Leveling {
    target: Option<f64>,
    is_lossless: bool,
    has_fades: bool,
    /// Above which true peak it is limited.
    ceiling: f64,
    levels: Levels,
    /// What was measured without a gain and a limiter.
    source: Option<Measured>,
    /// What was measured with levels.
    tries: Vec<(Levels, Measured)>,
    is_settled: bool,
}

impl Leveling {
    /// The levels of a track of these settings. `is_lossless` tells whether its codec is.
    pub(crate) fn new(settings: &AudioSettings, is_lossless: bool) -> Self {
        let blank = AudioFilters::default();
        let filters = settings.filters.as_ref().unwrap_or(&blank);
        Self {
            target: filters.loudness,
            is_lossless,
            has_fades: filters.fade_in > 0.0 || filters.fade_out > 0.0,
            ceiling: CEILING - if is_lossless { MARGIN } else { LOSSY_MARGIN },
            levels: Levels::default(),
            source: None,
            tries: Vec::new(),
            is_settled: filters.loudness.is_none() && filters.fade_out <= 0.0,
        }
    }

    /// Returns `true` if the track can be encoded with [`Self::levels`]; else a pass with these is to measure it first.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Returns the levels of the next pass.
    pub(crate) fn levels(&self) -> Levels {
        self.levels
    }

    /// Returns what the next pass measures.
    pub(crate) fn measuring(&self) -> Measuring {
        match (self.target, self.source) {
            (None, _) => Measuring::Length,
            (Some(_), Some(_)) if !self.is_lossless => Measuring::Coded,
            (Some(_), _) => Measuring::Levels,
        }
    }

    /// Takes what a pass with [`Self::levels`] has measured, and chooses those of the next one.
    pub(crate) fn note(&mut self, measured: Measured) {
        self.levels.samples = Some(measured.samples);
        let Some(target) = self.target else {
            self.is_settled = true;
            return;
        };
        let Some(source) = self.source else {
            self.source = Some(measured);
            if measured.loudness > SILENCE {
                self.amplify(target - measured.loudness, measured.peak);
                // Of a track whose softest parts count as silence, or that was measured without its fades, loudness changes otherwise.
                let is_straight = !self.has_fades && measured.loudness - SOFTER > SILENCE;
                self.is_settled = self.is_lossless && self.levels.ceiling.is_none() && is_straight;
            } else {
                self.is_settled = true;
            }
            return;
        };
        let before = self.levels;
        self.tries.push((before, measured));
        let missing = target - measured.loudness;
        let excess = measured.peak - (CEILING - HELD);
        if (missing.abs() <= NEAR && excess <= 0.0) || self.tries.len() >= MOST_TRIED {
            return self.settle(target);
        }
        if excess > 0.0 {
            // As much higher than what went in as the codec made it.
            let went_in = self.ceiling.min(source.peak + before.gain);
            self.ceiling = self.ceiling.min(went_in - excess);
        }
        // Behind a limiter it gets louder by less than a decibel for each.
        let slope = match self.tries.as_slice() {
            [.., (earlier, made), _] => (measured.loudness - made.loudness) / (before.gain - earlier.gain),
            _ => 1.0,
        };
        let slope = if slope.is_finite() { slope.clamp(0.3, 1.0) } else { 1.0 };
        let most = target - source.loudness + MOST_EXTRA;
        self.amplify((before.gain + missing / slope).min(most), source.peak);
        if self.levels == before {
            self.settle(target);
        }
    }

    /// Sets the gain, of sound whose true peak is `peak` before.
    fn amplify(&mut self, gain: f64, peak: f64) {
        self.levels.gain = gain;
        self.levels.ceiling = (peak + gain > self.ceiling).then_some(self.ceiling);
    }

    /// Returns the try that came nearest to what is asked for: of those whose peaks are held, if there is one.
    fn best(&self, target: f64) -> Option<(Levels, Measured)> {
        let missing = |measured: &Measured| (target - measured.loudness).abs();
        let order = |(_, a): &&(Levels, Measured), (_, b): &&(Levels, Measured)| {
            let is_over = |measured: &Measured| measured.peak > CEILING - HELD / 2.0;
            is_over(a).cmp(&is_over(b)).then(missing(a).total_cmp(&missing(b)))
        };
        self.tries.iter().min_by(order).copied()
    }

    fn settle(&mut self, target: f64) {
        if let Some((levels, _)) = self.best(target) {
            self.levels = levels;
        }
        self.is_settled = true;
    }

    /// Returns a warning if the loudness that is asked for was not reached, or the peaks are not held.
    pub(crate) fn shortfall(&self) -> Option<String> {
        let target = self.target?;
        let (_, made) = self.best(target)?;
        ((target - made.loudness).abs() > PROMISED || made.peak > CEILING).then(|| {
            format!(
                "a loudness of {target} LUFS can't be had with true peaks below {CEILING} dBTP: it is {:.1} LUFS with {:.1} dBTP",
                made.loudness, made.peak
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Sound;
    use proptest::prelude::*;

    use super::*;

    fn leveling(filters: AudioFilters, is_lossless: bool) -> Leveling {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
        let settings = AudioSettings { filters: Some(filters), ..AudioSettings::of("codec", &sound) };
        Leveling::new(&settings, is_lossless)
    }

    fn asked(loudness: f64) -> AudioFilters {
        AudioFilters { loudness: Some(loudness), ..AudioFilters::default() }
    }

    fn measured(loudness: f64, peak: f64) -> Measured {
        Measured { loudness, peak, samples: 1000 }
    }

    #[test]
    fn a_lossless_track_with_room_for_its_peaks_is_measured_once() {
        let mut leveling = leveling(asked(-16.0), true);
        assert_eq!((leveling.is_settled(), leveling.measuring()), (false, Measuring::Levels));
        leveling.note(measured(-23.0, -12.0));
        assert!(leveling.is_settled() && leveling.shortfall().is_none());
        assert_eq!(leveling.levels(), Levels { gain: 7.0, ceiling: None, samples: Some(1000) });
    }

    #[test]
    fn a_lossy_track_is_limited_further_below_if_its_codec_makes_higher_peaks() {
        let mut leveling = leveling(asked(-16.0), false);
        leveling.note(measured(-23.0, -4.0));
        assert_eq!((leveling.measuring(), leveling.levels().ceiling), (Measuring::Coded, Some(-1.7)));
        leveling.note(measured(-16.05, -0.3));
        assert!(!leveling.is_settled());
        let ceiling = leveling.levels().ceiling.unwrap();
        assert!((ceiling + 2.5).abs() < 1e-9, "{ceiling}: 0.8 dB less");
        leveling.note(measured(-16.0, -1.2));
        assert!(leveling.is_settled() && leveling.shortfall().is_none());
        assert_eq!(leveling.levels().ceiling, Some(ceiling));
    }

    #[test]
    fn a_track_is_made_softer_and_silence_is_left_as_it_is() {
        let mut loud = leveling(asked(-23.0), true);
        loud.note(measured(-9.0, 0.5));
        assert_eq!((loud.is_settled(), loud.levels().gain, loud.levels().ceiling), (true, -14.0, None));
        let mut silent = leveling(asked(-16.0), false);
        silent.note(measured(f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert_eq!((silent.is_settled(), silent.levels().gain), (true, 0.0));
    }

    #[test]
    fn a_fade_out_alone_asks_for_the_number_of_samples() {
        let mut fading = leveling(AudioFilters { fade_out: 1.0, ..AudioFilters::default() }, false);
        assert_eq!((fading.is_settled(), fading.measuring()), (false, Measuring::Length));
        fading.note(measured(f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert_eq!((fading.is_settled(), fading.levels().samples), (true, Some(1000)));
        assert!(leveling(AudioFilters { gain: 3.0, ..AudioFilters::default() }, false).is_settled());
    }

    #[test]
    fn what_can_not_be_had_is_said() {
        let mut leveling = leveling(asked(-5.0), true);
        leveling.note(measured(-30.0, -2.0));
        while !leveling.is_settled() {
            leveling.note(measured(-12.0, -1.2));
        }
        assert!(leveling.tries.len() <= MOST_TRIED);
        assert_eq!(leveling.levels().gain, 25.0, "more makes it no louder");
        let text = leveling.shortfall().unwrap();
        assert!(text.contains("-5 LUFS") && text.ends_with("it is -12.0 LUFS with -1.2 dBTP"), "{text}");
    }

    proptest! {
        /// Loudness behind a limiter is a curve that is less and less steep, and a codec adds to peaks.
        #[test]
        fn few_passes_come_near_what_is_asked_and_peaks_are_held_or_it_is_said(
            loudness in -55.0..-6.0_f64, peaks in 3.0..25.0_f64, target in -30.0..-14.0_f64,
            bend in 0.0..0.03_f64, softer in 0.0..1.0_f64, higher in 0.0..3.0_f64, is_lossless in any::<bool>(),
        ) {
            let mut leveling = leveling(asked(target), is_lossless);
            let peak = loudness + peaks;
            let code = |loudness: f64, peak: f64| {
                if is_lossless { (loudness, peak) } else { (loudness - softer, peak + higher) }
            };
            let make = |levels: Levels| {
                let most = levels.ceiling.unwrap_or(f64::MAX);
                let over = (peak + levels.gain - most).max(0.0);
                code(loudness + levels.gain - (bend * over * over).min(over), (peak + levels.gain).min(most))
            };
            leveling.note(measured(loudness, peak));
            while !leveling.is_settled() {
                let (loudness, peak) = make(leveling.levels());
                leveling.note(measured(loudness, peak));
            }
            prop_assert!(leveling.tries.len() <= MOST_TRIED);
            let (made, peak) = make(leveling.levels());
            let is_right = (made - target).abs() <= PROMISED && peak <= CEILING;
            prop_assert!(is_right || leveling.shortfall().is_some(), "{made} LUFS of {target}, {peak} dBTP");
        }
    }
}
