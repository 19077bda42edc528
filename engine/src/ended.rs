//! Which attempts at executions have ended, as every process knows it.

use std::{collections::HashMap, sync::Arc};

use millrace_runtime::{Log, LogError, Tail, Watched};
use millrace_schemas::Assembly;
use millrace_topology::streams;

/// The latest attempt that has ended, by execution. Hears of it from the table of executions.
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
        let mut tail = Tail::<Assembly>::from_start(log, streams::ASSEMBLIES).await?;
        loop {
            changes.mark_seen();
            let states = tail.take().await?;
            if !states.is_empty() {
                self.0.modify(|known| {
                    for state in states {
                        let ended = state.attempt - i32::from(!state.is_terminal());
                        known.insert(state.execution, ended);
                    }
                });
            }
            changes.changed().await;
        }
    }
}
