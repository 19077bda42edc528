//! Which pictures are kept as single ones, by time: the one that is shown at each of some instants. Pure.
//!
//! Instants are numbered from 0 on. A picture is shown from its time on until the next one's, so that a segment, which is a range of source
//! time, owns the instants in it, and shows at them what the whole shows, whatever the cuts. Before the first picture there is that one.

use millrace_schemas::{Instants as Asked, Ratio, VideoSettings};

use crate::rate::Rate;

/// Instants of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Instants {
    clock: Ratio,
    zero: i64,
    when: When,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    /// In ticks of the source's clock, in order.
    Listed(Vec<i64>),
    /// At a distance, from a tick of the source's clock on; so many, if that is known.
    Each { distance: Rate, seconds: f64, first: i64, count: i64 },
}

impl Instants {
    /// Returns those of a rendition; `None` if it keeps all pictures, or those of scenes.
    #[must_use]
    pub fn of(settings: &VideoSettings) -> Option<Self> {
        let Asked { clock, zero, times, first, count, scene } = settings.instants.as_ref()?;
        if *scene > 0.0 {
            return None;
        }
        let clock = match clock.as_slice() {
            [num, den] => Ratio { num: (*num).max(1), den: (*den).max(1) },
            _ => Ratio { num: 1, den: 1 },
        };
        let when = if times.is_empty() {
            let count = if *count > 0 { *count } else { i64::MAX };
            let distance = settings.time_base;
            When::Each {
                distance: Rate::new(clock, distance),
                seconds: distance.as_f64(),
                first: *first,
                count,
            }
        } else {
            When::Listed(times.clone())
        };
        Some(Self { clock, zero: *zero, when })
    }

    /// Returns the number of the first instant that is not before a source time; one behind the last if none is.
    #[must_use]
    pub fn first_from(&self, time: i64) -> i64 {
        match &self.when {
            When::Listed(times) => {
                i64::try_from(times.partition_point(|instant| *instant < time)).unwrap_or(i64::MAX)
            }
            When::Each { distance, first, count, .. } => {
                distance.first_from(time.saturating_sub(*first)).clamp(0, *count)
            }
        }
    }

