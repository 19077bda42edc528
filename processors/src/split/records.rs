//! The records of a plan, or of a refusal.

use millrace_schemas::{
    RecordError, Refused, Signal, SourceRef, TrackKind, Upload, execution_id, masked_url,
};
use millrace_topology::{
    Emit, ProcessorError,
    invariants::{check_plan, debug_check},
    streams,
};

use super::plan::Plan;
use crate::events::ProcessorEvent;

/// Returns the records of a plan: the signal that starts the execution, all segments, and an event. SG-1: they are results of one
/// record, and so in one transaction. `at_ms` is the time at which the upload was appended to the log.
pub(super) fn publish(
    upload: &Upload,
    execution: &str,
    at_ms: i64,
    plan: Plan,
) -> Result<Vec<Emit>, RecordError> {
    let Plan { mut started, segments, left_out, .. } = plan;
    debug_check(|| check_plan(&started, segments.iter().map(|segment| segment.index)));
    // From the time at which the upload was appended, however often it is redelivered.
    started.deadline_ms =
        upload.deadline_seconds.map(|seconds| at_ms.saturating_add((seconds * 1000.0) as i64));
    let mut detail = format!("{} segments of {}", segments.len(), masked_url(&started.source.url));
    if !left_out.is_empty() {
        detail = format!("{detail}; left out: {}", left_out.join("; "));
    }
    let mut signal = Signal::new(execution, upload.attempt, at_ms);
    signal.started = Some(started);
    let mut emits = vec![Emit::new(streams::TRANSCODED, execution, &signal)?];
    // Audio first: a long audio track that can't be cut takes the longest.
    let (audio, video): (Vec<_>, Vec<_>) = segments.iter().partition(|s| s.kind == TrackKind::Audio);
    for segment in audio.into_iter().chain(video) {
        emits.push(Emit::dealt(streams::SEGMENTS, execution, segment.index.unsigned_abs(), segment)?);
    }
    let event = ProcessorEvent {
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

/// Returns the signal that fails the execution of an upload, with the reason for the user.
pub(super) fn refusal(
    upload: &Upload,
    source: &SourceRef,
    at_ms: i64,
    reason: &str,
) -> Result<Vec<Emit>, ProcessorError> {
    let execution = execution_id(upload, source);
    let mut signal = Signal::new(&execution, upload.attempt, at_ms);
    // A further attempt must be the same execution, so it needs the version of the source, if that was looked up.
    let version = upload.version.clone().or_else(|| Some(source.version.clone()).filter(|v| !v.is_empty()));
    let again = Upload { version, ..upload.clone() };
    signal.refused = Some(Refused { source: source.url.clone(), reason: reason.into(), upload: Some(again) });
    Ok(vec![Emit::new(streams::TRANSCODED, &execution, &signal)?])
}
