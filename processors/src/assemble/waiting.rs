//! What outputs ask to be made again, gathered for one round. Each rung of a ladder is an output with an average bit rate of its own: a
//! round for each would be as many encodes of everything, and more rounds than an execution has.

use std::collections::BTreeSet;

use millrace_schemas::{Assembly, MergeOutcome, PlannedOutput, UncleanRun, Waiting};

/// Adds what an output asks for. Segments that are made again anyway are not added twice: whoever asks for one gets it in all renditions
/// of its decode.
pub(super) fn add(state: &mut Assembly, outcome: MergeOutcome) {
    let waiting = state.waiting.get_or_insert_default();
    waiting.urls.push(outcome.url);
    let known: BTreeSet<i32> = waiting.again.iter().flat_map(|run| run.replaces.iter().copied()).collect();
    let is_new = |run: &UncleanRun| run.replaces.iter().all(|index| !known.contains(index));
    waiting.again.extend(outcome.again.into_iter().filter(is_new));
    for pass in outcome.passes {
        if waiting.passes.iter().all(|other| other.rendition != pass.rendition) {
            waiting.passes.push(pass);
        }
    }
}

/// Takes what is to be made again; `None` if there is nothing, or if an output is awaited whose average bit rate may ask for more.
pub(super) fn take(state: &mut Assembly) -> Option<Waiting> {
    let waiting = state.waiting.as_ref()?;
    let is_judged = |rendition: &String| waiting.passes.iter().any(|pass| pass.rendition == *rendition);
    let has_average = |rendition: &&String| {
        let track = state.tracks.iter().find(|track| track.plan.rendition == **rendition);
        let rate = track.and_then(|track| track.plan.video.as_ref()?.bit_rate);
        rate.is_some_and(|rate| rate.average > 0)
    };
    let is_awaited = |output: &PlannedOutput| {
        let is_open = output.facts.is_none() && !waiting.urls.contains(&output.plan.url);
        let mut renditions = output.plan.renditions.iter();
        is_open && renditions.any(|rendition| has_average(&rendition) && !is_judged(rendition))
    };
    if !waiting.passes.is_empty() && state.outputs.iter().any(is_awaited) {
        return None;
    }
    state.waiting.take()
}
