mod ladder;
mod trim;

use millrace_schemas::{
    CodedStream, Encoders, Keyframe, Picture, Ratio, Seek, SeekBy, Signal, Sound, VideoSettings,
    frame::Record as _,
};
use millrace_topology::invariants::check_plan;
use proptest::prelude::*;

use super::*;

fn facts() -> SourceFacts {
    let picture = Picture::plain((640, 360), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
    let seek = |at| Seek { by: SeekBy::Time, at, state: 0 };
    let keyframe = |i: i64| Keyframe { pts: i * 1000, seek: seek(i * 1000) };
    SourceFacts {
        video: Some(VideoTrack {
            keyframes: (0..30).map(keyframe).collect(),
            trusted: true,
            ..VideoTrack::new(0, picture, (0, 30_000))
        }),
        audio: vec![sound(1)],
        ..SourceFacts::default()
    }
}

fn sound(stream: i32) -> AudioTrack {
    let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
    AudioTrack { stream, sound, samples: 1_440_000, ..AudioTrack::default() }
}

const EXECUTION: &str = "00000000000000ee";

fn planned(facts: &SourceFacts, json: &str) -> Result<Plan, String> {
    let source = SourceRef { url: "file:///a.mov".into(), version: "1".into(), bytes: 1 };
    plan(&Upload::read(json.as_bytes()).unwrap(), &source, EXECUTION, facts, &Encoders::default())
}

const BOTH: &str = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5,
    "dst_formats": ["mp4", "flv"]}"#;

/// Returns a source with the most segments, of a tenth of a second each, and the most keyframes that an inspection may report.
fn largest() -> SourceFacts {
    let mut facts = facts();
    let video = facts.video.as_mut().unwrap();
    video.end = 99_000 * 100;
    let keyframe = |i: i64| Keyframe { pts: i * 9, seek: Seek { by: SeekBy::Byte, at: i * 9, state: 0 } };
    video.keyframes = (0..1_000_000).map(keyframe).collect();
    facts
}

const TENTHS: &str =
    r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 0.1}"#;

#[test]
fn the_largest_plan_covers_its_source_and_one_that_is_larger_is_refused() {
    let mut facts = largest();
    let plan = planned(&facts, TENTHS).unwrap();
    assert!(plan.segments.len() > 90_000, "{}", plan.segments.len());
    facts.video.as_mut().unwrap().end *= 2;
    facts.video.as_mut().unwrap().keyframes.iter_mut().for_each(|keyframe| keyframe.pts *= 2);
    assert!(planned(&facts, TENTHS).err().unwrap().contains("more than 100000 segments"));
}

#[test]
fn the_size_of_segments_is_checked_before_they_are_made() {
    let encoders = Encoders::default();
    let mut builder = PlanBuilder {
        encoders: &encoders,
        wanted: Vec::new(),
        outputs: Vec::new(),
        blank: planned(&facts(), BOTH).unwrap().segments.remove(0),
        segments: Vec::new(),
        tracks: Vec::new(),
        carried: 0,
    };
    let like = Segment { jumps: vec![0; 10_000], ..builder.blank.clone() };
    assert!(builder.reserve(100_000, &like).unwrap_err().contains("clock jumps"));
    builder.carried = 0;
    assert_eq!(builder.reserve(1000, &like), Ok(()));
    assert!(builder.segments.is_empty());
    // All tracks count together.
    assert!(builder.reserve(cuts::MOST_SEGMENTS + 1, &bare(&like)).is_err());
}

fn bare(like: &Segment) -> Segment {
    Segment { jumps: Vec::new(), states: Vec::new(), ..like.clone() }
}

#[test]
fn formats_of_equal_settings_cost_one_encode() {
    let plan = planned(&facts(), BOTH).unwrap();
    assert_eq!(plan.started.tracks.len(), 2);
    assert_eq!(plan.started.outputs.len(), 2);
    assert_eq!(plan.started.outputs[0].renditions, plan.started.outputs[1].renditions);
    assert!(plan.segments.iter().all(|segment| segment.renditions.len() == 1));
}

