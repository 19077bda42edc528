mod again;
mod outputs;
mod passes;

use millrace_schemas::{
    Cancelled, Made, Merge, MergeOutcome, Merged, TrackPlan, TrackSource, Upload, frame::Record as _,
};
use millrace_topology::invariants::{check_merged_once, check_redelivery};
use proptest::prelude::*;

use super::*;

fn track(rendition: &str, kind: TrackKind, first_segment: i32, segments: i32) -> TrackPlan {
    TrackPlan {
        rendition: rendition.into(),
        kind,
        first_segment,
        segments,
        video: None,
        tags: None,
        audio: None,
        source: Some(TrackSource { stream: i32::from(kind == TrackKind::Audio), ..TrackSource::default() }),
        order: Vec::new(),
    }
}

fn output(format: &str) -> OutputPlan {
    OutputPlan {
        url: format!("file:///o/a.{format}"),
        format: format.into(),
        renditions: vec!["v".into(), "a".into()],
        keep: false,
        mark: format!("mark {format}"),
        overwrite: false,
        extras: None,
        remarks: Vec::new(),
        package: None,
        pictures: None,
        waveform: None,
    }
}

/// The start of an execution with so many video segments and one audio segment.
fn started(attempt: i32, segments: i32) -> Signal {
    let mut signal = Signal::new("e", attempt, 1000);
    signal.started = Some(Started {
        source: SourceRef { url: "file:///a.mov".into(), version: "1".into(), bytes: 9 },
        tracks: vec![track("v", TrackKind::Video, 0, segments), track("a", TrackKind::Audio, segments, 1)],
        outputs: vec![output("mp4"), output("flv")],
        labels: std::collections::HashMap::new(),
        deadline_ms: Some(9000),
        work: "e-1".into(),
        upload: None,
        kept: Vec::new(),
        warnings: Vec::new(),
    });
    signal
}

fn made(attempt: i32, segments: i32, index: i32) -> Signal {
    let mut signal = Signal::new("e", attempt, 2000 + i64::from(index));
    let made = Made {
        rendition: if index < segments { "v" } else { "a" }.into(),
        units: 25,
        packets: 25,
        bytes: 1000,
        first: i64::from(index) * 25,
        next: None,
        reorder: index % 3,
        digest: i64::from(index) * 0x1234_5678_9abc,
    };
    signal.segment = Some(SegmentOutcome {
        index,
        made: vec![made],
        reused: index % 2 == 0,
        failure: None,
        warnings: Vec::new(),
        replaced: Vec::new(),
    });
    signal
}

/// The outcome of an output that is proven and staged.
fn staged(attempt: i32, format: &str) -> Signal {
    let mut signal = Signal::new("e", attempt, 5000);
    let url = output(format).url;
    let facts = OutputFacts {
        url: url.clone(),
        format: format.into(),
        bytes: 1,
        duration_seconds: 1.0,
        video: None,
        audio: None,
        ..OutputFacts::default()
    };
    let (step, token) = (MergeStep::Stage, format!("token {format}"));
    signal.merge = Some(MergeOutcome { url, facts: Some(facts), step, token, ..MergeOutcome::default() });
    signal
}

/// The outcome of a later step of an output, which succeeded.
fn done(attempt: i32, format: &str, step: MergeStep) -> Signal {
    let mut signal = Signal::new("e", attempt, 6000);
    let url = output(format).url;
    signal.merge = Some(MergeOutcome { url, step, ..MergeOutcome::default() });
    signal
}

fn published(attempt: i32, format: &str) -> Signal {
    done(attempt, format, MergeStep::Publish)
}

fn failed(attempt: i32, index: i32) -> Signal {
    let mut signal = Signal::new("e", attempt, 4000);
    signal.segment = Some(SegmentOutcome {
        index,
        made: vec![],
        reused: false,
        failure: Some("broken".into()),
        warnings: Vec::new(),
        replaced: Vec::new(),
    });
    signal
}

fn cancelled(attempt: i32) -> Signal {
    let mut signal = Signal::new("e", attempt, 4000);
    signal.cancelled = Some(Cancelled { reason: "asked".into() });
    signal
}

/// Folds signals; returns the state and all records that were emitted.
fn run(signals: impl IntoIterator<Item = Signal>) -> (Option<Assembly>, Vec<Emit>) {
    let mut emits = Vec::new();
    let state = signals.into_iter().fold(None, |state, signal| {
        let fold = fold(state, signal).unwrap();
        emits.extend(fold.emits);
        fold.state
    });
    (state, emits)
}

