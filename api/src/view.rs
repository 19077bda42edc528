//! The states of executions in memory, so that a request need not read the log.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use millrace_runtime::{Log, LogError, Partition, read_to_end};
use millrace_schemas::{Assembly, frame::Record as _};
use millrace_topology::streams;

/// The states of executions.
#[derive(Debug, Clone, Default)]
pub struct View {
    states: Arc<RwLock<HashMap<String, Assembly>>>,
}

impl View {
    /// Follows the table of states. Returns only if that fails.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn follow(&self, log: Arc<dyn Log>) -> Result<(), LogError> {
        let mut changes = log.changes();
        let count = log.partitions(streams::ASSEMBLIES.name).await?;
        let partition = |number| Partition { stream: streams::ASSEMBLIES.name.into(), number };
        let mut positions: Vec<(Partition, u64)> = (0..count).map(|number| (partition(number), 0)).collect();
        loop {
            changes.mark_seen();
            for (partition, position) in &mut positions {
                let mut records = Vec::new();
                *position =
                    read_to_end(log.as_ref(), partition, *position, |record| records.push(record)).await?;
                let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
                for record in records {
                    let key = String::from_utf8_lossy(&record.key).into_owned();
                    match record.value.map(|value| Assembly::decode(&value)) {
                        Some(Ok(state)) => drop(states.insert(key, state)),
                        None => drop(states.remove(&key)),
                        // Written by a newer Millrace, or by another program.
                        Some(Err(_)) => {}
                    }
                }
            }
            changes.changed().await;
        }
    }

    fn read<T>(&self, read: impl FnOnce(&HashMap<String, Assembly>) -> T) -> T {
        read(&self.states.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns an execution's state.
    #[must_use]
    pub fn get(&self, execution: &str) -> Option<Assembly> {
        self.read(|states| states.get(execution).cloned())
    }

    /// Returns how many executions match.
    #[must_use]
    pub fn count(&self, matches: impl Fn(&Assembly) -> bool) -> usize {
        self.read(|states| states.values().filter(|state| matches(state)).count())
    }

    /// Returns the `most` latest executions, the latest first: in this state, or in any, of principals for which `sees` returns `true`.
    #[must_use]
    pub fn latest(&self, state: Option<&str>, most: usize, sees: impl Fn(&str) -> bool) -> Vec<Assembly> {
        self.read(|states| {
            let matches = |one: &&Assembly| {
                state.is_none_or(|state| one.phase.as_str() == state) && sees(one.principal())
            };
            let mut all: Vec<&Assembly> = states.values().filter(matches).collect();
            all.sort_unstable_by(|a, b| {
                b.started_ms.cmp(&a.started_ms).then_with(|| a.execution.cmp(&b.execution))
            });
            all.into_iter().take(most).cloned().collect()
        })
    }
}
