//! Where video and audio are cut into segments. Pure.

use millrace_schemas::{Keyframe, Seek, SeekBy};
use millrace_topology::invariants::{check_ranges, debug_check};

/// A half-open range of presentation times, with seek points for its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The start, in ticks; `None` for the first range.
    pub start: Option<i64>,
    /// The end, exclusive, in ticks; `None` for the last range.
    pub end: Option<i64>,
    /// The seek points to try, best first.
    pub seeks: Vec<Seek>,
}

/// The longest lead-in for a cut without a keyframe, in seconds: what is decoded and dropped from the keyframe to the cut.
pub const LONGEST_LEAD_SECONDS: f64 = 60.0;

/// The most segments of an execution.
pub const MOST_SEGMENTS: usize = 100_000;

/// Returns the ranges of a video that is cut near the multiples of `step` after `first`, the time of its first picture.
///
/// A cut is on a keyframe if there is one within half a step of the multiple. Otherwise it is on the multiple if the time since the
/// previous keyframe, the lead-in, is at most `longest_lead`; else there is no cut. All times are in ticks of one time base;
/// `keyframes` are sorted by time. Without keyframes there is one range.
///
/// The cost depends on the number of keyframes and ranges, not on the duration that the source claims. It stops when there are more
/// ranges than [`MOST_SEGMENTS`].
#[must_use]
pub fn plan(first: i64, end: i64, keyframes: &[Keyframe], step: i64, longest_lead: i64) -> Vec<Range> {
    let step = step.max(1);
    let mut cuts: Vec<i64> = Vec::new();
    let mut target = first.saturating_add(step);
    while !keyframes.is_empty() && target < end.saturating_sub(step / 2) && cuts.len() <= MOST_SEGMENTS {
        let after = keyframes.partition_point(|keyframe| keyframe.pts < target);
        let nearest = [after.checked_sub(1), Some(after)]
            .into_iter()
            .flatten()
            .filter_map(|i| keyframes.get(i))
            .min_by_key(|keyframe| keyframe.pts.abs_diff(target))
            .filter(|keyframe| keyframe.pts.abs_diff(target) <= (step / 2).unsigned_abs());
        let lead = keyframes.partition_point(|keyframe| keyframe.pts <= target).checked_sub(1);
        let lead = lead.map(|i| target.saturating_sub(keyframes[i].pts));
        let cut = match (nearest, lead) {
            (Some(keyframe), _) => Some(keyframe.pts),
            (None, Some(lead)) if lead <= longest_lead => Some(target),
            (None, _) => None,
        };
        cuts.extend(cut.filter(|cut| *cut > *cuts.last().unwrap_or(&first) && *cut < end));
        // Up to half a step before the next keyframe, no cut is possible.
        let steps = match (cut, keyframes.get(after)) {
            (Some(_), _) => 1,
            (None, Some(next)) => (next.pts.saturating_sub(target).saturating_sub(step / 2) / step).max(1),
            (None, None) => break,
        };
        let Some(next) = step.checked_mul(steps).and_then(|by| target.checked_add(by)) else { break };
        target = next;
    }
    ranges_between(&cuts, keyframes)
}

/// A time of a grid, on the source's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridTime {
    /// The time, in ticks.
    pub time: i64,
    /// Whether a segment that begins then begins on the grid.
    pub is_exact: bool,
}

