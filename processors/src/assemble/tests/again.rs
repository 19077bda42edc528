//! Segments whose seams are unclean are made again.

use millrace_schemas::{AudioSettings, Seek, SeekBy, Segment, Sound, Trim, UncleanRun};

use super::*;
use crate::assemble::again::{MOST_ROUNDS, replacement_index};

/// The start of an execution: video of so many segments in the renditions v and w, and audio of two segments.
pub(super) fn plan(segments: i32) -> Signal {
    let mut signal = started(1, segments);
    let plan = signal.started.as_mut().unwrap();
    let sound = TrackPlan {
        audio: Some(AudioSettings::of(
            "aac",
            &Sound { sample_rate: 48_000, channels: 2, layout: String::new() },
        )),
        ..track("a", TrackKind::Audio, segments, 2)
    };
    let video = |rendition| TrackPlan {
        source: Some(TrackSource {
            stream: 3,
            also: vec![7],
            jumps: vec![-40],
            longest_gap: 5,
            last_time: 900,
            shape: None,
            states: vec!["AWQ=".into()],
            trim: Some(Trim { from: 7, to: Some(9) }),
        }),
        ..track(rendition, TrackKind::Video, 0, segments)
    };
    plan.tracks = vec![video("v"), video("w"), sound];
    for (output, renditions) in plan.outputs.iter_mut().zip([["v", "a"], ["w", "a"]]) {
        output.renditions = renditions.map(str::to_owned).into();
    }
    signal
}

/// Returns the facts of a work object, which differ between any two work objects.
fn facts(rendition: &str, index: i32) -> Made {
    let unlike = i64::from(index) * 31 + i64::from(rendition.as_bytes()[0]);
    Made {
        rendition: rendition.into(),
        units: 20 + unlike % 7,
        packets: 21 + unlike % 5,
        bytes: 1000 + unlike % 101,
        first: i64::from(index) * 25,
        next: None,
        reorder: 2,
        digest: unlike.wrapping_mul(0x1234_5678_9abc_def1),
    }
}

/// Returns the sums over segments, as the aggregation adds them and as a worker reports them for replaced segments.
fn sums(rendition: &str, indices: &[i32]) -> Made {
    let blank = Made { rendition: rendition.into(), ..Made::default() };
    indices.iter().fold(blank, |sum, index| {
        let made = facts(rendition, *index);
        Made {
            units: sum.units + made.units,
            packets: sum.packets + made.packets,
            bytes: sum.bytes + made.bytes,
            digest: sum.digest.wrapping_add(made.digest.wrapping_mul(2 * i64::from(*index) + 1)),
            ..sum
        }
    })
}

/// The outcome of a segment.
fn transcoded(index: i32, renditions: &[&str], replaces: &[i32]) -> Signal {
    let mut signal = Signal::new("e", 1, 2000);
    let replaced = renditions.iter().filter(|_| !replaces.is_empty()).map(|id| sums(id, replaces));
    signal.segment = Some(SegmentOutcome {
        index,
        made: renditions.iter().map(|id| facts(id, index)).collect(),
        reused: false,
        failure: None,
        warnings: Vec::new(),
        replaced: replaced.collect(),
    });
    signal
}

pub(super) fn transcoded_again(segment: &Segment) -> Signal {
    let renditions: Vec<&str> = segment.renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    transcoded(segment.index, &renditions, &segment.replaces)
}

/// The outcomes of all segments of a plan.
pub(super) fn all_transcoded(segments: i32) -> Vec<Signal> {
    let video = (0..segments).map(|index| transcoded(index, &["v", "w"], &[]));
    video.chain((segments..segments + 2).map(|index| transcoded(index, &["a"], &[]))).collect()
}

pub(super) fn unclean_run(rendition: &str, replaces: &[i32]) -> UncleanRun {
    UncleanRun {
        rendition: rendition.into(),
        replaces: replaces.into(),
        start: Some(100),
        end: Some(200),
        seeks: vec![Seek { by: SeekBy::Byte, at: 77, state: 1 }],
    }
}

