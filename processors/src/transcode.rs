//! `transcode`: decodes a segment once and encodes it into a work object for each rendition.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{
    Made, RecordError, Rendition, Segment, SegmentOutcome, Signal, add_digest, frame::Record as _,
};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task,
    ports::{Controls, Media, PortError, Storage, Stored},
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
    let does = "decodes once, encodes each rendition";
    let writes = [streams::TRANSCODED, streams::EXECUTIONS, streams::PROGRESS];
    ProcessorSpec { role: Role::Makes, ..ProcessorSpec::new("transcode", does, streams::SEGMENTS, writes) }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_processor(spec(), Transcode::new(dependencies.ports.clone()));
}

/// The processor `transcode`.
pub struct Transcode<P> {
    ports: Arc<P>,
}

impl<P> Transcode<P> {
    /// Returns the processor with these ports.
    pub fn new(ports: Arc<P>) -> Self {
        Self { ports }
    }
}

#[async_trait]
impl<P: Media + Storage + Controls> Processor for Transcode<P> {
    type In = Segment;

    fn read(&self, value: &[u8]) -> Result<Segment, RecordError> {
        Segment::decode(value)
    }

    async fn handle(&self, segment: &Segment, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        let span = tracing::info_span!("transcode", execution = segment.execution, segment = segment.index);
        self.transcode(segment, task).instrument(span).await
    }

    fn given_up(&self, segment: &Segment, task: Task, reason: &str) -> Vec<Emit> {
        records(segment, task, Transcoded { failure: Some(reason.into()), ..Transcoded::default() })
            .unwrap_or_default()
    }
}

impl<P: Media + Storage + Controls> Transcode<P> {
    /// Makes the work objects that do not exist yet, and returns the records of the result.
    async fn transcode(&self, segment: &Segment, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        if self.ports.has_ended(&segment.execution, segment.attempt) {
            return Ok(Vec::new());
        }
        let begun = task.now_ms();
        let (mut stored, missing) = self.find_existing(segment).await?;
        let reused = missing.is_empty();
        if !reused {
            let work = self.ports.transcode(segment, &missing);
            let result = tokio::select! {
                biased;
                // Checked first: a task that fails because its execution has ended must not be retried.
                () = self.ports.ended(&segment.execution, segment.attempt) => return Ok(Vec::new()),
                result = work => result,
            };
            match result {
                Ok(new) => stored.extend(new),
                Err(PortError::Refused(reason)) => {
                    tracing::warn!(segment = segment.index, reason, "can't be transcoded");
                    let failed = Transcoded { failure: Some(reason), ..Transcoded::default() };
                    return Ok(records(segment, task, failed)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let elapsed_ms = (!reused).then(|| task.now_ms() - begun);
        match elapsed_ms {
            Some(ms) => tracing::info!(segment = segment.index, ms, "transcoded"),
            None => tracing::info!(segment = segment.index, "its work objects exist already"),
        }
        let replaced = self.sum_replaced(segment).await?;
        Ok(records(segment, task, Transcoded { stored, replaced, failure: None, elapsed_ms })?)
    }

    /// Returns the sums over the segments that this one replaces, one for each rendition. Work objects never change, so these are
    /// the facts that `assemble` added.
    async fn sum_replaced(&self, segment: &Segment) -> Result<Vec<Made>, ProcessorError> {
        let mut sums = Vec::new();
        for rendition in segment.renditions.iter().filter(|_| !segment.replaces.is_empty()) {
            let mut sum = Made { rendition: rendition.id.clone(), ..Made::default() };
            for index in &segment.replaces {
                let Some(Stored { made, .. }) =
                    self.ports.made(segment.work(), &rendition.id, *index).await?
                else {
                    return Err(ProcessorError::Permanent(format!(
                        "the work object of segment {index} no longer exists; run the upload again"
                    )));
                };
                sum.units += made.units;
                sum.packets += made.packets;
                sum.bytes += made.bytes;
                sum.digest = add_digest(sum.digest, made.digest, *index);
            }
            sums.push(sum);
        }
        Ok(sums)
    }

    /// Returns the work objects of the segment that exist already, and the renditions whose work objects are missing. A redelivered
    /// segment costs only this.
    async fn find_existing(
        &self,
        segment: &Segment,
    ) -> Result<(Vec<Stored>, Vec<Rendition>), ProcessorError> {
        let (mut stored, mut missing) = (Vec::new(), Vec::new());
        for rendition in &segment.renditions {
            match self.ports.made(segment.work(), &rendition.id, segment.index).await? {
                Some(found) => stored.push(found),
                None => missing.push(rendition.clone()),
            }
        }
        Ok((stored, missing))
    }
}

/// The result of a segment.
#[derive(Default)]
struct Transcoded {
    /// The work objects, one for each rendition.
    stored: Vec<Stored>,
    /// See [`SegmentOutcome::replaced`].
    replaced: Vec<Made>,
    /// Why the segment can't be transcoded.
    failure: Option<String>,
    /// The duration; `None` if all work objects existed already.
    elapsed_ms: Option<i64>,
}

/// Returns the records of a result: a signal, and events.
fn records(segment: &Segment, task: Task, result: Transcoded) -> Result<Vec<Emit>, RecordError> {
    let Transcoded { stored, replaced, failure, elapsed_ms } = result;
    let at_ms = task.now_ms();
    let subject = match segment.renditions.first() {
        Some(Rendition { audio: Some(_), .. }) => "sound".to_owned(),
        Some(Rendition { side: Some(side), .. }) => side.codec.clone(),
        _ => format!("segment {}", segment.index),
    };
    // The renditions of a segment are from one decode, and have the same warnings.
    let mut warnings: Vec<String> = stored.iter().flat_map(|stored| stored.warnings.clone()).collect();
    warnings.sort();
    warnings.dedup();
    let (event, detail) = match &failure {
        Some(reason) => ("segment-failed", format!("{subject}: {reason}")),
        None if elapsed_ms.is_none() => ("reused", subject),
        None => ("transcoded", subject),
    };
    let event = ProcessorEvent {
        execution: &segment.execution,
        attempt: segment.attempt,
        at_ms,
        processor: "transcode",
        event,
        detail,
        elapsed_ms,
    };
    let mut signal = Signal::new(&segment.execution, segment.attempt, at_ms);
    let reused = failure.is_none() && elapsed_ms.is_none();
    let mut emits = vec![event.emit()?];
    if !warnings.is_empty() {
        let detail = warnings.join("; ");
        tracing::warn!(segment = segment.index, "the source is damaged: {detail}");
        let damaged = ProcessorEvent {
            execution: &segment.execution,
            attempt: segment.attempt,
            at_ms,
            processor: "transcode",
            event: "damaged",
            detail,
            elapsed_ms: None,
        };
        emits.push(damaged.emit()?);
    }
    let made = stored.into_iter().map(|stored| stored.made).collect();
    signal.segment = Some(SegmentOutcome { index: segment.index, made, reused, failure, warnings, replaced });
    emits.insert(0, Emit::new(streams::TRANSCODED, &segment.execution, &signal)?);
    Ok(emits)
}
