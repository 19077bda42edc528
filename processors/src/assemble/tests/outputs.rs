//! Steps of outputs: all are proven before the first is visible, and an execution that fails leaves none.

use super::*;

/// The outcome of a step that failed.
fn not(mut signal: Signal, reason: &str) -> Signal {
    let outcome = signal.merge.as_mut().unwrap();
    (outcome.facts, outcome.failure) = (None, Some(reason.into()));
    signal
}

/// The signals of an execution whose segments are all transcoded.
fn made_all() -> Vec<Signal> {
    whole(1).into_iter().take(3).collect()
}

/// Returns the steps that were requested, with their formats and tokens.
fn requested(emits: &[Emit]) -> Vec<(MergeStep, String, String)> {
    let merges = on(emits, "merges").into_iter().map(|value| Merge::decode(&value).unwrap());
    merges.map(|merge| (merge.step, merge.output.format, merge.token)).collect()
}

fn step(step: MergeStep, format: &str) -> (MergeStep, String, String) {
    let token = if step == MergeStep::Stage { String::new() } else { format!("token {format}") };
    (step, format.into(), token)
}

#[test]
fn nothing_is_published_before_every_output_is_proven() {
    use MergeStep::{Publish, Stage};
    let (_, emits) = run(made_all().into_iter().chain([staged(1, "flv")]));
    assert_eq!(requested(&emits), [step(Stage, "mp4"), step(Stage, "flv")]);
    let (state, emits) = run(made_all().into_iter().chain([staged(1, "flv"), staged(1, "mp4")]));
    assert_eq!(requested(&emits)[2..], [step(Publish, "mp4"), step(Publish, "flv")]);
    assert_eq!(state.unwrap().phase, Phase::Merging);
}

#[test]
fn an_output_that_cannot_be_made_leaves_none_of_the_others() {
    let (state, emits) =
        run(made_all().into_iter().chain([staged(1, "mp4"), not(staged(1, "flv"), "no flv holds that")]));
    assert_eq!(state.unwrap().reason.as_deref(), Some("no flv holds that"));
    assert!(requested(&emits).iter().all(|(step, ..)| *step == MergeStep::Stage), "nothing was published");
    assert!(the_end(&emits).outputs.is_empty());
}

#[test]
fn an_output_that_cannot_be_published_withdraws_the_others_before_the_end() {
    use MergeStep::Withdraw;
    let mut all = made_all();
    all.extend([staged(1, "mp4"), staged(1, "flv"), not(published(1, "flv"), "the disk is full")]);
    let (state, emits) = run(all.clone());
    assert!(!state.unwrap().is_terminal(), "mp4 may appear at any moment");
    assert!(on(&emits, "merged").is_empty());
    all.push(published(1, "mp4"));
    let (_, emits) = run(all.clone());
    // A worker that did not report may have published flv.
    assert_eq!(requested(&emits)[4..], [step(Withdraw, "mp4"), step(Withdraw, "flv")]);
    assert!(on(&emits, "merged").is_empty());
    all.extend([done(1, "mp4", Withdraw), done(1, "flv", Withdraw)]);
    let (_, emits) = run(all);
    let end = the_end(&emits);
    assert_eq!((end.state, end.reason.as_deref()), (Phase::Failed, Some("the disk is full")));
}

#[test]
fn an_output_that_cannot_be_withdrawn_is_in_the_reason() {
    use MergeStep::Withdraw;
    let mut all = made_all();
    all.extend([staged(1, "mp4"), staged(1, "flv"), not(published(1, "flv"), "the disk is full")]);
    all.extend([published(1, "mp4"), done(1, "flv", Withdraw)]);
    all.push(not(done(1, "mp4", Withdraw), "removing a.mp4: permission denied"));
    let reason = the_end(&run(all).1).reason.unwrap();
    assert_eq!(reason, "the disk is full; and an output of it stays: removing a.mp4: permission denied");
}

#[test]
fn a_cancel_or_a_deadline_while_outputs_are_published_comes_too_late() {
    let mut all = made_all();
    all.extend([staged(1, "mp4"), staged(1, "flv"), published(1, "mp4")]);
    let (state, _) = run(all.clone());
    assert_eq!(Assemble.wakes_at(&state.unwrap()), None);
    all.extend([cancelled(1), published(1, "flv")]);
    assert_eq!(the_end(&run(all).1).state, Phase::Succeeded);
    // Before that it is in time, and nothing is visible.
    let (_, emits) = run(made_all().into_iter().chain([staged(1, "mp4"), cancelled(1)]));
    assert_eq!(the_end(&emits).state, Phase::Cancelled);
}

#[test]
fn a_redelivered_step_changes_nothing() {
    let mut all = made_all();
    all.extend([staged(1, "mp4"), staged(1, "flv"), published(1, "mp4")]);
    let (state, _) = run(all);
    for signal in [staged(1, "mp4"), not(staged(1, "flv"), "late"), published(1, "mp4")] {
        let again = fold(state.clone(), signal).unwrap();
        assert_eq!(check_redelivery(&state, &again.state, again.emits.len()), Ok(()));
    }
}

#[test]
fn what_an_older_version_published_at_once_counts() {
    let whole = |format| {
        let mut signal = staged(1, format);
        let outcome = signal.merge.as_mut().unwrap();
        (outcome.step, outcome.token) = (MergeStep::Whole, String::new());
        signal
    };
    let (_, emits) = run(made_all().into_iter().chain([whole("mp4"), whole("flv")]));
    assert_eq!(the_end(&emits).state, Phase::Succeeded);
    assert_eq!(requested(&emits).len(), 2);
}

#[test]
fn what_a_failed_attempt_staged_is_made_again_by_the_next() {
    let mut again = started(2, 1);
    again.started.as_mut().unwrap().outputs.iter_mut().for_each(|output| output.keep = true);
    let all = made_all().into_iter().chain([staged(1, "mp4"), not(staged(1, "flv"), "no room"), again]);
    let (_, emits) = run(all.chain([made(2, 1, 0), made(2, 1, 1)]));
    assert_eq!(requested(&emits)[2..], [step(MergeStep::Stage, "mp4"), step(MergeStep::Stage, "flv")]);
}
