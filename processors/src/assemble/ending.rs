//! How an execution ends, and what all folds share: warnings, events, and the state that does not change.

use millrace_schemas::{Assembly, Control, Merged, Phase, RecordError, SourceRef, masked_url};
use millrace_topology::{Emit, Fold, streams};

use crate::events::ProcessorEvent;

/// Returns a fold that changes nothing and emits nothing.
pub(super) fn unchanged(state: Option<Assembly>) -> Result<Fold<Assembly>, RecordError> {
    Ok(Fold { state, emits: Vec::new(), changed: false })
}

/// The most warnings of an execution that are kept.
const MOST_WARNINGS: usize = 20;

/// Adds warnings, each once.
pub(super) fn warn(known: &mut Vec<String>, warnings: Vec<String>) {
    for warning in warnings {
        if known.len() < MOST_WARNINGS && !known.contains(&warning) {
            known.push(warning);
        }
    }
}

/// Returns whether a warning is a failure of the execution.
pub(super) fn is_strict(state: &Assembly) -> bool {
    state.upload.as_ref().is_some_and(|upload| upload.strict)
}

/// Returns an event of the execution, with the time since its start.
pub(super) fn event<'a>(
    state: &'a Assembly,
    at_ms: i64,
    event: &'a str,
    detail: String,
) -> ProcessorEvent<'a> {
    ProcessorEvent {
        execution: &state.execution,
        attempt: state.attempt,
        at_ms,
        processor: "assemble",
        event,
        detail,
        elapsed_ms: Some((at_ms - state.started_ms).max(0)),
    }
}

/// MG-2, EX-1: ends the execution. No other function emits to `merged`.
pub(super) fn end(
    mut state: Assembly,
    phase: Phase,
    reason: Option<String>,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    state.phase = phase;
    state.waiting = None;
    state.ended_ms = Some(at_ms);
    state.reason = reason;
    let succeeded = phase == Phase::Succeeded;
    let outputs = state.outputs.iter().filter_map(|output| output.facts.clone());
    let merged = Merged {
        execution: state.execution.clone(),
        attempt: state.attempt,
        state: phase,
        reason: state.reason.clone(),
        // Others read this record, and nothing reads the source by it.
        source: SourceRef { url: masked_url(&state.source.url), ..state.source.clone() },
        outputs: outputs.filter(|_| succeeded).collect(),
        segments: state.video_segments,
        segments_reused: state.reused,
        started_ms: state.started_ms,
        ended_ms: at_ms,
        labels: state.labels.clone(),
        work: state.work.clone(),
        warnings: {
            let mut warnings = state.warnings.clone();
            if !succeeded {
                warn(&mut warnings, state.segment_warnings.clone());
            }
            warnings
        },
    };
    let event = event(&state, at_ms, phase.as_str(), state.reason.clone().unwrap_or_default()).emit()?;
    let control = Control { execution: state.execution.clone(), attempt: state.attempt };
    let control = Emit::new(streams::CONTROLS, &state.execution, &control)?;
    let emits = vec![Emit::new(streams::MERGED, &state.execution, &merged)?, control, event];
    Ok(Fold { state: Some(state), emits, changed: true })
}