fn on(emits: &[Emit], stream: &str) -> Vec<Vec<u8>> {
    emits.iter().filter(|emit| emit.stream == stream).filter_map(|emit| emit.value.clone()).collect()
}

fn whole(segments: i32) -> Vec<Signal> {
    let mut all = vec![started(1, segments)];
    all.extend((0..=segments).map(|index| made(1, segments, index)));
    all.extend([staged(1, "mp4"), staged(1, "flv"), published(1, "mp4"), published(1, "flv")]);
    all
}

#[test]
fn a_merge_starts_only_when_every_segment_is_there() {
    let all = whole(3);
    let (state, emits) = run(all[..4].iter().cloned());
    assert_eq!(state.unwrap().phase, Phase::Transcoding);
    assert!(on(&emits, "merges").is_empty());
    let (state, emits) = run(all[..5].iter().cloned());
    let state = state.unwrap();
    assert_eq!(state.phase, Phase::Merging);
    let merges: Vec<Merge> = on(&emits, "merges").iter().map(|value| Merge::decode(value).unwrap()).collect();
    assert_eq!(merges.len(), 2);
    assert_eq!(merges[0].tracks[0].units, 75);
    assert_eq!(merges[0].tracks[0].reorder, 2);
}

#[test]
fn an_execution_ends_in_one_record_with_all_outputs() {
    let (state, emits) = run(whole(3));
    let records = on(&emits, "merged");
    assert_eq!(records.len(), 1);
    let merged = Merged::decode(&records[0]).unwrap();
    assert_eq!((merged.state, merged.outputs.len(), merged.segments), (Phase::Succeeded, 2, 3));
    assert_eq!(merged.segments_reused, 2);
    assert!(state.unwrap().is_terminal());
}

#[test]
fn a_redelivered_segment_changes_nothing() {
    let (state, _) = run([started(1, 3), made(1, 3, 1)]);
    let fold = fold(state.clone(), made(1, 3, 1)).unwrap();
    assert!(!fold.changed);
    assert_eq!(check_redelivery(&state, &fold.state, fold.emits.len()), Ok(()));
}

#[test]
fn a_segment_of_a_plan_that_was_not_taken_is_not_counted() {
    let other = |index: i32| {
        let mut signal = made(1, 2, index);
        for made in signal.segment.iter_mut().flat_map(|outcome| &mut outcome.made) {
            made.rendition = "another encoder's".into();
        }
        signal
    };
    let (expected, _) = run([started(1, 2), made(1, 2, 0)]);
    let (state, _) = run([started(1, 2), other(1), made(1, 2, 0), other(0), other(2)]);
    assert_eq!(state, expected);
}

#[test]
fn a_failed_segment_fails_the_execution_once() {
    let (state, emits) = run([started(1, 3), failed(1, 2), failed(1, 1), made(1, 3, 0), cancelled(1)]);
    assert_eq!(on(&emits, "merged").len(), 1);
    let state = state.unwrap();
    assert_eq!((state.phase, state.reason.as_deref()), (Phase::Failed, Some("segment 2 of 3: broken")));
}

#[test]
fn a_new_attempt_begins_only_after_the_end() {
    let (state, _) = run([started(1, 3), made(1, 3, 0), started(2, 3)]);
    assert_eq!(state.unwrap().attempt, 1);
    let (state, _) = run([started(1, 3), failed(1, 0), started(2, 3), made(1, 3, 1), made(2, 3, 2)]);
    let state = state.unwrap();
    assert_eq!((state.attempt, state.done), (2, 1));
}

#[test]
fn an_output_that_is_still_there_is_kept_by_a_new_attempt() {
    let mut again = started(2, 1);
    if let Some(plan) = &mut again.started {
        plan.outputs[0].keep = true;
    }
    let (state, emits) = run(whole(1).into_iter().chain([
        again,
        made(2, 1, 0),
        made(2, 1, 1),
        staged(2, "flv"),
        published(2, "flv"),
    ]));
    assert_eq!(state.unwrap().phase, Phase::Succeeded);
    assert_eq!(on(&emits, "merges").len(), 6, "two in two steps at first, then one");
}

#[test]
fn a_refused_upload_is_a_failed_execution() {
    let mut signal = Signal::new("e", 1, 7);
    signal.refused = Some(Refused { source: "file:///x".into(), reason: "is empty".into(), upload: None });
    let (state, emits) = run([signal]);
    assert_eq!(state.unwrap().phase, Phase::Failed);
    assert_eq!(on(&emits, "merged").len(), 1);
}

