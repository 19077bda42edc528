//! `cleanup`: an execution's work objects go when it has ended.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Assembly, Merged, Phase, RecordError, frame::Record as _};
use millrace_topology::{Emit, Processor, ProcessorError, Task, millis_now, ports::Storage};

use crate::events::Event;

/// For how long a failed execution's work objects wait for a new attempt, in milliseconds: a day.
pub const RETRY_WINDOW_MS: i64 = 24 * 3600 * 1000;

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

    async fn handle(&self, merged: &Merged, _: Task) -> Result<Vec<Emit>, ProcessorError> {
        if merged.state == Phase::Failed {
            return Ok(Vec::new());
        }
        let removed = self.ports.remove_work(&merged.execution).await?;
        let event = Event {
            execution: &merged.execution,
            attempt: merged.attempt,
            at_ms: millis_now(),
            processor: "cleanup",
            event: "cleaned",
            detail: if removed { "work objects removed" } else { "nothing was left" }.into(),
            elapsed_ms: None,
        };
        Ok(vec![event.emit()?])
    }

    fn given_up(&self, _: &Merged, _: &str) -> Vec<Emit> {
        // The execution has ended; what is left is swept at the next start.
        Vec::new()
    }
}

/// GC-1: whether work objects that were last touched at that time may go, at a start. `state` is what is known of
/// their execution.
#[must_use]
pub fn expired(state: Option<&Assembly>, touched_ms: i64, now_ms: i64) -> bool {
    match state {
        Some(state) if !state.is_terminal() => false,
        Some(state) if state.phase != Phase::Failed => true,
        Some(state) => now_ms - state.ended_ms.unwrap_or(touched_ms) > RETRY_WINDOW_MS,
        None => now_ms - touched_ms > RETRY_WINDOW_MS,
    }
}
