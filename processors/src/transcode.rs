//! `transcode`: a segment becomes work objects, one a rendition, in one decode; or the reason why it can't.

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

use crate::{Given, Ports, Runner};

use tracing::Instrument as _;

use crate::events::Event;

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "decodes once, encodes each rendition";
    let writes = [streams::TRANSCODED, streams::EXECUTIONS, streams::PROGRESS];
    ProcessorSpec { role: Role::Makes, ..ProcessorSpec::new("transcode", does, streams::SEGMENTS, writes) }
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    runner.processor(spec(), Transcode::new(given.ports.clone()));
}

/// The processor.
pub struct Transcode<P> {
    ports: Arc<P>,
}

impl<P> Transcode<P> {
    /// With these ports.
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
        self.make(segment, task).instrument(span).await
    }

    fn given_up(&self, segment: &Segment, task: Task, reason: &str) -> Vec<Emit> {
        outcome(segment, task, Outcome { failure: Some(reason.into()), ..Outcome::default() })
            .unwrap_or_default()
    }
}

impl<P: Media + Storage + Controls> Transcode<P> {
    async fn make(&self, segment: &Segment, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        if self.ports.has_ended(&segment.execution, segment.attempt) {
            return Ok(Vec::new());
        }
        let begun = task.now_ms();
        let (mut made, missing) = self.look(segment).await?;
        let reused = missing.is_empty();
        if !reused {
            let work = self.ports.transcode(segment, &missing);
            let result = tokio::select! {
                biased;
                // First: work that stops because its execution has ended is done with, and not to be done later.
                () = self.ports.ended(&segment.execution, segment.attempt) => return Ok(Vec::new()),
                result = work => result,
            };
            match result {
                Ok(new) => made.extend(new),
                Err(PortError::Refused(reason)) => {
                    tracing::warn!(segment = segment.index, reason, "can't be transcoded");
                    return Ok(outcome(
                        segment,
                        task,
                        Outcome { failure: Some(reason), ..Outcome::default() },
                    )?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let elapsed = (!reused).then(|| task.now_ms() - begun);
        match elapsed {
            Some(ms) => tracing::info!(segment = segment.index, ms, "transcoded"),
            None => tracing::info!(segment = segment.index, "its work objects were there already"),
        }
        let replaced = self.replaced(segment).await?;
        Ok(outcome(segment, task, Outcome { stored: made, replaced, failure: None, elapsed_ms: elapsed })?)
    }

    /// The sums over the segments that this one stands for, one a rendition. Work objects never change, so these are the
    /// facts that were counted.
    async fn replaced(&self, segment: &Segment) -> Result<Vec<Made>, ProcessorError> {
        let mut sums = Vec::new();
        for rendition in segment.renditions.iter().filter(|_| !segment.replaces.is_empty()) {
            let mut sum = Made { rendition: rendition.id.clone(), ..Made::default() };
            for index in &segment.replaces {
                let Some(Stored { made, .. }) =
                    self.ports.made(segment.work(), &rendition.id, *index).await?
                else {
                    return Err(ProcessorError::Permanent(format!(
                        "the work object of segment {index} is gone"
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

    /// What of a segment is there already, and what is missing. A redelivered segment costs this look.
    async fn look(&self, segment: &Segment) -> Result<(Vec<Stored>, Vec<Rendition>), ProcessorError> {
        let (mut made, mut missing) = (Vec::new(), Vec::new());
        for rendition in &segment.renditions {
            match self.ports.made(segment.work(), &rendition.id, segment.index).await? {
                Some(facts) => made.push(facts),
                None => missing.push(rendition.clone()),
            }
        }
        Ok((made, missing))
    }
}

/// What became of a segment.
#[derive(Default)]
struct Outcome {
    stored: Vec<Stored>,
    /// See [`SegmentOutcome::replaced`].
    replaced: Vec<Made>,
    failure: Option<String>,
    /// `None` where the work objects were there already.
    elapsed_ms: Option<i64>,
}

fn outcome(segment: &Segment, task: Task, outcome: Outcome) -> Result<Vec<Emit>, RecordError> {
    let Outcome { stored, replaced, failure, elapsed_ms } = outcome;
    let at_ms = task.now_ms();
    let what = match segment.renditions.first() {
        Some(Rendition { audio: Some(_), .. }) => "sound".to_owned(),
        Some(Rendition { side: Some(side), .. }) => side.codec.clone(),
        _ => format!("segment {}", segment.index),
    };
    // The renditions of a segment are of one decode, and tell the same.
    let mut warnings: Vec<String> = stored.iter().flat_map(|stored| stored.warnings.clone()).collect();
    warnings.sort();
    warnings.dedup();
    let (event, detail) = match &failure {
        Some(reason) => ("segment-failed", format!("{what}: {reason}")),
        None if elapsed_ms.is_none() => ("reused", what),
        None => ("transcoded", what),
    };
    let told = Event {
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
    let mut emits = vec![told.emit()?];
    if !warnings.is_empty() {
        let detail = warnings.join("; ");
        tracing::warn!(segment = segment.index, "the source is damaged: {detail}");
        let damaged = Event {
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