#[test]
fn the_end_of_a_refused_upload_has_its_labels() {
    let mut upload = Upload::of("file:///x", "file:///o");
    upload.labels.insert("team".into(), "film".into());
    let mut signal = Signal::new("e", 1, 7);
    let (source, reason) = ("file:///x".into(), "is not there".into());
    signal.refused = Some(Refused { source, reason, upload: Some(upload) });
    assert_eq!(the_end(&run([signal]).1).labels["team"], "film");
}

#[test]
fn a_deadline_ends_an_execution() {
    let (state, _) = run([started(1, 3)]);
    let state = state.unwrap();
    assert_eq!(Assemble.wakes_at(&state), Some(9000));
    assert!(!Assemble.punctuate(state.clone(), 8999).unwrap().changed);
    let fold = Assemble.punctuate(state, 9000).unwrap();
    let state = fold.state.unwrap();
    assert_eq!(state.phase, Phase::Failed);
    let horizon = Assemble.wakes_at(&state).unwrap();
    assert_eq!(horizon, 9000 + HORIZON_MS);
    let fold = Assemble.punctuate(state, horizon).unwrap();
    assert!(fold.state.is_none() && fold.changed, "a tombstone");
    let controls: Vec<_> = fold.emits.iter().map(|emit| (emit.stream, emit.value.is_none())).collect();
    assert_eq!(controls, [("controls", true)], "the control is removed");
}

/// A replay costs nothing if all of its outputs exist with the same settings.
#[test]
fn an_execution_whose_outputs_are_all_kept_succeeds_at_once() {
    let (before, _) = run(whole(3));
    let facts = before.unwrap().outputs.iter().filter_map(|output| output.facts.clone()).collect::<Vec<_>>();
    assert!(!facts.is_empty());
    let mut signal = started(1, 3);
    let plan = signal.started.as_mut().unwrap();
    plan.kept.clone_from(&facts);
    plan.outputs.iter_mut().for_each(|output| output.keep = true);
    plan.tracks.clear();
    let (state, emits) = run([signal]);
    assert_eq!(state.unwrap().phase, Phase::Succeeded);
    let merged: Vec<_> = emits.iter().filter(|emit| emit.stream == "merged").collect();
    assert_eq!(merged.len(), 1);
    assert_eq!(Merged::decode(merged[0].value.as_ref().unwrap()).unwrap().outputs, facts);
}

proptest! {
    /// EX-1, MG-1, MG-2, LG-2: however signals are repeated and reordered, an execution ends at most once, and is merged only when all
    /// segments are transcoded.
    #[test]
    fn any_order_and_any_redelivery_ends_once(order in proptest::collection::vec((0..11_usize, any::<u8>()), 0..80)) {
        let mut choices = whole(3);
        choices.extend([failed(1, 1), cancelled(1)]);
        let mut state: Option<Assembly> = None;
        let (mut ends, mut merges) = (Vec::new(), 0);
        for (choice, luck) in order {
            // Failures and cancels are rare, or most runs would end at once.
            let choice = if choice >= 9 && luck > 20 { choice - 9 } else { choice };
            let ended = state.clone().filter(Assembly::is_terminal);
            let fold = fold(state, choices[choice].clone()).unwrap();
            if let Some(before) = ended {
                prop_assert_eq!(check_stays_ended(&before, fold.state.as_ref()), Ok(()));
            }
            // LG-2: a redelivery changes nothing.
            let again = decide(fold.state.clone(), choices[choice].clone()).unwrap();
            prop_assert_eq!(check_redelivery(&fold.state, &again.state, again.emits.len()), Ok(()));
            ends.extend(on(&fold.emits, "merged").iter().map(|value| Merged::decode(value).unwrap()));
            merges += on(&fold.emits, "merges").len();
            state = fold.state;
            if let Some(state) = &state {
                if !on(&fold.emits, "merges").is_empty() {
                    prop_assert_eq!(check_merge_inputs("e", state.segments, |index| state.has(index)), Ok(()));
                }
                prop_assert_eq!(usize::from(state.is_terminal()), ends.len());
            }
        }
        prop_assert_eq!(check_merged_once(&ends), Ok(()));
        prop_assert!([0, 2, 4].contains(&merges));
    }

    /// The sums do not depend on the order of the segments.
    #[test]
    fn sums_do_not_depend_on_the_order(order in Just((0..=20).collect::<Vec<i32>>()).prop_shuffle()) {
        let in_order = run(std::iter::once(started(1, 20)).chain((0..=20).map(|i| made(1, 20, i)))).0.unwrap();
        let shuffled = run(std::iter::once(started(1, 20)).chain(order.into_iter().map(|i| made(1, 20, i)))).0.unwrap();
        prop_assert_eq!(in_order.tracks, shuffled.tracks);
    }
}

