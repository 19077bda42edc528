//! Which attempts at executions have ended, as every process knows it.

use std::{collections::HashMap, sync::Arc};

use millrace_runtime::{Log, LogError, Tail, Watched};
use millrace_schemas::Control;
use millrace_topology::streams;

/// The latest attempt that has ended, by execution. Hears of it from the table `controls`.
#[derive(Debug, Clone)]
pub struct Ended {
    known: Watched<HashMap<String, i32>>,
    /// Whether all that was told before this process began is known.
    is_ready: Watched<bool>,
}

impl Default for Ended {
    fn default() -> Self {
        Self { known: Watched::new(HashMap::new()), is_ready: Watched::new(false) }
    }
}

impl Ended {
    /// Whether this attempt has ended, in success or not, or a later one has begun.
    #[must_use]
    pub fn has(&self, execution: &str, attempt: i32) -> bool {
        self.known.with(|known| known.get(execution).is_some_and(|ended| *ended >= attempt))
    }

    /// Waits until it has.
    pub async fn until(&self, execution: &str, attempt: i32) {
        self.known.until(|known| known.get(execution).is_some_and(|ended| *ended >= attempt)).await;
    }

    /// Waits until all that was told before is known: work on what ended long ago is not begun then.
    pub(crate) async fn ready(&self) {
        self.is_ready.until(|ready| *ready).await;
    }

    /// Follows the table for good.
    pub(crate) async fn watch(&self, log: Arc<dyn Log>) -> Result<(), LogError> {
        let mut changes = log.changes();
        let mut tail = Tail::<Control>::from_start(log, streams::CONTROLS).await?;
        loop {
            changes.mark_seen();
            let told = tail.take().await?;
            if !told.is_empty() {
                self.known.modify(|known| {
                    for control in told {
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
