//! The count of each principal's running executions, as far as this process knows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use millrace_schemas::Assembly;

/// For how long an execution that this process planned counts if it does not appear in the table of executions, in milliseconds.
const PLANNED_MS: i64 = 60_000;

/// The running executions by principal and id. Each has the time at which it is dropped; `None` once it is in the table of
/// executions.
type Running = HashMap<String, HashMap<String, Option<i64>>>;

/// The running executions of each principal. Clones share one count. [`update`](Self::update) keeps it in step with the table of
/// executions.
#[derive(Debug, Clone, Default)]
pub struct RunningExecutions(Arc<Mutex<Running>>);

impl RunningExecutions {
    /// Adds an execution that begins. An execution that is running already counts once.
    ///
    /// # Errors
    /// If `most` other executions of this principal are running, with a text for the user.
    pub fn begin(&self, principal: &str, execution: &str, most: usize, now_ms: i64) -> Result<(), String> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let executions = running.entry(principal.to_owned()).or_default();
        executions.retain(|_, dropped_at| dropped_at.is_none_or(|dropped_at| dropped_at > now_ms));
        let others = executions.keys().filter(|other| *other != execution).count();
        if others >= most {
            return Err(format!(
                "{others} other executions are running, and at most {most} may run at once; upload it again when one has ended"
            ));
        }
        executions.entry(execution.to_owned()).or_insert(Some(now_ms.saturating_add(PLANNED_MS)));
        Ok(())
    }

    /// Adds or removes an execution, by its state in the table of executions.
    pub fn update(&self, state: &Assembly) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let executions = running.entry(state.principal().to_owned()).or_default();
        if state.is_terminal() {
            executions.remove(&state.execution);
        } else {
            executions.insert(state.execution.clone(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_executions_begin_than_may_be_at_once_and_the_same_one_counts_once() {
        let running = RunningExecutions::default();
        for execution in ["a", "a", "b", "a"] {
            assert_eq!(running.begin("press", execution, 2, 0), Ok(()));
        }
        let refusal = running.begin("press", "c", 2, 0).unwrap_err();
        assert!(refusal.contains("at most 2"), "{refusal}");
        assert_eq!(running.begin("sport", "c", 2, 0), Ok(()), "another principal's do not count");
        assert_eq!(
            running.begin("press", "c", 2, PLANNED_MS + 1),
            Ok(()),
            "a and b never appeared in the table"
        );
    }
}
