//! `cleanup`: an execution's work objects go when it has ended; and what is left all the same is swept.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use millrace_schemas::{Assembly, Merged, Phase, RecordError, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, Task,
    faults::Fault,
    ports::{PortError, Storage},
};

use crate::events::Event;

/// For how long a failed execution's work objects wait for a new attempt, in milliseconds: a day.
pub const RETRY_WINDOW_MS: i64 = 24 * 3600 * 1000;
/// How much longer they stay: an attempt that begins at the end of the window must find them, in milliseconds: an hour.
const GRACE_MS: i64 = 3600 * 1000;
/// How often what is left is swept, in milliseconds: an hour.
pub const SWEEP_EVERY_MS: i64 = 3600 * 1000;

/// The processor.
pub struct Cleanup<P> {
    ports: Arc<P>,
}

impl<P> Cleanup<P> {
    /// With these ports.
    pub fn new(ports: Arc<P>) -> Self {
        Self { ports }
    }
}

#[async_trait]
impl<P: Storage> Processor for Cleanup<P> {
    type In = Merged;

    fn read(&self, value: &[u8]) -> Result<Merged, RecordError> {
        Merged::decode(value)
    }

    async fn handle(&self, merged: &Merged, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        if merged.state == Phase::Failed {
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
pub fn can_go_on(state: &Assembly, now_ms: i64) -> bool {
    state.phase == Phase::Failed && state.ended_ms.is_some_and(|ended| now_ms - ended < RETRY_WINDOW_MS)
}

/// GC-1: whether work objects that were last touched at that time may go. `state` is what is known of their execution.
///
/// An attempt that begins afresh has a place of its own (`work`): what is swept here is never what a later one makes.
#[must_use]
pub fn expired(state: Option<&Assembly>, work: &str, touched_ms: i64, now_ms: i64) -> bool {
    let long_ago = |since: i64| now_ms - since > RETRY_WINDOW_MS + GRACE_MS;
    match state.filter(|state| state.work() == work) {
        Some(state) if !state.is_terminal() => Fault::CleanupTooEarly.is_planted(),
        Some(state) if state.phase != Phase::Failed => true,
        Some(state) => long_ago(state.ended_ms.unwrap_or(touched_ms)),
        // Of another attempt, or of one that nobody has told of yet.
        None => long_ago(touched_ms),
    }
}

/// The execution whose work objects are there: a place is `<execution>-<attempt>`.
fn execution(work: &str) -> &str {
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
) -> Result<Vec<String>, PortError> {
    let mut swept = Vec::new();
    for (work, touched) in ports.works().await? {
        let state = known.get(execution(&work));
        if expired(state, &work, touched, now_ms) && ports.remove_work(&work).await? {
            swept.push(work);
        }
    }
    Ok(swept)
}
