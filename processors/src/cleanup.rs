//! `cleanup`: removes the work objects of executions that have ended. The sweep removes what crashes left behind.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use millrace_schemas::{Assembly, Merged, Phase, RecordError, Upload, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task,
    faults::Fault,
    ports::{PortError, Storage},
    streams,
};

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    events::ProcessorEvent,
};

/// The default retry window: for how long the work objects of a failed execution are kept for a new attempt, in milliseconds (a day).
pub const RETRY_WINDOW_MS: i64 = 24 * 3600 * 1000;
/// How much longer than the retry window they are kept, in milliseconds (an hour): an attempt that begins at the end of the window
/// must find them.
const GRACE_MS: i64 = 3600 * 1000;
/// The least time for which work objects of an unknown execution or attempt are kept, in milliseconds: its record may not have been
/// read yet.
const UNKNOWN_MS: i64 = 600 * 1000;

/// Returns the time between two sweeps, in milliseconds: an hour, or a 24th of the retry window if that is shorter, and at least 15
/// seconds.
#[must_use]
pub fn sweep_interval_ms(window_ms: i64) -> i64 {
    (window_ms / 24).clamp(15_000, 3_600_000)
}

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    ProcessorSpec {
        role: Role::Decides,
        ..ProcessorSpec::new("cleanup", "frees work objects", streams::MERGED, [streams::EXECUTIONS])
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_processor(spec(), Cleanup::new(dependencies.ports.clone(), dependencies.keep_failed));
}

/// The processor `cleanup`.
pub struct Cleanup<P> {
    ports: Arc<P>,
    keep_failed: bool,
}

impl<P> Cleanup<P> {
    /// Returns the processor with these ports. `keep_failed` is true if the work objects of a failed execution are kept for a new
    /// attempt.
    pub fn new(ports: Arc<P>, keep_failed: bool) -> Self {
        Self { ports, keep_failed }
    }
}

#[async_trait]
impl<P: Storage> Processor for Cleanup<P> {
    type In = Merged;

    fn read(&self, value: &[u8]) -> Result<Merged, RecordError> {
        Merged::decode(value)
    }

    async fn handle(&self, merged: &Merged, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        if merged.state == Phase::Failed && self.keep_failed {
            // Another attempt reuses the work objects, and merges the outputs again.
            self.ports.remove_staged(merged.work(), merged.attempt).await?;
            return Ok(Vec::new());
        }
        let removed = self.ports.remove_work(merged.work()).await?;
        let event = ProcessorEvent {
            execution: &merged.execution,
            attempt: merged.attempt,
            at_ms: task.now_ms(),
            processor: "cleanup",
            event: "cleaned",
            detail: if removed { "work objects removed" } else { "nothing was left" }.into(),
            elapsed_ms: None,
        };
        Ok(vec![event.emit()?])
    }

    fn given_up(&self, _: &Merged, _: Task, _: &str) -> Vec<Emit> {
        // The sweep removes the work objects.
        Vec::new()
    }
}

/// Returns whether an attempt that begins now can reuse the work objects of an execution in this state.
#[must_use]
pub fn can_resume(state: &Assembly, now_ms: i64, window_ms: i64) -> bool {
    state.phase == Phase::Failed && state.ended_ms.is_some_and(|ended| now_ms - ended < window_ms)
}

/// Returns the upload of the next attempt at an execution that has ended. The attempt reuses the work objects if they still exist.
#[must_use]
pub fn next_attempt(state: &Assembly, upload: Upload, now_ms: i64, window_ms: i64) -> Upload {
    // A refused upload has no work objects.
    let resumes = can_resume(state, now_ms, window_ms) && !state.work.is_empty();
    let work = resumes.then(|| state.work.clone());
    Upload { attempt: state.attempt + 1, work, ..upload }
}

/// GC-1: returns whether the work objects below the prefix `work`, the last of which was written at `touched_ms`, may be removed.
/// `state` is the state of their execution, `None` if it is unknown. Times are in milliseconds since 1970.
///
/// An attempt that does not reuse work objects has a prefix of its own, so that a sweep never removes those of a later attempt.
#[must_use]
pub fn expired(state: Option<&Assembly>, work: &str, touched_ms: i64, now_ms: i64, window_ms: i64) -> bool {
    let longest = window_ms + GRACE_MS.min(window_ms);
    let long_ago = |since: i64| now_ms - since > longest;
    match state {
        Some(state) if state.work() == work => match state.phase {
            Phase::Failed => long_ago(state.ended_ms.unwrap_or(touched_ms)),
            _ if state.is_terminal() => true,
            _ => Fault::CleanupTooEarly.is_planted(),
        },
        // An earlier attempt, which has ended.
        Some(state) if attempt(work).is_some_and(|attempt| attempt < state.attempt) => long_ago(touched_ms),
        // An unknown execution, or a later attempt whose record was not read yet.
        _ => now_ms - touched_ms > longest.max(UNKNOWN_MS),
    }
}

