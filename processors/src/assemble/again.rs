//! Segments that are made again: merge found that they decode otherwise than in one piece.

use std::collections::BTreeSet;

use millrace_schemas::{
    Again, Assembly, Phase, RecordError, Rendition, Segment, SegmentOutcome, TrackKind, TrackPlan,
    TrackSource, UncleanRun,
};
use millrace_topology::{Emit, Fold, faults::Fault, streams};

use super::{end, event, stage, warn};

/// The most rounds of an execution. Merge needs fewer: after some it has each track made in one piece.
pub(super) const MOST_ROUNDS: i32 = 9;
/// The most segments that are made again in one round.
const MOST_PIECES: i32 = 100_000;
/// How many numbers there are for the segments of a plan, and for those that one attempt makes again.
const NUMBERS: i32 = 1_000_000;

/// Returns the number of a segment that is made again, by its position in its round; `None` if no number is left.
///
/// Work objects are found by number, also those of other rounds and of failed attempts whose work this one goes on with. So each
/// number stands for one segment, for two thousand attempts; the work of an attempt so long ago is removed.
pub(super) fn number_again(attempt: i32, round: i32, position: usize) -> Option<i32> {
    let position = i32::try_from(position).ok().filter(|position| *position < MOST_PIECES)?;
    let round = Some(round).filter(|round| (1..=MOST_ROUNDS).contains(round))?;
    Some((1 + attempt.rem_euclid(2000)) * NUMBERS + round * MOST_PIECES + position)
}

/// Publishes one segment in place of each run, and waits for them.
pub(super) fn make_again(
    mut state: Assembly,
    runs: Vec<UncleanRun>,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    state.round += 1;
    state.phase = Phase::Transcoding;
    let segments = match replacements(&state, runs) {
        Ok(segments) => segments,
        Err(reason) => return end(state, Phase::Failed, Some(reason), at_ms),
    };
    let count: usize = segments.iter().map(|segment| segment.replaces.len()).sum();
    let detail = format!(
        "{count} segments, in {} pieces: the source decodes otherwise from their starts",
        segments.len()
    );
    let mut emits = Vec::new();
    for segment in segments {
        emits.push(Emit::dealt(streams::SEGMENTS, &state.execution, segment.index.unsigned_abs(), &segment)?);
        state.again.push(Again { index: segment.index, replaces: segment.replaces });
    }
    emits.push(event(&state, at_ms, "making-again", detail).emit()?);
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// The segments to make in place of these runs; a reason if one of them can't be made.
fn replacements(state: &Assembly, runs: Vec<UncleanRun>) -> Result<Vec<Segment>, String> {
    let mut replaced = BTreeSet::new();
    let mut segments = Vec::new();
    for (position, run) in runs.into_iter().enumerate() {
        let index = number_again(state.attempt, state.round, position).filter(|_| state.segments <= NUMBERS);
        let index = index.ok_or("too many segments were to be made again; ask for longer ones")?;
        if !run.replaces.iter().all(|index| replaced.insert(*index)) {
            return Err(format!("segments {:?} were to be made again twice", run.replaces));
        }
        segments.push(replacement(state, run, index)?);
    }
    let is_video = |segment: &&mut Segment| segment.kind == TrackKind::Video;
    let side_by_side = i32::try_from(segments.iter_mut().filter(is_video).count()).unwrap_or(i32::MAX);
    segments.iter_mut().filter(is_video).for_each(|segment| segment.video_segments = side_by_side);
    Ok(segments)
}

/// The segment to make in place of a run: all renditions of its decode.
fn replacement(state: &Assembly, run: UncleanRun, index: i32) -> Result<Segment, String> {
    let UncleanRun { rendition, replaces, start, end, seeks } = run;
    let plans: Vec<&TrackPlan> = state
        .tracks
        .iter()
        .map(|track| &track.plan)
        .filter(|plan| position(plan, &replaces).is_some())
        .collect();
    let Some(plan) = plans.iter().find(|plan| plan.rendition == rendition) else {
        return Err(format!(
            "segments {replaces:?} of {rendition} were to be made again, and are no neighbours"
        ));
    };
    let TrackSource { stream, also, jumps, longest_gap, last_time, shape, states } =
        plan.source.clone().ok_or(
            "an older version of Millrace planned it and did not say how to make segments again; run it again",
        )?;
    let renditions = plans.iter().map(|plan| Rendition {
        id: plan.rendition.clone(),
        video: plan.video.clone(),
        audio: plan.audio.clone(),
        side: None,
    });
    Ok(Segment {
        execution: state.execution.clone(),
        attempt: state.attempt,
        index,
        video_segments: state.video_segments,
        source: state.source.clone(),
        stream,
        kind: plan.kind,
        start,
        end,
        seeks,
        renditions: renditions.collect(),
        expected_units: 0,
        work: state.work.clone(),
        jumps,
        longest_gap,
        last_time,
        also,
        shape,
        states,
        replaces,
    })
}

/// Where neighbouring segments are among those of a track; `None` if they are not, or are no neighbours.
fn position(plan: &TrackPlan, segments: &[i32]) -> Option<usize> {
    let order = plan.indices();
    let first = order.iter().position(|index| Some(index) == segments.first())?;
    (order.get(first..first + segments.len())? == segments).then_some(first)
}

/// Counts a segment that was made in place of others, in place of their facts.
pub(super) fn fold_again(
    mut state: Assembly,
    again: usize,
    outcome: SegmentOutcome,
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    let Again { index, replaces } = state.again.remove(again);
    for track in &mut state.tracks {
        let Some(first) = position(&track.plan, &replaces) else { continue };
        let new = outcome.made.iter().find(|made| made.rendition == track.plan.rendition);
        let old = outcome.replaced.iter().find(|made| made.rendition == track.plan.rendition);
        let (Some(new), Some(old)) = (new, old) else {
            let reason =
                format!("segment {index}, made in place of {replaces:?}, lacks {}", track.plan.rendition);
            return end(state, Phase::Failed, Some(reason), at_ms);
        };
        if !Fault::ReplacedStillCounted.is_planted() {
            track.units -= old.units;
            track.packets -= old.packets;
            track.bytes -= old.bytes;
            track.digest = track.digest.wrapping_sub(old.digest);
        }
        track.add(new, index);
        let mut order = track.plan.indices();
        order.splice(first..first + replaces.len(), [index]);
        track.plan.segments = i32::try_from(order.len()).unwrap_or(i32::MAX);
        track.plan.order = order;
    }
    warn(&mut state.segment_warnings, outcome.warnings);
    if !state.again.is_empty() {
        return Ok(Fold { state: Some(state), emits: Vec::new(), changed: true });
    }
    state.phase = Phase::Merging;
    stage(state, at_ms)
}
