//! What is done to samples of sound before they are encoded. Pure; times are counted from a track's first sample, so nothing knows of
//! frames or packets. What needs samples that follow holds them back, and gives as many as it was given in the end.

pub(crate) mod fades;
pub(crate) mod high_pass;
pub(crate) mod leveling;
pub(crate) mod limiter;
pub(crate) mod loudness;
pub(crate) mod peak;

/// Returns an amplitude for a level in decibels.
pub(crate) fn amplitude(decibels: f64) -> f64 {
    10_f64.powf(decibels / 20.0)
}

/// Returns the level of an amplitude in decibels; minus infinity for 0.
pub(crate) fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}