/// Returns the ranges of a video that is cut on a grid: at each time of it whose number is a multiple of `every`, or at the next one
/// that is exact. There is no cut where the lead-in, which is the time since the previous keyframe, is more than `longest_lead`.
///
/// `grid` has a function that returns the time with a number, which is 0 at the start, and one that returns the number of the first time
/// that is not before another. All times are in ticks of one time base; `keyframes` are sorted by time. Without keyframes there is one
/// range. The cost is bounded as that of [`plan`].
#[must_use]
pub fn plan_on_grid(
    (first, end): (i64, i64),
    keyframes: &[Keyframe],
    every: i64,
    (time, number_from): (&dyn Fn(i64) -> GridTime, &dyn Fn(i64) -> i64),
    longest_lead: i64,
) -> Vec<Range> {
    let every = every.max(1);
    let mut cuts: Vec<i64> = Vec::new();
    let mut number = every;
    let rest = time(every).time.saturating_sub(time(0).time) / 2;
    // Times that are not exact cost something, too.
    for _ in 0..4 * MOST_SEGMENTS {
        let GridTime { time, is_exact } = time(number);
        if keyframes.is_empty() || time >= end.saturating_sub(rest) || cuts.len() > MOST_SEGMENTS {
            break;
        }
        let before = keyframes.partition_point(|keyframe| keyframe.pts <= time).checked_sub(1);
        let lead = before.map(|before| time.saturating_sub(keyframes[before].pts));
        if lead.is_none_or(|lead| lead > longest_lead) {
            // Up to the next keyframe no cut is possible.
            let Some(next) = keyframes.get(before.map_or(0, |before| before + 1)) else { break };
            number = number_from(next.pts).max(number.saturating_add(1));
            continue;
        }
        if is_exact && time > *cuts.last().unwrap_or(&first) {
            cuts.push(time);
            number = (number / every).saturating_add(1).saturating_mul(every);
        } else {
            number = number.saturating_add(1);
        }
    }
    ranges_between(&cuts, keyframes)
}

/// Returns the ranges between these cuts, with their seek points.
fn ranges_between(cuts: &[i64], keyframes: &[Keyframe]) -> Vec<Range> {
    let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain(std::iter::once(None));
    let ranges: Vec<Range> = starts
        .zip(ends)
        .map(|(start, end)| Range {
            start,
            end,
            seeks: start.map_or(Vec::new(), |start| seeks(keyframes, start)),
        })
        .collect();
    debug_check(|| check_ranges(ranges.iter().map(|range| (range.start, range.end))));
    ranges
}

/// Returns the half-open ranges, in samples, of an audio track that is cut into parts of about `part` samples. Cuts are on a grid of
/// `grid` samples from `first`, the track's first sample. The first range has no start, the last no end, and the last has at least
/// half of `part`. It stops when there are more ranges than [`MOST_SEGMENTS`].
#[must_use]
pub fn parts(first: i64, samples: i64, part: i64, grid: i64) -> Vec<(Option<i64>, Option<i64>)> {
    let part = (part / grid.max(1)).max(1).saturating_mul(grid.max(1));
    let end = first.saturating_add(samples);
    let cut = |n: i64| n.checked_mul(part).and_then(|by| first.checked_add(by));
    let cuts: Vec<i64> = (1..)
        .map_while(cut)
        .take_while(|cut| *cut <= end.saturating_sub(part / 2))
        .take(MOST_SEGMENTS + 1)
        .collect();
    let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain(std::iter::once(None));
    let parts: Vec<_> = starts.zip(ends).collect();
    debug_check(|| check_ranges(parts.iter().copied()));
    parts
}

/// Returns the seek points for the start of a part of a source, from which decoding is compared: the keyframe at or before it, and two
/// more before that. A container with an index may know nearer ones than are listed here: its index is asked first.
pub(super) fn seeks_of_part(keyframes: &[Keyframe], start: i64) -> Vec<Seek> {
    let end = keyframes.partition_point(|keyframe| keyframe.pts <= start);
    let listed: Vec<Seek> = keyframes[..end].iter().rev().take(3).map(|keyframe| keyframe.seek).collect();
    let by_index =
        listed.first().filter(|seek| seek.by == SeekBy::Time).map(|seek| Seek { at: start, ..*seek });
    by_index.into_iter().chain(listed).collect()
}