/// The outcome of staging an output in a round in which seams are unclean.
fn unclean(format: &str, round: i32, again: Vec<UncleanRun>) -> Signal {
    let mut signal = Signal::new("e", 1, 3000);
    signal.merge = Some(MergeOutcome { url: output(format).url, round, again, ..MergeOutcome::default() });
    signal
}

/// The outcome of staging an output in a round, successfully.
pub(super) fn proven(format: &str, round: i32) -> Signal {
    of_round(staged(1, format), round)
}

fn of_round(mut signal: Signal, round: i32) -> Signal {
    signal.merge.as_mut().unwrap().round = round;
    signal
}

fn refused(format: &str, round: i32) -> Signal {
    let mut signal = proven(format, round);
    let outcome = signal.merge.as_mut().unwrap();
    (outcome.facts, outcome.failure) = (None, Some("no room".into()));
    signal
}

/// The state of an execution, and all records that it emitted.
#[derive(Default)]
pub(super) struct Execution {
    state: Option<Assembly>,
    emits: Vec<Emit>,
}

impl Execution {
    /// Returns an execution whose segments are all transcoded.
    fn merging(segments: i32) -> Self {
        let mut execution = Self::default();
        execution.fold(plan(segments));
        execution.fold_all(all_transcoded(segments));
        execution
    }

    /// Folds a signal; returns the records that it emitted.
    pub(super) fn fold(&mut self, signal: Signal) -> Vec<Emit> {
        let fold = fold(self.state.take(), signal).unwrap();
        self.state = fold.state;
        self.emits.extend(fold.emits.clone());
        fold.emits
    }

    pub(super) fn fold_all(&mut self, signals: impl IntoIterator<Item = Signal>) -> Vec<Emit> {
        signals.into_iter().flat_map(|signal| self.fold(signal)).collect()
    }

    /// Makes these runs again in one round; returns the segments in place of them.
    fn make_again(&mut self, runs: Vec<UncleanRun>) -> Vec<Segment> {
        let round = self.state().round;
        let segments = segments(&self.fold(unclean("mp4", round, runs)));
        self.fold_all(segments.iter().map(transcoded_again));
        segments
    }

    /// Publishes all staged outputs.
    fn publish(&mut self) {
        let round = self.state().round;
        self.fold_all(["mp4", "flv"].map(|format| of_round(published(1, format), round)));
    }

    pub(super) fn assert_unchanged_by(&self, signals: impl IntoIterator<Item = Signal>) {
        for signal in signals {
            let fold = fold(self.state.clone(), signal.clone()).unwrap();
            assert_eq!(check_redelivery(&self.state, &fold.state, fold.emits.len()), Ok(()), "{signal:?}");
            assert!(!fold.changed);
        }
    }

    pub(super) fn state(&self) -> &Assembly {
        self.state.as_ref().unwrap()
    }

    /// Returns the indices of a rendition's segments, and checks that the sums are theirs.
    pub(super) fn used(&self, rendition: &str) -> Vec<i32> {
        let track = self.state().tracks.iter().find(|track| track.plan.rendition == rendition).unwrap();
        let used = track.plan.indices();
        let sums = sums(rendition, &used);
        assert_eq!(
            (track.units, track.packets, track.bytes, track.digest),
            (sums.units, sums.packets, sums.bytes, sums.digest),
            "{rendition}: {used:?}"
        );
        assert_eq!(track.plan.segments, i32::try_from(used.len()).unwrap());
        used
    }
}

pub(super) fn segments(emits: &[Emit]) -> Vec<Segment> {
    on(emits, "segments").iter().map(|value| Segment::decode(value).unwrap()).collect()
}

pub(super) fn merges(emits: &[Emit]) -> Vec<Merge> {
    on(emits, "merges").iter().map(|value| Merge::decode(value).unwrap()).collect()
}

