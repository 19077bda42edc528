use millrace_formats::TABLES;
use millrace_schemas::{Ratio, VideoTrack};
use proptest::prelude::*;

use super::*;
use crate::profile::Profile;

const CLOCK: Ratio = Ratio { num: 1, den: 90_000 };

fn facts(picture: Picture) -> SourceFacts {
    SourceFacts { video: Some(VideoTrack::new(0, picture, (900, 90_900))), ..SourceFacts::default() }
}

fn plain(width: i32, height: i32) -> Picture {
    Picture::plain((width, height), Ratio { num: 25, den: 1 }, CLOCK)
}

fn wanted(keys: &str, format: &str) -> Vec<Wanted> {
    let text = format!("[video.a]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"{format}\"");
    Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap()
}

/// Returns the names and sizes of what is made of pictures like these.
fn made_of(keys: &str, picture: &Picture) -> Vec<String> {
    let made = for_source(wanted(keys, "mp4"), &facts(picture.clone())).unwrap();
    let text = |wanted: &Wanted| {
        let settings = wanted.video_settings(picture).unwrap();
        format!("{} {}x{}", wanted.file_name("a"), settings.width, settings.height)
    };
    made.iter().map(text).collect()
}

fn made(keys: &str, size: (i32, i32)) -> Vec<String> {
    made_of(keys, &plain(size.0, size.1))
}

const LISTED: &str = "rungs = [{ height = 360 }, { height = 1080 }, { height = 720 }]";

#[test]
fn each_rung_is_an_output_the_largest_first() {
    assert_eq!(
        made(LISTED, (1920, 1080)),
        ["a-1080p.mp4 1920x1080", "a-720p.mp4 1280x720", "a-360p.mp4 640x360"]
    );
}

#[test]
fn a_rung_that_is_larger_than_the_source_is_left_out() {
    assert_eq!(made(LISTED, (1280, 720)), ["a-720p.mp4 1280x720", "a-360p.mp4 640x360"]);
    assert_eq!(made(LISTED, (1000, 562)), ["a-360p.mp4 640x360"]);
    assert_eq!(made(LISTED, (320, 240)), ["a-360p.mp4 320x240"], "one in the source's size");
    let wide = "rungs = [{ size = \"1920x1080\" }, { height = 720 }]";
    assert_eq!(made(wide, (1920, 800)), ["a-1080p.mp4 1920x800", "a-720p.mp4 1728x720"]);
}

#[test]
fn portrait_pictures_have_the_same_sizes_on_their_side() {
    assert_eq!(made(LISTED, (1080, 1920))[1], "a-720p.mp4 720x1280");
    assert_eq!(made("rungs = [{ size = \"640x360\" }]", (1080, 1920)), ["a-360p.mp4 360x640"]);
    assert_eq!(made("rotate = 90\nrungs = [{ width = 640 }]", (1920, 1080)), ["a-640w.mp4 360x640"]);
    assert_eq!(
        made("rungs = \"auto\"", (720, 1280)),
        ["a-720p.mp4 720x1280", "a-480p.mp4 480x854", "a-360p.mp4 360x640", "a-240p.mp4 240x426"]
    );
}

