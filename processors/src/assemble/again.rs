//! Requests to make segments again, because `merge` found seams between them unclean: they decode differently when each is decoded
//! by itself.

use std::collections::BTreeSet;

use millrace_formats::{
    Codec,
    bit_rate::{MOST_PASSES, segment_quality},
};
use millrace_schemas::{
    Again, Assembly, NextPass, Phase, RatePass, RecordError, Rendition, Segment, TrackKind, TrackPlan,
    TrackSource, UncleanRun, VideoSettings,
};
use millrace_topology::{Emit, Fold, streams};

use super::ending::{end, event};
use crate::request::tables;

/// The most rounds of an execution. Fewer are needed: after some rounds, `merge` requests each track in one piece.
pub(super) const MOST_ROUNDS: i32 = 9;
/// The most segments that are made in one round.
const MOST_IN_ROUND: i32 = 100_000;
/// The number of indices for the segments of a plan, and for those that one attempt makes again.
const INDICES: i32 = 1_000_000;

/// Returns the index of a segment that is made again, by its position in its round; `None` if no index is left.
///
/// The index is part of the work objects' keys, as in other rounds and in failed attempts whose work objects are reused. So an
/// index is used for one segment only, within 2,000 attempts; the work objects of an attempt so long ago are removed.
pub(super) fn replacement_index(attempt: i32, round: i32, position: usize) -> Option<i32> {
    let position = i32::try_from(position).ok().filter(|position| *position < MOST_IN_ROUND)?;
    let round = Some(round).filter(|round| (1..=MOST_ROUNDS).contains(round))?;
    Some((1 + attempt.rem_euclid(2000)) * INDICES + round * MOST_IN_ROUND + position)
}

/// Publishes one segment in place of each run, and waits for their results.
pub(super) fn make_again(
    mut state: Assembly,
    runs: Vec<UncleanRun>,
    passes: &[NextPass],
    at_ms: i64,
) -> Result<Fold<Assembly>, RecordError> {
    state.round += 1;
    state.phase = Phase::Transcoding;
    begin_passes(&mut state, passes);
    let segments = match replacements(&state, runs) {
        Ok(segments) => segments,
        Err(reason) => return end(state, Phase::Failed, Some(reason), at_ms),
    };
    let count: usize = segments.iter().map(|segment| segment.replaces.len()).sum();
    let detail = if passes.is_empty() {
        format!("{count} segments, in {} pieces: they decode differently than in one piece", segments.len())
    } else {
        format!("{count} segments, with another quality: {}", describe_passes(&state, passes))
    };
    let mut emits = Vec::new();
    for segment in segments {
        emits.push(Emit::dealt(streams::SEGMENTS, &state.execution, segment.index.unsigned_abs(), &segment)?);
        state.again.push(Again { index: segment.index, replaces: segment.replaces });
    }
    emits.push(event(&state, at_ms, "making-again", detail).emit()?);
    Ok(Fold { state: Some(state), emits, changed: true })
}

/// Sets the quality of the next pass of tracks whose average bit rate is not what is asked for.
fn begin_passes(state: &mut Assembly, passes: &[NextPass]) {
    for NextPass { rendition, bit_rate, quality } in passes {
        let of_it = state.tracks.iter_mut().filter(|track| track.plan.rendition == *rendition);
        for track in of_it {
            let Some(video) = &mut track.plan.video else { continue };
            track.passes.push(RatePass { quality: video.crf, bit_rate: *bit_rate });
            video.crf = *quality;
        }
    }
}

/// Says which average the pass before had, and which is asked for.
fn describe_passes(state: &Assembly, passes: &[NextPass]) -> String {
    let each = passes.iter().map(|pass| {
        let track = state.tracks.iter().find(|track| track.plan.rendition == pass.rendition);
        let rate = track.and_then(|track| track.plan.video.as_ref()?.bit_rate).unwrap_or_default();
        let number = track.map_or(0, |track| track.passes.len()) + 1;
        format!(
            "pass {number}, of at most {MOST_PASSES}; the one before had {} kbit/s instead of {}",
            pass.bit_rate / 1000,
            rate.average / 1000
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Returns the segments to make in place of these runs.
///
/// # Errors
/// If one can't be made, with the reason for the user.
fn replacements(state: &Assembly, runs: Vec<UncleanRun>) -> Result<Vec<Segment>, String> {
    let mut replaced = BTreeSet::new();
    let mut segments = Vec::new();
    for (position, run) in runs.into_iter().enumerate() {
        let index =
            replacement_index(state.attempt, state.round, position).filter(|_| state.segments <= INDICES);
        let index =
            index.ok_or("too many segments would have to be made again; use longer ones (--segment-time)")?;
        if !run.replaces.iter().all(|index| replaced.insert(*index)) {
            return Err(format!("segments {:?} were to be made again twice", run.replaces));
        }
        segments.push(replacement(state, run, index)?);
    }
    let is_video = |segment: &&mut Segment| segment.kind == TrackKind::Video;
    let concurrent = i32::try_from(segments.iter_mut().filter(is_video).count()).unwrap_or(i32::MAX);
    segments.iter_mut().filter(is_video).for_each(|segment| segment.video_segments = concurrent);
    Ok(segments)
}

/// Returns the segment to make in place of a run, in all renditions of the same decode.
///
/// # Errors
/// As [`replacements`].
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
            "segments {replaces:?} of {rendition} were to be made again, but are not consecutive"
        ));
    };
    let TrackSource { stream, also, jumps, longest_gap, last_time, shape, states, trim } =
        plan.source.clone().ok_or(
            "segments must be made again, but an older version of Millrace planned the execution, without what that needs; run it again",
        )?;
    let renditions = plans.iter().map(|plan| Rendition {
        id: plan.rendition.clone(),
        video: plan.video.as_ref().map(|video| of_segment(video, position(plan, &replaces).unwrap_or(0))),
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
        trim,
    })
}

/// Returns the settings of the segment at this position of a track: with an average bit rate, some have another quality than others.
fn of_segment(video: &VideoSettings, position: usize) -> VideoSettings {
    let has_average = video.bit_rate.is_some_and(|rate| rate.average > 0);
    let codec = tables().codec(&video.codec).ok().and_then(<dyn Codec>::video).filter(|_| has_average);
    let crf = codec.map_or(video.crf, |codec| segment_quality(&codec.quality(), video.crf, position));
    VideoSettings { crf, ..video.clone() }
}

/// Returns the position of consecutive segments among those of a track; `None` if the track does not have them, or if they are not
/// consecutive.
pub(super) fn position(plan: &TrackPlan, segments: &[i32]) -> Option<usize> {
    let order = plan.indices();
    let first = order.iter().position(|index| Some(index) == segments.first())?;
    (order.get(first..first + segments.len())? == segments).then_some(first)
}