#[test]
fn an_unclean_seam_makes_its_run_again_and_nothing_else() {
    let mut execution = Execution::merging(5);
    let emits = execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[2, 3])]));
    assert!(merges(&emits).is_empty());
    assert_eq!(execution.state().phase, Phase::Transcoding);
    let [segment] = &segments(&emits)[..] else { panic!("one segment") };
    assert_eq!((&*segment.replaces, segment.index), (&[2, 3][..], replacement_index(1, 1, 0).unwrap()));
    assert_eq!((segment.start, segment.end), (Some(100), Some(200)));
    assert_eq!(segment.seeks, unclean_run("v", &[2, 3]).seeks);
    assert_eq!((segment.kind, segment.video_segments), (TrackKind::Video, 1), "it has all cores to itself");
    assert_eq!((segment.work.as_str(), segment.attempt), ("e-1", 1));
    let source = execution.state().tracks[0].plan.source.clone();
    assert_eq!(Some(segment.track_source()), source, "it is read like the segments of the plan");

    let emits = execution.fold(transcoded_again(segment));
    assert!(segments(&emits).is_empty());
    assert_eq!(execution.used("v"), [0, 1, segment.index, 4]);
    let rounds: Vec<_> =
        merges(&emits).iter().map(|merge| (merge.output.format.clone(), merge.round)).collect();
    assert_eq!(rounds, [("mp4".to_owned(), 1), ("flv".to_owned(), 1)]);
    assert_eq!(merges(&emits)[0].tracks[0], execution.state().tracks[0]);
    execution.fold_all([proven("mp4", 1), proven("flv", 1)]);
    execution.publish();
    assert_eq!(the_end(&execution.emits).state, Phase::Succeeded);
}

#[test]
fn outcomes_of_an_earlier_round_change_nothing() {
    let earlier = || [unclean("flv", 0, vec![unclean_run("w", &[2])]), proven("flv", 0), refused("flv", 0)];
    let mut execution = Execution::merging(5);
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[2])])));
    execution.assert_unchanged_by(earlier());
    execution.fold(transcoded_again(&again[0]));
    assert_eq!(execution.state().phase, Phase::Merging);
    execution.assert_unchanged_by(earlier());
}

#[test]
fn a_redelivered_outcome_of_a_segment_made_again_changes_nothing() {
    let mut execution = Execution::merging(5);
    let runs = vec![unclean_run("v", &[1]), unclean_run("v", &[3])];
    let again = segments(&execution.fold(unclean("mp4", 0, runs)));
    execution.fold(transcoded_again(&again[0]));
    let failure = |index| failed(1, index);
    execution.assert_unchanged_by([transcoded_again(&again[0]), failure(again[0].index)]);
    // Outcomes of the segments that it replaces change nothing either.
    execution.assert_unchanged_by(all_transcoded(5));
    execution.assert_unchanged_by((0..7).map(failure));
    execution.fold(transcoded_again(&again[1]));
    execution.assert_unchanged_by(again.iter().map(transcoded_again));
    execution.assert_unchanged_by(all_transcoded(5));
}

#[test]
fn all_runs_of_a_round_are_awaited_before_the_next_merge() {
    let mut execution = Execution::merging(6);
    let runs = vec![unclean_run("v", &[1, 2]), unclean_run("v", &[4]), unclean_run("a", &[6, 7])];
    let again = segments(&execution.fold(unclean("mp4", 0, runs)));
    let numbers: Vec<i32> = again.iter().map(|segment| segment.index).collect();
    let video: Vec<i32> = again.iter().map(|segment| segment.video_segments).take(2).collect();
    assert_eq!(video, [2, 2], "so many are made side by side");
    assert!(merges(&execution.fold(transcoded_again(&again[2]))).is_empty());
    assert!(merges(&execution.fold(transcoded_again(&again[0]))).is_empty());
    assert_eq!(merges(&execution.fold(transcoded_again(&again[1]))).len(), 2);
    assert_eq!(execution.used("v"), [0, numbers[0], 3, numbers[1], 5]);
    assert_eq!(execution.used("w"), execution.used("v"));
    assert_eq!(execution.used("a"), [numbers[2]]);
}

