//! The steps of an execution's outputs: all of them are merged, proven and staged; then all of them are published. So an output that
//! can't be made leaves none of the others behind. If one can't be published, those that were are withdrawn.

use millrace_schemas::{
    Assembly, Merge, MergeOutcome, MergeStep, Phase, PlannedOutput, RecordError, Standing, Waiting,
};
use millrace_topology::{Emit, Fold, faults::Fault, streams};

use super::{
    again::make_again,
    ending::{end, event, is_strict, unchanged, warn},
    waiting,
};

/// Returns whether the outputs are being published or withdrawn. A cancel or a deadline is then too late: a worker may be publishing
/// an output, which must not appear after the end.
pub(super) fn is_publishing(state: &Assembly) -> bool {
    state.phase == Phase::Merging && matches!(state.step, MergeStep::Publish | MergeStep::Withdraw)
}

/// Requests that all outputs without facts are staged; publishes if there are none.
pub(super) fn stage(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Stage;
    let is_due = |output: &PlannedOutput| output.facts.is_none();
    let emits = request_step(&state, is_due, ("merging", at_ms))?;
    if emits.is_empty() {
        publish(state, at_ms)
    } else {
        Ok(Fold { state: Some(state), emits, changed: true })
    }
}

/// Requests that all staged outputs are published; ends the execution if there are none.
fn publish(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Publish;
    let is_due = |output: &PlannedOutput| output.standing == Standing::Staged;
    let emits = request_step(&state, is_due, ("publishing", at_ms))?;
    if emits.is_empty() {
        return end(state, Phase::Succeeded, None, at_ms);
    }
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// Requests that all outputs that are or may be published are withdrawn, because one could not be published; ends the execution if
/// there are none.
fn withdraw(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Withdraw;
    let is_due = |output: &PlannedOutput| can_be_withdrawn(output) && !Fault::PublishedStays.is_planted();
    let emits = request_step(&state, is_due, ("withdrawing", at_ms))?;
    if emits.is_empty() {
        let reason = state.reason.take();
        return end(state, Phase::Failed, reason, at_ms);
    }
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// Returns whether an output is or may be published. A slow worker may still publish an output whose publication failed on another.
/// An output that an older version published was not staged, and can't be withdrawn.
fn can_be_withdrawn(output: &PlannedOutput) -> bool {
    matches!(output.standing, Standing::Published | Standing::Unpublished) && !output.token.is_empty()
}

/// Returns the records of the current step for the outputs that `is_due` returns `true` for, and an event of this name; none if there
/// are no such outputs.
fn request_step(
    state: &Assembly,
    is_due: impl Fn(&PlannedOutput) -> bool,
    (event_name, at_ms): (&str, i64),
) -> Result<Vec<Emit>, RecordError> {
    let mut emits = Vec::new();
    for output in state.outputs.iter().filter(|output| is_due(output)) {
        let tracks =
            state.tracks.iter().filter(|track| output.plan.renditions.contains(&track.plan.rendition));
        let merge = Merge {
            execution: state.execution.clone(),
            attempt: state.attempt,
            source: state.source.clone(),
            output: output.plan.clone(),
            // Only staging reads them.
            tracks: tracks.filter(|_| state.step == MergeStep::Stage).cloned().collect(),
            work: state.work.clone(),
            round: state.round,
            strict: is_strict(state),
            step: state.step,
            token: output.token.clone(),
        };
        emits.push(Emit::new(streams::MERGES, &state.execution, &merge)?);
    }
    if !emits.is_empty() {
        emits.push(event(state, at_ms, event_name, format!("{} outputs", emits.len())).emit()?);
    }
    Ok(emits)
}

/// Folds the outcome of a step of an output.
pub(super) fn fold_merge(
    state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    // Before all segments are transcoded, no step was requested. Since an earlier round, segments were made again.
    let is_old = outcome.round != state.round && !Fault::OldRoundCounts.is_planted();
    if state.phase != Phase::Merging || is_old {
        return unchanged(Some(state));
    }
    match (state.step, outcome.step) {
        (MergeStep::Whole | MergeStep::Stage, MergeStep::Whole | MergeStep::Stage) => {
            fold_staged(state, outcome, at_ms)
        }
        (MergeStep::Publish, MergeStep::Publish) => fold_published(state, outcome, at_ms),
        (MergeStep::Withdraw, MergeStep::Withdraw) => fold_withdrawn(state, outcome, at_ms),
        // A redelivery of an earlier step.
        _ => unchanged(Some(state)),
    }
}

/// Returns the output with this URL if its outcome is awaited. LG-2: the outcome of a redelivered step is not awaited.
fn find_awaited<'a>(
    state: &'a mut Assembly,
    url: &str,
    is_due: impl Fn(&PlannedOutput) -> bool,
) -> Option<&'a mut PlannedOutput> {
    state.outputs.iter_mut().find(|output| output.plan.url == url && is_due(output))
}

fn fold_staged(
    mut state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    if state.waiting.as_ref().is_some_and(|waiting| waiting.urls.contains(&outcome.url)) {
        return unchanged(Some(state));
    }
    let Some(output) = find_awaited(&mut state, &outcome.url, |output| output.facts.is_none()) else {
        return unchanged(Some(state));
    };
    if let Some(reason) = outcome.failure {
        return end(state, Phase::Failed, Some(reason), at_ms);
    }
    if !outcome.again.is_empty() {
        waiting::add(&mut state, outcome);
        return make_again_or_wait(state, at_ms);
    }
    if outcome.facts.is_none() {
        return unchanged(Some(state));
    }
    output.facts = outcome.facts;
    output.token = outcome.token;
    output.standing = if outcome.step == MergeStep::Whole { Standing::Published } else { Standing::Staged };
    warn(&mut state.warnings, outcome.warnings);
    if state.outputs.iter().all(|output| output.facts.is_some()) {
        return publish(state, at_ms);
    }
    make_again_or_wait(state, at_ms)
}

/// Begins the round that outputs ask for, unless more are to be judged for it.
fn make_again_or_wait(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    match waiting::take(&mut state) {
        Some(Waiting { again, passes, .. }) => make_again(state, again, &passes, at_ms),
        None => Ok(Fold { state: Some(state), emits: Vec::new(), changed: true }),
    }
}

fn fold_published(
    mut state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    let is_staged = |output: &PlannedOutput| output.standing == Standing::Staged;
    let Some(output) = find_awaited(&mut state, &outcome.url, is_staged) else {
        return unchanged(Some(state));
    };
    match outcome.failure {
        None => output.standing = Standing::Published,
        Some(reason) => {
            output.standing = Standing::Unpublished;
            state.reason.get_or_insert(reason);
        }
    }
    // Wait for the others: none may appear after the end.
    if state.outputs.iter().any(is_staged) {
        return Ok(Fold { state: Some(state), emits: Vec::new(), changed: true });
    }
    if state.reason.is_some() { withdraw(state, at_ms) } else { end(state, Phase::Succeeded, None, at_ms) }
}

fn fold_withdrawn(
    mut state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    let Some(output) = find_awaited(&mut state, &outcome.url, can_be_withdrawn) else {
        return unchanged(Some(state));
    };
    output.standing = Standing::Withdrawn;
    if let Some(failure) = outcome.failure {
        let reason = state.reason.get_or_insert_default();
        *reason = format!("{reason}; and an output of it stays: {failure}");
    }
    if state.outputs.iter().any(can_be_withdrawn) {
        return Ok(Fold { state: Some(state), emits: Vec::new(), changed: true });
    }
    let reason = state.reason.take();
    end(state, Phase::Failed, reason, at_ms)
}
