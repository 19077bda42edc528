//! Which pictures are shown at which times, and which of several pictures is the best. Pure.

/// Times are taken to the half of a millisecond: people write them with three decimals.
pub(crate) const TOLERANCE: f64 = 0.0005;

/// Returns the last tick that is not after a time, which is given in seconds, to the half of a millisecond; ticks have `tick` seconds.
pub(crate) fn last_tick(seconds: f64, tick: f64) -> i64 {
    // The cast saturates, and of no number makes 0.
    ((seconds + TOLERANCE) / tick).floor() as i64
}

/// Times at a steady rate, in seconds from the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instants {
    /// How many there are per second.
    pub(crate) rate: f64,
    /// How many there are.
    pub(crate) count: u32,
}

impl Instants {
    /// Returns those within so many seconds: at least one.
    pub(crate) fn within(seconds: f64, rate: f64) -> Self {
        // The cast saturates.
        Self { rate, count: ((seconds * rate - 1e-6).ceil() as u32).max(1) }
    }

    /// Returns an instant; without a bound by the count.
    pub(crate) fn time(self, number: u32) -> f64 {
        f64::from(number) / self.rate
    }

    /// Returns the number of instants before this many seconds; a picture that is shown from then on is not shown at those.
    pub(crate) fn before(self, seconds: f64) -> u32 {
        // The cast saturates.
        (((seconds - TOLERANCE) * self.rate).ceil().max(0.0) as u32).min(self.count)
    }
}

/// Which pictures of a track are shown at some instants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    /// The time of the first instant on the track's clock, in seconds.
    pub(crate) from: f64,
    /// The length of a tick, in seconds.
    pub(crate) tick: f64,
    pub(crate) instants: Instants,
}

impl Needed {
    /// Returns the number of instants before a time, which is in ticks.
    pub(crate) fn before(self, ticks: i64) -> u32 {
        self.instants.before(ticks as f64 * self.tick - self.from)
    }

    /// Returns `true` if a picture that is shown from `pts` on is shown at an instant, or nothing says for how long it is shown, in ticks.
    pub(crate) fn is_shown(self, pts: i64, length: i64) -> bool {
        length <= 0 || self.before(pts) < self.before(pts.saturating_add(length))
    }

    /// Returns the last tick of an instant.
    pub(crate) fn last_tick(self, number: u32) -> i64 {
        last_tick(self.from + self.instants.time(number), self.tick)
    }
}

/// What is seen of a picture by its luma, of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    /// The average.
    pub(crate) mean: f64,
    /// The standard deviation.
    pub(crate) contrast: f64,
    /// The average of the squared second differences across and down.
    pub(crate) sharpness: f64,
}

/// Below this average of luma a picture is black; black itself has 16.
const BLACK: f64 = 28.0;
/// Below this standard deviation it is of one colour.
const FLAT: f64 = 6.0;

impl Look {
    /// Looks at rows of luma of the same length.
    pub(crate) fn of<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut sum, mut squares, mut edges, mut count, mut inner) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        let mut above: Option<&[u8]> = None;
        for row in rows {
            for sample in row {
                sum += u64::from(*sample);
                squares += u64::from(*sample).pow(2);
            }
            count += row.len() as u64;
            for x in row.windows(3) {
                let second = 2 * i64::from(x[1]) - i64::from(x[0]) - i64::from(x[2]);
                edges += second.unsigned_abs().pow(2);
                inner += 1;
            }
            if let Some(above) = above {
                for (a, b) in above.iter().zip(row) {
                    edges += u64::from(a.abs_diff(*b)).pow(2);
                }
                inner += row.len().min(above.len()) as u64;
            }
            above = Some(row);
        }
        if count == 0 {
            return Self { mean: 0.0, contrast: 0.0, sharpness: 0.0 };
        }
        let mean = sum as f64 / count as f64;
        let contrast = (squares as f64 / count as f64 - mean * mean).max(0.0).sqrt();
        Self { mean, contrast, sharpness: edges as f64 / inner.max(1) as f64 }
    }

    /// Returns `true` if it shows something: it is neither black nor of one colour.
    fn shows_something(self) -> bool {
        self.mean >= BLACK && self.contrast >= FLAT
    }

    /// Returns `true` if it is better than another: it shows something, then it is sharper.
    pub(crate) fn is_better_than(self, other: Self) -> bool {
        let rank = |look: Self| (look.shows_something(), look.sharpness);
        rank(self) > rank(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_that_of_the_picture_that_is_shown_then() {
        let tick = 1.0 / 30_000.0;
        assert_eq!(last_tick(0.033, tick), 1005, "1001 is picture 1: 0.033 s is meant for it");
        assert!(last_tick(0.030, tick) < 1001, "of picture 0");
        assert_eq!(last_tick(2.0, 1.0), 2);
        assert_eq!(last_tick(1.9, 1.0), 1);
        assert_eq!((last_tick(f64::NAN, 1.0), last_tick(1e300, 1e-9)), (0, i64::MAX));
    }

    #[test]
    fn instants_are_at_a_rate_and_before_a_picture_that_comes_then() {
        let twelve = Instants::within(3.0, 12.0);
        assert_eq!(twelve.count, 36);
        assert_eq!(Instants::within(0.01, 12.0).count, 1, "at least one");
        assert_eq!(twelve.before(0.0), 0, "the first is shown at the first instant");
        assert_eq!(twelve.before(0.04), 1);
        assert_eq!(twelve.before(1.0), 12, "one at an instant is shown at it");
        assert_eq!(twelve.before(1000.0), 36);
        assert!((twelve.time(12) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_picture_between_two_instants_is_not_needed() {
        let needed = Needed { from: 10.0, tick: 0.04, instants: Instants::within(1.0, 12.5) };
        assert!(!needed.is_shown(100, 1), "long before");
        assert!(!needed.is_shown(249, 1), "before");
        assert!(needed.is_shown(249, 2) && needed.is_shown(250, 1));
        assert!(!needed.is_shown(251, 1) && needed.is_shown(252, 1), "each second one");
        assert!(!needed.is_shown(275, 1), "behind");
        assert!(needed.is_shown(0, 0), "nothing says for how long");
        assert_eq!(needed.last_tick(1), 252);
    }

    fn look(rows: &[&[u8]]) -> Look {
        Look::of(rows.iter().copied())
    }

    #[test]
    fn a_sharp_picture_is_better_and_a_black_one_worse() {
        let sharp = look(&[&[0, 200, 0, 200], &[200, 0, 200, 0]]);
        let soft = look(&[&[0, 60, 130, 200], &[0, 60, 130, 200]]);
        let black = look(&[&[16, 20, 16, 20], &[20, 16, 20, 16]]);
        let grey = look(&[&[128; 4], &[128; 4]]);
        assert!(sharp.is_better_than(soft) && !soft.is_better_than(sharp));
        assert!(soft.is_better_than(black), "black is the last, however sharp");
        assert!(soft.is_better_than(grey), "one colour shows nothing");
        assert!(!sharp.is_better_than(sharp), "the first of equals stays");
        assert_eq!(look(&[]), Look { mean: 0.0, contrast: 0.0, sharpness: 0.0 });
    }
}