/// Returns the attempt of a work prefix, which is `<execution>-<attempt>`.
fn attempt(work: &str) -> Option<i32> {
    work.rsplit_once('-')?.1.parse().ok()
}

/// Returns the execution of a work prefix, which is `<execution>-<attempt>`.
#[must_use]
pub fn execution(work: &str) -> &str {
    work.rsplit_once('-').map_or(work, |(execution, _)| execution)
}

/// Removes the work objects that nothing needs: of a failure before the retry window, or left by a crash or by a worker that
/// finished after the end of its execution. Returns the removed work prefixes.
///
/// # Errors
/// If work objects can't be listed or removed; the next sweep tries again.
pub async fn sweep<P: Storage + ?Sized>(
    ports: &P,
    executions: &HashMap<String, Assembly>,
    now_ms: i64,
    window_ms: i64,
) -> Result<Vec<String>, PortError> {
    let mut removed = Vec::new();
    for (work, touched) in ports.works().await? {
        let state = executions.get(execution(&work));
        if expired(state, &work, touched, now_ms, window_ms) && ports.remove_work(&work).await? {
            removed.push(work);
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Signal, SourceRef, Started};
    use millrace_topology::invariants::check_nothing_left;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600 * 1000;
    const DAY: i64 = 24 * HOUR;

    /// Returns the state of the execution `e`, whose attempt 2 has the work prefix `e-2`.
    fn state(phase: Phase, ended_ms: Option<i64>) -> Assembly {
        let mut signal = Signal::new("e", 2, 0);
        signal.started = Some(Started {
            source: SourceRef { url: String::new(), version: String::new(), bytes: 0 },
            tracks: Vec::new(),
            outputs: Vec::new(),
            labels: HashMap::new(),
            deadline_ms: None,
            work: "e-2".into(),
            upload: None,
            kept: Vec::new(),
            warnings: Vec::new(),
        });
        let begun = crate::assemble::fold(None, signal).unwrap().state.unwrap();
        Assembly { phase, ended_ms, ..begun }
    }

    #[test]
    fn work_of_success_and_cancel_is_removed_and_work_of_failure_is_kept_for_a_new_attempt() {
        for phase in [Phase::Succeeded, Phase::Cancelled] {
            assert!(expired(Some(&state(phase, Some(5))), "e-2", 0, 6, DAY));
        }
        let failed = state(Phase::Failed, Some(0));
        assert!(can_resume(&failed, 23 * HOUR, DAY) && !expired(Some(&failed), "e-2", 0, 23 * HOUR, DAY));
        assert!(
            !can_resume(&failed, 24 * HOUR, DAY) && !expired(Some(&failed), "e-2", 0, 25 * HOUR, DAY),
            "the grace"
        );
        assert!(expired(Some(&failed), "e-2", 0, 26 * HOUR, DAY));
    }

    proptest! {
        /// GC-1: work objects of a running execution are kept; no others are older than a day and two hours.
        #[test]
        fn only_work_of_running_executions_is_kept_for_good(
            phase in prop_oneof![Just(Phase::Transcoding), Just(Phase::Merging), Just(Phase::Succeeded), Just(Phase::Failed), Just(Phase::Cancelled)],
            known: bool, own: bool, touched in 0..100 * HOUR, after in 0..100 * HOUR,
        ) {
            let now = touched + after;
            let state = state(phase, Some(touched));
            let is_running = known && own && !state.is_terminal();
            let is_removed = expired(known.then_some(&state), if own { "e-2" } else { "e-1" }, touched, now, DAY);
            prop_assert!(!(is_running && is_removed));
            let left: &[&str] = if is_running || is_removed || after <= 26 * HOUR { &[] } else { &["e-2"] };
            prop_assert_eq!(check_nothing_left(left), Ok(()));
            // What a new attempt may reuse is kept.
            prop_assert!(!(is_removed && known && own && can_resume(&state, now, DAY)));
        }
    }

    #[test]
    fn without_a_window_no_work_of_the_ended_is_kept_and_work_of_the_unknown_is_for_a_while() {
        let failed = state(Phase::Failed, Some(0));
        assert!(!can_resume(&failed, 1, 0));
        assert!(expired(Some(&failed), "e-2", 0, 1, 0), "its own");
        assert!(expired(Some(&failed), "e-1", 0, 1, 0), "of an earlier attempt");
        assert!(!expired(Some(&failed), "e-3", 0, UNKNOWN_MS, 0), "of a later attempt");
        assert!(!expired(None, "x-1", 0, UNKNOWN_MS, 0) && expired(None, "x-1", 0, UNKNOWN_MS + 1, 0));
    }

    #[test]
    fn a_work_prefix_names_its_execution() {
        assert_eq!(execution("0123456789abcdef-12"), "0123456789abcdef");
    }
}