#[test]
fn segments_are_numbered_video_first_and_sound_is_whole() {
    let plan = planned(&facts(), BOTH).unwrap();
    assert_eq!(plan.segments.iter().map(|s| s.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    let sound = &plan.segments[6];
    assert_eq!((sound.kind, sound.start, sound.end), (TrackKind::Audio, None, None));
    assert_eq!(plan.segments[0].expected_units, 125);
}

#[test]
fn at_another_frame_rate_the_pictures_of_a_segment_are_its_ticks() {
    let json = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5, "profile":
        {"video": {"a": {"codec": "h264", "frame_rate": 24}}, "output": [{"format": "mp4"}]}}"#;
    let plan = planned(&facts(), json).unwrap();
    let expected: Vec<i64> = plan.segments.iter().map(|segment| segment.expected_units).collect();
    assert_eq!(expected[..6], [120; 6]);
    let settings = plan.segments[0].renditions[0].video.clone().unwrap();
    assert_eq!(
        (settings.time_base, settings.frame_rate),
        (Ratio { num: 1, den: 24 }, Ratio { num: 24, den: 1 })
    );
    assert!(settings.is_resampled());
}

#[test]
fn formats_of_one_sound_track_take_the_default_and_others_all() {
    let mut facts = facts();
    facts.audio = vec![sound(1), sound(2), sound(3)];
    facts.audio[1].tags.dispositions = DEFAULT;
    let plan = planned(&facts, BOTH).unwrap();
    let [mp4, flv] = plan.started.outputs.as_slice() else { panic!("two outputs") };
    assert_eq!(mp4.renditions.len(), 4);
    assert_eq!(flv.renditions, [mp4.renditions[0].clone(), mp4.renditions[2].clone()]);
    let mut ids: Vec<_> = plan.started.tracks.iter().map(|track| track.rendition.clone()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "equal settings of two tracks are two renditions");
}

#[test]
fn formats_of_one_sound_track_take_the_one_that_plays() {
    let sounds = |sounds: &[(bool, f64)]| -> usize {
        let sounds: Vec<AudioTrack> = sounds
            .iter()
            .map(|(default, seconds)| AudioTrack {
                seconds: *seconds,
                tags: TrackTags { dispositions: i32::from(*default) * DEFAULT, ..TrackTags::default() },
                ..sound(1)
            })
            .collect();
        super::super::ranks::main_sound(&sounds)
    };
    assert_eq!(sounds(&[(false, 60.0), (true, 2.0)]), 1, "the default one");
    assert_eq!(sounds(&[(true, 2.0), (true, 60.0)]), 1, "of two, the longer one");
    assert_eq!(sounds(&[(false, 2.0), (false, 60.0), (false, 60.0)]), 1, "the first of equal ones");
    assert_eq!(sounds(&[(false, 59.9), (false, 60.0)]), 0, "a packet more makes it no other");
    assert_eq!(sounds(&[(false, 0.0), (false, 0.0)]), 0, "no length is known");
}

#[test]
fn a_track_says_how_all_of_its_segments_are_read() {
    let mut facts = facts();
    facts.discontinuities = vec![-40];
    facts.audio[0] = AudioTrack { samples: 48_000 * 600, first: Some(0), more_streams: vec![8], ..sound(1) };
    facts.auxiliary =
        vec![AuxiliaryTrack { stream: 2, codec: "mov_text".into(), tags: TrackTags::default() }];
    if let Some(video) = &mut facts.video {
        (video.more_streams, video.states, video.longest_gap) = (vec![7], vec!["AWQ=".into()], 80);
    }
    let plan = planned(&facts, BOTH).unwrap();
    for track in &plan.started.tracks {
        let segments: Vec<_> = plan.segments.iter().filter(|s| track.holds(s.index)).collect();
        assert_eq!(segments.len(), track.indices().len());
        for segment in segments {
            assert_eq!(Some(segment.track_source()), track.source, "segment {}", segment.index);
            let rendition = segment.renditions.iter().find(|r| r.id == track.rendition).unwrap();
            assert_eq!((&rendition.video, &rendition.audio), (&track.video, &track.audio));
        }
    }
}

#[test]
fn long_sound_without_holes_is_cut_on_the_grid_and_other_sound_is_whole() {
    let mut facts = facts();
    facts.audio[0] = AudioTrack { samples: 48_000 * 600, first: Some(-7), ..sound(1) };
    let plan = planned(&facts, BOTH).unwrap();
    let parts: Vec<_> = plan.segments.iter().filter(|s| s.stream == 1).collect();
    assert_eq!(parts.len(), 10);
    assert_eq!((parts[0].start, parts[9].end), (None, None));
    for pair in parts.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
        assert_eq!((pair[1].start.unwrap() + 7) % 1024, 0);
    }
    facts.audio[0].sound.sample_rate = 10_000;
    let plan = planned(&facts, BOTH).unwrap();
    assert_eq!(plan.segments.iter().filter(|s| s.stream == 1).count(), 1, "it is resampled");
}

