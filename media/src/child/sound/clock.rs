//! Whether sound is where its timestamps say: what is jitter, what is a clock that drifts, and what is a hole. Pure.
//!
//! Sound is placed by counting its samples; timestamps only correct that. One that differs may be rounded, or jitter: then
//! the next ones are right again. Where all that follow differ by as much, there is a hole, or samples overlap. Where
//! they differ more and more, the clock that made them runs faster or slower than its samples say, and sound is stretched
//! a little, as FFmpeg's `aresample=async` does.

use std::collections::VecDeque;

/// A step of the timestamps that is shorter, in seconds, is no hole.
const LEAST_HOLE: f64 = 0.015;
/// One that is shorter is none at the very end, where nothing follows that confirms it.
const LEAST_LAST_HOLE: f64 = 0.1;
/// Timestamps that differ are believed once they have done so for this long, in seconds.
const CONFIRMED: f64 = 0.5;
/// Drift is measured over so many seconds.
const WINDOW: f64 = 1.5;
/// Sound that is further from its timestamps, in seconds, is stretched, until it is nearer than the second.
const DRIFTED: f64 = 0.012;
const SETTLED: f64 = 0.001;
/// The most that sound is stretched, as a part of it.
const MOST_STRETCH: f64 = 0.05;
/// How often the stretch is set anew, in seconds.
const INTERVAL: f64 = 0.25;
/// Stretching that adds up to less, in seconds, is not worth a word.
const LEAST_REPORTED: f64 = 0.030;
/// A clock drifts if it did for so long, in seconds.
const LEAST_STEADY: f64 = 2.5;

/// What is to be done with frames of sound, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Action<F> {
    /// Play this frame.
    Play(F),
    /// Fill with silence up to this time in ticks, or leave out what comes before it.
    MoveTo(i64),
    /// From here on, make each second of sound longer by this part of it; 0 for no longer.
    Stretch(f64),
}

/// A frame with its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FrameTime {
    /// Its time in ticks, if it has one that can be believed.
    pub(crate) at: Option<i64>,
    /// Its length in seconds.
    pub(crate) length: f64,
}

/// Follows the timestamps of one track.
pub(crate) struct SoundClock<F> {
    /// Seconds a tick.
    tick: f64,
    /// By how much timestamps were ahead of the sound lately: when, and seconds.
    history: VecDeque<(f64, f64)>,
    /// Frames whose timestamps are out of step, until it is known whether those that follow are, too.
    held: Vec<Held<F>>,
    stretch: f64,
    is_engaged: bool,
    /// When the stretch was set last, and how many seconds it has added since the beginning.
    set_at: f64,
    stretched: f64,
    /// For how long sound was stretched by about as much as at most: a clock that drifts does so steadily, a step is made up
    /// for once.
    steady_for: f64,
    /// How much sound was followed, in seconds.
    followed_for: f64,
    most: f64,
}

/// A frame that waits for what follows it.
struct Held<F> {
    frame: F,
    time: FrameTime,
    /// Where it would be played, and by how much its timestamp is off, in seconds.
    off: Option<(f64, f64)>,
}

impl<F> SoundClock<F> {
    pub(crate) fn new(tick: f64) -> Self {
        Self {
            tick,
            history: VecDeque::new(),
            held: Vec::new(),
            stretch: 0.0,
            is_engaged: false,
            set_at: f64::MIN,
            stretched: 0.0,
            steady_for: 0.0,
            followed_for: 0.0,
            most: 0.0,
        }
    }

    /// Takes the next frame. `position` is where the sound that was played so far ends, in seconds.
    pub(crate) fn push(&mut self, frame: F, time: FrameTime, position: f64) -> Vec<Action<F>> {
        let held: f64 = self.held.iter().map(|held| held.time.length).sum();
        let Some(ahead) = time.at.map(|at| at as f64 * self.tick - (position + held)) else {
            if self.held.is_empty() {
                return vec![Action::Play(frame)];
            }
            self.held.push(Held { frame, time, off: None });
            return Vec::new();
        };
        let off = ahead - self.usual();
        if off.abs() < LEAST_HOLE {
            // Those before were jitter.
            let mut actions: Vec<Action<F>> =
                self.held.drain(..).map(|held| Action::Play(held.frame)).collect();
            self.remember(position + held, ahead);
            actions.extend(self.steer(position, held + time.length));
            actions.push(Action::Play(frame));
            return actions;
        }
        self.held.push(Held { frame, time, off: Some((position + held, off)) });
        if held + time.length >= CONFIRMED { self.judge() } else { Vec::new() }
    }

