//! Conversion of timestamps between clocks, and the decoding times of an output. Pure.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use millrace_topology::invariants::{check_increasing, debug_check};

/// A clock: the length of a tick in seconds, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The numerator.
    pub num: i64,
    /// The denominator, more than 0.
    pub den: i64,
}

/// Returns the time `at` in ticks of `out`, counted from `origin` and rounded to the nearest tick; half a tick is rounded up.
///
/// `at` is in ticks of `clock`, and `origin` in ticks of the clock beside it. A result beyond `i64` becomes the nearest `i64`.
#[must_use]
pub fn rescale_timestamp(at: i64, clock: Clock, origin: (i64, Clock), out: Clock) -> i64 {
    // (at × a/b − origin × c/d) / (e/f) as one fraction of i128, which holds the products of three 31-bit clocks and a time.
    let (a, b) = (i128::from(clock.num), i128::from(clock.den));
    let (c, d) = (i128::from(origin.1.num), i128::from(origin.1.den));
    let (e, f) = (i128::from(out.num), i128::from(out.den));
    let over = (i128::from(at) * a * d - i128::from(origin.0) * c * b) * f;
    let under = b * d * e;
    let rounded = (2 * over + under).div_euclid(2 * under);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Returns a time of this clock in seconds.
pub(crate) fn seconds((ticks, clock): (i64, Clock)) -> f64 {
    ticks as f64 * clock.num as f64 / clock.den as f64
}

/// Compares times of two clocks exactly.
pub(crate) fn compare((a, ca): (i64, Clock), (b, cb): (i64, Clock)) -> Ordering {
    let left = i128::from(a) * i128::from(ca.num) * i128::from(cb.den);
    left.cmp(&(i128::from(b) * i128::from(cb.num) * i128::from(ca.den)))
}

/// Returns the length of a picture at this frame rate in ticks of a clock, rounded down; at least 1.
pub(crate) fn picture_length((num, den): (i32, i32), clock: Clock) -> i64 {
    let [num, den] = [num, den].map(|part| i128::from(part.max(1)));
    let ticks = den * i128::from(clock.den) / (num * i128::from(clock.num.max(1)));
    // Forty times as much, by which no codec reorders, is a number still.
    ticks.clamp(1, i128::from(i64::MAX >> 8)) as i64
}

/// Returns the reorder depth: the largest number of pictures that precede a picture in decoding order and follow it in presentation
/// order. A decoder must hold back as many (`max_num_reorder_frames` of H.264).
#[must_use]
pub fn reorder_depth(pts_in_decoding_order: &[i64]) -> usize {
    let before = |i: usize| &pts_in_decoding_order[i.saturating_sub(HELD)..i];
    let later = |(i, pts): (usize, &i64)| before(i).iter().filter(|earlier| *earlier > pts).count();
    pts_in_decoding_order.iter().enumerate().map(later).max().unwrap_or(0)
}

/// Computes the presentation and decoding times of packets in the output's clock.
///
/// With the reorder depth d, the decoding time of packet i is the (i − d)th presentation time; the first d are extrapolated. A
/// presentation time that is not later than the one before it becomes one tick later than that one. Packets are returned in
/// decoding order, after up to 40 more were added.
#[derive(Debug)]
pub struct Timeline<T> {
    depth: usize,
    step: i64,
    /// The numbers and packets that were not returned yet, in decoding order.
    waiting: VecDeque<(u64, T)>,
    /// The number of packets that were added.
    pushed: u64,
    /// The presentation times and numbers of packets whose times are not final.
    by_time: BinaryHeap<Reverse<(i64, u64)>>,
    /// The numbers and presentation times of packets that are final, in presentation order.
    timed: VecDeque<(u64, i64)>,
    /// The last final presentation time.
    last: Option<i64>,
    /// The decoding times of packets that were not returned yet.
    decoding: VecDeque<i64>,
    /// The last decoding time that was returned.
    decoded: Option<i64>,
    /// True once the first decoding times are extrapolated.
    primed: bool,
    /// The final presentation times in order, from the earliest that is still needed.
    shown: VecDeque<i64>,
    /// True if no more packets follow.
    finished: bool,
    /// The most ticks by which a presentation time became later.
    moved: i64,
}

/// A packet with its times, in ticks of the output's clock.
#[derive(Debug, PartialEq, Eq)]
pub struct TimedPacket<T> {
    /// The presentation time.
    pub pts: i64,
    /// The decoding time.
    pub dts: i64,
    /// The presentation time of the next picture in presentation order; `None` for the last.
    pub next: Option<i64>,
    /// The packet.
    pub packet: T,
}

/// The largest number of packets whose times are not final. No H.264 stream reorders more than 16, so the presentation order of
/// all earlier packets is known.
const HELD: usize = 40;

impl<T> Timeline<T> {
    /// A timeline with this reorder depth. `step` is the length of a picture in ticks of the output's clock; less than 1 counts as 1.
    #[must_use]
    pub fn new(depth: usize, step: i64) -> Self {
        Self {
            depth,
            step: step.max(1),
            waiting: VecDeque::new(),
            pushed: 0,
            by_time: BinaryHeap::new(),
            timed: VecDeque::new(),
            last: None,
            decoding: VecDeque::new(),
            decoded: None,
            primed: false,
            shown: VecDeque::new(),
            finished: false,
            moved: 0,
        }
    }

    /// Adds the next packet in decoding order, with its presentation time in ticks of the output's clock.
    pub fn push(&mut self, pts: i64, packet: T) {
        self.by_time.push(Reverse((pts, self.pushed)));
        self.waiting.push_back((self.pushed, packet));
        self.pushed += 1;
        if self.by_time.len() > HELD {
            self.finalize_earliest();
        }
    }

    /// Removes and returns the next packet in decoding order, if its times and the presentation time of the next picture are final.
    pub fn pop(&mut self) -> Option<TimedPacket<T>> {
        let (number, _) = self.waiting.front()?;
        let at = self.timed.iter().position(|(timed, _)| timed == number)?;
        let (_, pts) = *self.timed.get(at)?;
        let next = self.shown.get(self.shown.partition_point(|shown| *shown <= pts)).copied();
        if next.is_none() && !self.finished {
            return None;
        }
        let dts = self.decoding.pop_front()?;
        debug_check(|| check_increasing(self.decoded.into_iter().chain([dts])));
        self.decoded = Some(dts);
        self.timed.remove(at)?;
        let (_, packet) = self.waiting.pop_front()?;
        // Times before those of all later packets are not needed again.
        let least = self.timed.iter().map(|(_, pts)| *pts).min().or(self.last).unwrap_or(pts);
        while self.shown.front().is_some_and(|shown| *shown < least.min(pts)) {
            self.shown.pop_front();
        }
        Some(TimedPacket { pts, dts, next, packet })
    }

    /// Ends the stream: all packets that were added can be removed then.
    pub fn finish(&mut self) {
        while !self.by_time.is_empty() {
            self.finalize_earliest();
        }
        self.finished = true;
    }

    /// Returns the most ticks by which a presentation time that is final became later.
    #[must_use]
    pub fn moved(&self) -> i64 {
        self.moved
    }

    /// Makes the presentation time of the earliest packet final.
    fn finalize_earliest(&mut self) {
        let Some(Reverse((pts, number))) = self.by_time.pop() else { return };
        let asked = pts;
        let pts = self.last.map_or(pts, |last| pts.max(last + 1));
        self.moved = self.moved.max(pts - asked);
        self.last = Some(pts);
        if !self.primed {
            self.primed = true;
            let depth = i64::try_from(self.depth).unwrap_or(0);
            self.decoding.extend((1..=depth).rev().map(|before| pts - before * self.step));
        }
        self.decoding.push_back(pts);
        self.shown.push_back(pts);
        self.timed.push_back((number, pts));
    }
}

#[cfg(test)]
mod tests {
    use millrace_topology::invariants::check_frames;
    use proptest::prelude::*;

    use super::*;

    const MS: Clock = Clock { num: 1, den: 1000 };

    /// The times of packets that pass through a timeline.
    fn through(depth: usize, pts: &[i64]) -> Vec<(i64, i64)> {
        let mut timeline = Timeline::new(depth, 1);
        let mut out = Vec::new();
        for p in pts {
            timeline.push(*p, *p);
            out.extend(std::iter::from_fn(|| timeline.pop()));
        }
        timeline.finish();
        out.extend(std::iter::from_fn(|| timeline.pop()));
        let mut times: Vec<i64> = out.iter().map(|timed| timed.pts).collect();
        times.sort_unstable();
        for timed in &out {
            let after = times.get(times.partition_point(|pts| *pts <= timed.pts));
            assert_eq!(timed.next.as_ref(), after, "the picture after {}", timed.pts);
        }
        out.into_iter().map(|timed| (timed.pts, timed.dts)).collect()
    }

    #[test]
    fn decoding_times_are_presentation_times_shifted_by_the_depth() {
        assert_eq!(through(1, &[0, 4, 1, 2, 3]), [(0, -1), (4, 0), (1, 1), (2, 2), (3, 3)]);
        assert_eq!(reorder_depth(&[0, 4, 1, 2, 3]), 1);
        assert_eq!(reorder_depth(&[0, 8, 4, 2, 6]), 2);
        assert_eq!(reorder_depth(&[10, 5, 7, 3]), 3);
        assert_eq!(reorder_depth(&[0, 1, 2]), 0);
    }

    #[test]
    fn a_time_that_is_not_later_becomes_one_tick_later() {
        assert_eq!(through(0, &[5, 5, 5, 9]), [(5, 5), (6, 6), (7, 7), (9, 9)]);
        let mut timeline = Timeline::new(0, 1);
        [5, 5, 5, 9].iter().for_each(|pts| timeline.push(*pts, ()));
        assert_eq!(timeline.moved(), 0, "of times that are not final yet, nothing is known");
        timeline.finish();
        assert_eq!(timeline.moved(), 2);
    }

    #[test]
    fn a_picture_is_as_long_in_a_clock_of_picoseconds_as_in_any_other() {
        let clock = |den| Clock { num: 1, den };
        assert_eq!(picture_length((30, 1), clock(90_000)), 3000);
        assert_eq!(picture_length((30, 1), clock(1_000_000_000_000)), 33_333_333_333);
        assert_eq!(picture_length((60, 1), clock(25)), 1, "a tick at least");
        assert_eq!(picture_length((0, 0), clock(25)), 25);
        assert!(picture_length((1, i32::MAX), clock(i64::MAX)).checked_mul(40).is_some());
    }

    #[test]
    fn a_time_is_converted_to_another_clock() {
        let tb = Clock { num: 1, den: 90_000 };
        assert_eq!(rescale_timestamp(90_000, tb, (0, MS), MS), 1000);
        assert_eq!(rescale_timestamp(90_000, tb, (250, MS), MS), 750);
        assert_eq!(rescale_timestamp(45, tb, (0, MS), MS), 1, "half a tick rounds up");
        assert_eq!(rescale_timestamp(-45, tb, (0, MS), MS), 0);
        let huge = Clock { num: 1, den: i64::from(i32::MAX) };
        assert_eq!(rescale_timestamp(i64::from(i32::MAX) * 3600, huge, (0, huge), MS), 3_600_000);
    }

    /// A closed GOP structure: blocks of pictures, each shuffled no further than a depth allows.
    fn pictures() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec((1..6_usize, 1..50_i64), 1..60).prop_map(|blocks| {
            let mut out = Vec::new();
            let mut at = -100;
            for (len, step) in blocks {
                let times: Vec<i64> = (0..len as i64).map(|i| at + i * step).collect();
                out.extend(times.last());
                out.extend(&times[..len - 1]);
                at += len as i64 * step;
            }
            out
        })
    }

    proptest! {
        /// TS-1.
        #[test]
        fn dts_strictly_increase_and_never_pass_pts(pts in pictures()) {
            let depth = reorder_depth(&pts);
            let out = through(depth, &pts);
            prop_assert_eq!(out.len(), pts.len());
            prop_assert_eq!(check_increasing(out.iter().map(|o| o.1)), Ok(()));
            prop_assert!(out.iter().all(|(pts, dts)| dts <= pts));
            prop_assert_eq!(check_frames(&pts, &out.iter().map(|o| o.0).collect::<Vec<_>>()), Ok(()));
        }
    }
}
