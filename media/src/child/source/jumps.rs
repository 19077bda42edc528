//! Clocks that jump: what follows a splice, or a restart of whoever sent it, is moved so that it follows what came before.

use std::collections::HashMap;

use ffmpeg_next::Packet;

use crate::timeline::{Clock, place};

const MICROSECONDS: Clock = Clock { num: 1, den: 1_000_000 };
/// A step that is longer forward, in microseconds, is a jump of the clock, not a pause (as the ffmpeg command has it).
const LONGEST_PAUSE: i64 = 10_000_000;
/// A step that is longer backward is one, too.
const LONGEST_SLIP: i64 = 100_000;
/// Packets of another stream that are so near to where they should be after a jump have taken part in it.
const NEAR: i64 = 5_000_000;

/// Where a stream's decoding times stand.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// The decoding time that should come next, in microseconds; unmoved.
    expected: Option<i64>,
}

impl Standing {
    /// Takes the next packet's time; says by how much it missed, if that is a jump.
    fn step(&mut self, dts: i64, duration: i64) -> Option<i64> {
        let missed = self.expected.map_or(0, |expected| dts - expected);
        self.expected = Some(dts + duration);
        (!(-LONGEST_SLIP..=LONGEST_PAUSE).contains(&missed)).then_some(missed)
    }
}

fn times(packet: &Packet, clock: Clock) -> Option<(i64, i64)> {
    let to = |ticks| place(ticks, clock, (0, MICROSECONDS), MICROSECONDS);
    Some((to(packet.dts().or(packet.pts())?), to(packet.duration().max(0))))
}

/// Finds the jumps of one stream, packet by packet.
pub(crate) struct JumpFinder {
    clock: Clock,
    standing: Standing,
    jumps: Vec<i64>,
}

impl JumpFinder {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, standing: Standing::default(), jumps: Vec::new() }
    }

    /// Takes the next packet; says by how many of its ticks it is to be moved.
    pub(crate) fn see(&mut self, packet: &Packet) -> i64 {
        if let Some((dts, duration)) = times(packet, self.clock)
            && let Some(missed) = self.standing.step(dts, duration)
        {
            self.jumps.push(self.moved() - missed);
        }
        place(self.moved(), MICROSECONDS, (0, self.clock), self.clock)
    }

    fn moved(&self) -> i64 {
        self.jumps.last().copied().unwrap_or(0)
    }

    /// By how many microseconds each part behind a jump is moved.
    pub(crate) fn jumps(self) -> Vec<i64> {
        self.jumps
    }
}

/// Applies jumps that were found to the packets of any stream, in the order in which they lie.
pub(crate) struct Jumps {
    moves: Vec<i64>,
    streams: HashMap<usize, (Standing, usize)>,
}

impl Jumps {
    pub(crate) fn new(jumps: &[i64]) -> Self {
        Self { moves: std::iter::once(0).chain(jumps.iter().copied()).collect(), streams: HashMap::new() }
    }

    /// Moves a packet's times.
    pub(crate) fn apply(&mut self, packet: &mut Packet, clock: Clock) {
        if self.moves.len() < 2 {
            return;
        }
        let (standing, part) = self.streams.entry(packet.stream()).or_default();
        if let Some((dts, duration)) = times(packet, clock)
            && let Some(missed) = standing.step(dts, duration)
        {
            // The next part in which it comes about where it should.
            let before = self.moves[*part];
            let off = |moved: i64| (missed + moved - before).abs();
            let next = (*part + 1..self.moves.len()).find(|part| off(self.moves[*part]) < NEAR);
            *part = next.unwrap_or(*part);
        }
        let ticks = place(self.moves[*part], MICROSECONDS, (0, clock), clock);
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
    fn what_follows_a_jump_follows_what_came_before() {
        let times = [0, 40, 80, 1_000_000, 1_000_040, 0, 40, 5_000];
        let mut finder = JumpFinder::new(MS);
        let moved: Vec<i64> = times.iter().map(|dts| dts + finder.see(&packet(0, *dts))).collect();
        assert_eq!(moved, [0, 40, 80, 120, 160, 200, 240, 5_200], "a pause of seconds is one");
        let mut jumps = Jumps::new(&finder.jumps());
        let applied = times.iter().map(|dts| {
            let mut packet = packet(0, *dts);
            jumps.apply(&mut packet, MS);
            packet.pts().unwrap()
        });
        assert!(applied.eq(moved));
    }

    #[test]
    fn other_streams_jump_with_it_whichever_comes_first() {
        let mut finder = JumpFinder::new(MS);
        for dts in [0, 40, 1_000_000, 1_000_040] {
            finder.see(&packet(0, dts));
        }
        let mut jumps = Jumps::new(&finder.jumps());
        let mut moved = |dts| {
            let mut packet = packet(1, dts);
            jumps.apply(&mut packet, MS);
            packet.pts().unwrap()
        };
        assert_eq!(moved(10), 10);
        assert_eq!(moved(1_000_010), 90, "as far from the pictures as before");
        assert_eq!(moved(1_020_000), 20_080, "a hole of its own is none of the clock's");
    }
}
