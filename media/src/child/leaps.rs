//! Times that leap and come back: one damaged timestamp, of which nothing that follows is to suffer. Pure.

/// Frames in the order in which they are shown or heard, with times in ticks.
pub(crate) struct Leaps<F> {
    /// What counts as a leap: ten seconds.
    leap: i64,
    /// What counts as one where nothing follows that could tell: an hour.
    last_leap: i64,
    expected: Option<i64>,
    /// A frame whose time leapt, until the next one tells whether time went on from there.
    held: Option<(F, i64, i64)>,
}

impl<F> Leaps<F> {
    /// `second` is how many ticks a second has.
    pub(crate) fn new(second: f64) -> Self {
        let ticks = |seconds: f64| (second * seconds) as i64;
        Self { leap: ticks(10.0).max(1), last_leap: ticks(3600.0).max(1), expected: None, held: None }
    }

    /// Takes the next frame; gives those that are known, each with its time, and whether that is not its own.
    pub(crate) fn take(&mut self, frame: F, at: i64, long: i64) -> Vec<(F, i64, bool)> {
        let mut known = Vec::new();
        if let Some((held, leapt, its_length)) = self.held.take() {
            let expected = self.expected.unwrap_or(leapt);
            // The next one is where time was before: the one in between lied.
            let lied = self.is_near(at, expected) && !self.is_near(at, leapt);
            let time = if lied { expected } else { leapt };
            known.push((held, time, lied));
            self.expected = Some(time.saturating_add(its_length));
        }
        if self.expected.is_none_or(|expected| self.is_near(at, expected)) {
            self.expected = Some(at.saturating_add(long));
            known.push((frame, at, false));
        } else {
            self.held = Some((frame, at, long));
        }
        known
    }

    /// The last frame, if it is held still. Nothing tells of it: it is believed unless it leaps very far.
    pub(crate) fn end(&mut self) -> Option<(F, i64, bool)> {
        let (held, leapt, _) = self.held.take()?;
        let expected = self.expected.unwrap_or(leapt);
        let lied = leapt.abs_diff(expected) > self.last_leap.unsigned_abs();
        Some((held, if lied { expected } else { leapt }, lied))
    }

    fn is_near(&self, at: i64, other: i64) -> bool {
        at.abs_diff(other) <= self.leap.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(times: &[i64]) -> Vec<i64> {
        let mut leaps = Leaps::new(1.0);
        let mut out: Vec<i64> = Vec::new();
        for at in times {
            out.extend(leaps.take((), *at, 1).into_iter().map(|(_, at, _)| at));
        }
        out.extend(leaps.end().map(|(_, at, _)| at));
        out
    }

    #[test]
    fn a_time_that_leaps_and_comes_back_is_put_where_it_belongs() {
        assert_eq!(through(&[0, 1, 90_000, 3, 4]), [0, 1, 2, 3, 4]);
        assert_eq!(through(&[100, 101, 0, 103]), [100, 101, 102, 103]);
        assert_eq!(through(&[0, 1, 90_000]), [0, 1, 2], "at the end");
    }

    #[test]
    fn a_pause_is_a_pause() {
        assert_eq!(through(&[0, 1, 500, 501]), [0, 1, 500, 501]);
        assert_eq!(through(&[0, 15, 30, 45]), [0, 15, 30, 45], "pictures of a slide show");
        assert_eq!(through(&[0, 1, 500]), [0, 1, 500], "also at the end");
        assert_eq!(through(&[100, 101, 0, 1]), [100, 101, 0, 1], "time that goes on elsewhere");
    }
}