    /// Believes the frames that are held, if all of them are off by about as much: there is a hole before them, or samples
    /// overlap. Else they jitter.
    fn judge(&mut self) -> Vec<Action<F>> {
        let offs: Vec<f64> = self.held.iter().filter_map(|held| held.off).map(|(_, off)| off).collect();
        let mean = offs.iter().sum::<f64>() / offs.len().max(1) as f64;
        let one_sided = offs.iter().all(|off| off.signum() == mean.signum());
        let mut actions = Vec::new();
        if one_sided && mean.abs() >= LEAST_HOLE {
            actions.extend(self.held.first().and_then(|held| held.time.at).map(Action::MoveTo));
            self.history.clear();
        } else {
            let usual = self.usual();
            let all: Vec<(f64, f64)> = self.held.iter().filter_map(|held| held.off).collect();
            all.into_iter().for_each(|(at, off)| self.remember(at, off + usual));
        }
        actions.extend(self.held.drain(..).map(|held| Action::Play(held.frame)));
        actions
    }

    /// Plays the frames that are held at the end: what is off for a moment alone is believed where it is off by much.
    pub(crate) fn finish(&mut self) -> Vec<Action<F>> {
        let held: f64 = self.held.iter().map(|held| held.time.length).sum();
        let least =
            self.held.iter().filter_map(|held| held.off).map(|(_, off)| off.abs()).fold(f64::MAX, f64::min);
        if held >= CONFIRMED / 2.0 || least >= LEAST_LAST_HOLE {
            return self.judge();
        }
        self.held.drain(..).map(|held| Action::Play(held.frame)).collect()
    }

    /// By how much timestamps are ahead of the sound: the mean over the window, which jitter leaves as it is.
    fn usual(&self) -> f64 {
        self.history.iter().map(|(_, ahead)| *ahead).sum::<f64>() / self.history.len().max(1) as f64
    }

    fn remember(&mut self, at: f64, ahead: f64) {
        self.history.push_back((at, ahead));
        while self.history.front().is_some_and(|(then, _)| at - then > WINDOW) {
            self.history.pop_front();
        }
    }

    /// Sets the stretch anew, if it is time to.
    fn steer(&mut self, position: f64, length: f64) -> Option<Action<F>> {
        self.stretched += self.stretch * length;
        self.followed_for += length;
        if self.is_engaged {
            self.most = self.most.max(self.stretch.abs());
            if self.stretch.abs() >= self.most / 2.0 {
                self.steady_for += length;
            }
        }
        let spans = self.history.front().is_some_and(|(first, _)| position - first >= WINDOW / 2.0);
        if !spans || position - self.set_at < INTERVAL {
            return None;
        }
        let usual = self.usual();
        if usual.abs() > DRIFTED {
            self.is_engaged = true;
        } else if usual.abs() < SETTLED {
            self.is_engaged = false;
        }
        let stretch = if self.is_engaged { usual.clamp(-MOST_STRETCH, MOST_STRETCH) } else { 0.0 };
        if stretch == self.stretch {
            return None;
        }
        self.set_at = position;
        self.stretch = stretch;
        Some(Action::Stretch(stretch))
    }

