//! What the movie box of a source says of a track whose packets are copied: when each is shown, and what of sound is heard. Pure.

use crate::boxes::{Movie, Track};

/// When the samples of a track are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Each sample in decoding order: its presentation time and its length, in ticks of the track.
    pub(crate) samples: Vec<(i64, i64)>,
    /// When the track begins to be shown, in ticks of the track.
    pub(crate) first: i64,
    /// When it ends, in ticks of the track.
    pub(crate) end: i64,
}

/// What of a track of sound is heard, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The samples in front of the first one that is heard.
    pub(crate) priming: i64,
    /// When the first one is heard.
    pub(crate) first: i64,
    /// How many are heard.
    pub(crate) units: i64,
}

/// The most samples in front of what is heard that an encoder puts there: two packets of the longest kind (HE-AAC), and some. More
/// are a cut.
const MOST_PRIMING: i64 = 8192;

/// The most packets of a source whose times are read from its index, at 16 bytes each: a day of sound.
pub(crate) const MOST_PACKETS: u64 = 5_000_000;

/// Returns when the samples of a track are shown.
///
/// # Errors
/// If the movie box does not say it of all samples, or says it by more than one edit: the reason, for the user.
pub(crate) fn shown(movie: &Movie, track: &Track) -> Result<Shown, String> {
    let samples = &track.samples;
    if samples.times.is_empty() || samples.times.len() as u64 != samples.count {
        return Err("its index does not list all of its packets, as in a fragmented file".into());
    }
    if track.entries.len() != 1 {
        return Err("its codec headers change on the way".into());
    }
    let span = track
        .presentation(movie)
        .ok_or("its edit list shows more than one part of it, or at another speed")?;
    let rescale = |ticks: u64, from: u32| {
        let (ticks, from, to) = (i128::from(ticks), i128::from(from), i128::from(track.timescale));
        i64::try_from((2 * ticks * to + from) / (2 * from)).unwrap_or(i64::MAX)
    };
    let first = rescale(span.start, movie.timescale);
    let move_by = first.saturating_sub(span.media_time);
    let moved = |(time, length): &(i64, u32)| (time.saturating_add(move_by), i64::from(*length));
    let moved: Vec<(i64, i64)> = samples.times.iter().map(moved).collect();
    let last = moved.iter().map(|(time, length)| time.saturating_add(*length)).max().unwrap_or(first);
    let length = rescale(span.length, span.length_timescale);
    // A length in ticks of the movie is rounded: as long as the track, to a tick, is as long as the track.
    let tick = rescale(1, span.length_timescale).max(1);
    let end = first.saturating_add(length);
    let end = if (end - last).abs() <= tick || end > last { last } else { end };
    Ok(Shown { samples: moved, first, end })
}

/// Holds that all pictures of a track are shown: a copy has them all.
///
/// # Errors
/// The reason, for the user.
pub(crate) fn all_shown(shown: &Shown) -> Result<(), String> {
    let mut times: Vec<i64> = shown.samples.iter().map(|(time, _)| *time).collect();
    times.sort_unstable();
    if times.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("several of its pictures have the same time".into());
    }
    let is_cut = times.first().is_some_and(|first| *first < shown.first)
        || times.last().is_some_and(|last| *last >= shown.end);
    if is_cut { Err("its edit list leaves out pictures that others need".into()) } else { Ok(()) }
}

/// Returns what of a track of sound at this rate is heard.
///
/// # Errors
/// If the index does not say it to the sample, or leaves out more than an encoder puts there: the reason, for the user.
pub(crate) fn heard(shown: &Shown, timescale: u32, rate: i32) -> Result<Heard, String> {
    if i64::from(timescale) != i64::from(rate) {
        return Err("its index does not count samples".into());
    }
    let follows = |pair: &[(i64, i64)]| pair[0].0.saturating_add(pair[0].1) == pair[1].0;
    if !shown.samples.windows(2).all(follows) {
        return Err("its packets do not follow each other".into());
    }
    let (Some((first, usual)), Some(((last, length), others))) =
        (shown.samples.first(), shown.samples.split_last())
    else {
        return Err("it holds no packets".into());
    };
    // Packets of files that were put together: what decodes of one overlaps the next.
    if others.iter().any(|(_, length)| length != usual) {
        return Err("its index states other lengths for some of its packets than for others".into());
    }
    let (priming, behind) = (shown.first - first, last.saturating_add(*length) - shown.end);
    if !(0..=MOST_PRIMING).contains(&priming) || behind > *usual {
        return Err("its edit list leaves out a part of it".into());
    }
    Ok(Heard { priming, first: shown.first, units: (shown.end - shown.first).max(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of(times: &[i64], length: i64, (first, end): (i64, i64)) -> Shown {
        Shown { samples: times.iter().map(|time| (*time, length)).collect(), first, end }
    }

    #[test]
    fn pictures_are_copied_where_all_of_them_are_shown_once() {
        assert_eq!(all_shown(&shown_of(&[0, 30, 10, 20], 10, (0, 40))), Ok(()));
        assert!(all_shown(&shown_of(&[-10, 0, 10], 10, (0, 20))).is_err(), "one comes before the first");
        assert!(all_shown(&shown_of(&[0, 10, 20], 10, (0, 20))).is_err(), "one comes behind the end");
        assert!(all_shown(&shown_of(&[0, 10, 10], 10, (0, 20))).is_err(), "one is there twice");
    }

    #[test]
    fn what_is_heard_of_sound_is_exact_or_unknown() {
        let track = |end| shown_of(&[-1024, 0, 1024], 1024, (0, end));
        assert_eq!(heard(&track(2048), 48_000, 48_000), Ok(Heard { priming: 1024, first: 0, units: 2048 }));
        assert_eq!(heard(&track(2000), 48_000, 48_000).map(|heard| heard.units), Ok(2000));
        assert!(heard(&track(1000), 48_000, 48_000).is_err(), "more than a packet is left out");
        assert!(heard(&track(2048), 1000, 48_000).is_err(), "milliseconds");
        assert!(heard(&shown_of(&[0, 1024, 2049], 1024, (0, 3073)), 48_000, 48_000).is_err(), "a gap");
        assert!(heard(&shown_of(&[-9000], 9001, (0, 1)), 48_000, 48_000).is_err(), "a cut");
        let uneven = Shown { samples: vec![(0, 1024), (1024, 1000), (2024, 1024)], first: 0, end: 3048 };
        assert!(heard(&uneven, 48_000, 48_000).is_err(), "files that were put together");
    }
}
