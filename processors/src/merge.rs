//! `merge`: merges work objects into an output, proves and stages it; then publishes it, or withdraws it.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Merge, MergeOutcome, MergeStep, NextPass, RecordError, Signal, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task, Window,
    ports::{Controls, Joined, Media, PortError},
    streams,
};

use tracing::Instrument as _;

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    events::ProcessorEvent,
};

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let writes = [streams::TRANSCODED, streams::EXECUTIONS];
    ProcessorSpec {
        window: Window::Outputs,
        role: Role::Makes,
        ..ProcessorSpec::new("merge", "joins and proves", streams::MERGES, writes)
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_processor(spec(), Merger::new(dependencies.ports.clone()));
}

/// The processor `merge`.
pub struct Merger<P> {
    ports: Arc<P>,
}

impl<P> Merger<P> {
    /// Returns the processor with these ports.
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
            result = self.take_step(merge).instrument(span) => result,
        };
        let result = match result {
            Ok(result) => result,
            Err(PortError::Refused(reason)) => {
                tracing::warn!(
                    execution = merge.execution,
                    output = merge.output.url,
                    reason,
                    "can't be merged"
                );
                failure(merge, reason)
            }
            Err(error) => return Err(error.into()),
        };
        let elapsed_ms = task.now_ms() - begun;
        let is_done = result.failure.is_none() && result.again.is_empty();
        Ok(records(merge, task, result, is_done.then_some(elapsed_ms))?)
    }

    fn given_up(&self, merge: &Merge, task: Task, reason: &str) -> Vec<Emit> {
        records(merge, task, failure(merge, reason.into()), None).unwrap_or_default()
    }
}

impl<P: Media> Merger<P> {
    /// Takes the step of the record.
    async fn take_step(&self, merge: &Merge) -> Result<MergeOutcome, PortError> {
        let (execution, output) = (&merge.execution, &merge.output.url);
        match merge.step {
            MergeStep::Whole | MergeStep::Stage => match self.ports.merge(merge).await? {
                Joined::Proven { facts, warnings, token } => {
                    tracing::info!(execution, output, "put together and proven");
                    let staged = MergeOutcome { facts: Some(*facts), warnings, token, ..success(merge) };
                    // A record of an older version, which has both steps in one.
                    if merge.step == MergeStep::Whole {
                        self.ports.publish(merge, &staged.token).await?;
                    }
                    Ok(staged)
                }
                Joined::Again { runs, passes } => {
                    tracing::info!(execution, runs = runs.len(), passes = passes.len(), "made again");
                    Ok(MergeOutcome { again: runs, passes, ..success(merge) })
                }
            },
            MergeStep::Publish => {
                self.ports.publish(merge, &merge.token).await?;
                tracing::info!(execution, output, "published");
                Ok(success(merge))
            }
            MergeStep::Withdraw => {
                self.ports.withdraw(merge).await?;
                tracing::info!(execution, output, "withdrawn");
                Ok(success(merge))
            }
        }
    }
}

/// Returns the outcome of a step that succeeded.
fn success(merge: &Merge) -> MergeOutcome {
    let url = merge.output.url.clone();
    MergeOutcome { url, round: merge.round, step: merge.step, ..MergeOutcome::default() }
}

/// Returns the outcome of a step that failed.
fn failure(merge: &Merge, reason: String) -> MergeOutcome {
    MergeOutcome { failure: Some(reason), ..success(merge) }
}

/// Says what the passes came to.
fn rates(passes: &[NextPass]) -> String {
    let each = passes.iter().map(|pass| {
        format!("{} kbit/s, so that the next quality is {:.2}", pass.bit_rate / 1000, pass.quality)
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Returns the records of an outcome: a signal and an event.
fn records(
    merge: &Merge,
    task: Task,
    outcome: MergeOutcome,
    elapsed_ms: Option<i64>,
) -> Result<Vec<Emit>, RecordError> {
    let at_ms = task.now_ms();
    let url = &merge.output.url;
    let (event, detail) = match (&outcome.failure, merge.step) {
        (Some(reason), _) => ("merge-failed", format!("{url}: {reason}")),
        (None, _) if !outcome.passes.is_empty() => {
            ("rate-measured", format!("{url}: {}", rates(&outcome.passes)))
        }
        (None, _) if !outcome.again.is_empty() => {
            let segments: usize = outcome.again.iter().map(|run| run.replaces.len()).sum();
            ("seams-unclean", format!("{url}: {segments} segments decode differently than in one piece"))
        }
        (None, MergeStep::Stage) => ("proven", url.clone()),
        (None, MergeStep::Whole | MergeStep::Publish) => ("merged", url.clone()),
        (None, MergeStep::Withdraw) => ("withdrawn", url.clone()),
    };
    let event = ProcessorEvent {
        execution: &merge.execution,
        attempt: merge.attempt,
        at_ms,
        processor: "merge",
        event,
        detail,
        elapsed_ms,
    };
    let mut signal = Signal::new(&merge.execution, merge.attempt, at_ms);
    signal.merge = Some(outcome);
    Ok(vec![Emit::new(streams::TRANSCODED, &merge.execution, &signal)?, event.emit()?])
}
