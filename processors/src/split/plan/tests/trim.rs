//! Plans of parts of a source.

use super::*;

fn trimmed(facts: &SourceFacts, trim: &str) -> Result<Plan, String> {
    let upload = format!(
        r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5,
            "profile": {{"output": [{{"format": "mp4"}}], "source": {{"trim": {trim}}}}}}}"#
    );
    planned(facts, &upload)
}

#[test]
fn only_the_part_that_is_used_is_cut_into_segments() {
    let plan = trimmed(&facts(), r#"{"from": 7.5, "to": "21s"}"#).unwrap();
    let video: Vec<_> = plan.segments.iter().filter(|s| s.kind == TrackKind::Video).collect();
    let ranges: Vec<_> = video.iter().map(|s| (s.start, s.end)).collect();
    // Near 12.5 s and 17.5 s.
    assert_eq!(ranges, [(None, Some(12_000)), (Some(12_000), Some(17_000)), (Some(17_000), None)]);
    assert_eq!(video[0].seeks.iter().map(|seek| seek.at).collect::<Vec<_>>(), [7500, 7000, 6000, 5000]);
    assert_eq!(video.iter().map(|s| s.expected_units).collect::<Vec<_>>(), [113, 125, 100]);
    let trim = Some(Trim { from: 7_500_000, to: Some(21_000_000) });
    assert!(plan.segments.iter().all(|segment| segment.trim == trim));
    assert!(plan.started.tracks.iter().all(|track| track.source.as_ref().unwrap().trim == trim));
    assert_eq!(check_plan(&plan.started, plan.segments.iter().map(|s| s.index)), Ok(()));
    // From before the first picture on, it is read from its start.
    let beginning = trimmed(&facts(), r#"{"to": "4s"}"#).unwrap();
    assert_eq!((beginning.segments.len(), beginning.segments[0].end), (2, None));
}

#[test]
fn long_sound_is_cut_on_the_grid_of_the_part_that_is_used() {
    let mut facts = facts();
    facts.audio[0] = AudioTrack { samples: 48_000 * 600, first: Some(-7), seconds: 600.0, ..sound(1) };
    let plan = trimmed(&facts, r#"{"from": 100, "to": "5m"}"#).unwrap();
    let parts: Vec<_> = plan.segments.iter().filter(|s| s.stream == 1).collect();
    assert_eq!((parts.len(), parts[0].start, parts[2].end), (3, None, None));
    assert_eq!(parts[0].seeks, [Seek { by: SeekBy::Time, at: 4_800_000, state: 0 }]);
    assert!(parts[1..].iter().all(|part| (part.start.unwrap() - 4_800_000) % 1024 == 0));
    assert!(parts.iter().all(|part| part.expected_units == 48_000 * 200));
    facts.audio[0].first = None;
    let plan = trimmed(&facts, r#"{"from": 100, "to": "5m"}"#).unwrap();
    let whole: Vec<_> = plan.segments.iter().filter(|s| s.stream == 1).collect();
    assert_eq!((whole.len(), whole[0].seeks.len()), (1, 0), "its timestamps are not exact");
}

#[test]
fn outputs_of_two_parts_have_two_marks_and_the_same_renditions() {
    let plans = [r#"{"to": 3}"#, r#"{"to": 4}"#, r#"{"to": "3s"}"#].map(|t| trimmed(&facts(), t).unwrap());
    let [three, four, again] = plans.map(|plan| plan.started.outputs[0].clone());
    assert_eq!(three.renditions, four.renditions);
    assert_ne!(three.mark, four.mark);
    assert_eq!(three.mark, again.mark);
}
