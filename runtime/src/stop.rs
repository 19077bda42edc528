//! Stops a process in two steps: drain first, then end at once.

use crate::watched::Watched;

/// How far a process is to stop. A later variant is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Consume and process records.
    Run,
    /// Consume no more records; finish and commit the records in flight.
    Drain,
    /// End at once. Unfinished records are processed again after the next start.
    Now,
}

/// Raises the stop level of a process. Dropping it raises the level to [`Level::Now`].
#[derive(Debug)]
pub struct Stopper(Watched<Level>);

/// Observes the stop level of a process.
#[derive(Debug, Clone)]
pub struct Stop(Watched<Level>);

impl Stopper {
    /// Returns a stopper at [`Level::Run`], and an observer of its level.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let level = Watched::new(Level::Run);
        (Self(level.clone()), Stop(level))
    }

    /// Raises the level to at least this one. The level never falls.
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
    /// Returns the current level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.0.with(|level| *level)
    }

    /// Waits until the level is at least this one.
    pub async fn reaches(&self, level: Level) {
        self.0.until(|now| *now >= level).await;
    }
}
