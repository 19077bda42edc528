//! The results of segments that were made again in place of others.

use millrace_schemas::{Again, Assembly, Phase, RecordError, SegmentOutcome};
use millrace_topology::{Fold, faults::Fault};

use super::{
    again::position,
    ending::{end, warn},
    outputs::stage,
};

/// Replaces segments by the one that was made in place of them: in the tracks' order, and in their sums. `again` is the position in
/// [`Assembly::again`]. Stages the outputs if no further segment is awaited.
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