#[test]
fn a_segment_that_replaced_others_can_be_replaced_itself() {
    let mut execution = Execution::merging(6);
    let first = execution.make_again(vec![unclean_run("v", &[2, 3])])[0].index;
    assert_eq!(execution.used("v"), [0, 1, first, 4, 5]);
    let second = execution.make_again(vec![unclean_run("v", &[1, first, 4])])[0].index;
    assert_eq!(execution.used("v"), [0, second, 5]);
    assert_eq!(execution.used("w"), [0, second, 5]);
    assert_eq!(execution.state().round, 2);
    assert!(first != second);
    execution.fold_all([proven("mp4", 2), proven("flv", 2)]);
    execution.publish();
    assert_eq!(the_end(&execution.emits).state, Phase::Succeeded);
}

#[test]
fn all_segments_can_be_replaced_by_one() {
    let mut execution = Execution::merging(4);
    let whole = UncleanRun { start: None, end: None, seeks: Vec::new(), ..unclean_run("v", &[0, 1, 2, 3]) };
    let again = execution.make_again(vec![whole]);
    assert_eq!((again[0].start, again[0].end, again[0].seeks.len()), (None, None, 0));
    assert_eq!(execution.used("v"), [again[0].index]);
    assert_eq!(execution.used("a"), [4, 5]);
    execution.fold_all([proven("mp4", 1), proven("flv", 1)]);
    execution.publish();
    let end = the_end(&execution.emits);
    assert_eq!((end.state, end.segments), (Phase::Succeeded, 4), "so many the plan had");
}

#[test]
fn sound_is_made_again_by_itself() {
    let mut execution = Execution::merging(3);
    let again = execution.make_again(vec![unclean_run("a", &[3, 4])]);
    let segment = &again[0];
    assert_eq!((segment.kind, segment.stream), (TrackKind::Audio, 1));
    let [rendition] = &segment.renditions[..] else { panic!("one rendition") };
    let audio = execution.state().tracks[2].plan.audio.clone();
    assert_eq!((rendition.id.as_str(), &rendition.audio, &rendition.video), ("a", &audio, &None));
    assert!(audio.is_some());
    assert_eq!(execution.used("a"), [segment.index]);
    assert_eq!(execution.used("v"), [0, 1, 2]);
}

#[test]
fn all_renditions_of_a_decode_are_made_again_together() {
    let mut execution = Execution::merging(3);
    // The merge of an output reads one of the renditions.
    let again = execution.make_again(vec![unclean_run("w", &[1])]);
    let renditions: Vec<&str> = again[0].renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    assert_eq!(renditions, ["v", "w"]);
    assert_eq!(execution.used("v"), [0, again[0].index, 2]);
    assert_eq!(execution.used("w"), [0, again[0].index, 2]);
}

#[test]
fn an_output_that_is_proven_is_not_merged_again() {
    let mut execution = Execution::merging(3);
    execution.fold(proven("flv", 0));
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[1])])));
    let merges = merges(&execution.fold(transcoded_again(&again[0])));
    assert_eq!(merges.iter().map(|merge| merge.output.format.as_str()).collect::<Vec<_>>(), ["mp4"]);
    execution.fold(proven("mp4", 1));
    execution.publish();
    assert_eq!(the_end(&execution.emits).outputs.len(), 2);
}

