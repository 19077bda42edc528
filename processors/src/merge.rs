//! `merge`: work objects become an output, proven and published at once; or the reason why they can't.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Merge, MergeOutcome, OutputFacts, RecordError, Signal, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, Task,
    ports::{Controls, Media, PortError},
    streams,
};

use tracing::Instrument as _;

use crate::events::Event;

/// The processor.
pub struct Merger<P> {
    ports: Arc<P>,
}

impl<P> Merger<P> {
    /// With these ports.
    pub fn new(ports: Arc<P>) -> Self {
        Self { ports }
    }
}

#[async_trait]
impl<P: Media + Controls> Processor for Merger<P> {
    type In = Merge;

    fn read(&self, value: &[u8]) -> Result<Merge, RecordError> {
        Merge::decode(value)
    }

    async fn handle(&self, merge: &Merge, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        if self.ports.has_ended(&merge.execution, merge.attempt) {
            return Ok(Vec::new());
        }
        let begun = task.now_ms();
        let span = tracing::info_span!("merge", execution = merge.execution, output = merge.output.url);
        let result = tokio::select! {
            biased;
            () = self.ports.ended(&merge.execution, merge.attempt) => return Ok(Vec::new()),
            result = self.ports.merge(merge).instrument(span) => result,
        };
        match result {
            Ok(facts) => {
                tracing::info!(execution = merge.execution, output = merge.output.url, "merged and proven");
                Ok(outcome(merge, task, Some(facts), None, Some(task.now_ms() - begun))?)
            }
            Err(PortError::Refused(reason)) => {
                tracing::warn!(
                    execution = merge.execution,
                    output = merge.output.url,
                    reason,
                    "can't be merged"
                );
                Ok(outcome(merge, task, None, Some(reason), None)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn given_up(&self, merge: &Merge, task: Task, reason: &str) -> Vec<Emit> {
        outcome(merge, task, None, Some(reason.into()), None).unwrap_or_default()
    }
}

fn outcome(
    merge: &Merge,
    task: Task,
    facts: Option<OutputFacts>,
    failure: Option<String>,
    elapsed_ms: Option<i64>,
) -> Result<Vec<Emit>, RecordError> {
    let at_ms = task.now_ms();
    let told = Event {
        execution: &merge.execution,
        attempt: merge.attempt,
        at_ms,
        processor: "merge",
        event: if failure.is_some() { "merge-failed" } else { "merged" },
        detail: match &failure {
            Some(reason) => format!("{}: {reason}", merge.output.url),
            None => merge.output.url.clone(),
        },
        elapsed_ms,
    };
    let mut signal = Signal::new(&merge.execution, merge.attempt, at_ms);
    signal.merge = Some(MergeOutcome { url: merge.output.url.clone(), facts, failure });
    Ok(vec![Emit::new(streams::TRANSCODED, &merge.execution, &signal)?, told.emit()?])
}