/// Returns the seek points for a cut: the keyframe at or before it, and two more before that if they are byte offsets. In a container
/// with an index, the worker finds earlier ones itself.
fn seeks(keyframes: &[Keyframe], cut: i64) -> Vec<Seek> {
    let end = keyframes.partition_point(|keyframe| keyframe.pts <= cut);
    let before = keyframes[..end].iter().rev().map(|keyframe| keyframe.seek);
    let count =
        if keyframes.first().is_some_and(|keyframe| keyframe.seek.by == SeekBy::Byte) { 3 } else { 1 };
    before.take(count).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keyframes(times: &[i64]) -> Vec<Keyframe> {
        times
            .iter()
            .map(|pts| Keyframe { pts: *pts, seek: Seek { by: SeekBy::Time, at: pts - 2, state: 0 } })
            .collect()
    }

    fn starts(ranges: &[Range]) -> Vec<i64> {
        ranges.iter().filter_map(|range| range.start).collect()
    }

    #[test]
    fn cuts_are_on_keyframes_near_the_requested_times() {
        let ranges = plan(0, 100, &keyframes(&[0, 24, 48, 72, 96]), 25, 1000);
        assert_eq!(starts(&ranges), [24, 48, 72]);
        assert_eq!(ranges[1].seeks, [Seek { by: SeekBy::Time, at: 22, state: 0 }]);
    }

    #[test]
    fn a_gap_between_keyframes_is_cut_all_the_same() {
        let ranges = plan(0, 100, &keyframes(&[0, 90]), 25, 1000);
        assert_eq!(starts(&ranges), [25, 50, 75]);
        assert_eq!(ranges[3].seeks, [Seek { by: SeekBy::Time, at: -2, state: 0 }]);
    }

    #[test]
    fn a_lead_in_that_is_too_long_is_not_decoded() {
        assert_eq!(starts(&plan(0, 100, &keyframes(&[0]), 25, 30)), [25]);
    }

    #[test]
    fn a_long_duration_that_a_source_claims_costs_nothing() {
        let begun = std::time::Instant::now();
        let all = keyframes(&[0, 1 << 40, (1 << 60) - 7]);
        // As often as the longest lead-in allows, and at the keyframes.
        let ranges = plan(0, i64::MAX, &all, 100, 1000);
        assert_eq!(ranges.len(), 1 + 10 + 10 + 10, "{:?}", starts(&ranges));
        assert_eq!(plan(0, i64::MAX, &keyframes(&[0]), 1, i64::MAX).len(), MOST_SEGMENTS + 2);
        assert_eq!(plan(i64::MIN, i64::MAX, &keyframes(&[i64::MIN + 2, i64::MAX]), i64::MAX, 0).len(), 1);
        assert_eq!(parts(0, i64::MAX, 1, 1).len(), MOST_SEGMENTS + 2);
        assert!(!parts(i64::MAX - 5, i64::MAX, i64::MAX, i64::MAX).is_empty());
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_short_rest_stays_with_the_last_segment() {
        assert_eq!(starts(&plan(0, 60, &keyframes(&[0, 25, 50]), 25, 1000)), [25]);
    }

    #[test]
    fn without_keyframes_there_is_one_segment() {
        assert_eq!(plan(0, 1000, &[], 10, 100), [Range { start: None, end: None, seeks: vec![] }]);
    }

    #[test]
    fn a_part_is_read_from_the_nearest_keyframe_and_has_others_to_compare_with() {
        let all = keyframes(&[0, 24, 48, 72, 96]);
        let at = |start| seeks_of_part(&all, start).iter().map(|seek| seek.at).collect::<Vec<_>>();
        assert_eq!(at(80), [80, 70, 46, 22], "the index may know a nearer one");
        assert_eq!(at(24), [24, 22, -2]);
        assert_eq!(at(-1), [0; 0]);
    }

    #[test]
    fn byte_offsets_come_with_two_more_to_fall_back_on() {
        let keyframes: Vec<_> = (0..5)
            .map(|i| Keyframe { pts: i * 10, seek: Seek { by: SeekBy::Byte, at: i * 1000, state: 0 } })
            .collect();
        let ranges = plan(0, 50, &keyframes, 10, 100);
        assert_eq!(ranges[3].seeks.iter().map(|seek| seek.at).collect::<Vec<_>>(), [3000, 2000, 1000]);
    }

    proptest! {
        /// FR-1: every picture is in exactly one segment.
        #[test]
        fn ranges_cover_all_time_once(
            mut times in proptest::collection::btree_set(-50..2000_i64, 0..40),
            step in 1..300_i64,
            lead in 0..500_i64,
        ) {
            let first = times.pop_first().unwrap_or(0);
            let all: Vec<i64> = std::iter::once(first).chain(times).collect();
            let ranges = plan(first, first + 2000, &keyframes(&all), step, lead);
            prop_assert_eq!(check_ranges(ranges.iter().map(|range| (range.start, range.end))), Ok(()));
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].start.unwrap_or(first) < pair[1].start.unwrap_or(i64::MIN));
                prop_assert!(!pair[1].seeks.is_empty());
            }
        }
    }
}