#[test]
fn warnings_of_segments_that_were_replaced_are_not_in_a_success() {
    let mut execution = Execution::default();
    execution.fold(plan(3));
    execution.fold(with_warning(transcoded(1, &["v", "w"], &[]), "2 pictures are missing"));
    execution.fold_all(all_transcoded(3));
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[1])])));
    execution.fold(with_warning(transcoded_again(&again[0]), "a picture is damaged"));
    // `merge` reads the warnings of the work objects that it uses.
    execution.fold_all([with_warning(proven("mp4", 1), "a picture is damaged"), proven("flv", 1)]);
    execution.publish();
    assert_eq!(the_end(&execution.emits).warnings, ["a picture is damaged"]);
}

#[test]
fn a_segment_that_can_not_be_made_again_fails_the_execution() {
    let mut execution = Execution::merging(3);
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[1])])));
    execution.fold(failed(1, again[0].index));
    let end = the_end(&execution.emits);
    assert_eq!((end.state, end.reason.as_deref()), (Phase::Failed, Some("broken")));
}

#[test]
fn segments_of_a_plan_that_was_not_taken_change_nothing() {
    let mut execution = Execution::default();
    execution.fold(plan(3));
    execution.assert_unchanged_by([transcoded(0, &["v"], &[]), transcoded(0, &["v", "x"], &[])]);
    execution.fold_all(all_transcoded(3));
    assert_eq!(execution.state().phase, Phase::Merging);
}

#[test]
fn a_segment_made_again_without_one_of_its_renditions_fails_the_execution() {
    let mut execution = Execution::merging(3);
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[1])])));
    execution.fold(transcoded(again[0].index, &["v"], &[1]));
    assert_eq!(the_end(&execution.emits).state, Phase::Failed);
}

/// Otherwise the execution would wait forever.
#[test]
fn a_run_that_can_not_be_made_again_fails_the_execution() {
    let fails = |mut execution: Execution, runs: Vec<UncleanRun>| {
        let emits = execution.fold(unclean("mp4", 0, runs));
        assert!(segments(&emits).is_empty());
        the_end(&emits).reason.unwrap()
    };
    let run = |replaces: &[i32]| unclean_run("v", replaces);
    for runs in [
        vec![run(&[])],
        vec![run(&[1, 3])],
        vec![run(&[4, 5])],
        vec![run(&[9])],
        vec![run(&[1, 2]), run(&[2, 3])],
        vec![unclean_run("x", &[1])],
        vec![unclean_run("a", &[1])],
    ] {
        let reason = fails(Execution::merging(5), runs.clone());
        assert!(reason.contains("made again"), "{runs:?}: {reason}");
    }
    // A plan of an older version.
    let mut execution = Execution::merging(5);
    execution.state.as_mut().unwrap().tracks.iter_mut().for_each(|track| track.plan.source = None);
    assert!(fails(execution, vec![run(&[1])]).contains("older version"));
}

#[test]
fn an_execution_whose_seams_stay_unclean_fails_after_some_rounds() {
    let mut execution = Execution::merging(3);
    let mut last = 1;
    for _ in 0..MOST_ROUNDS {
        last = execution.make_again(vec![unclean_run("v", &[last])])[0].index;
    }
    assert_eq!(execution.used("v"), [0, last, 2]);
    let emits = execution.fold(unclean("mp4", MOST_ROUNDS, vec![unclean_run("v", &[last])]));
    assert_eq!(the_end(&emits).state, Phase::Failed);
}

#[test]
fn a_new_attempt_begins_with_the_segments_of_its_plan() {
    let mut execution = Execution::merging(3);
    let again = segments(&execution.fold(unclean("mp4", 0, vec![unclean_run("v", &[1])])));
    execution.fold(failed(1, again[0].index));
    let mut second = plan(3);
    second.attempt = 2;
    execution.fold(second);
    assert_eq!(execution.state().round, 0);
    assert!(execution.state().again.is_empty());
    execution.assert_unchanged_by([transcoded_again(&again[0])]);
}

