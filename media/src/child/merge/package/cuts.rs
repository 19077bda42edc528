//! Where the tracks of a package are cut into segments. Pure.

/// Cuts pictures at the first keyframe at or behind each multiple of a length.
#[derive(Debug)]
pub(super) struct Grid {
    seconds: f64,
    /// How much a keyframe may lie before a multiple and still be at it, in seconds: times are rounded to ticks.
    slack: f64,
    /// The next multiple.
    next: f64,
}

impl Grid {
    pub(super) fn new(seconds: f64, slack: f64) -> Self {
        Self { seconds, slack, next: f64::NEG_INFINITY }
    }

    /// Returns `true` if a segment begins with the keyframe at this time, in seconds. Each time is later than the one before.
    pub(super) fn is_cut(&mut self, at: f64) -> bool {
        let number = ((at + self.slack) / self.seconds).floor();
        if number < self.next {
            return false;
        }
        self.next = number + 1.0;
        true
    }
}

/// Cuts other tracks where it is nearest to the cuts of the pictures, and behind those, or where there are none, to multiples of the
/// length.
#[derive(Debug)]
pub(super) struct Following<'a> {
    cuts: &'a [f64],
    seconds: f64,
    /// The number of the next multiple.
    next: f64,
    has_begun: bool,
}

impl<'a> Following<'a> {
    /// `cuts` are the times at which segments of pictures begin, in seconds and in order.
    pub(super) fn new(cuts: &'a [f64], seconds: f64) -> Self {
        let behind = cuts.last().map_or(1.0, |last| (last / seconds + 0.5).floor() + 1.0);
        Self { cuts, seconds, next: behind, has_begun: false }
    }

    /// Returns `true` if a segment begins with the packet from `start` to `end`, in seconds: where a cut is nearer to its start than to
    /// its end. The first packet begins one, and the first segment has half of the length at least: priming comes before the pictures.
    pub(super) fn is_cut(&mut self, start: f64, end: f64) -> bool {
        let middle = f64::midpoint(start, end);
        let mut is_cut = !self.has_begun;
        if !self.has_begun {
            self.has_begun = true;
            let near = self.cuts.partition_point(|cut| *cut < start + self.seconds / 2.0);
            self.cuts = self.cuts.get(near..).unwrap_or_default();
        }
        while let [first, rest @ ..] = self.cuts
            && *first <= middle
        {
            (is_cut, self.cuts) = (true, rest);
        }
        if self.cuts.is_empty() && self.next * self.seconds <= middle {
            is_cut = true;
            self.next = (middle / self.seconds).floor() + 1.0;
        }
        is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(keyframes: &[f64], seconds: f64) -> Vec<f64> {
        let mut grid = Grid::new(seconds, 0.01);
        keyframes.iter().copied().filter(|at| grid.is_cut(*at)).collect()
    }

    #[test]
    fn pictures_are_cut_at_the_first_keyframe_at_or_behind_each_multiple() {
        assert_eq!(cuts(&[0.0, 2.0, 4.0, 6.0, 8.0, 12.0], 6.0), [0.0, 6.0, 12.0]);
        assert_eq!(cuts(&[0.04, 2.04, 4.04, 6.04], 6.0), [0.04, 6.04]);
        assert_eq!(cuts(&[0.0, 5.0, 10.0, 15.0, 20.0], 6.0), [0.0, 10.0, 15.0, 20.0]);
        assert_eq!(cuts(&[0.0, 5.995, 11.999], 6.0), [0.0, 5.995, 11.999], "rounded times");
        assert_eq!(cuts(&[0.0, 100.0, 101.0], 6.0), [0.0, 100.0], "far apart");
    }

    #[test]
    fn audio_is_cut_where_it_is_nearest_to_the_pictures() {
        let packets = |cuts: &[f64], seconds: f64, count: i32| -> Vec<i32> {
            let mut following = Following::new(cuts, seconds);
            let begins = |number: &i32| following.is_cut(f64::from(*number), f64::from(*number) + 1.0);
            (0..count).filter(begins).collect()
        };
        assert_eq!(packets(&[0.0, 6.4, 12.6], 6.0, 20), [0, 6, 13, 18]);
        assert_eq!(packets(&[0.0, 2.1, 2.3, 4.0], 2.0, 9), [0, 2, 4, 6, 8], "two cuts in one packet");
        assert_eq!(packets(&[], 4.0, 12), [0, 4, 8], "without pictures");
        let mut primed = Following::new(&[0.0, 6.0], 6.0);
        assert!(primed.is_cut(-0.02, 0.0) && !primed.is_cut(0.0, 0.02), "priming alone is no segment");
        assert!(!primed.is_cut(5.96, 5.98) && primed.is_cut(5.995, 6.015));
    }
}
