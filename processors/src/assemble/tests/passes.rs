//! Tracks whose average bit rate is not what is asked for are made again with another quality.

use millrace_schemas::{BitRate, NextPass, Picture, RatePass, Ratio, VideoSettings};

use super::{
    again::{Execution, all_transcoded, merges, plan, proven, segments, transcoded_again, unclean_run},
    *,
};

/// Returns an execution whose segments are all transcoded, of which the video of this codec has an average.
fn averaged(count: i32, codec: &str, quality: f64) -> Execution {
    let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 25 });
    let settings = VideoSettings {
        crf: quality,
        bit_rate: Some(BitRate { average: 1_000_000, ..BitRate::default() }),
        ..VideoSettings::of(codec, &picture)
    };
    let mut signal = plan(count);
    for track in signal.started.as_mut().unwrap().tracks.iter_mut().take(2) {
        track.video = Some(settings.clone());
    }
    // Both outputs hold the track that is judged, and no other one with an average.
    for output in &mut signal.started.as_mut().unwrap().outputs {
        output.renditions = vec!["v".into(), "a".into()];
    }
    let mut execution = Execution::default();
    execution.fold(signal);
    execution.fold_all(all_transcoded(count));
    execution
}

/// The outcome of staging an output in a round: all segments of its video are to be made again.
fn pass(execution: &Execution, bit_rate: i64, quality: f64) -> Signal {
    let round = execution.state().round;
    let order = execution.state().tracks[0].plan.indices();
    let mut signal = Signal::new("e", 1, 3000);
    signal.merge = Some(MergeOutcome {
        url: output("mp4").url,
        round,
        again: order.iter().map(|index| unclean_run("v", &[*index])).collect(),
        passes: vec![NextPass { rendition: "v".into(), bit_rate, quality }],
        ..MergeOutcome::default()
    });
    signal
}

#[test]
fn each_segment_is_made_again_with_the_quality_of_the_next_pass() {
    let mut execution = averaged(3, "h264", 23.0);
    let outcome = pass(&execution, 1_300_000, 25.5);
    let again = segments(&execution.fold(outcome.clone()));
    let qualities = |segment: &millrace_schemas::Segment| -> Vec<f64> {
        segment.renditions.iter().map(|rendition| rendition.video.as_ref().unwrap().crf).collect()
    };
    assert_eq!(again.len(), 3);
    // Of the same decode, and as it is.
    assert!(again.iter().all(|segment| qualities(segment) == [25.5, 23.0]), "{again:?}");
    let track = &execution.state().tracks[0];
    assert_eq!(track.passes, [RatePass { quality: 23.0, bit_rate: 1_300_000 }]);
    assert_eq!(track.plan.video.as_ref().unwrap().crf, 25.5);
    assert!(execution.state().tracks[1].passes.is_empty());

    // LG-2: another output has the same track, and reports the same.
    execution.assert_unchanged_by([outcome]);

    let merges = merges(&execution.fold_all(again.iter().map(transcoded_again)));
    assert_eq!(merges[0].tracks[0].passes.len(), 1);
    assert_eq!(merges[0].tracks[0].plan.video.as_ref().unwrap().crf, 25.5);
    assert_eq!(execution.used("v").len(), 3);

    let more = pass(&execution, 900_000, 24.8);
    let again = segments(&execution.fold(more));
    assert_eq!(again.iter().map(|segment| segment.replaces.len()).sum::<usize>(), 3);
    let tried: Vec<f64> = execution.state().tracks[0].passes.iter().map(|pass| pass.quality).collect();
    assert_eq!(tried, [23.0, 25.5]);
}

/// The outcome of staging an output of a rendition of its own, all segments of which are to be made again.
fn pass_of(format: &str, rendition: &str, segments: &[i32]) -> Signal {
    let mut signal = Signal::new("e", 1, 3000);
    signal.merge = Some(MergeOutcome {
        url: output(format).url,
        again: segments.iter().map(|index| unclean_run(rendition, &[*index])).collect(),
        passes: vec![NextPass { rendition: rendition.into(), bit_rate: 1_300_000, quality: 25.5 }],
        ..MergeOutcome::default()
    });
    signal
}

/// Returns an execution of a ladder of two rungs with averages, whose segments are all transcoded.
fn ladder() -> Execution {
    let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 25 });
    let bit_rate = Some(BitRate { average: 1_000_000, ..BitRate::default() });
    let settings = VideoSettings { crf: 23.0, bit_rate, ..VideoSettings::of("h264", &picture) };
    let mut signal = plan(3);
    let started = signal.started.as_mut().unwrap();
    for track in started.tracks.iter_mut().take(2) {
        track.video = Some(settings.clone());
    }
    started.outputs[1].renditions = vec!["w".into(), "a".into()];
    let mut execution = Execution::default();
    execution.fold(signal);
    execution.fold_all(all_transcoded(3));
    execution
}

#[test]
fn the_passes_of_all_rungs_of_a_ladder_are_one_round() {
    let mut execution = ladder();
    let first = pass_of("mp4", "v", &[0, 1, 2]);
    assert!(segments(&execution.fold(first.clone())).is_empty(), "the other rung is judged first");
    execution.assert_unchanged_by([first]);
    let again = segments(&execution.fold(pass_of("flv", "w", &[0, 1, 2])));
    assert_eq!(again.len(), 3, "each segment once");
    let qualities = again.iter().flat_map(|segment| &segment.renditions);
    assert!(qualities.map(|rendition| rendition.video.as_ref().unwrap().crf).all(|crf| crf == 25.5));
    assert_eq!((execution.state().round, &execution.state().waiting), (1, &None));
}

#[test]
fn a_rung_that_is_as_asked_lets_the_other_begin_its_pass() {
    let mut execution = ladder();
    execution.fold(pass_of("mp4", "v", &[0, 1, 2]));
    let again = segments(&execution.fold(proven("flv", 0)));
    assert_eq!(again.len(), 3);
    let crfs = |segment: &millrace_schemas::Segment| -> Vec<f64> {
        segment.renditions.iter().map(|rendition| rendition.video.as_ref().unwrap().crf).collect()
    };
    assert_eq!(crfs(&again[0]), [25.5, 23.0]);
    // The other way round, it is there before.
    let mut execution = ladder();
    execution.fold(proven("flv", 0));
    assert_eq!(segments(&execution.fold(pass_of("mp4", "v", &[0, 1, 2]))).len(), 3);
}

#[test]
fn segments_of_an_encoder_of_whole_numbers_have_two_qualities() {
    let mut execution = averaged(4, "av1", 35.0);
    let outcome = pass(&execution, 1_300_000, 40.5);
    let again = segments(&execution.fold(outcome));
    let qualities: Vec<f64> =
        again.iter().map(|segment| segment.renditions[0].video.as_ref().unwrap().crf).collect();
    let count = |quality: f64| qualities.iter().filter(|other| **other == quality).count();
    assert_eq!((count(40.0), count(41.0)), (2, 2), "{qualities:?}");
}