    /// Returns when an instant is, in seconds of the output.
    #[must_use]
    pub fn seconds(&self, number: i64) -> f64 {
        let of_source = |time: i64| time.saturating_sub(self.zero) as f64 * self.clock.as_f64();
        match &self.when {
            When::Listed(times) => {
                let listed = usize::try_from(number).ok().and_then(|number| times.get(number));
                of_source(listed.or(times.last()).copied().unwrap_or(self.zero))
            }
            When::Each { seconds, first, .. } => of_source(*first) + number as f64 * seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Picture;
    use proptest::prelude::*;

    use super::*;
    use crate::ticks::{Resampler, Ticks};

    const MILLISECONDS: Ratio = Ratio { num: 1, den: 1000 };

    fn settings(time_base: Ratio, asked: Asked) -> VideoSettings {
        let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, MILLISECONDS);
        let instants = Some(Asked { clock: vec![1, 1000], ..asked });
        VideoSettings { instants, time_base, ..VideoSettings::of("any", &picture) }
    }

    fn each(milliseconds: i32, first: i64, count: i64) -> VideoSettings {
        settings(
            Ratio { num: milliseconds, den: 1000 },
            Asked { zero: first, first, count, ..Asked::default() },
        )
    }

    fn listed(times: Vec<i64>) -> VideoSettings {
        settings(Ratio { num: 1, den: 1 }, Asked { times, ..Asked::default() })
    }

    /// The instants that a segment owns, each with the number of the picture that is shown.
    fn segment(
        settings: &VideoSettings,
        times: &[i64],
        end: i64,
        range: (Option<i64>, Option<i64>),
    ) -> Vec<(i64, usize)> {
        let ticks = Ticks::of(settings, MILLISECONDS).unwrap();
        let (start, stop) = range;
        let first = times.partition_point(|time| start.is_some_and(|start| *time < start));
        let mut resampler = Resampler::new(ticks.clone(), start);
        let needs_before = times.get(first).is_none_or(|time| resampler.needs_picture_before(*time));
        let from = if needs_before { first.saturating_sub(1) } else { first };
        let mut shown = Vec::new();
        for (number, time) in times.iter().enumerate().skip(from) {
            shown.extend(resampler.push(*time, number));
        }
        shown.extend(resampler.finish(end));
        let all = shown.into_iter().flat_map(|(ticks, number)| ticks.map(move |tick| (tick, number)));
        let stop = stop.map(|stop| ticks.first_from(stop));
        all.filter(|(tick, _)| stop.is_none_or(|stop| *tick < stop)).collect()
    }

    #[test]
    fn a_picture_is_kept_that_is_shown_at_an_instant_not_the_nearest_one() {
        let times: Vec<i64> = (0..75).map(|number| number * 40).collect();
        let kept = segment(&each(1000, 0, 0), &times, 3000, (None, None));
        assert_eq!(kept, [(0, 0), (1, 25), (2, 50)]);
        let kept = segment(&listed(vec![10, 1999, 2000, 9000]), &times, 3000, (None, None));
        assert_eq!(kept, [(0, 0), (1, 49), (2, 50)], "nothing is shown at 9 s");
        let kept = segment(&each(500, 1000, 3), &times, 3000, (None, None));
        assert_eq!(kept, [(0, 25), (1, 37), (2, 50)]);
    }

    #[test]
    fn the_first_picture_is_kept_for_instants_before_it_and_a_short_source_has_one() {
        assert_eq!(segment(&listed(vec![0, 50]), &[100, 140], 180, (None, None)), [(0, 0), (1, 0)]);
        assert_eq!(segment(&each(10_000, 100, 0), &[100, 140], 180, (None, None)), [(0, 0)]);
        assert_eq!(segment(&each(1000, 5000, 2), &[0, 40], 80, (None, None)), [], "it ends before");
    }

    #[test]
    fn instants_are_told_in_seconds_of_the_output() {
        let even = Instants::of(&each(500, 1400, 0)).unwrap();
        assert_eq!([0, 1, 10].map(|number| even.seconds(number)), [0.0, 0.5, 5.0]);
        let some = Instants::of(&listed(vec![10, 2500])).unwrap();
        assert_eq!([0, 1].map(|number| some.seconds(number)), [0.01, 2.5]);
        let scenes = Asked { scene: 0.1, ..Asked::default() };
        assert_eq!(Instants::of(&settings(MILLISECONDS, scenes)), None);
    }

    proptest! {
        #[test]
        fn segments_own_each_instant_once_and_keep_what_the_whole_keeps(
            steps in prop::collection::vec(1_i64..900, 1..40),
            cuts in prop::collection::btree_set(1_i64..20_000, 0..6),
            first in -300_i64..300,
            distance in 1_i32..4000,
            count in 0_i64..30,
            list in prop::collection::btree_set(-500_i64..20_000, 0..12),
        ) {
            let mut times = vec![first];
            times.extend(steps.iter().scan(first, |at, step| { *at += step; Some(*at) }));
            let end = times.last().unwrap() + 40;
            let asked = if list.is_empty() { each(distance, first, count) } else { listed(list.into_iter().collect()) };
            let whole = segment(&asked, &times, end, (None, None));
            // A cut is at a picture, as the planner has it, or anywhere.
            let cuts: Vec<i64> = cuts.into_iter().filter(|cut| *cut > first && *cut < end - 40).collect();
            let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
            let ends = cuts.iter().copied().map(Some).chain([None]);
            let parts: Vec<_> = starts.zip(ends).flat_map(|range| segment(&asked, &times, end, range)).collect();
            prop_assert_eq!(parts, whole);
        }
    }
}
