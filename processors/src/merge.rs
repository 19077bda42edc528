//! `merge`: work objects become an output, proven and staged; or the reason why they can't. Then what is staged is published.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Merge, MergeOutcome, MergeStep, RecordError, Signal, frame::Record as _};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task, Window,
    ports::{Controls, Joined, Media, PortError},
    streams,
};

use crate::{Given, Ports, Runner};

use tracing::Instrument as _;

use crate::events::Event;

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let writes = [streams::TRANSCODED, streams::EXECUTIONS];
    ProcessorSpec {
        window: Window::Outputs,
        role: Role::Makes,
        ..ProcessorSpec::new("merge", "joins and proves", streams::MERGES, writes)
    }
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    runner.processor(spec(), Merger::new(given.ports.clone()));
}

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
            result = self.step(merge).instrument(span) => result,
        };
        let found = match result {
            Ok(found) => found,
            Err(PortError::Refused(reason)) => {
                tracing::warn!(
                    execution = merge.execution,
                    output = merge.output.url,
                    reason,
                    "can't be merged"
                );
                failed(merge, reason)
            }
            Err(error) => return Err(error.into()),
        };
        let elapsed_ms = task.now_ms() - begun;
        let has_done = found.failure.is_none() && found.again.is_empty();
        Ok(outcome(merge, task, found, has_done.then_some(elapsed_ms))?)
    }

    fn given_up(&self, merge: &Merge, task: Task, reason: &str) -> Vec<Emit> {
        outcome(merge, task, failed(merge, reason.into()), None).unwrap_or_default()
    }
}

impl<P: Media> Merger<P> {
    /// Takes the step that is asked for.
    async fn step(&self, merge: &Merge) -> Result<MergeOutcome, PortError> {
        let (execution, output) = (&merge.execution, &merge.output.url);
        match merge.step {
            MergeStep::Whole | MergeStep::Stage => match self.ports.merge(merge).await? {
                Joined::Proven { facts, warnings, token } => {
                    tracing::info!(execution, output, "put together and proven");
                    let found = MergeOutcome { facts: Some(*facts), warnings, token, ..blank(merge) };
                    // An older version asks for both steps in one.
                    if merge.step == MergeStep::Whole {
                        self.ports.publish(merge, &found.token).await?;
                    }
                    Ok(found)
                }
                Joined::Unclean(runs) => {
                    tracing::info!(execution, runs = runs.len(), "seams are not clean");
                    Ok(MergeOutcome { again: runs, ..blank(merge) })
                }
            },
            MergeStep::Publish => {
                self.ports.publish(merge, &merge.token).await?;
                tracing::info!(execution, output, "published");
                Ok(blank(merge))
            }
            MergeStep::Withdraw => {
                self.ports.withdraw(merge).await?;
                tracing::info!(execution, output, "withdrawn");
                Ok(blank(merge))
            }
        }
    }
}

/// An outcome that says nothing yet.
fn blank(merge: &Merge) -> MergeOutcome {
    let url = merge.output.url.clone();
    MergeOutcome { url, round: merge.round, step: merge.step, ..MergeOutcome::default() }
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
    let (event, detail) = match (&found.failure, merge.step) {
        (Some(reason), _) => ("merge-failed", format!("{url}: {reason}")),
        (None, _) if !found.again.is_empty() => {
            let segments: usize = found.again.iter().map(|run| run.replaces.len()).sum();
            ("seams-unclean", format!("{url}: {segments} segments decode otherwise than in one piece"))
        }
        (None, MergeStep::Stage) => ("proven", url.clone()),
        (None, MergeStep::Whole | MergeStep::Publish) => ("merged", url.clone()),
        (None, MergeStep::Withdraw) => ("withdrawn", url.clone()),
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
