//! What is known of executions, kept at hand: a request reads no topic.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use millrace_runtime::{Log, LogError, Partition, read_on};
use millrace_schemas::{Assembly, frame::Record as _};
use millrace_topology::streams;

/// The states of executions.
#[derive(Debug, Clone, Default)]
pub struct View {
    states: Arc<RwLock<HashMap<String, Assembly>>>,
}

impl View {
    /// Follows the table of states for good.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn follow(&self, log: Arc<dyn Log>) -> Result<(), LogError> {
        let mut changes = log.changes();
        let count = log.partitions(streams::ASSEMBLIES.name).await?;
        let partition = |number| Partition { stream: streams::ASSEMBLIES.name.into(), number };
        let mut positions: Vec<(Partition, u64)> = (0..count).map(|number| (partition(number), 0)).collect();
        loop {
            changes.mark_seen();
            for (partition, position) in &mut positions {
                let mut told = Vec::new();
                *position = read_on(log.as_ref(), partition, *position, |record| told.push(record)).await?;
                let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
                for record in told {
                    let key = String::from_utf8_lossy(&record.key).into_owned();
                    match record.value.map(|value| Assembly::decode(&value)) {
                        Some(Ok(state)) => drop(states.insert(key, state)),
                        None => drop(states.remove(&key)),
                        // A newer Millrace's, or a stranger's.
                        Some(Err(_)) => {}
                    }
                }
            }
            changes.changed().await;
        }
    }

    fn with<T>(&self, look: impl FnOnce(&HashMap<String, Assembly>) -> T) -> T {
        look(&self.states.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An execution's state.
    #[must_use]
    pub fn get(&self, execution: &str) -> Option<Assembly> {
        self.with(|states| states.get(execution).cloned())
    }

    /// How many executions are so.
    #[must_use]
    pub fn count(&self, is_so: impl Fn(&Assembly) -> bool) -> usize {
        self.with(|states| states.values().filter(|state| is_so(state)).count())
    }

    /// The latest, first: so many of a state, or of all, of principals that `sees` lets through.
    #[must_use]
    pub fn latest(&self, state: Option<&str>, most: usize, sees: impl Fn(&str) -> bool) -> Vec<Assembly> {
        self.with(|states| {
            let is_asked = |one: &&Assembly| {
                state.is_none_or(|state| one.phase.as_str() == state) && sees(one.principal())
            };
            let mut all: Vec<&Assembly> = states.values().filter(is_asked).collect();
            all.sort_unstable_by(|a, b| {
                b.started_ms.cmp(&a.started_ms).then_with(|| a.execution.cmp(&b.execution))
            });
            all.into_iter().take(most).cloned().collect()
        })
    }
}
