//! The pauses between retries.

use std::time::Duration;

/// The upper limit of a pause, before jitter.
const LONGEST: Duration = Duration::from_secs(30);

/// A sequence of pauses that double from the first one up to 30 s. Each is multiplied by a random factor from
/// 0.5 to 1.5 (jitter).
#[derive(Debug, Clone, Copy)]
pub struct Backoff(Duration);

impl Backoff {
    /// Returns a sequence that begins with this pause.
    #[must_use]
    pub fn new(first: Duration) -> Self {
        Self(first)
    }

    /// Returns the next pause, with jitter.
    pub fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_each_with_jitter() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        let mut whole = 0.1_f64;
        for _ in 0..20 {
            let pause = backoff.pause().as_secs_f64();
            assert!((0.5 * whole..=1.5 * whole).contains(&pause), "{pause} s where {whole} s is the middle");
            whole = (2.0 * whole).min(30.0);
        }
        let pauses: Vec<Duration> = (0..5).map(|_| Backoff::new(LONGEST).pause()).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "no jitter: {pauses:?}");
    }
}