    /// What is to be said of a clock that drifted.
    pub(crate) fn drift(&self) -> Option<String> {
        (self.stretched.abs() > LEAST_REPORTED && self.steady_for >= LEAST_STEADY).then(|| {
            format!(
                "the sound's clock drifts by {:+.1} % against its timestamps: it was stretched by {:+.3} s to stay with the pictures",
                100.0 * (self.stretched + self.usual()) / self.followed_for.max(0.001),
                self.stretched
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: f64 = 1024.0 / 44_100.0;

    /// Sound as it is played: where each frame comes to lie, moves to, and what was stretched, in seconds.
    #[derive(Default)]
    struct Played {
        position: f64,
        at: Vec<f64>,
        moves: Vec<f64>,
        stretch: f64,
    }

    impl Played {
        fn apply(&mut self, actions: Vec<Action<()>>) {
            for action in actions {
                match action {
                    Action::Play(()) => {
                        self.at.push(self.position);
                        self.position += FRAME * (1.0 + self.stretch);
                    }
                    Action::MoveTo(at) => {
                        self.position = at as f64 / 1000.0;
                        self.moves.push(self.position);
                    }
                    Action::Stretch(stretch) => self.stretch = stretch,
                }
            }
        }
    }

    fn play(times: impl IntoIterator<Item = f64>) -> (Played, SoundClock<()>) {
        let mut clock = SoundClock::new(0.001);
        let mut played = Played::default();
        for at in times {
            let time = FrameTime { at: Some((at * 1000.0).round() as i64), length: FRAME };
            let actions = clock.push((), time, played.position);
            played.apply(actions);
        }
        played.apply(clock.finish());
        (played, clock)
    }

    fn steady(count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(|i| i as f64 * FRAME)
    }

    #[test]
    fn rounded_times_change_nothing() {
        let (played, clock) = play(steady(1000));
        assert!((played.position - 1000.0 * FRAME).abs() < 1e-9);
        assert!(played.moves.is_empty() && clock.drift().is_none());
    }

    #[test]
    fn times_that_jitter_are_no_holes() {
        let alternating =
            steady(1000).enumerate().map(|(i, at)| at + [0.04, -0.04][i % 2] * f64::from(u8::from(i > 0)));
        let (played, clock) = play(alternating);
        assert!(played.moves.is_empty() && clock.drift().is_none());
        assert!((played.position - 1000.0 * FRAME).abs() < FRAME, "{}", played.position);
        let jitter = |i: usize| [0.0, 0.07, -0.03, 0.02, 0.09, -0.05, -0.08][(i * i + 3 * i) % 7];
        let (played, clock) =
            play(steady(1000).enumerate().map(|(i, at)| at + if i == 0 { 0.0 } else { jitter(i) }));
        assert_eq!(played.at.len(), 1000, "none is lost");
        assert!(played.moves.is_empty(), "{:?}", played.moves);
        assert!((played.position - 1000.0 * FRAME).abs() < FRAME, "{}", played.position);
        assert!(clock.drift().is_none(), "{:?}", clock.drift());
    }

    #[test]
    fn a_hole_stays_a_hole_and_what_overlaps_is_left_out() {
        let hole = steady(400).enumerate().map(|(i, at)| at + if i >= 200 { 0.3 } else { 0.0 });
        let (played, _) = play(hole);
        assert_eq!(played.moves.len(), 1);
        assert!((played.at[200] - (200.0 * FRAME + 0.3)).abs() < 0.001);
        assert!((played.position - (400.0 * FRAME + 0.3)).abs() < 0.001);
        let overlap = steady(400).enumerate().map(|(i, at)| at - if i >= 200 { 0.2 } else { 0.0 });
        assert_eq!(play(overlap).0.moves.len(), 1);
        let at_end = steady(100).enumerate().map(|(i, at)| at + if i >= 95 { 0.3 } else { 0.0 });
        assert_eq!(play(at_end).0.moves.len(), 1, "believed, since nothing speaks against it");
        let step = steady(400).enumerate().map(|(i, at)| at - if i >= 200 { 0.046 } else { 0.0 });
        let (played, clock) = play(step);
        assert_eq!(
            (played.moves.len(), clock.drift()),
            (1, None),
            "joined files overlap by an encoder's priming"
        );
    }

    #[test]
    fn a_clock_that_drifts_is_followed_within_40_milliseconds() {
        for drift in [0.01, -0.01, 0.02, 0.002] {
            let (played, clock) = play(steady(4000).map(|at| at * (1.0 + drift)));
            assert!(played.moves.is_empty());
            for (i, at) in played.at.iter().enumerate() {
                let asked = i as f64 * FRAME * (1.0 + drift);
                assert!((at - asked).abs() < 0.040, "{drift}: frame {i} at {at}, not {asked}");
            }
            let reported = clock.drift().unwrap();
            let percent = format!("{:+.1} %", 100.0 * drift);
            assert!(reported.contains(&percent), "{reported}");
        }
    }
}
