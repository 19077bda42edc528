//! Where keyframes are that are asked for at intervals. Pure.

use millrace_schemas::{Ratio, VideoSettings};

/// The intervals of keyframes of a rendition, in ticks of its clock: there is a keyframe at the first picture of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The length of an interval, in microseconds.
    length: i128,
    /// The length of a tick, in seconds.
    clock: (i128, i128),
    /// The tick with which interval 0 begins.
    zero: i64,
}

impl Grid {
    /// Returns the intervals of these settings; `None` if they leave keyframes to the encoder.
    #[must_use]
    pub fn of(settings: &VideoSettings) -> Option<Self> {
        let Ratio { num, den } = settings.time_base;
        let clock = (i128::from(num.max(1)), i128::from(den.max(1)));
        let length = (settings.keyframe_seconds * 1e6).round();
        let zero = settings.keyframe_grid.unwrap_or(0);
        (length >= 1.0).then_some(Self { length: length as i128, clock, zero })
    }

    /// Returns the number of the interval that this tick is in.
    #[must_use]
    pub fn number(&self, tick: i64) -> i64 {
        let ticks = i128::from(tick) - i128::from(self.zero);
        saturated((ticks * self.clock.0 * 1_000_000).div_euclid(self.length * self.clock.1))
    }

    /// Returns the first tick that is not before the interval of this number.
    #[must_use]
    pub fn first_tick(&self, number: i64) -> i64 {
        let length = i128::from(number).saturating_mul(self.length).saturating_mul(self.clock.1);
        let ticks = -(-length).div_euclid(self.clock.0 * 1_000_000);
        saturated(ticks.saturating_add(i128::from(self.zero)))
    }

    /// Returns the length of an interval, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.length as f64 / 1e6
    }
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Picture;
    use proptest::prelude::*;

    use super::*;

    fn grid(clock: Ratio, seconds: f64, zero: i64) -> Grid {
        let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, clock);
        let settings = VideoSettings::of("h264", &picture);
        let settings = VideoSettings { keyframe_seconds: seconds, keyframe_grid: Some(zero), ..settings };
        Grid::of(&settings).unwrap()
    }

    #[test]
    fn intervals_are_counted_from_their_zero_without_drift() {
        let ntsc = grid(Ratio { num: 1001, den: 30_000 }, 2.0, 7);
        let firsts: Vec<i64> = (0..4).map(|number| ntsc.first_tick(number)).collect();
        assert_eq!(firsts, [7, 67, 127, 187]);
        // 1001 seconds are 30000 pictures.
        assert_eq!(ntsc.first_tick(1001), 7 + 60_000);
        assert_eq!((ntsc.number(6), ntsc.number(7), ntsc.number(66), ntsc.number(67)), (-1, 0, 0, 1));
        assert_eq!(ntsc.first_tick(i64::MAX), i64::MAX);
    }

    proptest! {
        #[test]
        fn an_interval_begins_with_its_first_tick(
            (num, den) in (1..2000_i32, 1..200_000_i32),
            millis in 100..60_000_i32,
            zero in -1_000_000..1_000_000_i64,
            number in -10_000..10_000_i64,
        ) {
            let seconds = f64::from(millis) / 1000.0;
            // Where a tick is longer than an interval, some intervals are empty.
            prop_assume!(f64::from(num) / f64::from(den) <= seconds);
            let grid = grid(Ratio { num, den }, seconds, zero);
            let first = grid.first_tick(number);
            prop_assert_eq!(grid.number(first), number);
            prop_assert_eq!(grid.number(first - 1), number - 1);
        }
    }
}