/// The start of an execution with so many video segments and these warnings, which are failures if it is strict.
fn began(segments: i32, strict: bool, warnings: &[&str]) -> Signal {
    let mut begin = started(1, segments);
    let plan = begin.started.as_mut().unwrap();
    plan.upload = Some(Upload { strict, ..Upload::of("file:///a.mov", "file:///o") });
    plan.warnings = warnings.iter().map(|&warning| warning.into()).collect();
    begin
}

/// The outcome of a segment, or of a merge, with a warning.
fn with_warning(mut signal: Signal, warning: &str) -> Signal {
    let warnings = vec![warning.to_owned()];
    match (&mut signal.segment, &mut signal.merge) {
        (Some(outcome), _) => outcome.warnings = warnings,
        (_, Some(outcome)) => outcome.warnings = warnings,
        _ => {}
    }
    signal
}

/// Returns the record of an execution's end, and checks that there is one.
fn the_end(emits: &[Emit]) -> Merged {
    let ends = on(emits, "merged");
    assert_eq!(ends.len(), 1);
    Merged::decode(&ends[0]).unwrap()
}

#[test]
fn a_success_has_the_warnings_of_split_and_merge_each_once() {
    let (_, emits) = run([
        began(1, false, &["the index ends early"]),
        with_warning(made(1, 1, 0), "a picture is damaged"),
        made(1, 1, 1),
        with_warning(staged(1, "mp4"), "sound runs 1.0 % fast"),
        with_warning(staged(1, "flv"), "sound runs 1.0 % fast"),
        published(1, "mp4"),
        published(1, "flv"),
    ]);
    // `merge` reports the warnings of the segments that it uses.
    assert_eq!(the_end(&emits).warnings, ["the index ends early", "sound runs 1.0 % fast"]);
}

#[test]
fn a_failure_has_the_warnings_of_segments_too() {
    let warning = "a picture is damaged";
    let (_, emits) = run([
        began(3, false, &[]),
        with_warning(made(1, 3, 0), warning),
        with_warning(made(1, 3, 1), warning),
        failed(1, 2),
    ]);
    assert_eq!(the_end(&emits).warnings, [warning]);
}

#[test]
fn a_strict_execution_fails_at_once_where_its_source_is_damaged() {
    let (state, emits) = run([began(2, true, &["the index ends early"])]);
    let reason = state.unwrap().reason.unwrap();
    assert!(reason.contains("(strict): the index ends early"), "{reason}");
    assert_eq!(the_end(&emits).state, Phase::Failed);
}

#[test]
fn a_strict_execution_leaves_the_warnings_of_segments_to_merge() {
    let (state, emits) =
        run([began(1, true, &[]), with_warning(made(1, 1, 0), "a picture is damaged"), made(1, 1, 1)]);
    assert_eq!(state.unwrap().phase, Phase::Merging);
    assert!(on(&emits, "merges").iter().all(|value| Merge::decode(value).unwrap().strict));
    let (_, emits) = run([began(1, false, &[]), made(1, 1, 0), made(1, 1, 1)]);
    assert!(on(&emits, "merges").iter().all(|value| !Merge::decode(value).unwrap().strict));
}

#[test]
fn a_failure_of_what_is_there_already_changes_nothing() {
    let (state, _) = run(whole(3).into_iter().take(3));
    let again = fold(state.clone(), failed(1, 1)).unwrap();
    assert_eq!(check_redelivery(&state, &again.state, again.emits.len()), Ok(()));
    let (state, _) = run(whole(3).into_iter().take(6));
    let mut signal = staged(1, "mp4");
    let outcome = signal.merge.as_mut().unwrap();
    (outcome.facts, outcome.failure) = (None, Some("no answer".into()));
    let again = fold(state.clone(), signal).unwrap();
    assert_eq!(check_redelivery(&state, &again.state, again.emits.len()), Ok(()));
}

#[test]
fn two_sound_tracks_with_the_same_settings_are_counted_each_by_itself() {
    let mut begin = started(1, 1);
    begin.started.as_mut().unwrap().tracks.push(track("a", TrackKind::Audio, 2, 1));
    let mut state = fold(None, begin).unwrap().state;
    for index in 0..3 {
        state = fold(state, made(1, 1, index)).unwrap().state;
    }
    let units: Vec<i64> = state.unwrap().tracks.iter().map(|track| track.packets).collect();
    assert_eq!(units, [25, 25, 25]);
}
