//! Which executions of each principal are at work, as far as this process knows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use millrace_schemas::Assembly;

/// For how long an execution that was planned here counts, until the table of executions tells of it, in milliseconds.
const PLANNED_MS: i64 = 60_000;

/// The executions of each principal that have not ended, each with when it is forgotten; `None` once the table tells of it.
type Known = HashMap<String, HashMap<String, Option<i64>>>;

/// Counts executions that have not ended, by principal. The table of executions feeds it ([`AtWork::update`]).
#[derive(Debug, Clone, Default)]
pub struct AtWork(Arc<Mutex<Known>>);

impl AtWork {
    /// Counts an execution that begins.
    ///
    /// # Errors
    /// Where so many others of this principal are at work already.
    pub fn begin(&self, principal: &str, execution: &str, most: usize, now_ms: i64) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = known.entry(principal.to_owned()).or_default();
        of_it.retain(|_, until| until.is_none_or(|until| until > now_ms));
        let others = of_it.keys().filter(|other| *other != execution).count();
        if others >= most {
            return Err(format!(
                "{others} other executions are at work, and at most {most} may be at once; upload it again when one has ended"
            ));
        }
        of_it.entry(execution.to_owned()).or_insert(Some(now_ms.saturating_add(PLANNED_MS)));
        Ok(())
    }

    /// Takes what the table says of an execution.
    pub fn update(&self, state: &Assembly) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = known.entry(state.principal().to_owned()).or_default();
        if state.is_terminal() {
            of_it.remove(&state.execution);
        } else {
            of_it.insert(state.execution.clone(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_executions_begin_than_may_be_at_once_and_the_same_one_counts_once() {
        let at_work = AtWork::default();
        for execution in ["a", "a", "b", "a"] {
            assert_eq!(at_work.begin("press", execution, 2, 0), Ok(()));
        }
        let said = at_work.begin("press", "c", 2, 0).unwrap_err();
        assert!(said.contains("at most 2"), "{said}");
        assert_eq!(at_work.begin("sport", "c", 2, 0), Ok(()), "another's do not count");
        assert_eq!(at_work.begin("press", "c", 2, PLANNED_MS + 1), Ok(()), "nobody told of a and b");
    }
}
