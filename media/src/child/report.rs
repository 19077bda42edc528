//! Replies to the parent, a line of JSON each, on stdout.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use millrace_schemas::Made;

use crate::protocol::Reply;

/// Progress is reported at most so often.
const EVERY: Duration = Duration::from_millis(200);

/// Reports to the parent how far the task is, a few times a second: the parent also takes silence for a hang.
pub(crate) struct Reporter {
    last: Instant,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Reports that `done` pictures or samples of a range are done, unless progress was reported just before.
    pub(crate) fn progress(&mut self, range: usize, done: i64) {
        if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            send(&Reply::Progress { range, done });
        }
    }

    /// Reports that the work objects of a range are whole.
    pub(crate) fn made(&self, range: usize, made: Vec<Made>) {
        send(&Reply::Made { range, made });
    }
}

/// Writes a reply to the parent.
pub(crate) fn send(reply: &Reply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    // If the parent has ended, nobody reads it, and the life line ends this process.
    let _ = std::io::stdout().lock().write_all(&line);
}
