//! Pauses before something is tried again.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double from the first up to 30 s, each with jitter: half of it to one and a half.
#[derive(Debug, Clone, Copy)]
pub struct Backoff(Duration);

impl Backoff {
    /// Begins with this pause.
    #[must_use]
    pub fn new(first: Duration) -> Self {
        Self(first)
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}
