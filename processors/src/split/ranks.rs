//! Which audio track plays where there are several, and which come behind it. Pure.

use millrace_schemas::AudioTrack;

/// libavformat's `AV_DISPOSITION_DEFAULT`.
pub(super) const DEFAULT: i32 = 1;
/// A track counts as being as long as the longest one from this fraction of its duration on.
const AS_LONG: f64 = 0.9;

/// Returns the rank of each audio track: 0 for the one that plays, which formats hold that hold fewer than all.
pub(super) fn audio_ranks(sounds: &[AudioTrack]) -> Vec<usize> {
    let first = main_sound(sounds);
    let rank = |number| if number == first { 0 } else { number + usize::from(number < first) };
    (0..sounds.len()).map(rank).collect()
}

/// Returns the index of the main audio track: the first of the longest among the default ones; among all, if none is a default one.
pub(super) fn main_sound(sounds: &[AudioTrack]) -> usize {
    let is_default = |sound: &AudioTrack| sound.tags.dispositions & DEFAULT != 0;
    let some_default = sounds.iter().any(is_default);
    let is_candidate = |sound: &&AudioTrack| is_default(sound) == some_default;
    let longest = sounds.iter().filter(is_candidate).map(|sound| sound.seconds).fold(0.0, f64::max);
    let is_main = |sound: &AudioTrack| is_candidate(&sound) && sound.seconds >= AS_LONG * longest;
    sounds.iter().position(is_main).unwrap_or(0)
}
