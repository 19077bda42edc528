//! How a process ends: at first it takes no more work, then it leaves at once.

use crate::watched::Watched;

/// How urgent the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Work on.
    Run,
    /// Take no more; finish and commit what was begun.
    Drain,
    /// Leave now; what is unfinished is done again next time.
    Now,
}

/// Says when to stop. When it is gone, that counts as `Now`: there is no reason left to work on.
#[derive(Debug)]
pub struct Stopper(Watched<Level>);

/// Hears when to stop.
#[derive(Debug, Clone)]
pub struct Stop(Watched<Level>);

impl Stopper {
    /// A stopper, and what hears it.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let level = Watched::new(Level::Run);
        (Self(level.clone()), Stop(level))
    }

    /// Raises the level; it never falls.
    pub fn raise(&self, level: Level) {
        self.0.modify(|now| *now = level.max(*now));
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.raise(Level::Now);
    }
}

impl Stop {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        self.0.with(|level| *level)
    }

    /// Waits until the level is at least this.
    pub async fn reaches(&self, level: Level) {
        self.0.until(|now| *now >= level).await;
    }
}