#[test]
fn an_output_holds_each_encoding_of_each_track_or_those_of_its_languages() {
    let mut facts = facts();
    let of = |stream, language: &str, default: i32| AudioTrack {
        tags: TrackTags { language: language.into(), dispositions: default, ..TrackTags::default() },
        ..sound(stream)
    };
    facts.audio = vec![of(1, "ger", DEFAULT), of(2, "eng", 0), of(3, "", 0)];
    let planned = |output: &str| {
        let json = format!(
            r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": {{"audio": {{
                "main": {{"codec": "aac"}}, "small": {{"codec": "aac", "bitrate": "64k"}}}},
                "output": [{{"format": "mka", "audio": ["main", "small"]}}, {output}]}}}}"#
        );
        let plan = planned(&facts, &json).unwrap();
        let output = plan.started.outputs[1].clone();
        let tracks = plan.started.tracks.iter().filter(|track| output.renditions.contains(&track.rendition));
        let tracks: Vec<(i32, i64, bool)> = tracks
            .filter_map(|track| {
                let is_default = track.tags.as_ref()?.dispositions & DEFAULT != 0;
                Some((track.source.as_ref()?.stream, track.audio.as_ref()?.bit_rate, is_default))
            })
            .collect();
        (tracks, output.remarks)
    };
    let (tracks, _) = planned(r#"{"format": "mp4", "audio": ["main", "small"]}"#);
    let each = [(1, 128_000, true), (1, 64_000, false)];
    assert_eq!((&tracks[..2], tracks.len()), (&each[..], 6));
    let (tracks, remarks) = planned(r#"{"format": "mp4", "audio": {"deu": "main", "eng": "small"}}"#);
    assert_eq!((tracks, remarks.len()), (vec![(1, 128_000, true), (2, 64_000, false)], 0));
    let (tracks, _) = planned(r#"{"format": "flv", "audio": {"eng": "main"}}"#);
    assert_eq!(tracks, [(2, 128_000, false)], "the first that is asked for, not the first");
    let (tracks, remarks) = planned(r#"{"format": "mp4", "audio": {"fra": "main"}}"#);
    assert!(tracks.is_empty());
    assert_eq!(remarks, ["it has no audio: the source has none in fra"]);
}

#[test]
fn long_sound_is_cut_with_a_gain_and_whole_with_filters_that_see_other_samples() {
    let mut facts = facts();
    facts.audio[0] = AudioTrack { samples: 48_000 * 600, first: Some(0), ..sound(1) };
    for (filter, is_cut) in [
        (r#""gain": "-3dB""#, true),
        (r#""loudness": -16"#, false),
        (r#""high_pass": 80"#, false),
        (r#""denoise": true"#, false),
        (r#""fade_in": 1"#, false),
        (r#""fade_out": 1"#, false),
    ] {
        let json = format!(
            r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5, "profile":
                {{"audio": {{"a": {{"codec": "aac", {filter}}}}}, "output": [{{"format": "mp4"}}]}}}}"#
        );
        let plan = planned(&facts, &json).unwrap();
        let parts = plan.segments.iter().filter(|s| s.stream == 1);
        assert!(parts.clone().all(|part| part.renditions[0].audio.as_ref().unwrap().filters.is_some()));
        assert_eq!(parts.count() > 1, is_cut, "{filter}");
    }
}

#[test]
fn auxiliary_tracks_are_in_formats_that_hold_them() {
    let mut facts = facts();
    facts.auxiliary =
        vec![AuxiliaryTrack { stream: 2, codec: "mov_text".into(), tags: TrackTags::default() }];
    let plan = planned(&facts, BOTH).unwrap();
    assert_eq!(plan.started.outputs[0].renditions.len(), 3);
    assert_eq!(plan.started.outputs[1].renditions.len(), 2);
}

proptest! {
    /// SG-1: any plan is published with all of its segments.
    #[test]
    fn a_plan_is_published_with_all_of_its_segments(
        seconds in 0.2..40.0_f64, formats in 1..4_usize, video: bool, audio: bool, attempt in 1..4,
    ) {
        let mut facts = facts();
        facts.video = facts.video.filter(|_| video);
        facts.audio.retain(|_| audio);
        let upload = Upload {
            segment_time_seconds: seconds,
            dst_formats: ["mp4", "flv", "mp4"][..formats].iter().map(|f| (*f).to_owned()).collect(),
            attempt,
            ..Upload::of("file:///a.mov", "file:///o")
        };
        let source = SourceRef { url: "file:///a.mov".into(), version: "1".into(), bytes: 1 };
        let Ok(plan) = plan(&upload, &source, EXECUTION, &facts, &Encoders::default()) else {
            prop_assert!(!video && !audio);
            return Ok(());
        };
        let emits = crate::split::publish(&upload, EXECUTION, 7, plan).unwrap();
        let on = |stream: &str| -> Vec<Vec<u8>> {
            emits.iter().filter(|e| e.stream == stream).filter_map(|e| e.value.clone()).collect()
        };
        let signal = Signal::decode(&on("transcoded-segments")[0]).unwrap();
        let segments: Vec<Segment> = on("segments").iter().map(|v| Segment::decode(v).unwrap()).collect();
        prop_assert_eq!(check_plan(&signal.started.unwrap(), segments.iter().map(|s| s.index)), Ok(()));
        let work = format!("{EXECUTION}-{attempt}");
        prop_assert!(segments.iter().all(|segment| segment.work() == work));
    }
}

#[test]
fn timestamps_that_cannot_be_trusted_make_one_segment() {
    let mut facts = facts();
    if let Some(video) = &mut facts.video {
        video.trusted = false;
    }
    assert_eq!(planned(&facts, BOTH).unwrap().started.tracks[0].segments, 1);
}

#[test]
fn no_upload_reaches_the_work_of_another_execution() {
    let work = |name: &str| BOTH.replacen('{', &format!(r#"{{"work": "{name}", "#), 1);
    assert!(planned(&facts(), &work(&format!("{EXECUTION}-3"))).is_ok());
    let other = "00000000000000ff-1";
    for name in ["../E-1", other, &format!("E-1/../{other}"), "E-", "E", "E--1", "E-1/", "/tmp"] {
        let name = name.replace('E', EXECUTION);
        assert!(planned(&facts(), &work(&name)).is_err(), "{name}");
    }
}

#[test]
fn what_cannot_be_planned_is_refused_with_a_reason() {
    let nothing = SourceFacts::default();
    assert!(planned(&nothing, BOTH).is_err());
    let format = r#"{"source": "f", "output_prefix": "o", "dst_formats": ["avi"]}"#;
    assert!(planned(&facts(), format).err().unwrap().contains("mp4, flv"));
    let silent = SourceFacts { audio: Vec::new(), ..facts() };
    let format = r#"{"source": "f", "output_prefix": "file:///o", "dst_formats": ["mp4", "mka"]}"#;
    assert!(planned(&facts(), format).is_ok());
    assert!(
        planned(&silent, format)
            .err()
            .unwrap()
            .contains("mka would be empty: it holds neither pictures nor sound")
    );
    let time = r#"{"source": "f", "output_prefix": "o", "segment_time_seconds": 0}"#;
    assert!(planned(&facts(), time).is_err());
}

#[test]
fn pictures_that_no_encoder_makes_are_refused_before_any_work() {
    let choose = |settings: &VideoSettings, encoders: &Encoders| {
        let video = Some(settings.clone());
        choose_encoder(&mut Rendition { id: String::new(), video, audio: None, side: None }, encoders)
    };
    let settings = |codec: &str| {
        let picture = facts().video.unwrap().picture;
        tables().codec(codec).unwrap().video_settings(&picture, &Default::default()).unwrap()
    };
    let only: Encoders =
        ["h264", "libx264"].map(|name| (name.into(), "libx264 (Lavc)".into())).into_iter().collect();
    assert_eq!(choose(&settings("h264"), &only), Ok(()));
    assert_eq!(choose(&settings("hevc"), &Encoders::default()), Ok(()), "in simulation none is known");
    let missing = choose(&settings("hevc"), &only).unwrap_err();
    assert!(
        missing.starts_with("this FFmpeg has no encoder 'libx265', which makes hevc; install"),
        "{missing}"
    );
    let named = VideoSettings { encoder: "h264_nvenc".into(), ..settings("h264") };
    assert!(choose(&named, &only).unwrap_err().contains("no encoder 'h264_nvenc'"));
    let every_second = VideoSettings { keyframe_seconds: 1.0, ..settings("av1") };
    assert!(choose(&every_second, &Encoders::default()).unwrap_err().contains("places keyframes by itself"));
    let small = VideoSettings { width: 32, height: 32, ..settings("av1") };
    assert!(choose(&small, &Encoders::default()).unwrap_err().contains("too small"));
}

/// `millrace_formats::planted` adds a container of its own codec: no line of this crate knows them.
#[test]
fn a_planted_container_gets_pictures_of_the_planted_codec() {
    let plan = planned(&facts(), &BOTH.replace("\"flv\"", "\"ipod\"")).unwrap();
    let [mp4, ipod] = plan.started.outputs.as_slice() else { panic!("two outputs") };
    assert_eq!((mp4.renditions.len(), ipod.renditions.len()), (2, 1), "it holds no sound");
    assert!(ipod.url.ends_with("/a.ipod"), "{}", ipod.url);
    let track = |id: &str| plan.started.tracks.iter().find(|track| track.rendition == id).unwrap();
    let track = track(&ipod.renditions[0]);
    assert_eq!(track.video.as_ref().unwrap().codec, "mpeg4");
    assert_eq!(track.segments, 6);
}

#[test]
fn a_format_that_holds_one_sound_holds_the_one_that_plays() {
    let mut facts = facts();
    let mut plays = sound(2);
    plays.sound.sample_rate = 44_100;
    plays.tags.dispositions = DEFAULT;
    facts.audio.push(plays);
    let plan = planned(&facts, BOTH).unwrap();
    let rates = |output: &OutputPlan| -> Vec<i32> {
        let track = |id: &String| plan.started.tracks.iter().find(|track| track.rendition == *id).unwrap();
        let sounds = output.renditions.iter().filter_map(|id| track(id).audio.as_ref());
        sounds.map(|audio| audio.sample_rate).collect()
    };
    assert_eq!(rates(&plan.started.outputs[0]), [48_000, 44_100]);
    assert_eq!(rates(&plan.started.outputs[1]), [44_100]);
}

#[test]
fn text_of_a_codec_without_an_entry_is_refused() {
    let mut facts = facts();
    facts.auxiliary = vec![AuxiliaryTrack { stream: 2, codec: "ttml".into(), tags: TrackTags::default() }];
    assert!(planned(&facts, BOTH).err().unwrap().starts_with("unknown codec 'ttml'"));
}

#[test]
fn a_format_without_pictures_gets_sound_alone_and_is_refused_where_there_is_none() {
    let wanted = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "dst_formats": ["m4a"]}"#;
    let mut facts = facts();
    let plan = planned(&facts, wanted).unwrap();
    assert_eq!((plan.segments.len(), plan.segments[0].video_segments), (1, 0));
    assert!(plan.started.tracks.iter().all(|track| track.kind == TrackKind::Audio && track.audio.is_some()));
    assert_eq!(plan.started.outputs[0].renditions.len(), 1);
    facts.audio.clear();
    let refused = planned(&facts, wanted).err().unwrap();
    assert!(refused.starts_with("m4a would be empty"), "{refused}");
}

#[test]
fn a_copy_is_one_segment_behind_those_of_encodes_and_needs_no_encoder() {
    let mut facts = facts();
    let video = facts.video.as_mut().unwrap();
    video.coded = CodedStream { codec: "vp9".into(), width: 640, height: 360, ..CodedStream::default() };
    let json = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5, "profile": {
        "video": {"same": {"codec": "copy"}, "small": {"codec": "h264", "height": 90}},
        "output": [{"format": "mkv", "video": "same"}, {"format": "mp4", "video": "small"}]}}"#;
    let plan = planned(&facts, json).unwrap();
    let pictures = plan.started.tracks.iter().filter_map(|track| Some((track, track.video.as_ref()?)));
    let pictures: Vec<_> = pictures
        .map(|(track, video)| {
            (video.codec.as_str(), video.encoder.as_str(), track.first_segment, track.segments)
        })
        .collect();
    assert_eq!(pictures, [("h264", "", 0, 6), ("vp9", "copy", 6, 1)]);
    let copy = &plan.segments[6];
    assert_eq!((copy.index, copy.start, copy.end, copy.renditions.len()), (6, None, None, 1));
    assert_eq!(plan.started.outputs[0].renditions[0], copy.renditions[0].id);
    let only: Encoders = [("h264".into(), "libx264 (Lavc)".into())].into_iter().collect();
    assert_eq!(choose_encoder(&mut copy.renditions[0].clone(), &only), Ok(()));
    facts.video.as_mut().unwrap().coded.obstacle = Some("the file is cut off".into());
    let refused = planned(&facts, json).err().unwrap();
    assert!(
        refused.starts_with("the pictures of the source can't be copied into mkv: the file is cut off"),
        "{refused}"
    );
}

#[test]
fn times_of_images_are_moved_from_the_output_to_the_source() {
    let of = |trim: &str, audio_starts: i64| {
        let mut facts = facts();
        let video = facts.video.as_mut().unwrap();
        (video.first, video.end) = (2000, 30_000);
        facts.audio[0].start_us = audio_starts;
        facts.audio[0].seconds = 20.0;
        let json = format!(
            r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": {{"output": [{{"format": "mp4"}}],
            "source": {{{trim}}}, "video": {{"a": {{"codec": "h264", "watermark":
            {{"image": "file:///l.png", "from": 1, "to": 3}}}}}}}}}}"#
        );
        let plan = planned(&facts, &json).unwrap();
        let settings = plan.segments.iter().find_map(|segment| segment.renditions.first()?.video.clone());
        let overlay = settings.unwrap().filters.unwrap().overlays.remove(0);
        (overlay.from, overlay.to)
    };
    assert_eq!(of("", 2_000_000), (3.0, Some(5.0)));
    assert_eq!(of("", 1_500_000), (2.5, Some(4.5)), "the audio begins earlier");
    assert_eq!(of(r#""trim": {"from": "4s"}"#, 2_000_000), (7.0, Some(9.0)));
}

#[test]
fn a_text_track_that_is_burnt_in_is_not_kept_and_times_of_a_file_begin_with_the_source() {
    let of = |keys: &str| {
        let mut facts = facts();
        let video = facts.video.as_mut().unwrap();
        (video.first, video.end) = (2000, 30_000);
        facts.audio[0].start_us = 1_500_000;
        let text = |stream, language: &str| {
            let tags = TrackTags { language: language.into(), ..TrackTags::default() };
            AuxiliaryTrack { stream, codec: "mov_text".into(), tags }
        };
        facts.auxiliary = vec![text(2, "eng"), text(3, "ger")];
        let json = format!(
            r#"{{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": {{"output": [{{"format": "mp4"}}],
            "source": {{"trim": {{"from": "4s"}}}}, "video": {{"a": {{"codec": "h264", {keys}}}}}}}}}"#
        );
        planned(&facts, &json).map(|plan| {
            let settings = plan.segments.iter().find_map(|segment| segment.renditions.first()?.video.clone());
            let texts =
                plan.started.tracks.iter().filter(|track| track.video.is_none() && track.audio.is_none());
            (settings.unwrap().filters.unwrap(), texts.count())
        })
    };
    let (filters, kept) = of(r#""subtitles": {"burn": "deu"}"#).unwrap();
    let subtitles = filters.subtitles.unwrap();
    assert_eq!((subtitles.stream, subtitles.shift, kept), (3, 0, 1));
    let (filters, kept) =
        of(r#""subtitles": {"file": "file:///s.srt"}, "watermark": {"text": "© {stem}"}"#).unwrap();
    let subtitles = filters.subtitles.unwrap();
    assert_eq!((subtitles.stream, subtitles.shift, kept), (-1, 1500, 2), "not those of the part");
    assert_eq!((filters.texts[0].text.as_str(), filters.texts[0].from), ("© a", 5.5));
    assert!(of(r#""subtitles": {"burn": "fra"}"#).unwrap_err().contains("it has: eng, deu"));
}