proptest! {
    /// Work objects are found by index, and those of other attempts and rounds may still exist.
    #[test]
    fn an_index_is_used_for_one_segment(
        one in (1..1999_i32, 1..=MOST_ROUNDS, 0..100_000_usize),
        two in (1..1999_i32, 1..=MOST_ROUNDS, 0..100_000_usize),
    ) {
        let index = |(attempt, round, position)| replacement_index(attempt, round, position).unwrap();
        prop_assert_eq!(one == two, index(one) == index(two));
        prop_assert!(index(one) >= 1_000_000, "no segment of a plan has it");
    }

    /// LG-2, EX-1: however outcomes are repeated and reordered, the end is the same.
    #[test]
    fn any_order_and_any_redelivery_makes_the_same_segments_again(
        count in 1..8_i32,
        choices in proptest::collection::vec(any::<usize>(), 0..80),
        seams in any::<u64>(),
    ) {
        let in_order = fold_to_the_end(count, &[], seams)?;
        let shuffled = fold_to_the_end(count, &choices, seams)?;
        prop_assert_eq!(in_order, shuffled);
    }
}

/// Returns the outcome of a step: unclean runs of the video in the first rounds, then all of it as one run, then success.
fn merge_outcome(merge: &Merge, seams: u64) -> Signal {
    let format = merge.output.format.as_str();
    if merge.step == MergeStep::Publish {
        return of_round(published(1, format), merge.round);
    }
    let order = merge.tracks[0].plan.indices();
    let lies = |position: usize| seams.rotate_left(11 * merge.round.unsigned_abs()) >> position & 3 == 3;
    let mut runs: Vec<Vec<i32>> = Vec::new();
    let mut before_lies = false;
    for (position, index) in order.iter().enumerate() {
        match runs.last_mut().filter(|_| before_lies) {
            Some(run) if lies(position) => run.push(*index),
            _ if lies(position) => runs.push(vec![*index]),
            _ => {}
        }
        before_lies = lies(position);
    }
    if merge.round == 2 && !runs.is_empty() {
        runs = vec![order];
    }
    if merge.round > 2 || runs.is_empty() {
        return proven(format, merge.round);
    }
    unclean(
        format,
        merge.round,
        runs.iter().map(|run| unclean_run(&merge.tracks[0].plan.rendition, run)).collect(),
    )
}

/// Folds the outcomes that workers report: first those that `choices` picks among all that were reported so far, then the remaining
/// ones in order. Returns the state at the end.
fn fold_to_the_end(count: i32, choices: &[usize], seams: u64) -> Result<Assembly, TestCaseError> {
    let mut execution = Execution::default();
    execution.fold(plan(count));
    let mut reported = all_transcoded(count);
    let mut left: Vec<usize> = (0..reported.len()).collect();
    let mut choices = choices.iter();
    while let Some(next) = choices.next().map(|choice| choice % reported.len()).or(left.first().copied()) {
        left.retain(|position| *position != next);
        let signal = reported[next].clone();
        let emits = execution.fold(signal.clone());
        let again = decide(execution.state.clone(), signal).unwrap();
        prop_assert_eq!(check_redelivery(&execution.state, &again.state, again.emits.len()), Ok(()));
        let before = reported.len();
        reported.extend(segments(&emits).iter().map(transcoded_again));
        reported.extend(merges(&emits).iter().map(|merge| merge_outcome(merge, seams)));
        left.extend(before..reported.len());
        prop_assert!(merges(&emits).iter().all(|merge| merge.round == execution.state().round));
        if execution.state().phase == Phase::Merging {
            ["v", "w", "a"].iter().for_each(|rendition| drop(execution.used(rendition)));
        }
    }
    prop_assert_eq!(execution.state().phase, Phase::Succeeded);
    let ends: Vec<_> =
        on(&execution.emits, "merged").iter().map(|value| Merged::decode(value).unwrap()).collect();
    prop_assert_eq!(ends.len(), 1);
    Ok(execution.state.unwrap())
}
