//! `assemble`: the keyed aggregation that counts the segments of each execution, merges its outputs and ends it. No other processor
//! decides the result of an execution or writes `merged`. Pure: `fold(state, signal) -> (state, records)`.

mod again;
mod ending;
mod outputs;
mod replaced;
#[cfg(test)]
mod tests;
mod waiting;

use millrace_schemas::{
    Assembly, Made, MergeStep, OutputFacts, OutputPlan, Phase, PlannedOutput, RecordError, Refused,
    SegmentOutcome, Signal, SourceRef, Standing, Started, TrackKind, TrackSum,
};
use millrace_topology::{
    Aggregation, Emit, Fold, HORIZON_DAYS, Placement, ProcessorSpec, Role,
    faults::Fault,
    invariants::{check_merge_inputs, check_renditions, check_stays_ended, debug_check},
    streams,
};

use crate::dependencies::{Dependencies, Ports, ProcessorStarter};

use ending::{end, is_strict, unchanged, warn};
use outputs::{fold_merge, is_publishing, stage};
use replaced::fold_again;

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let writes =
        [streams::MERGES, streams::SEGMENTS, streams::MERGED, streams::CONTROLS, streams::EXECUTIONS];
    ProcessorSpec {
        state: Some(streams::ASSEMBLIES),
        role: Role::Decides,
        ..ProcessorSpec::new("assemble", "counts segments", streams::TRANSCODED, writes)
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(_: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_aggregation(spec(), Assemble);
}

/// The aggregation `assemble`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Assemble;

impl Aggregation for Assemble {
    type In = Signal;
    type State = Assembly;

    fn fold(&self, state: Option<Assembly>, signal: Signal) -> Result<Fold<Assembly>, RecordError> {
        fold(state, signal)
    }

    fn punctuate(&self, state: Assembly, now_ms: i64) -> Result<Fold<Assembly>, RecordError> {
        if self.wakes_at(&state).is_none_or(|at| at > now_ms) {
            return unchanged(Some(state));
        }
        if state.is_terminal() {
            // No further attempt is possible: the control is removed with the state.
            let tombstone = Emit {
                stream: streams::CONTROLS.name,
                key: state.execution.into_bytes(),
                value: None,
                placement: Placement::ByKey,
            };
            return Ok(Fold { state: None, emits: vec![tombstone], changed: true });
        }
        end(state, Phase::Failed, Some("its deadline passed".into()), now_ms)
    }

    fn wakes_at(&self, state: &Assembly) -> Option<i64> {
        match state.ended_ms {
            Some(ended) if state.is_terminal() => Some(ended.saturating_add(HORIZON_MS)),
            _ => state.deadline_ms.filter(|_| !state.is_terminal() && !is_publishing(state)),
        }
    }
}

/// For how long an execution is remembered after its end, in milliseconds.
const HORIZON_MS: i64 = HORIZON_DAYS as i64 * 24 * 3600 * 1000;

/// Folds a signal into the state of its execution.
///
/// # Errors
/// If a record to emit can't be encoded.
pub fn fold(state: Option<Assembly>, signal: Signal) -> Result<Fold<Assembly>, RecordError> {
    let ended = state.as_ref().filter(|state| cfg!(debug_assertions) && state.is_terminal()).cloned();
    let fold = decide(state, signal)?;
    if let Some(before) = ended {
        debug_check(|| check_stays_ended(&before, fold.state.as_ref()));
    }
    Ok(fold)
}

/// As [`fold`], without its check.
fn decide(state: Option<Assembly>, signal: Signal) -> Result<Fold<Assembly>, RecordError> {
    let Signal { execution, attempt, at_ms, started, refused, segment, merge, cancelled } = signal;
    // A new execution, or a new attempt at one that has ended. Any other start is a redelivery.
    let is_later = |state: &Assembly| {
        let is_next = state.is_terminal() && attempt > state.attempt;
        is_next || (Fault::LaterPlanTaken.is_planted() && !state.is_terminal() && attempt == state.attempt)
    };
    let is_new = state.as_ref().is_none_or(is_later);
    if let Some(plan) = started {
        return if is_new { begin(state, execution, attempt, at_ms, plan) } else { unchanged(state) };
    }
    if let Some(refusal) = refused {
        return if is_new { refuse(&execution, attempt, at_ms, refusal) } else { unchanged(state) };
    }
    // EX-1: a signal after the end, or of another attempt, changes nothing.
    let Some(state) = state else { return unchanged(None) };
    let has_ended = state.is_terminal() && !Fault::DoubleMerge.is_planted();
    if has_ended || state.attempt != attempt {
        return unchanged(Some(state));
    }
    match (segment, merge, cancelled) {
        (Some(outcome), _, _) => fold_segment(state, outcome, at_ms),
        (_, Some(outcome), _) => fold_merge(state, outcome, at_ms),
        (_, _, Some(_)) if is_publishing(&state) => unchanged(Some(state)),
        (_, _, Some(cancel)) => end(state, Phase::Cancelled, Some(cancel.reason), at_ms),
        (None, None, None) => unchanged(Some(state)),
    }
}

/// Begins an attempt: keeps outputs that still exist, and waits for the segments of the others.
fn begin(
    before: Option<Assembly>,
    execution: String,
    attempt: i32,
    at_ms: i64,
    plan: Started,
) -> Result<Fold<Assembly>, RecordError> {
    let segments = plan.tracks.iter().map(|track| track.first_segment + track.segments).max().unwrap_or(0);
    let video = plan.tracks.iter().find(|track| track.kind == TrackKind::Video);
    let video_segments = video.map_or(0, |track| track.segments);
    let earlier = before.map(|state| state.outputs).unwrap_or_default();
    let kept = plan.kept;
    let outputs = plan.outputs.into_iter().map(|plan| {
        if let Some(facts) = kept.iter().find(|facts| plan.keep && facts.url == plan.url) {
            return planned(plan, Some(facts.clone()));
        }
        // An output that an earlier attempt published and that still exists is kept.
        let was_published = |o: &&PlannedOutput| matches!(o.standing, Standing::None | Standing::Published);
        let mut published = earlier.iter().filter(|_| plan.keep).filter(was_published);
        let facts = published.find(|o| o.plan.url == plan.url && o.plan.mark == plan.mark);
        let facts = facts.and_then(|output| output.facts.clone());
        planned(plan, facts)
    });
    let mut state = Assembly {
        execution,
        attempt,
        phase: Phase::Transcoding,
        source: plan.source,
        reason: None,
        segments_done: vec![0; usize::try_from(segments).unwrap_or(0).div_ceil(8)],
        segments,
        done: 0,
        video_segments,
        reused: 0,
        outputs: outputs.collect(),
        tracks: plan.tracks.into_iter().map(TrackSum::new).collect(),
        labels: plan.labels,
        started_ms: at_ms,
        ended_ms: None,
        deadline_ms: plan.deadline_ms,
        work: plan.work,
        upload: plan.upload,
        warnings: Vec::new(),
        segment_warnings: Vec::new(),
        round: 0,
        again: Vec::new(),
        step: MergeStep::Stage,
        waiting: None,
    };
    warn(&mut state.warnings, plan.warnings);
    if let Some(first) = state.warnings.first().filter(|_| is_strict(&state)) {
        let reason = format!("the source can't be made as it is (strict): {first}");
        return end(state, Phase::Failed, Some(reason), at_ms);
    }
    if segments == 0 && state.outputs.iter().all(|output| output.facts.is_some()) {
        return end(state, Phase::Succeeded, None, at_ms);
    }
    Ok(Fold { state: Some(state), emits: Vec::new(), changed: true })
}

/// Returns a planned output; `facts` are those of its file, if that is kept.
fn planned(plan: OutputPlan, facts: Option<OutputFacts>) -> PlannedOutput {
    PlannedOutput { plan, facts, standing: Standing::None, token: String::new() }
}

/// Ends an execution whose upload was refused.
fn refuse(
    execution: &str,
    attempt: i32,
    at_ms: i64,
    refusal: Refused,
) -> Result<Fold<Assembly>, RecordError> {
    let state = Assembly {
        execution: execution.into(),
        attempt,
        phase: Phase::Transcoding,
        source: SourceRef { url: refusal.source, version: String::new(), bytes: 0 },
        reason: None,
        segments_done: Vec::new(),
        segments: 0,
        done: 0,
        video_segments: 0,
        reused: 0,
        tracks: Vec::new(),
        outputs: Vec::new(),
        labels: refusal.upload.as_ref().map(|upload| upload.labels.clone()).unwrap_or_default(),
        started_ms: at_ms,
        ended_ms: None,
        deadline_ms: None,
        work: String::new(),
        upload: refusal.upload,
        warnings: Vec::new(),
        segment_warnings: Vec::new(),
        round: 0,
        again: Vec::new(),
        step: MergeStep::Stage,
        waiting: None,
    };
    end(state, Phase::Failed, Some(refusal.reason), at_ms)
}

fn fold_segment(
    mut state: Assembly,
    outcome: SegmentOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    // LG-2: counted once, however often it is reported. An outcome that is not awaited changes nothing, a failure neither: its
    // work object is there, or is no longer used.
    let again = state.again.iter().position(|again| again.index == outcome.index);
    let slot = usize::try_from(outcome.index).ok().filter(|_| outcome.index < state.segments);
    let counted = state.has(outcome.index) && !Fault::NoDedup.is_planted();
    let slot = slot.filter(|_| !counted);
    if again.or(slot).is_none() {
        return unchanged(Some(state));
    }
    if let Some(reason) = outcome.failure {
        let reason = if outcome.index < state.video_segments && state.video_segments > 1 {
            format!("segment {} of {}: {reason}", outcome.index, state.video_segments)
        } else {
            reason
        };
        return end(state, Phase::Failed, Some(reason), at_ms);
    }
    if let Some(again) = again {
        return fold_again(state, again, outcome, at_ms);
    }
    let Some(slot) = slot else { return unchanged(Some(state)) };
    // An upload that is published again may be planned otherwise: by another version of the encoder, or, if it is named, with other
    // settings. That plan was not taken, and neither are its segments, which have other renditions, or not all of them.
    let planned = |made: &Made| {
        state.tracks.iter().any(|sum| sum.plan.rendition == made.rendition && sum.plan.holds(outcome.index))
    };
    let expected = state.tracks.iter().filter(|track| track.plan.holds(outcome.index)).count();
    if outcome.made.len() != expected || !outcome.made.iter().all(planned) {
        return unchanged(Some(state));
    }
    // PR-1: only here, where what is counted is of the plan that was taken.
    debug_check(|| {
        let made = outcome.made.iter().map(|made| made.rendition.as_str());
        check_renditions(&state.execution, made, |rendition| {
            state.tracks.iter().any(|track| track.plan.rendition == rendition)
        })
    });
    // Not yet a reason to fail: which segments are used is known once their seams are proven, by merge.
    warn(&mut state.segment_warnings, outcome.warnings);
    for made in &outcome.made {
        let of_it =
            |track: &&mut TrackSum| track.plan.rendition == made.rendition && track.plan.holds(outcome.index);
        let track = state.tracks.iter_mut().find(of_it);
        if let Some(track) = track {
            track.add(made, outcome.index);
        }
    }
    if let Some(byte) = state.segments_done.get_mut(slot / 8) {
        *byte |= 1 << (slot % 8);
    }
    state.done += 1;
    state.reused += i32::from(outcome.reused && outcome.index < state.video_segments);
    let enough = state.segments - i32::from(Fault::MergeTooEarly.is_planted() && state.segments > 1);
    if state.done < enough {
        return Ok(Fold { state: Some(state), emits: Vec::new(), changed: true });
    }
    // MG-1: only here, where every segment is there.
    debug_check(|| check_merge_inputs(&state.execution, state.segments, |index| state.has(index)));
    state.phase = Phase::Merging;
    state.segments_done.clear();
    stage(state, at_ms)
}
