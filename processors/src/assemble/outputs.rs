//! An execution's outputs, in two steps: all of them are put together and proven, hidden; then all of them are published. So one
//! that can't be made leaves none of the others behind. What can't be published either takes back those that were.

use millrace_schemas::{
    Assembly, Merge, MergeOutcome, MergeStep, Phase, PlannedOutput, RecordError, Standing,
};
use millrace_topology::{Emit, Fold, faults::Fault, streams};

use super::{end, event, is_strict, make_again, unchanged, warn};

/// Whether the outputs are being published, or taken back: what ends an execution early comes too late then. A publication
/// may be under way on any worker, and must not appear behind the end.
pub(super) fn is_settling(state: &Assembly) -> bool {
    state.phase == Phase::Merging && matches!(state.step, MergeStep::Publish | MergeStep::Withdraw)
}

/// Asks for all outputs that are not proven yet.
pub(super) fn stage(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Stage;
    let is_due = |output: &PlannedOutput| output.facts.is_none();
    let emits = ask(&state, is_due, ("merging", at_ms))?;
    if emits.is_empty() {
        publish(state, at_ms)
    } else {
        Ok(Fold { state: Some(state), emits, changed: true })
    }
}

/// Publishes what is staged: everything is proven.
fn publish(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Publish;
    let is_due = |output: &PlannedOutput| output.standing == Standing::Staged;
    let emits = ask(&state, is_due, ("publishing", at_ms))?;
    if emits.is_empty() {
        return end(state, Phase::Succeeded, None, at_ms);
    }
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// Takes back what was or may be published, and ends: something could not be.
fn withdraw(mut state: Assembly, at_ms: i64) -> Result<Fold<Assembly>, RecordError> {
    state.step = MergeStep::Withdraw;
    let is_due = |output: &PlannedOutput| can_be_withdrawn(output) && !Fault::PublishedStays.is_planted();
    let emits = ask(&state, is_due, ("withdrawing", at_ms))?;
    if emits.is_empty() {
        let reason = state.reason.take();
        return end(state, Phase::Failed, reason, at_ms);
    }
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// Also what could not be published: a worker that was slow, and told of nothing, may do it still. What an older version
/// published was never staged.
fn can_be_withdrawn(output: &PlannedOutput) -> bool {
    matches!(output.standing, Standing::Published | Standing::Unpublished) && !output.token.is_empty()
}

/// The step's records for the outputs that it is due for, and what is told of it.
fn ask(
    state: &Assembly,
    is_due: impl Fn(&PlannedOutput) -> bool,
    (told, at_ms): (&str, i64),
) -> Result<Vec<Emit>, RecordError> {
    let mut emits = Vec::new();
    for output in state.outputs.iter().filter(|output| is_due(output)) {
        let of_it =
            state.tracks.iter().filter(|track| output.plan.renditions.contains(&track.plan.rendition));
        let merge = Merge {
            execution: state.execution.clone(),
            attempt: state.attempt,
            source: state.source.clone(),
            output: output.plan.clone(),
            // They are read once, to stage it.
            tracks: of_it.filter(|_| state.step == MergeStep::Stage).cloned().collect(),
            work: state.work.clone(),
            round: state.round,
            strict: is_strict(state),
            step: state.step,
            token: output.token.clone(),
        };
        emits.push(Emit::new(streams::MERGES, &state.execution, &merge)?);
    }
    if !emits.is_empty() {
        emits.push(event(state, at_ms, told, format!("{} outputs", emits.len())).emit()?);
    }
    Ok(emits)
}

/// Counts what became of a step of an output.
pub(super) fn fold_merge(
    state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    // Nothing was asked to be merged before all segments were there; and since an earlier round some were made again.
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
        // A redelivery, of a step that is over.
        _ => unchanged(Some(state)),
    }
}

/// The output that an outcome tells of, if it is awaited: LG-2, what a redelivered merge reports once more does not matter.
fn awaited<'a>(
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
    let Some(output) = awaited(&mut state, &outcome.url, |output| output.facts.is_none()) else {
        return unchanged(Some(state));
    };
    if let Some(reason) = outcome.failure {
        return end(state, Phase::Failed, Some(reason), at_ms);
    }
    if !outcome.again.is_empty() {
        return make_again(state, outcome.again, at_ms);
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
    Ok(Fold { state: Some(state), emits: Vec::new(), changed: true })
}

fn fold_published(
    mut state: Assembly,
    outcome: MergeOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    let is_staged = |output: &PlannedOutput| output.standing == Standing::Staged;
    let Some(output) = awaited(&mut state, &outcome.url, is_staged) else { return unchanged(Some(state)) };
    match outcome.failure {
        None => output.standing = Standing::Published,
        Some(reason) => {
            output.standing = Standing::Unpublished;
            state.reason.get_or_insert(reason);
        }
    }
    // Those that are under way are waited for: one must not appear behind the end.
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
    let Some(output) = awaited(&mut state, &outcome.url, can_be_withdrawn) else {
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
