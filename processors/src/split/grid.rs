//! Cuts on the grid that keyframes of a rendition are on, so that segments begin where keyframes are. Pure.

use millrace_formats::{grid::Grid, rate::Rate};
use millrace_schemas::{Ratio, Rendition, VideoSettings, VideoTrack};

use super::cuts::{self, GridTime};

/// The times on a source's clock at which renditions have their keyframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceGrid {
    grid: Grid,
    /// The source's clock and the rendition's, if its pictures have a frame rate of their own.
    rates: Option<(Rate, Rate)>,
}

impl SourceGrid {
    /// Returns the grid of a rendition whose segments begin on it; `None` if they may begin anywhere.
    pub(super) fn of(rendition: &Rendition, source: Ratio) -> Option<Self> {
        let settings = rendition.video.as_ref().filter(|settings| settings.keyframe_grid.is_some())?;
        let rates = VideoSettings::is_resampled(settings)
            .then(|| (Rate::new(source, settings.time_base), Rate::new(settings.time_base, source)));
        Some(Self { grid: Grid::of(settings)?, rates })
    }

    /// Returns the ranges of a track that is cut every `seconds`, as nearly as multiples of the interval are.
    pub(super) fn ranges(&self, video: &VideoTrack, seconds: f64) -> Vec<cuts::Range> {
        let keyframes = if video.trusted { video.keyframes.as_slice() } else { &[] };
        let lead = (cuts::LONGEST_LEAD_SECONDS / video.picture.time_base.as_f64()) as i64;
        let every = ((seconds / self.grid.seconds()).round() as i64).max(1);
        let (time, number) = (|number| self.time(number), |time| self.number_from(time));
        cuts::plan_on_grid((video.first, video.end), keyframes, every, (&time, &number), lead)
    }

    /// Returns the time of a keyframe on the source's clock.
    fn time(&self, number: i64) -> GridTime {
        let tick = self.grid.first_tick(number);
        let Some((to_ticks, to_source)) = self.rates else { return GridTime { time: tick, is_exact: true } };
        // The last time of the source that is not behind the tick. Where the source's clock is coarse, that may be before the tick
        // before it, with which a segment that begins there would begin.
        let time = to_source.first_from(tick.saturating_neg()).saturating_neg();
        GridTime { time, is_exact: to_ticks.first_from(time) == tick }
    }

    /// Returns the number of the first keyframe that is not before this time of the source.
    fn number_from(&self, time: i64) -> i64 {
        let tick = self.rates.map_or(time, |(to_ticks, _)| to_ticks.first_from(time));
        let number = self.grid.number(tick);
        if self.grid.first_tick(number) < tick { number.saturating_add(1) } else { number }
    }
}

