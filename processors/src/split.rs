//! `split`: an upload becomes an execution's plan and its segments, or a refusal. Nothing is decoded, nothing copied.

pub mod at_work;
pub mod cuts;
mod extras;
mod hold;
mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_access::Access;
use millrace_schemas::{
    Fingerprint, OutputPlan, RecordError, Refused, Signal, SourceRef, TrackKind, Upload, execution_id,
    source_url,
};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Task,
    invariants::{all_segments, debug_hold},
    ports::{Media, PortError, Storage},
    streams,
};

use crate::{Given, Ports, Runner};

use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::{events::Event, trigger::rules};
use at_work::AtWork;
use plan::{Plan, plan};

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let writes = [streams::SEGMENTS, streams::TRANSCODED, streams::EXECUTIONS];
    ProcessorSpec::new("split", "plans segments", streams::ACCEPTED, writes)
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    let Given { ports, store, access, at_work, .. } = given;
    runner.processor(spec(), Split::new(ports.clone(), store, access.clone(), at_work.clone()));
}

/// The processor.
pub struct Split<P> {
    ports: Arc<P>,
    /// The scheme of the store that an upload's bucket is in.
    store: String,
    /// What each principal may reach, and how much.
    access: Arc<Access>,
    at_work: AtWork,
}

impl<P> Split<P> {
    /// With these ports; uploads that name a bucket mean one of the store of this scheme. Each upload is held to its principal.
    pub fn new(ports: Arc<P>, store: &str, access: Arc<Access>, at_work: AtWork) -> Self {
        Self { ports, store: store.into(), access, at_work }
    }
}

#[async_trait]
impl<P: Media + Storage> Processor for Split<P> {
    type In = Upload;

    fn read(&self, value: &[u8]) -> Result<Upload, RecordError> {
        Upload::read(value)
    }

