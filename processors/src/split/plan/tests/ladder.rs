//! Plans of ladders.

use super::*;

const KEYS: &str = r#""codec": "h264", "rungs": [{"height": 240}, {"height": 360}, {"height": 120}]"#;

fn ladder(keys: &str, more: &str) -> String {
    format!(
        r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5, "profile":
        {{"video": {{"a": {{{keys}}}}}, "output": [{{"format": "mp4"}}]{more}}}}}"#
    )
}

fn starts(plan: &Plan) -> Vec<i64> {
    plan.segments.iter().filter(|segment| segment.kind == TrackKind::Video).filter_map(|s| s.start).collect()
}

#[test]
fn a_ladder_is_one_decode_whose_segments_begin_on_its_grid() {
    let plan = planned(&facts(), &ladder(KEYS, "")).unwrap();
    let urls: Vec<&str> = plan.started.outputs.iter().map(|output| output.url.as_str()).collect();
    assert_eq!(urls, ["file:///o/a-360p.mp4", "file:///o/a-240p.mp4", "file:///o/a-120p.mp4"]);
    let sizes: Vec<i32> =
        plan.segments[0].renditions.iter().map(|r| r.video.as_ref().unwrap().height).collect();
    assert_eq!(sizes, [360, 240, 120]);
    // 5 s are two and a half intervals of 2 s.
    assert_eq!(starts(&plan), [6000, 12_000, 18_000, 24_000]);
    let sound: Vec<&String> =
        plan.started.outputs.iter().filter_map(|output| output.renditions.get(1)).collect();
    assert!(sound.len() == 3 && sound.windows(2).all(|pair| pair[0] == pair[1]), "one encode of the sound");
    let indices = plan.segments.iter().map(|segment| segment.index);
    assert_eq!(check_plan(&plan.started, indices), Ok(()));
}

#[test]
fn other_renditions_are_cut_with_a_ladder() {
    let json = ladder(KEYS, "").replace(
        r#"[{"format": "mp4"}]"#,
        r#"[{"format": "mp4", "video": "a"}, {"format": "mkv", "video": "b"}]"#,
    );
    let json = json.replace(r#""video": {"a""#, r#""video": {"b": {"codec": "h264", "quality": 30}, "a""#);
    let plan = planned(&facts(), &json).unwrap();
    assert_eq!(plan.segments[0].renditions.len(), 4);
    assert_eq!(starts(&plan), [6000, 12_000, 18_000, 24_000]);
}

#[test]
fn the_grid_of_a_part_begins_with_it() {
    let plan = planned(&facts(), &ladder(KEYS, r#", "source": {"trim": {"from": "1.5s"}}"#)).unwrap();
    assert_eq!(starts(&plan)[..2], [7500, 13_500]);
    let settings = plan.segments[0].renditions[0].video.clone().unwrap();
    assert_eq!((settings.keyframe_seconds, settings.keyframe_grid), (2.0, Some(1500)));
}

#[test]
fn rungs_with_an_average_are_held_to_segments_as_they_are_cut() {
    let keys = r#""codec": "h264", "rungs": [{"height": 240, "bitrate": "1M", "max_bitrate": "2M"}, {"height": 360}]"#;
    let plan = planned(&facts(), &ladder(keys, "")).unwrap();
    let of = |height: i32| {
        let is_it = |r: &Rendition| r.video.as_ref().is_some_and(|video| video.height == height);
        let segment = plan.segments.iter().find(|segment| segment.renditions.iter().any(is_it)).unwrap();
        (segment.index, segment.renditions[0].video.clone().unwrap())
    };
    let ((averaged, settings), (constant, _)) = (of(240), of(360));
    assert_ne!(averaged, constant, "passes make nothing else again");
    let rate = settings.bit_rate.unwrap();
    assert_eq!(rate, hold_segments(rate, &[6.0; 5]));
    assert!(rate.segment_most > 0 && rate.segment_most < rate.most);
}

#[test]
fn a_source_whose_times_can_not_be_trusted_is_one_segment() {
    let mut facts = facts();
    facts.video.as_mut().unwrap().trusted = false;
    assert_eq!(starts(&planned(&facts, &ladder(KEYS, "")).unwrap()), [0; 0]);
}