/// Returns renditions in groups that are cut at the same times, each with its grid. Those that may be cut anywhere are cut like the
/// first group, so that one decode makes both.
pub(super) fn by_grid(
    renditions: Vec<Rendition>,
    source: Ratio,
) -> Vec<(Option<SourceGrid>, Vec<Rendition>)> {
    let mut groups: Vec<(Option<SourceGrid>, Vec<Rendition>)> = Vec::new();
    let (on_grid, free): (Vec<_>, Vec<_>) = renditions
        .into_iter()
        .map(|rendition| (SourceGrid::of(&rendition, source), rendition))
        .partition(|(grid, _)| grid.is_some());
    for (grid, rendition) in on_grid {
        match groups.iter_mut().find(|(other, _)| *other == grid) {
            Some((_, group)) => group.push(rendition),
            None => groups.push((grid, vec![rendition])),
        }
    }
    let free = free.into_iter().map(|(_, rendition)| rendition);
    match groups.first_mut() {
        Some((_, group)) => group.extend(free),
        None => groups.push((None, free.collect())),
    }
    groups
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Keyframe, Picture, Seek, SeekBy, VideoFilters};
    use millrace_topology::invariants::check_ranges;
    use proptest::prelude::*;

    use super::*;

    fn rendition(picture: &Picture, rate: Option<(i32, i32)>, seconds: f64, zero: i64) -> Rendition {
        let mut settings = VideoSettings { keyframe_seconds: seconds, ..VideoSettings::of("h264", picture) };
        settings.keyframe_grid = Some(zero);
        if let Some((num, den)) = rate {
            settings.frame_rate = Ratio { num, den };
            settings.time_base = Ratio { num: den, den: num };
            settings.filters = Some(VideoFilters { resample: true, ..VideoFilters::default() });
        }
        Rendition { id: String::new(), video: Some(settings), audio: None, side: None }
    }

    fn track(clock: Ratio, span: (i64, i64), keyframes: &[i64]) -> VideoTrack {
        let picture = Picture::plain((64, 36), Ratio { num: 25, den: 1 }, clock);
        let keyframe =
            |pts: &i64| Keyframe { pts: *pts, seek: Seek { by: SeekBy::Time, at: *pts, state: 0 } };
        let keyframes = keyframes.iter().map(keyframe).collect();
        VideoTrack { keyframes, trusted: true, ..VideoTrack::new(0, picture, span) }
    }

    fn starts(track: &VideoTrack, rendition: &Rendition, seconds: f64) -> Vec<i64> {
        let grid = SourceGrid::of(rendition, track.picture.time_base).unwrap();
        grid.ranges(track, seconds).iter().filter_map(|range| range.start).collect()
    }

    const MILLISECONDS: Ratio = Ratio { num: 1, den: 1000 };

    #[test]
    fn cuts_are_on_the_grid_whatever_the_keyframes_of_the_source_are() {
        let source = track(MILLISECONDS, (80, 20_080), &[80, 5_120, 9_000, 17_000]);
        let every_two = rendition(&source.picture, None, 2.0, 80);
        assert_eq!(starts(&source, &every_two, 5.0), [6_080, 12_080]);
        assert_eq!(starts(&source, &every_two, 1.0).len(), 9, "no segment is shorter than an interval");
        let grid = SourceGrid::of(&every_two, MILLISECONDS).unwrap();
        let ranges = grid.ranges(&source, 5.0);
        assert_eq!(ranges[1].seeks[0].at, 5_120, "the keyframe before the cut");
        let untrusted = VideoTrack { trusted: false, ..source };
        assert_eq!(grid.ranges(&untrusted, 5.0).len(), 1);
    }

    #[test]
    fn at_another_frame_rate_a_segment_begins_with_the_tick_of_a_keyframe() {
        let source = track(MILLISECONDS, (0, 20_000), &[0, 10_000]);
        let ntsc = rendition(&source.picture, Some((30_000, 1001)), 2.0, 0);
        // Tick 60 is at 2.002 s.
        assert_eq!(starts(&source, &ntsc, 2.0)[..3], [2_002, 4_004, 6_006]);
        // A clock of 24 a second has no time between ticks 119 and 120 of 59.94.
        let coarse = track(Ratio { num: 1, den: 24 }, (0, 2400), &[0]);
        let fast = rendition(&coarse.picture, Some((60_000, 1001)), 2.0, 0);
        let rate = Rate::new(coarse.picture.time_base, Ratio { num: 1001, den: 60_000 });
        let grid = Grid::of(fast.video.as_ref().unwrap()).unwrap();
        for start in starts(&coarse, &fast, 10.0) {
            let tick = rate.first_from(start);
            assert_eq!(grid.first_tick(grid.number(tick)), tick, "at {start}");
        }
    }

    #[test]
    fn a_long_duration_that_a_source_claims_costs_nothing() {
        let begun = std::time::Instant::now();
        let source = track(MILLISECONDS, (0, i64::MAX), &[0, 1 << 40, (1 << 60) - 7]);
        let two = rendition(&source.picture, None, 2.0, 0);
        let cuts = starts(&source, &two, 10.0);
        assert_eq!(cuts.len(), 6 + 7 + 7, "at the keyframes, and as far behind each as is decoded: {cuts:?}");
        let coarse = track(Ratio { num: 100, den: 1 }, (0, i64::MAX), &[0]);
        let fast = rendition(&coarse.picture, Some((60_000, 1001)), 0.1, 0);
        assert!(starts(&coarse, &fast, 0.1).len() < 2, "no tick begins where a time of the source is");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn renditions_of_one_grid_are_cut_together_and_others_with_them() {
        let source = track(MILLISECONDS, (0, 10_000), &[0]);
        let (two, three) =
            (rendition(&source.picture, None, 2.0, 0), rendition(&source.picture, None, 3.0, 0));
        let mut free = two.clone();
        free.video.as_mut().unwrap().keyframe_grid = None;
        let sizes = |all: &[&Rendition]| -> Vec<usize> {
            let all = all.iter().map(|rendition| (*rendition).clone()).collect();
            by_grid(all, MILLISECONDS).iter().map(|(_, group)| group.len()).collect()
        };
        assert_eq!(sizes(&[&free, &two, &two]), [3]);
        assert_eq!(sizes(&[&two, &three]), [1, 1]);
        assert_eq!(sizes(&[&free, &free]), [2]);
    }

    proptest! {
        /// FR-1: every picture is in exactly one segment. Each segment begins with a keyframe, and is about as long as asked.
        #[test]
        fn segments_cover_all_time_once_and_begin_on_the_grid(
            (num, den) in (1..1002_i32, 1000..90_001_i32),
            rate in proptest::option::of((1..240_i32, prop_oneof![Just(1), Just(1001)])),
            (interval, seconds) in (1..50_i32, 1..200_i32),
            (first, length) in (-10_000..10_000_i64, 1..3_000_000_i64),
            apart in 1..100_000_i64,
        ) {
            let clock = Ratio { num, den };
            let keyframes: Vec<i64> = (0..=length / apart.max(length / 1000)).map(|i| first + i * apart.max(length / 1000)).collect();
            let source = track(clock, (first, first + length), &keyframes);
            let (interval, seconds) = (f64::from(interval) / 10.0, f64::from(seconds) / 10.0);
            let rate = rate.map(|(num, den)| if den == 1 { (num, 1) } else { (num * 1000, den) });
            let zero = rate.map_or(first, |(num, den)| Rate::new(clock, Ratio { num: den, den: num }).due(first));
            let rendition = rendition(&source.picture, rate, interval, zero);
            let grid = SourceGrid::of(&rendition, clock).unwrap();
            let ranges = grid.ranges(&source, seconds);
            prop_assert_eq!(check_ranges(ranges.iter().map(|range| (range.start, range.end))), Ok(()));
            let ticks = Grid::of(rendition.video.as_ref().unwrap()).unwrap();
            let tick = clock.as_f64();
            for range in &ranges[1..] {
                let start = range.start.unwrap();
                prop_assert!(start > first && start < first + length);
                prop_assert!(!range.seeks.is_empty());
                let of_rendition = grid.rates.map_or(start, |(to_ticks, _)| to_ticks.first_from(start));
                prop_assert_eq!(ticks.first_tick(ticks.number(of_rendition)), of_rendition);
            }
            let exact = grid.rates.is_none() && apart.max(length / 1000) as f64 * tick < cuts::LONGEST_LEAD_SECONDS;
            if exact && interval > tick {
                let asked = (seconds / interval).round().max(1.0) * interval;
                for range in &ranges[1..ranges.len().max(2) - 1] {
                    let long = (range.end.unwrap() - range.start.unwrap()) as f64 * tick;
                    prop_assert!((long - asked).abs() <= tick * 1.001, "{long} s instead of {asked} s");
                }
            }
        }
    }
}