    async fn handle(&self, upload: &Upload, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        let source = match self.pin(upload).await {
            Ok(source) => source,
            Err(PortError::Refused(reason)) => {
                return refusal(upload, &self.unpinned(upload), task.appended_ms, &reason);
            }
            Err(error) => return Err(error.into()),
        };
        let execution = execution_id(upload, &source);
        let result = async {
            hold::at_once(&self.access, upload, &execution, &self.at_work, task.now_ms())
                .map_err(PortError::Refused)?;
            let facts = self.ports.inspect(&source, upload.segment_time_seconds).await?;
            if upload.labels.contains_key(rules::LABEL)
                && facts.comment().is_some_and(|comment| Fingerprint::read(comment).is_some())
            {
                return Ok(None);
            }
            let named = (upload.clone(), source.clone(), execution.clone());
            let encoders = self.ports.encoders();
            let planned = self.compute(move || {
                let (upload, source, execution) = named;
                plan(&upload, &source, &execution, &facts, &encoders).map(|plan| (plan, facts))
            });
            let (mut plan, facts) = planned.await?.map_err(PortError::Refused)?;
            hold::contents(&self.access, upload, &source, &facts, &plan).map_err(PortError::Refused)?;
            for output in &mut plan.started.outputs {
                output.keep = self.standing(output).await?;
                let known = upload.made.iter().find(|facts| output.keep && facts.url == output.url);
                if let Some(facts) = known
                    && self.ports.size(&output.url).await? == Some(facts.bytes)
                {
                    plan.started.kept.push(facts.clone());
                }
            }
            if plan.started.kept.len() == plan.started.outputs.len() {
                // All is there: there is nothing to make.
                plan.segments.clear();
                plan.started.tracks.clear();
            }
            Ok::<_, PortError>(Some(plan))
        };
        let span = tracing::info_span!("split", execution, source = source.url);
        match result.instrument(span).await {
            Ok(None) => {
                // Whoever watches a place where outputs come to lie would go round in a ring.
                tracing::info!(execution, source = source.url, "an output of Millrace triggers nothing");
                Ok(Vec::new())
            }
            Ok(Some(plan)) => {
                tracing::info!(execution, segments = plan.segments.len(), "planned");
                for left in &plan.left_out {
                    tracing::info!(execution, "left out: {left}");
                }
                let (upload, at_ms) = (upload.clone(), task.appended_ms);
                Ok(self.compute(move || publish(&upload, &execution, at_ms, plan)).await??)
            }
            Err(PortError::Refused(reason)) => {
                tracing::warn!(execution, reason, "refused");
                refusal(upload, &source, task.appended_ms, &reason)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn given_up(&self, upload: &Upload, task: Task, reason: &str) -> Vec<Emit> {
        refusal(upload, &self.unpinned(upload), task.now_ms(), reason).unwrap_or_default()
    }
}

impl<P> Split<P> {
    /// A source that could not be looked at: known by what the upload says of it.
    fn unpinned(&self, upload: &Upload) -> SourceRef {
        SourceRef {
            url: source_url(upload, &self.store).unwrap_or_default(),
            version: upload.version.clone().unwrap_or_default(),
            bytes: 0,
        }
    }
}

impl<P: Media + Storage> Split<P> {
    async fn pin(&self, upload: &Upload) -> Result<SourceRef, PortError> {
        let url = source_url(upload, &self.store).map_err(PortError::Refused)?;
        hold::places(&self.access, upload, &url).map_err(PortError::Refused)?;
        let source = self.ports.pin(&url).await?;
        hold::size(&self.access, upload, &source).map_err(PortError::Refused)?;
        match &upload.version {
            Some(version) if *version != source.version => Err(PortError::Refused(format!(
                "{url} changed since it was accepted; run it again when it is complete"
            ))),
            _ => Ok(source),
        }
    }

    /// Computes what holds up nothing else meanwhile: of 100,000 segments, planning takes a quarter of a second and writing their
    /// records a whole one.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let (done, result) = oneshot::channel();
        self.ports.compute(Box::new(move || drop(done.send(work())))).await?;
        result.await.map_err(|_| PortError::Transient("planning was broken off".into()))
    }

    /// Whether an output is there already; an error where something else is in its place.
    async fn standing(&self, output: &OutputPlan) -> Result<bool, PortError> {
        self.ports.writable(&output.url).await?;
        if self.ports.size(&output.url).await?.is_none() {
            return Ok(false);
        }
        let there = self.ports.comment(&output.url).await?.as_deref().and_then(Fingerprint::read);
        match (there, Fingerprint::read(&output.mark)) {
            (Some(there), Some(asked)) if there.source == asked.source => Ok(there == asked),
            _ if output.overwrite => Ok(false),
            _ => Err(PortError::Refused(format!(
                "{} is there already and did not come from this source; choose another folder, or replace it with --overwrite",
                output.url
            ))),
        }
    }
}

/// SG-1: the plan and all segments are results of one record, and so in one transaction.
fn publish(upload: &Upload, execution: &str, at_ms: i64, plan: Plan) -> Result<Vec<Emit>, RecordError> {
    let Plan { mut started, segments, left_out } = plan;
    debug_hold(|| all_segments(&started, segments.iter().map(|segment| segment.index)));
    // Counted from when the upload was asked for, however often it is redelivered.
    started.deadline_ms =
        upload.deadline_seconds.map(|seconds| at_ms.saturating_add((seconds * 1000.0) as i64));
    let mut detail = format!("{} segments of {}", segments.len(), started.source.url);
    if !left_out.is_empty() {
        detail = format!("{detail}; left out: {}", left_out.join("; "));
    }
    let mut signal = Signal::new(execution, upload.attempt, at_ms);
    signal.started = Some(started);
    let mut emits = vec![Emit::new(streams::TRANSCODED, execution, &signal)?];
    // Sound first: it is one task, and nothing that follows it waits for it.
    let (sound, pictures): (Vec<_>, Vec<_>) = segments.iter().partition(|s| s.kind == TrackKind::Audio);
    for segment in sound.into_iter().chain(pictures) {
        emits.push(Emit::dealt(streams::SEGMENTS, execution, segment.index.unsigned_abs(), segment)?);
    }
    let event = Event {
        execution,
        attempt: upload.attempt,
        at_ms,
        processor: "split",
        event: "started",
        detail,
        elapsed_ms: None,
    };
    emits.push(event.emit()?);
    Ok(emits)
}

fn refusal(
    upload: &Upload,
    source: &SourceRef,
    at_ms: i64,
    reason: &str,
) -> Result<Vec<Emit>, ProcessorError> {
    let execution = execution_id(upload, source);
    let mut signal = Signal::new(&execution, upload.attempt, at_ms);
    // Tried again, it must be the same execution: of this version of the source, if one was seen.
    let version = upload.version.clone().or_else(|| Some(source.version.clone()).filter(|v| !v.is_empty()));
    let again = Upload { version, ..upload.clone() };
    signal.refused = Some(Refused { source: source.url.clone(), reason: reason.into(), upload: Some(again) });
    Ok(vec![Emit::new(streams::TRANSCODED, &execution, &signal)?])
}
