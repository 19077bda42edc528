//! `merge`: work objects become an output, proven and published at once; or the reason why they can't.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Merge, MergeOutcome, RecordError, Signal, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, Task,
    ports::{Controls, Joined, Media, PortError},
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
            Ok(Joined::Proven { facts, warnings }) => {
                tracing::info!(execution = merge.execution, output = merge.output.url, "merged and proven");
                let found = MergeOutcome { facts: Some(*facts), warnings, ..blank(merge) };
                Ok(outcome(merge, task, found, Some(task.now_ms() - begun))?)
            }
            Ok(Joined::Unclean(runs)) => {
                tracing::info!(execution = merge.execution, runs = runs.len(), "seams are not clean");
                Ok(outcome(merge, task, MergeOutcome { again: runs, ..blank(merge) }, None)?)
            }
            Err(PortError::Refused(reason)) => {
                tracing::warn!(
                    execution = merge.execution,
                    output = merge.output.url,
                    reason,
                    "can't be merged"
                );
                Ok(outcome(merge, task, failed(merge, reason), None)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn given_up(&self, merge: &Merge, task: Task, reason: &str) -> Vec<Emit> {
        outcome(merge, task, failed(merge, reason.into()), None).unwrap_or_default()
    }
}

/// An outcome that says nothing yet.
fn blank(merge: &Merge) -> MergeOutcome {
    MergeOutcome { url: merge.output.url.clone(), round: merge.round, ..MergeOutcome::default() }
}

fn failed(merge: &Merge, reason: String) -> MergeOutcome {
    MergeOutcome { failure: Some(reason), ..blank(merge) }
}

fn outcome(
    merge: &Merge,
    task: Task,
    found: MergeOutcome,
    elapsed_ms: Option<i64>,
) -> Result<Vec<Emit>, RecordError> {
    let at_ms = task.now_ms();
    let url = &merge.output.url;
    let (event, detail) = match &found.failure {
        Some(reason) => ("merge-failed", format!("{url}: {reason}")),
        None if found.facts.is_some() => ("merged", url.clone()),
        None => {
            let segments: usize = found.again.iter().map(|run| run.replaces.len()).sum();
            ("seams-unclean", format!("{url}: {segments} segments decode otherwise than in one piece"))
        }
    };
    let told = Event {
        execution: &merge.execution,
        attempt: merge.attempt,
        at_ms,
        processor: "merge",
        event,
        detail,
        elapsed_ms,
    };
    let mut signal = Signal::new(&merge.execution, merge.attempt, at_ms);
    signal.merge = Some(found);
    Ok(vec![Emit::new(streams::TRANSCODED, &merge.execution, &signal)?, told.emit()?])
}
