//! The ticks of a rendition that has others than its source, and which picture is shown at each. Pure.
//!
//! A segment, which is a range of source time, owns the ticks whose times are in it, so that each tick is in one segment, whatever the cuts.

use std::ops::Range;

use millrace_schemas::{Ratio, VideoSettings};

use crate::{instants::Instants, rate::Rate};

/// The ticks of a rendition that has others than the source.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticks {
    /// Those of another frame rate.
    Frames(Rate),
    /// Those at which single pictures are kept.
    Instants(Instants),
}

impl Ticks {
    /// Returns those of a rendition of a source with this clock; `None` if it has the source's.
    #[must_use]
    pub fn of(settings: &VideoSettings, clock: Ratio) -> Option<Self> {
        if let Some(instants) = Instants::of(settings) {
            return Some(Self::Instants(instants));
        }
        settings.is_resampled().then(|| Self::Frames(Rate::new(clock, settings.time_base)))
    }

    /// Returns the first tick that is not before a source time.
    #[must_use]
    pub fn first_from(&self, time: i64) -> i64 {
        match self {
            Self::Frames(rate) => rate.first_from(time),
            Self::Instants(instants) => instants.first_from(time),
        }
    }

    /// Returns how many ticks a range of source time owns.
    #[must_use]
    pub fn ticks_in(&self, range: Range<i64>) -> i64 {
        self.first_from(range.end).saturating_sub(self.first_from(range.start)).max(0)
    }

    /// Returns the tick from which on a picture of this source time is shown.
    fn due(&self, time: i64) -> i64 {
        match self {
            Self::Frames(rate) => rate.due(time),
            Self::Instants(instants) => instants.first_from(time),
        }
    }

    /// Returns the first tick of a source whose first picture is due at this one.
    fn first(&self, due: i64) -> i64 {
        match self {
            Self::Frames(_) => due,
            Self::Instants(_) => 0,
        }
    }
}

/// Assigns pictures to ticks, from the start of a segment on.
#[derive(Debug)]
pub struct Resampler<P> {
    ticks: Ticks,
    /// The first tick of the segment; `None` for the first segment.
    from: Option<i64>,
    /// The first tick that shows nothing yet.
    next: Option<i64>,
    /// The last picture: it is shown until the next one is due.
    held: Option<P>,
    has_shown: bool,
}

/// A picture and the ticks that show it.
pub type Shown<P> = (Range<i64>, P);

impl<P> Resampler<P> {
    /// A resampler for the segment that begins at this source time; `None` for the first one.
    #[must_use]
    pub fn new(ticks: Ticks, start: Option<i64>) -> Self {
        let from = start.map(|start| ticks.first_from(start));
        Self { ticks, from, next: None, held: None, has_shown: false }
    }

    /// Returns `true` if the segment begins with the picture before its start, where `first` is the time of the first one from the
    /// start on.
    #[must_use]
    pub fn needs_picture_before(&self, first: i64) -> bool {
        self.from.is_some_and(|from| self.ticks.due(first) > from)
    }

    /// Takes the next picture. Returns the one before it, if a tick shows it.
    pub fn push(&mut self, time: i64, picture: P) -> Option<Shown<P>> {
        let due = self.ticks.due(time);
        let before = self.held.replace(picture);
        let next = self.next.unwrap_or_else(|| self.from.map_or(self.ticks.first(due), |from| due.max(from)));
        self.next = Some(if before.is_some() { next.max(due) } else { next });
        self.show(next..due, before)
    }

    /// Returns `true` if its ticks are those at which single pictures are kept.
    #[must_use]
    pub fn is_of_instants(&self) -> bool {
        matches!(self.ticks, Ticks::Instants(_))
    }

    /// Returns the last picture that came.
    #[must_use]
    pub fn held(&self) -> Option<&P> {
        self.held.as_ref()
    }

    /// Ends the source at this time. Returns the last picture, if a tick shows it.
    pub fn finish(&mut self, end: i64) -> Option<Shown<P>> {
        let next = self.next?;
        let due = self.ticks.due(end);
        // However short a source is, it has a picture at another frame rate.
        let has_one = matches!(self.ticks, Ticks::Frames(_));
        let due = if has_one && self.from.is_none() && !self.has_shown {
            due.max(next.saturating_add(1))
        } else {
            due
        };
        let last = self.held.take();
        self.show(next..due, last)
    }

