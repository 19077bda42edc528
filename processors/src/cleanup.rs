//! `cleanup`: an execution's work objects go when it has ended; and what is left all the same is swept.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use millrace_schemas::{Assembly, Merged, Phase, RecordError, Upload, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task,
    faults::Fault,
    ports::{PortError, Storage},
    streams,
};

use crate::{Given, Ports, Runner};

use crate::events::Event;

/// For how long a failed execution's work objects wait for a new attempt unless it is set otherwise, in milliseconds: a day.
pub const RETRY_WINDOW_MS: i64 = 24 * 3600 * 1000;
/// How much longer they stay: an attempt that begins at the end of the window must find them, in milliseconds: an hour.
const GRACE_MS: i64 = 3600 * 1000;
/// For how long work objects stay at least whose execution nobody has told of yet, in milliseconds.
const UNTOLD_MS: i64 = 600 * 1000;

/// How often what is left is swept, in milliseconds: each hour, or more often where the window for new attempts is short.
#[must_use]
pub fn sweep_every_ms(window_ms: i64) -> i64 {
    (window_ms / 24).clamp(15_000, 3_600_000)
}

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    ProcessorSpec {
        role: Role::Decides,
        ..ProcessorSpec::new("cleanup", "frees work objects", streams::MERGED, [streams::EXECUTIONS])
    }
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    runner.processor(spec(), Cleanup::new(given.ports.clone(), given.keeps_failed));
}

/// The processor.
pub struct Cleanup<P> {
    ports: Arc<P>,
    keep_failed: bool,
}

impl<P> Cleanup<P> {
    /// With these ports. Whether what a failed execution has made is kept for a new attempt.
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
            // Another attempt goes on with the work objects, and puts outputs together anew.
            self.ports.remove_staged(merged.work(), merged.attempt).await?;
            return Ok(Vec::new());
        }
        let removed = self.ports.remove_work(merged.work()).await?;
        let event = Event {
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
        // The execution has ended; what is left is swept.
        Vec::new()
    }
}

/// Whether an attempt that begins now can go on with the work objects of one that ended so.
#[must_use]
pub fn can_go_on(state: &Assembly, now_ms: i64, window_ms: i64) -> bool {
    state.phase == Phase::Failed && state.ended_ms.is_some_and(|ended| now_ms - ended < window_ms)
}

/// An upload as the next attempt at an execution that has ended: it goes on with what was made, while that is there.
#[must_use]
pub fn next_attempt(state: &Assembly, upload: Upload, now_ms: i64, window_ms: i64) -> Upload {
    // What was refused has no place yet.
    let goes_on = can_go_on(state, now_ms, window_ms) && !state.work.is_empty();
    let work = goes_on.then(|| state.work.clone());
    Upload { attempt: state.attempt + 1, work, ..upload }
}

/// GC-1: whether work objects that were last touched at that time may go. `state` is what is known of their execution.
///
/// An attempt that begins afresh has a place of its own (`work`): what is swept here is never what a later one makes.
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
        // Of an attempt before the one that is known, which has ended.
        Some(state) if attempt(work).is_some_and(|attempt| attempt < state.attempt) => long_ago(touched_ms),
        // Of one that nobody has told of yet.
        _ => now_ms - touched_ms > longest.max(UNTOLD_MS),
    }
}

/// The attempt whose work objects are there: a place is `<execution>-<attempt>`.
fn attempt(work: &str) -> Option<i32> {
    work.rsplit_once('-')?.1.parse().ok()
}

/// The execution whose work objects are there: a place is `<execution>-<attempt>`.
#[must_use]
pub fn execution(work: &str) -> &str {
    work.rsplit_once('-').map_or(work, |(execution, _)| execution)
}

/// Removes what is left: by a worker that went on after the end of its execution, by a crash, or by a failure of long ago.
///
/// # Errors
/// Where work objects can't be listed or removed; the next sweep tries again.
pub async fn sweep<P: Storage + ?Sized>(
    ports: &P,
    known: &HashMap<String, Assembly>,
    now_ms: i64,
    window_ms: i64,
) -> Result<Vec<String>, PortError> {
    let mut swept = Vec::new();
    for (work, touched) in ports.works().await? {
        let state = known.get(execution(&work));
        if expired(state, &work, touched, now_ms, window_ms) && ports.remove_work(&work).await? {
            swept.push(work);
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Signal, SourceRef, Started};
    use millrace_topology::invariants::nothing_left;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600 * 1000;
    const DAY: i64 = 24 * HOUR;

    /// An execution `e` whose attempt 2 works at `e-2`.
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
    fn what_succeeded_or_was_cancelled_goes_and_what_failed_waits_for_a_new_attempt() {
        for phase in [Phase::Succeeded, Phase::Cancelled] {
            assert!(expired(Some(&state(phase, Some(5))), "e-2", 0, 6, DAY));
        }
        let failed = state(Phase::Failed, Some(0));
        assert!(can_go_on(&failed, 23 * HOUR, DAY) && !expired(Some(&failed), "e-2", 0, 23 * HOUR, DAY));
        assert!(
            !can_go_on(&failed, 24 * HOUR, DAY) && !expired(Some(&failed), "e-2", 0, 25 * HOUR, DAY),
            "the grace"
        );
        assert!(expired(Some(&failed), "e-2", 0, 26 * HOUR, DAY));
    }

    proptest! {
        /// GC-1: what is at work stays, and nothing else outlives a day and two hours.
        #[test]
        fn nothing_but_what_is_at_work_outlives_its_time(
            phase in prop_oneof![Just(Phase::Transcoding), Just(Phase::Merging), Just(Phase::Succeeded), Just(Phase::Failed), Just(Phase::Cancelled)],
            known: bool, own: bool, touched in 0..100 * HOUR, after in 0..100 * HOUR,
        ) {
            let now = touched + after;
            let state = state(phase, Some(touched));
            let is_at_work = known && own && !state.is_terminal();
            let gone = expired(known.then_some(&state), if own { "e-2" } else { "e-1" }, touched, now, DAY);
            prop_assert!(!(is_at_work && gone));
            let left: &[&str] = if is_at_work || gone || after <= 26 * HOUR { &[] } else { &["e-2"] };
            prop_assert_eq!(nothing_left(left), Ok(()));
            // What a new attempt may go on with is there.
            prop_assert!(!(gone && known && own && can_go_on(&state, now, DAY)));
        }
    }

    #[test]
    fn without_a_window_nothing_of_what_has_ended_stays_and_what_is_untold_does_for_a_while() {
        let failed = state(Phase::Failed, Some(0));
        assert!(!can_go_on(&failed, 1, 0));
        assert!(expired(Some(&failed), "e-2", 0, 1, 0), "its own");
        assert!(expired(Some(&failed), "e-1", 0, 1, 0), "of an attempt before");
        assert!(!expired(Some(&failed), "e-3", 0, UNTOLD_MS, 0), "of one that is to be told of");
        assert!(!expired(None, "x-1", 0, UNTOLD_MS, 0) && expired(None, "x-1", 0, UNTOLD_MS + 1, 0));
    }

    #[test]
    fn a_place_belongs_to_its_execution() {
        assert_eq!(execution("0123456789abcdef-12"), "0123456789abcdef");
    }
}
