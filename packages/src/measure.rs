//! Durations as manifests state them, and bit rates as players need them.

use crate::Segment;

/// Segments that can be added up for a peak. Segments of a package last a second or more, so a span of 1.5 target durations has few; the
/// limit bounds the work for absurd ones.
const MOST_OF_SPAN: usize = 4096;

/// Returns a time in microseconds, rounded to the nearest.
pub(crate) fn micros(ticks: u64, timescale: u32) -> u64 {
    let (ticks, timescale) = (u128::from(ticks), u128::from(timescale.max(1)));
    u64::try_from((ticks * 2_000_000 + timescale) / (2 * timescale)).unwrap_or(u64::MAX)
}

/// A segment as a playlist states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    /// The size in bytes.
    pub(crate) bytes: u64,
    /// The duration in microseconds.
    pub(crate) micros: u64,
}

/// Returns segments with durations in microseconds that add up: each is the difference of two rounded times, so the sum of any number
/// of them is within a microsecond of the truth.
pub(crate) fn stated(segments: &[Segment]) -> Vec<Stated> {
    let state = |segment: &Segment| {
        let end = micros(segment.start.saturating_add(segment.duration), segment.timescale);
        Stated { bytes: segment.bytes, micros: end - micros(segment.start, segment.timescale) }
    };
    segments.iter().map(state).collect()
}

/// Returns the target duration in seconds: the longest of the stated durations, rounded to the nearest second, at least 1 (RFC 8216,
/// 4.3.3.1: each duration rounded to the nearest integer is at most the target duration).
pub(crate) fn target_duration(segments: impl IntoIterator<Item = Stated>) -> u64 {
    let longest = segments.into_iter().map(|segment| segment.micros).max().unwrap_or(0);
    ((longest + 500_000) / 1_000_000).max(1)
}

/// A bit rate, in bits per second, rounded up.
fn rate(bytes: u64, micros: u64) -> u64 {
    let rate = (u128::from(bytes) * 8_000_000).div_ceil(u128::from(micros.max(1)));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Bit rates of a track, in bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// The largest bit rate of contiguous segments that last between 0.5 and 1.5 target durations together (RFC 8216, 4.1).
    pub(crate) peak: u64,
    /// All bytes by the whole duration.
    pub(crate) average: u64,
}

impl Rates {
    /// Measures segments; `target` is the target duration in seconds. Where no segments last between 0.5 and 1.5 of it together, the peak is
    /// the average.
    pub(crate) fn measure(segments: &[Stated], target: u64) -> Self {
        let all = segments
            .iter()
            .fold((0, 0), |(bytes, micros), segment| (bytes + segment.bytes, micros + segment.micros));
        let average = rate(all.0, all.1);
        let (least, most) = (target.saturating_mul(500_000), target.saturating_mul(1_500_000));
        let mut peak = 0;
        for first in 0..segments.len() {
            let (mut bytes, mut micros) = (0, 0);
            for segment in segments.iter().skip(first).take(MOST_OF_SPAN) {
                bytes += segment.bytes;
                micros += segment.micros;
                if micros > most {
                    break;
                }
                if micros >= least {
                    peak = peak.max(rate(bytes, micros));
                }
            }
        }
        Self { peak: if peak == 0 { average } else { peak.max(average) }, average }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: u64, micros: u64) -> Stated {
        Stated { bytes, micros }
    }

    #[test]
    fn a_duration_of_half_a_second_more_needs_the_next_target_duration() {
        assert_eq!(target_duration([of(1, 6_499_999)]), 6);
        assert_eq!(target_duration([of(1, 6_500_000)]), 7);
        assert_eq!(target_duration([of(1, 200_000)]), 1, "a target duration of 0 is none");
    }

    #[test]
    fn the_peak_is_that_of_a_span_near_the_target_duration() {
        let segments = [of(1000, 4_000_000), of(4000, 4_000_000), of(900, 200_000)];
        // The last one alone is too short to count; with the one before it, it is 4,900 bytes in 4.2 s.
        assert_eq!(Rates::measure(&segments, 4), Rates { peak: 9334, average: 5757 });
    }

    #[test]
    fn the_peak_of_one_short_segment_is_its_average() {
        assert_eq!(Rates::measure(&[of(100, 300_000)], 1), Rates { peak: 2667, average: 2667 });
    }

    fn segments(durations: &[u64], timescale: u32, start: u64) -> Vec<Segment> {
        let mut at = start;
        let next = |duration: &u64| {
            let segment =
                Segment { name: "s".into(), offset: 0, bytes: 1, start: at, duration: *duration, timescale };
            at += duration;
            segment
        };
        durations.iter().map(next).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ten_thousand_durations_add_up_within_a_microsecond(
            durations in prop::collection::vec(1u64..1_000_000, 10_000),
            timescale in 1u32..200_000,
            start in 0u64..1_000_000,
        ) {
            let stated = stated(&segments(&durations, timescale, start));
            let mut truth = 0u128;
            let mut sum = 0u128;
            for (stated, duration) in stated.iter().zip(&durations) {
                sum += u128::from(stated.micros);
                truth += u128::from(*duration);
                let exact = truth as f64 / f64::from(timescale) * 1e6;
                prop_assert!((sum as f64 - exact).abs() <= 1.0 + exact * 1e-12, "{sum} and {exact}");
            }
        }

        #[test]
        fn each_duration_rounds_to_the_target_duration_at_most(
            durations in prop::collection::vec(1u64..1_000_000, 1..50),
            timescale in 1u32..200_000,
        ) {
            let stated = stated(&segments(&durations, timescale, 0));
            let target = target_duration(stated.iter().copied());
            for segment in &stated {
                prop_assert!((segment.micros as f64 / 1e6).round() as u64 <= target);
            }
            let longest = stated.iter().map(|segment| segment.micros).max().unwrap_or(0);
            prop_assert!(target == 1 || (longest as f64 / 1e6).round() as u64 == target, "no more than needed");
        }

        #[test]
        fn the_peak_is_at_least_the_average_and_every_whole_segment(
            sizes in prop::collection::vec((1u64..1_000_000, 2_000_000u64..6_000_000), 1..50),
        ) {
            let stated: Vec<Stated> = sizes.iter().map(|(bytes, micros)| of(*bytes, *micros)).collect();
            let target = target_duration(stated.iter().copied());
            let rates = Rates::measure(&stated, target);
            prop_assert!(rates.peak >= rates.average);
            for segment in stated.iter().filter(|segment| segment.micros >= target * 500_000) {
                prop_assert!(rates.peak >= rate(segment.bytes, segment.micros));
            }
        }
    }
}
