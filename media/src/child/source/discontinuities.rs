//! Timestamp discontinuities: what follows a splice, or a restart of the sender, is moved so that it follows what came before.

use std::collections::HashMap;

use ffmpeg_next::Packet;

use crate::timeline::{Clock, rescale_timestamp};

const MICROSECONDS: Clock = Clock { num: 1, den: 1_000_000 };
/// A step that is longer forward, in microseconds, is a discontinuity, not a pause (as the ffmpeg command has it).
const LONGEST_PAUSE: i64 = 10_000_000;
/// A step that is longer backward is one, too.
const LONGEST_SLIP: i64 = 100_000;
/// Presentation times of packets in decoding order go back by no more, in microseconds.
const LONGEST_REORDER: i64 = 1_000_000;
/// A longer step to a packet, in microseconds, says nothing of its length.
const LONGEST_STEP: i64 = 1_000_000;
/// Packets of another stream that are so near to where they should be after a discontinuity have taken part in it.
const NEAR: i64 = 5_000_000;

/// Times of a packet, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    pts: Option<i64>,
    dts: Option<i64>,
    /// 0 where it is not told.
    duration: i64,
}

impl Times {
    fn of(pts: Option<i64>, dts: Option<i64>, duration: i64, clock: Clock) -> Self {
        let to = |ticks| rescale_timestamp(ticks, clock, (0, MICROSECONDS), MICROSECONDS);
        Self { pts: pts.map(to), dts: dts.map(to), duration: to(duration.max(0)) }
    }
}

/// Where a track's times stand, in microseconds; unmoved.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// The last time that was looked at, and whether it was a decoding time.
    last: Option<(i64, bool)>,
    /// The decoding time and the presentation time that should come next.
    next_dts: Option<i64>,
    next_pts: Option<i64>,
}

impl Standing {
    /// Takes the next packet's times; returns by how much they missed, if that is a discontinuity. Only in a container in which
    /// some are expected (`discontinuous`) a step forward is one: in others it is a pause.
    fn step(&mut self, times: Times, discontinuous: bool) -> Option<i64> {
        let is_dts = times.dts.is_some();
        let at = times.dts.or(times.pts)?;
        let missed = match times.dts {
            Some(dts) => self.next_dts.or(self.next_pts).map_or(0, |next| dts - next),
            None => self.next_pts.map_or(0, |next| at - next),
        };
        let back = self.last.map_or(0, |(last, _)| at - last);
        // Without decoding times pictures come out of order.
        let slip = if is_dts && self.last.is_none_or(|(_, was_dts)| was_dts) {
            LONGEST_SLIP
        } else {
            LONGEST_REORDER
        };
        let forward = if discontinuous { LONGEST_PAUSE } else { i64::MAX };
        let is_one = if discontinuous { missed < -slip || missed > forward } else { back < -slip };
        if is_one {
            (self.next_dts, self.next_pts) = (None, None);
        }
        // A packet that has no length is as long as the step to it was.
        let length = if times.duration > 0 { times.duration } else { back.clamp(0, LONGEST_STEP) };
        self.last = Some((at, is_dts));
        self.next_dts = times.dts.map(|dts| dts + length).or(self.next_dts.filter(|_| !is_dts));
        self.next_pts = self.next_pts.max(times.pts.map(|pts| pts + length));
        is_one.then_some(missed)
    }
}

/// Finds the discontinuities of one track, packet by packet.
pub(crate) struct DiscontinuityFinder {
    clock: Clock,
    discontinuous: bool,
    standing: Standing,
    moves: Vec<i64>,
}

impl DiscontinuityFinder {
    /// For a track of this clock; `discontinuous` as in [`Discontinuities::new`].
    pub(crate) fn new(clock: Clock, discontinuous: bool) -> Self {
        Self { clock, discontinuous, standing: Standing::default(), moves: Vec::new() }
    }

    /// Takes the next packet's times and length in ticks; returns by how many ticks it is to be moved.
    pub(crate) fn step(&mut self, pts: Option<i64>, dts: Option<i64>, duration: i64) -> i64 {
        let times = Times::of(pts, dts, duration, self.clock);
        if let Some(missed) = self.standing.step(times, self.discontinuous) {
            self.moves.push(self.moved() - missed);
        }
        rescale_timestamp(self.moved(), MICROSECONDS, (0, self.clock), self.clock)
    }

    fn moved(&self) -> i64 {
        self.moves.last().copied().unwrap_or(0)
    }

    /// Returns by how many microseconds each part behind a discontinuity is moved.
    pub(crate) fn moves(self) -> Vec<i64> {
        self.moves
    }
}