#[test]
fn rungs_of_the_sources_size_begin_with_it_and_are_apart() {
    let names = |keys: &str, size| {
        let made = made(keys, size);
        made.iter()
            .map(|made| made.split(['-', '.']).nth(1).unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names("rungs = \"auto\"", (3840, 2160)), "2160p 1440p 1080p 720p 480p 360p 240p");
    assert_eq!(names("rungs = \"auto\"", (1920, 800)), "800p 480p 360p 240p", "720 is too near to 800");
    assert_eq!(names("rungs = \"auto\"", (320, 180)), "180p");
    assert_eq!(names("rungs = \"auto\"\nheight = 1080", (3840, 2160)), "1080p 720p 480p 360p 240p");
    assert_eq!(names("crop = { top = 180, bottom = 180 }\nrungs = \"auto\"", (1280, 720)), "360p 240p");
    let hevc = "rungs = \"auto\"\n[[output]]\nformat = \"mov\"";
    assert_eq!(wanted(hevc, "mp4")[0].most_rungs(), 10);
    let pal = Picture { sample_aspect: Ratio { num: 64, den: 45 }, ..plain(720, 576) };
    assert_eq!(
        made_of("rungs = \"auto\"", &pal),
        ["a-576p.mp4 720x576", "a-480p.mp4 600x480", "a-360p.mp4 450x360", "a-240p.mp4 300x240"]
    );
}

#[test]
fn rungs_that_come_out_equal_are_one() {
    let twice = "rungs = [{ height = 720 }, { width = 1280 }, { height = 720, name = \"b\", quality = 30 }]";
    assert_eq!(made(twice, (1920, 1080)), ["a-720p.mp4 1280x720", "a-b.mp4 1280x720"]);
}

#[test]
fn all_names_are_known_before_the_source_is() {
    let names = |keys: &str| wanted(keys, "mp4")[0].file_names("a");
    assert_eq!(names(LISTED), ["a-360p.mp4", "a-1080p.mp4", "a-720p.mp4"]);
    assert_eq!(names("rungs = \"auto\"").last().unwrap(), "a-{rung}.mp4");
    let auto = &wanted("rungs = \"auto\"", "mp4")[0];
    assert!(auto.output_urls("s3://o", "s3://i/a%20b.mov").contains(&"s3://o/a%20b-720p.mp4".to_owned()));
    let may = |url: &str| auto.may_make(("s3://o", "s3://i/a.mov"), url);
    assert!(may("s3://o/a-720p.mp4") && may("s3://o/a-802p.mp4"));
    assert!(!may("s3://o/a-big.mp4") && !may("s3://o/b-720p.mp4") && !may("s3://o/a-720p.flv"));
    let text = "[video.a]\ncodec = \"h264\"\nrungs = \"auto\"\n[video.b]\ncodec = \"h264\"\n[[output]]\nformat = \"mp4\"\n\
                video = \"a\"\n[[output]]\nformat = \"mp4\"\nvideo = \"b\"\nname = \"{stem}-802p.{ext}\"";
    let both = Profile::from_toml(text).unwrap().wanted(&TABLES).unwrap();
    assert!(for_source(both.clone(), &facts(plain(1920, 1080))).is_ok());
    let refused = for_source(both, &facts(plain(1920, 802))).unwrap_err();
    assert!(refused.contains("two outputs of this source would be called {stem}-802p.mp4"), "{refused}");
}

#[test]
fn a_source_without_pictures_has_no_rungs() {
    let refused = for_source(wanted(LISTED, "mp4"), &SourceFacts::default()).unwrap_err();
    assert!(refused.contains("ask for an encoding without rungs"), "{refused}");
    assert!(for_source(wanted(LISTED, "mp3"), &SourceFacts::default()).is_ok(), "it holds sound alone");
}

#[test]
fn keyframes_of_rungs_are_on_a_grid_from_the_first_picture_on() {
    let track = facts(plain(1920, 1080)).video.unwrap();
    let grid = |keys: &str, is_trimmed: bool| {
        let made = for_source(wanted(keys, "mp4"), &facts(plain(1920, 1080))).unwrap();
        let of = |wanted: &Wanted| {
            let all = wanted.all_pictures(&TABLES, &track, is_trimmed).unwrap();
            assert_eq!(all.len(), 1);
            (all[0].keyframe_seconds, all[0].keyframe_grid)
        };
        let all: Vec<_> = made.iter().map(of).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
        all[0]
    };
    assert_eq!(grid(LISTED, false), (2.0, Some(900)));
    assert_eq!(grid(&format!("keyframe_interval = 3\n{LISTED}"), false), (3.0, Some(900)));
    // 0.01 s is in the middle between the first two of 50 a second; the first in a part is the second.
    assert_eq!(grid(&format!("frame_rate = 40\n{LISTED}"), false), (2.0, Some(0)));
    assert_eq!(grid(&format!("frame_rate = 40\n{LISTED}"), true), (2.0, Some(1)));
    assert_eq!(grid("keyframe_interval = 2", false), (2.0, None), "no ladder");
}

#[test]
fn a_format_of_many_video_tracks_has_all_rungs_in_one_output() {
    let mut many = *TABLES.container("mp4").unwrap();
    many.video.most = usize::MAX;
    let many: &'static millrace_formats::Container = Box::leak(Box::new(many));
    let mut output = wanted(LISTED, "mp4").remove(0);
    output.container = many;
    assert_eq!(output.file_names("a").len(), 1);
    let made = for_source(vec![output.clone()], &facts(plain(1280, 720))).unwrap();
    assert_eq!(made.len(), 1);
    let track = facts(plain(1280, 720)).video.unwrap();
    let all = made[0].all_pictures(&TABLES, &track, false).unwrap();
    let sizes: Vec<_> = all.iter().map(|s| (s.width, s.height, s.keyframe_grid)).collect();
    assert_eq!(sizes, [(1280, 720, Some(900)), (640, 360, Some(900))], "the largest first");
    assert_eq!(
        for_source(vec![output], &SourceFacts::default()).map(|made| made.len()),
        Ok(1),
        "of sound alone"
    );
}

#[test]
fn a_rung_has_the_keys_of_the_ladder_but_for_its_own() {
    let of = |keys: &str, rung: &str| {
        let text = format!("[video.a]\ncodec = \"h264\"\n{keys}\nrungs = [{rung}]");
        let ladder = Profile::from_toml(&text).unwrap().video.remove("a").unwrap();
        match &ladder.rungs {
            Some(Rungs::Listed(rungs)) => encoding_of(&rungs[0], &ladder),
            other => panic!("{other:?}"),
        }
    };
    let made = of("quality = 20\npreset = \"fast\"\ndenoise = \"light\"", "{ height = 720 }");
    assert_eq!((made.quality, made.preset.as_deref(), made.height), (Some(20.0), Some("fast"), Some(720)));
    assert!(made.denoise.is_some() && made.rungs.is_none());
    let made = of("quality = 20", "{ height = 720, bitrate = \"1M\" }");
    assert_eq!((made.quality, made.bitrate.map(|rate| rate.0)), (None, Some(1_000_000)));
    let made = of("max_bitrate = \"6M\"\nbuffer = \"12M\"", "{ height = 720, max_bitrate = \"3M\" }");
    assert_eq!((made.max_bitrate.map(|rate| rate.0), made.buffer), (Some(3_000_000), None));
}

fn rung() -> impl Strategy<Value = String> {
    let side = || 2..3000_i32;
    prop_oneof![
        side().prop_map(|side| format!("{{ height = {side} }}")),
        side().prop_map(|side| format!("{{ width = {side} }}")),
        (side(), side()).prop_map(|(width, height)| format!("{{ size = \"{width}x{height}\" }}")),
    ]
}

proptest! {
    /// However rungs are asked for, there is one at least, and none is larger than the source or there twice.
    #[test]
    fn rungs_are_within_the_source(
        rungs in prop_oneof![
            Just("\"auto\"".to_owned()),
            prop::collection::vec(rung(), 1..6).prop_map(|rungs| format!("[{}]", rungs.join(", "))),
        ],
        (width, height) in (1..2000_i32, 1..2000_i32).prop_map(|(width, height)| (2 * width, 2 * height)),
        aspect in (1..4_i32, 1..4_i32),
    ) {
        let text = format!("[video.a]\ncodec = \"h264\"\nrungs = {rungs}\n[[output]]\nformat = \"mp4\"");
        // Two of one name are refused.
        if let Ok(wanted) = Profile::from_toml(&text).unwrap().wanted(&TABLES) {
            let picture = Picture { sample_aspect: Ratio { num: aspect.0, den: aspect.1 }, ..plain(width, height) };
            let made = for_source(wanted, &facts(picture.clone())).unwrap();
            prop_assert!((1..=16).contains(&made.len()));
            let all: Vec<VideoSettings> = made.iter().map(|made| made.video_settings(&picture).unwrap()).collect();
            for (i, settings) in all.iter().enumerate() {
                prop_assert!(settings.width <= width && settings.height <= height, "{settings:?}");
                prop_assert!(!all[..i].contains(settings));
            }
        }
    }
}