    fn show(&mut self, ticks: Range<i64>, picture: Option<P>) -> Option<Shown<P>> {
        let picture = picture.filter(|_| !ticks.is_empty())?;
        self.has_shown = true;
        Some((ticks, picture))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLISECONDS: Ratio = Ratio { num: 1, den: 1000 };

    fn rate(source: Ratio, num: i32, den: i32) -> Rate {
        Rate::new(source, Ratio { num: den, den: num })
    }

    /// The ticks of a segment, each with the number of the picture that it shows. Pictures are those from the last one before the
    /// segment on, if it needs that, or from its start.
    fn segment(
        rate: Rate,
        times: &[i64],
        end: i64,
        (start, stop): (Option<i64>, Option<i64>),
    ) -> Vec<(i64, usize)> {
        let first = times.partition_point(|time| start.is_some_and(|start| *time < start));
        let mut resampler = Resampler::new(Ticks::Frames(rate), start);
        let needs_before = times.get(first).is_none_or(|time| resampler.needs_picture_before(*time));
        let from = if needs_before { first.saturating_sub(1) } else { first };
        let mut shown: Vec<Shown<usize>> = Vec::new();
        for (number, time) in times.iter().enumerate().skip(from) {
            shown.extend(resampler.push(*time, number));
        }
        shown.extend(resampler.finish(end));
        let all = shown.into_iter().flat_map(|(ticks, number)| ticks.map(move |tick| (tick, number)));
        let stop = stop.map(|stop| rate.first_from(stop));
        all.filter(|(tick, _)| stop.is_none_or(|stop| *tick < stop)).collect()
    }

    fn whole(rate: Rate, times: &[i64], end: i64) -> Vec<(i64, usize)> {
        segment(rate, times, end, (None, None))
    }

    #[test]
    fn fewer_and_more_pictures_are_those_of_ffmpegs_fps() {
        // What ffmpeg 5.1 shows of numbered pictures: -f lavfi -i testsrc=r=30:d=1,format=gray,geq=lum=N*8 -vf fps=24.
        let times: Vec<i64> = (0..30).collect();
        let shown = whole(rate(Ratio { num: 1, den: 30 }, 24, 1), &times, 30);
        let numbers: Vec<usize> = shown.iter().map(|(_, number)| *number).collect();
        assert_eq!(
            numbers,
            [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29]
        );
        assert!(shown.iter().zip(0..).all(|((tick, _), at)| *tick == at));
        let times: Vec<i64> = (0..25).collect();
        let shown = whole(rate(Ratio { num: 1, den: 25 }, 30, 1), &times, 25);
        assert_eq!(shown.len(), 30);
        assert_eq!(
            shown.iter().filter(|(_, number)| number % 5 == 2).count(),
            10,
            "every fifth is shown twice"
        );
    }

    #[test]
    fn half_a_tick_is_rounded_away_from_zero() {
        let half = rate(Ratio { num: 1, den: 2 }, 1, 1);
        assert_eq!([-3, -1, 0, 1, 3].map(|time| half.due(time)), [-2, -1, 0, 1, 2]);
        assert_eq!([-3, -1, 0, 1, 3].map(|time| half.first_from(time)), [-1, 0, 0, 1, 2]);
        let fine = rate(MILLISECONDS, 240, 1);
        assert_eq!((fine.due(i64::MIN) < 0, fine.due(i64::MAX) > 0), (true, true));
    }

    #[test]
    fn a_source_shorter_than_a_tick_has_a_picture() {
        assert_eq!(whole(rate(MILLISECONDS, 1, 1), &[0], 40), [(0, 0)]);
        assert_eq!(whole(rate(MILLISECONDS, 1, 1), &[0, 100], 200), [(0, 1)]);
        assert!(whole(rate(MILLISECONDS, 1, 1), &[], 0).is_empty());
    }

    #[test]
    fn a_segment_that_begins_with_a_picture_needs_none_before_it() {
        let resampler = Resampler::<()>::new(Ticks::Frames(rate(MILLISECONDS, 24, 1)), Some(1001));
        assert!(!resampler.needs_picture_before(1001));
        assert!(resampler.needs_picture_before(1200));
    }

    proptest! {
        /// FR-1 at another rate.
        #[test]
        fn segments_own_each_tick_once_and_show_what_the_whole_shows(
            steps in proptest::collection::vec(1..400_i64, 1..60),
            first in -500..500_i64,
            cuts in proptest::collection::btree_set(-400..12_000_i64, 0..12),
            (num, den) in (1..=240_i32, prop_oneof![Just(1), Just(1001), 1..50_i32]),
            last in 0..3000_i64,
        ) {
            let rate = rate(MILLISECONDS, num, den);
            prop_assume!(f64::from(num) / f64::from(den) >= 0.1);
            let mut times = vec![first];
            for step in steps {
                times.push(times[times.len() - 1] + step);
            }
            let end = times[times.len() - 1] + last;
            let whole = whole(rate, &times, end);
            // A cut is between the first picture and the end. A first segment with less than a tick is the whole.
            let cuts: Vec<i64> = cuts.into_iter().filter(|cut| *cut > first && *cut < end).collect();
            prop_assume!(rate.due(end) > rate.due(first));
            let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
            let stops = cuts.iter().copied().map(Some).chain([None]);
            let mut joined = Vec::new();
            for range in starts.zip(stops) {
                joined.extend(segment(rate, &times, end, range));
            }
            prop_assert_eq!(&joined, &whole);
            prop_assert!(whole.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1 && pair[1].1 >= pair[0].1));
            prop_assert_eq!(whole[0].0, rate.due(first));
            // The planner counts the same between two cuts.
            if let [a, b, ..] = cuts[..] {
                let owned = whole.iter().filter(|(tick, _)| (rate.first_from(a)..rate.first_from(b)).contains(tick));
                let planned = Ticks::Frames(rate).ticks_in(a..b);
                prop_assert!(owned.count() as i64 <= planned);
            }
        }
    }
}