/// Applies discontinuities that were found to the packets of any stream, in the order in which they lie.
#[derive(Default)]
pub(crate) struct Discontinuities {
    moves: Vec<i64>,
    discontinuous: bool,
    tracks: HashMap<i32, (Standing, usize)>,
}

impl Discontinuities {
    /// `moves` are by how many microseconds each part behind a discontinuity is moved; `discontinuous` is true if the container's
    /// clock is expected to go forward, too.
    pub(crate) fn new(moves: &[i64], discontinuous: bool) -> Self {
        let moves = std::iter::once(0).chain(moves.iter().copied()).collect();
        Self { moves, discontinuous, tracks: HashMap::new() }
    }

    /// Moves a packet's times; `track` is the first stream of its track.
    pub(crate) fn apply(&mut self, packet: &mut Packet, track: i32, clock: Clock) {
        if self.moves.len() < 2 {
            return;
        }
        let (standing, part) = self.tracks.entry(track).or_default();
        let times = Times::of(packet.pts(), packet.dts(), packet.duration(), clock);
        if let Some(missed) = standing.step(times, self.discontinuous) {
            // The next part in which it comes about where it should.
            let before = self.moves[*part];
            let off = |moved: i64| (missed + moved - before).abs();
            let next = (*part + 1..self.moves.len()).find(|part| off(self.moves[*part]) < NEAR);
            *part = next.unwrap_or(*part);
        }
        let ticks = rescale_timestamp(self.moves[*part], MICROSECONDS, (0, clock), clock);
        packet.set_pts(packet.pts().map(|pts| pts.saturating_add(ticks)));
        packet.set_dts(packet.dts().map(|dts| dts.saturating_add(ticks)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Clock = Clock { num: 1, den: 1000 };

    fn packet(stream: usize, dts: i64) -> Packet {
        let mut packet = Packet::new(1);
        packet.set_stream(stream);
        packet.set_dts(Some(dts));
        packet.set_pts(Some(dts));
        packet.set_duration(40);
        packet
    }

    #[test]
    fn what_follows_a_discontinuity_follows_what_came_before() {
        let times = [0, 40, 80, 1_000_000, 1_000_040, 0, 40, 5_000];
        let mut finder = DiscontinuityFinder::new(MS, true);
        let moved: Vec<i64> = times.iter().map(|dts| dts + finder.step(Some(*dts), Some(*dts), 40)).collect();
        assert_eq!(moved, [0, 40, 80, 120, 160, 200, 240, 5_200], "a pause of seconds is one");
        let mut discontinuities = Discontinuities::new(&finder.moves(), true);
        let applied = times.iter().map(|dts| {
            let mut packet = packet(0, *dts);
            discontinuities.apply(&mut packet, 0, MS);
            packet.pts().unwrap()
        });
        assert!(applied.eq(moved));
    }

    #[test]
    fn a_step_forward_is_a_pause_unless_discontinuities_are_expected() {
        let mut finder = DiscontinuityFinder::new(MS, false);
        let moved: Vec<i64> = [0, 40, 80, 60_000, 0, 40]
            .iter()
            .map(|dts| dts + finder.step(Some(*dts), Some(*dts), 40))
            .collect();
        assert_eq!(moved, [0, 40, 80, 60_000, 60_040, 60_080], "one that begins again goes on");
    }

    #[test]
    fn pictures_without_decoding_times_come_out_of_order_and_break_by_their_presentation() {
        let mut finder = DiscontinuityFinder::new(MS, false);
        let packets = [
            (2080, Some(2000)),
            (2240, Some(2040)),
            (2160, Some(2080)),
            (2120, Some(2120)),
            (2200, Some(2160)),
        ];
        let again = [(80, None), (240, None), (160, Some(80)), (120, Some(120)), (200, Some(160))];
        let moved: Vec<i64> =
            packets.iter().chain(&again).map(|(pts, dts)| pts + finder.step(Some(*pts), *dts, 40)).collect();
        assert_eq!(moved, [2080, 2240, 2160, 2120, 2200, 2280, 2440, 2360, 2320, 2400]);
    }

    #[test]
    fn other_streams_break_with_it_whichever_comes_first() {
        let mut finder = DiscontinuityFinder::new(MS, true);
        for dts in [0, 40, 1_000_000, 1_000_040] {
            finder.step(Some(dts), Some(dts), 40);
        }
        let mut discontinuities = Discontinuities::new(&finder.moves(), true);
        let mut moved = |dts| {
            let mut packet = packet(1, dts);
            discontinuities.apply(&mut packet, 1, MS);
            packet.pts().unwrap()
        };
        assert_eq!(moved(10), 10);
        assert_eq!(moved(1_000_010), 90, "as far from the pictures as before");
        assert_eq!(moved(1_020_000), 20_080, "a hole of its own is none of the clock's");
    }
}
