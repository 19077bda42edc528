//! The ended attempts at executions, as this process knows them.

use std::{collections::HashMap, sync::Arc};

use millrace_runtime::{Log, LogError, Tail, Watched};
use millrace_schemas::Control;
use millrace_topology::streams;

/// The latest ended attempt of each execution, read from the table `controls`. Clones share it.
#[derive(Debug, Clone)]
pub struct Ended {
    known: Watched<HashMap<String, i32>>,
    /// True once the table was read to the end that it had when this process started.
    is_ready: Watched<bool>,
}

impl Default for Ended {
    fn default() -> Self {
        Self { known: Watched::new(HashMap::new()), is_ready: Watched::new(false) }
    }
}

impl Ended {
    /// Returns `true` if this attempt or a later one has ended, with or without success.
    #[must_use]
    pub fn has(&self, execution: &str, attempt: i32) -> bool {
        self.known.with(|known| known.get(execution).is_some_and(|ended| *ended >= attempt))
    }

    /// Waits until this attempt or a later one has ended.
    pub async fn until(&self, execution: &str, attempt: i32) {
        self.known.until(|known| known.get(execution).is_some_and(|ended| *ended >= attempt)).await;
    }

    /// Waits until the table was read to its end, so that no work on ended executions begins.
    pub(crate) async fn ready(&self) {
        self.is_ready.until(|ready| *ready).await;
    }

    /// Follows the table until the log fails.
    pub(crate) async fn watch(&self, log: Arc<dyn Log>) -> Result<(), LogError> {
        let mut changes = log.changes();
        let mut tail = Tail::<Control>::from_start(log, streams::CONTROLS).await?;
        loop {
            changes.mark_seen();
            let controls = tail.read_new().await?;
            if !controls.is_empty() {
                self.known.modify(|known| {
                    for control in controls {
                        known.insert(control.execution, control.attempt);
                    }
                });
            }
            if !self.is_ready.with(|ready| *ready) {
                self.is_ready.modify(|ready| *ready = true);
            }
            changes.changed().await;
        }
    }
}
