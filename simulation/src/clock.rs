//! The virtual clock: it stands still while a task can run, and jumps to the next timer when none can.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// The start time of every run, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_700_000_000_000;

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Starts the clock of a run on this thread.
pub(crate) fn begin() {
    BEGUN.set(Some(Instant::now()));
}

/// Returns how long the run has lasted.
pub(crate) fn elapsed() -> Duration {
    BEGUN.get().map_or(Duration::ZERO, |begun| begun.elapsed())
}

/// Returns the current time, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    EPOCH_MS + i64::try_from(elapsed().as_millis()).unwrap_or(0)
}
