//! Pictures at another frame rate: which one is shown at which time. Pure.
//!
//! Output times are ticks: multiples of a picture's duration, counted from time zero of the source. As in ffmpeg's filter `fps`, a
//! picture is due at the tick nearest to its time, and each tick shows the last picture that is due by then. A segment, which is a
//! range of source time, owns the ticks whose times are in it, so that each tick is in one segment, whatever the cuts.

use millrace_schemas::Ratio;

/// The ratio between a source's clock and the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many ticks a unit of the source's clock is, as a fraction.
    num: i128,
    den: i128,
}

impl Rate {
    /// Returns the ratio between two clocks, of which each is the length of a tick in seconds.
    #[must_use]
    pub fn new(source: Ratio, ticks: Ratio) -> Self {
        let part = |number: i32| i128::from(number.max(1));
        Self { num: part(source.num) * part(ticks.den), den: part(source.den) * part(ticks.num) }
    }

    /// Returns the tick at which a picture of this source time is due: the nearest, and the one farther from zero of two.
    #[must_use]
    pub fn due(self, time: i64) -> i64 {
        let over = i128::from(time) * self.num;
        let rounded = (2 * over.abs() + self.den) / (2 * self.den);
        saturated(if over < 0 { -rounded } else { rounded })
    }

    /// Returns the first tick that is not before a source time.
    #[must_use]
    pub fn first_from(self, time: i64) -> i64 {
        saturated(-(-i128::from(time) * self.num).div_euclid(self.den))
    }
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}
