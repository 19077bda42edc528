//! Which attempts at executions have ended, as every process knows it.

use std::{collections::HashMap, sync::Arc};

use millrace_runtime::{Log, LogError, Tail, Watched};
use millrace_schemas::Control;
use millrace_topology::streams;

/// The latest attempt that has ended, by execution. Hears of it from the table `controls`.
#[derive(Debug, Clone)]
pub struct Ended(Watched<HashMap<String, i32>>);

impl Default for Ended {
    fn default() -> Self {
        Self(Watched::new(HashMap::new()))
    }
}

impl Ended {
    /// Whether this attempt has ended, in success or not, or a later one has begun.
    #[must_use]
    pub fn has(&self, execution: &str, attempt: i32) -> bool {
        self.0.with(|known| known.get(execution).is_some_and(|ended| *ended >= attempt))
    }

    /// Waits until it has.
    pub async fn until(&self, execution: &str, attempt: i32) {
        self.0.until(|known| known.get(execution).is_some_and(|ended| *ended >= attempt)).await;
    }

    /// Follows the table for good.
    pub(crate) async fn watch(&self, log: Arc<dyn Log>) -> Result<(), LogError> {
        let mut changes = log.changes();
        let mut tail = Tail::<Control>::from_start(log, streams::CONTROLS).await?;
        loop {
            changes.mark_seen();
            let told = tail.take().await?;
            if !told.is_empty() {
                self.0.modify(|known| {
                    for control in told {
                        known.insert(control.execution, control.attempt);
                    }
                });
            }
            changes.changed().await;
        }
    }
}
