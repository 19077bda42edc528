//! Timestamp outliers: one damaged timestamp among right ones, which is corrected so that nothing that follows suffers. Pure.

/// Corrects timestamp outliers of frames in the order in which they are shown or heard, with times in ticks.
pub(crate) struct OutlierFilter<F> {
    /// A step that is longer may lead to an outlier: ten seconds.
    longest_step: i64,
    /// A step that is longer leads to one if nothing follows that could tell: an hour.
    longest_last_step: i64,
    expected: Option<i64>,
    /// A frame that may be an outlier, with its time and length, until the next one tells whether time goes on from there.
    held: Option<(F, i64, i64)>,
}

/// A frame whose time is known.
pub(crate) struct Timed<F> {
    pub(crate) frame: F,
    /// Its time in ticks.
    pub(crate) at: i64,
    /// True if that is not its own.
    pub(crate) is_corrected: bool,
}

impl<F> OutlierFilter<F> {
    /// `second` is how many ticks a second has.
    pub(crate) fn new(second: f64) -> Self {
        let ticks = |seconds: f64| (second * seconds) as i64;
        Self {
            longest_step: ticks(10.0).max(1),
            longest_last_step: ticks(3600.0).max(1),
            expected: None,
            held: None,
        }
    }

    /// Takes the next frame. Returns those whose times are known by now.
    pub(crate) fn push(&mut self, frame: F, at: i64, length: i64) -> Vec<Timed<F>> {
        let mut known = Vec::new();
        if let Some((held, own, its_length)) = self.held.take() {
            let expected = self.expected.unwrap_or(own);
            // The next one is where time was before: the one in between is wrong.
            let is_corrected = self.is_near(at, expected) && !self.is_near(at, own);
            let time = if is_corrected { expected } else { own };
            known.push(Timed { frame: held, at: time, is_corrected });
            self.expected = Some(time.saturating_add(its_length));
        }
        if self.expected.is_none_or(|expected| self.is_near(at, expected)) {
            self.expected = Some(at.saturating_add(length));
            known.push(Timed { frame, at, is_corrected: false });
        } else {
            self.held = Some((frame, at, length));
        }
        known
    }

    /// Returns the last frame, if it is still held. Nothing follows that could tell: it is believed, unless it is very far off.
    pub(crate) fn finish(&mut self) -> Option<Timed<F>> {
        let (frame, own, _) = self.held.take()?;
        let expected = self.expected.unwrap_or(own);
        let is_corrected = own.abs_diff(expected) > self.longest_last_step.unsigned_abs();
        Some(Timed { frame, at: if is_corrected { expected } else { own }, is_corrected })
    }

    fn is_near(&self, at: i64, other: i64) -> bool {
        at.abs_diff(other) <= self.longest_step.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(times: &[i64]) -> Vec<i64> {
        let mut filter = OutlierFilter::new(1.0);
        let mut out: Vec<i64> = Vec::new();
        for at in times {
            out.extend(filter.push((), *at, 1).into_iter().map(|timed| timed.at));
        }
        out.extend(filter.finish().map(|timed| timed.at));
        out
    }

    #[test]
    fn an_outlier_is_put_where_it_belongs() {
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
