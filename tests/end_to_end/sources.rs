//! Sources of all kinds come out right, in many short segments, to mp4 and to flv.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{
    Place,
    judge::{self, field, judge, judge_sound, pictures},
    media::kinds,
};

/// A source that is made into mp4 and flv, in segments of so many seconds.
struct Made {
    place: Place,
    source: PathBuf,
    result: Value,
}

fn made_in(file: &str, seconds: &str, generate: impl FnOnce(&Path)) -> Made {
    let place = Place::new();
    let source = place.path(file);
    generate(&source);
    let ran = place.run(&[&source], &["-f", "mp4", "-f", "flv", "--segment-time", seconds]);
    let result = ran.success().clone();
    Made { place, source, result }
}

fn made(file: &str, generate: impl FnOnce(&Path)) -> Made {
    made_in(file, "0.4", generate)
}

impl Made {
    fn output(&self, format: &str) -> PathBuf {
        let stem = self.source.file_stem().unwrap().to_str().unwrap();
        self.place.path(&format!("out/{stem}.{format}"))
    }

    /// Judged in both formats, by ffmpeg, and by `millrace verify`.
    fn is_right(&self, segments: u64) {
        let count = self.result["segments"].as_u64().unwrap();
        assert!(count >= segments, "{count} segments of {segments}");
        assert_eq!(self.result["warnings"], Value::Array(Vec::new()));
        for format in ["mp4", "flv"] {
            judge(&self.source, &self.output(format));
            self.is_verified(format);
        }
    }

    fn is_verified(&self, format: &str) {
        let output = self.output(format);
        let mut verify = self.place.millrace();
        verify.arg("verify").args([&self.source, &output]).args(["--pictures", "--sound"]);
        let said = verify.output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    }

    fn probe(&self, format: &str, entries: &str) -> String {
        judge::probed(&self.output(format), entries)
    }
}

#[test]
fn open_groups_with_a_pyramid_come_out_right() {
    made("a.mp4", kinds::open_groups).is_right(6);
    made("a.ts", kinds::open_groups).is_right(6);
    made("a.mkv", kinds::open_groups).is_right(6);
}

#[test]
fn edit_lists_are_followed() {
    made("edited.mp4", kinds::edited).is_right(2);
    made("paused.mp4", kinds::paused).is_right(3);
}

#[test]
fn animations_and_bare_pictures_are_videos() {
    for name in ["a.gif", "a.apng", "a.mjpeg", "a.y4m"] {
        made(name, kinds::animated).is_right(1);
    }
}

#[test]
fn what_a_part_alone_could_not_know_is_made_in_one() {
    let paletted = made("colours.avi", kinds::paletted);
    paletted.is_right(1);
    assert_eq!(paletted.result["segments"], 1);
    // Releases of FFmpeg read other times where the source has none, and its programs others than its libraries.
    let timeless = made("times.h263", kinds::timeless);
    assert_eq!(timeless.result["segments"], 1);
    for format in ["mp4", "flv"] {
        let output = timeless.output(format);
        assert_eq!(pictures(&output).len(), pictures(&timeless.source).len());
        let least = judge::likeness_after(&timeless.source, "null", &output);
        assert!(least > 25.0, "{format}: {least} dB");
        timeless.is_verified(format);
    }
}

#[test]
fn sound_that_begins_behind_much_video_is_found() {
    // Not by ffmpeg, which takes a late sound of these alone for one whose clock jumped.
    for name in ["a.ts", "a.mpg"] {
        let made = made(name, kinds::fast_before_sound);
        for format in ["mp4", "flv"] {
            made.is_verified(format);
            assert_eq!(field(&made.output(format), "a", "codec_name"), "aac");
        }
    }
}

#[test]
fn times_may_begin_anywhere() {
    made("late.ts", |path| kinds::starting_at(path, "100")).is_right(6);
    made("late.mkv", |path| kinds::starting_at(path, "7.3")).is_right(6);
    made("early.mov", |path| kinds::starting_at(path, "-0.5")).is_right(3);
}

#[test]
fn fields_stay_fields() {
    for order in ["tff", "bff"] {
        let made = made("a.mp4", |path| kinds::interlaced(path, order));
        made.is_right(6);
        let expected = if order == "tff" { "tt" } else { "bb" };
        assert_eq!(field(&made.output("mp4"), "v", "field_order"), expected);
        assert_eq!(field(&made.output("flv"), "v", "field_order"), expected);
    }
    let made = made("a.ts", kinds::interlaced_422);
    made.is_right(6);
    assert_eq!(field(&made.output("mp4"), "v", "field_order"), "tt");
}

#[test]
fn pictures_are_laid_down_as_a_player_would() {
    for (name, matrix, filter) in [
        ("mirrored", [-1, 0, 0, 1], "hflip"),
        ("upside-down", [1, 0, 0, -1], "vflip"),
        ("half", [-1, 0, 0, -1], "hflip,vflip"),
        ("quarter", [0, 1, -1, 0], "transpose=clock"),
        ("mirrored-quarter", [0, -1, -1, 0], "transpose=clock_flip"),
    ] {
        let made = made(&format!("{name}.mp4"), |path| kinds::laid(path, matrix));
        let least = judge::likeness_after(&made.source, filter, &made.output("mp4"));
        assert!(least > 25.0, "{name}: {least} dB");
        assert_eq!(made.probe("mp4", "stream_side_data=rotation"), "", "{name}: the matrix is left");
        made.is_verified("mp4");
    }
}

#[test]
fn sample_aspect_and_odd_sizes_are_kept() {
    let made = made("a.mp4", kinds::anamorphic);
    made.is_right(6);
    assert_eq!(field(&made.output("mp4"), "v", "sample_aspect_ratio"), "64:45");
    let made = self::made("odd.mkv", kinds::odd);
    assert_eq!(field(&made.output("mp4"), "v", "width,height"), "320,180");
    made.is_verified("mp4");
}

#[test]
fn colour_and_range_are_kept_and_told() {
    let cases = [
        ("full.mov", "yuvj420p", "-c:v libx264 -color_range pc", "pc,unknown,unknown,unknown"),
        ("full422.mov", "yuvj422p", "-c:v mjpeg -q:v 2", "pc,bt470bg,unknown,unknown"),
        (
            "sd.mp4",
            "yuv420p",
            "-c:v libx264 -color_primaries smpte170m -color_trc smpte170m -colorspace smpte170m -color_range tv",
            "tv,smpte170m,smpte170m,smpte170m",
        ),
        ("deep.mp4", "yuv420p10le", "-c:v libx264", "unknown,unknown,unknown,unknown"),
        ("rgb.mkv", "gbrp", "-c:v ffv1", "tv,smpte170m,unknown,unknown"),
        (
            "srgb.mkv",
            "bgr0",
            "-c:v libx264rgb -color_trc iec61966-2-1 -color_primaries bt709",
            "tv,smpte170m,iec61966-2-1,bt709",
        ),
    ];
    for (file, pixels, options, expected) in cases {
        let made = made(file, |path| kinds::coloured(path, pixels, options));
        let told = field(&made.output("mp4"), "v", "color_range,color_space,color_transfer,color_primaries");
        assert_eq!(told, expected, "{file}");
        let least = judge::likeness_after(&made.source, "null", &made.output("mp4"));
        assert!(least > 25.0, "{file}: {least} dB");
        made.is_verified("mp4");
        made.is_verified("flv");
    }
}

#[test]
fn high_range_is_mapped_to_bt709() {
    for transfer in ["smpte2084", "arib-std-b67"] {
        let made = made("hdr.mp4", |path| kinds::high_range(path, transfer));
        let told =
            field(&made.output("mp4"), "v", "pix_fmt,color_range,color_space,color_transfer,color_primaries");
        assert_eq!(told, "yuv420p,tv,bt709,bt709,bt709", "{transfer}");
        assert_eq!(pictures(&made.source).len(), pictures(&made.output("mp4")).len());
        let levels = judge::levels(&made.output("mp4"));
        assert!(levels.1 - levels.0 > 80.0, "{transfer}: {levels:?} is washed out");
        made.is_verified("mp4");
    }
}

#[test]
fn dolby_vision_needs_a_layer_that_others_can_show() {
    made("dv81.mp4", |path| kinds::dolby_vision(path, 8, 1)).is_verified("mp4");
    let place = Place::new();
    let source = place.path("dv5.mp4");
    kinds::dolby_vision(&source, 5, 0);
    let ran = place.run(&[&source], &[]);
    assert!(ran.failure().contains("Dolby Vision of profile 5"), "{}", ran.failure());
}

#[test]
fn containers_without_an_index_are_cut_all_the_same() {
    made("fragments.mp4", kinds::fragmented).is_right(5);
    made("unlisted.mp4", kinds::without_keyframes).is_right(5);
    made("overlong.mp4", kinds::overlong).is_right(5);
}

#[test]
fn a_clock_that_wraps_or_jumps_goes_on() {
    made("wrap.ts", kinds::wrapping).is_right(6);
    for (name, second) in [("again.ts", "0"), ("ahead.ts", "5000")] {
        let made = made(name, |path| kinds::spliced(path, second));
        assert_eq!(made.result["segments"], 1, "right before fast");
        for format in ["mp4", "flv"] {
            let times = pictures(&made.output(format));
            assert_eq!(times.len(), 150);
            let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(steps.iter().all(|step| *step > 0.03 && *step < 0.1), "{name}: {steps:?}");
            let sound = judge::span_of_sound(&made.output(format));
            assert!((sound - 6.0).abs() < 0.15, "{name}: {sound} s of sound");
        }
    }
}

#[test]
fn all_sound_tracks_go_over_and_flv_takes_the_default_one() {
    let made = made("a.mkv", kinds::many_tracks);
    let entries = "stream=index,channels:stream_tags=language:stream_disposition=default,hearing_impaired";
    let tracks = made.probe("mp4", entries);
    assert_eq!(tracks.lines().skip(1).collect::<Vec<_>>(), ["1,2,0,0,eng", "2,6,1,0,deu", "3,1,0,1,fra"]);
    assert_eq!(field(&made.output("flv"), "a", "channels"), "6");
    let output = &made.result["outputs"][0];
    assert_eq!(
        (output["audio"]["language"].as_str(), output["more_audio"].as_array().unwrap().len()),
        (Some("eng"), 2)
    );
    made.is_verified("mp4");
    made.is_verified("flv");
}

#[test]
fn surround_sound_keeps_its_channels() {
    for (layout, channels) in [("5.1", "6"), ("7.1", "8")] {
        let made = made("a.flac", |path| kinds::surround(path, layout));
        assert_eq!(field(&made.output("mp4"), "a", "channels"), channels);
        assert_eq!(judge::likeness_of_channels(&made.source, &made.output("mp4")), "", "{layout}");
        made.is_verified("mp4");
    }
}

#[test]
fn padding_and_priming_are_not_heard() {
    let made = made("a.m4a", kinds::gapless);
    assert_eq!(made.result["outputs"][0]["audio"]["samples"], 88_200);
    let said = made.probe("mp4", "stream=duration_ts,time_base");
    assert!(said.starts_with("1/44100,88200"), "a player that minds the edit list hears as many: {said}");
}

#[test]
fn long_sound_is_made_in_parts_that_join_without_a_seam() {
    let place = Place::new();
    let source = place.path("long.m4a");
    kinds::long_sound(&source);
    let whole = place.run(&[&source], &["--segment-time", "86400"]).success()["outputs"][0].clone();
    let samples = judge::sound_of(&place.path("out/long.mp4"));
    let parts = place.run(&[&source], &["--segment-time", "5", "--overwrite"]);
    let made = parts.success();
    let events = place
        .millrace()
        .args(["executions", "events", made["execution"].as_str().unwrap(), "--data", "data"])
        .output()
        .unwrap();
    let events = String::from_utf8(events.stdout).unwrap();
    assert_eq!(events.matches("sound").count(), 3, "{events}");
    assert_eq!(made["outputs"][0]["audio"]["samples"], whole["audio"]["samples"]);
    let joined = judge::sound_of(&place.path("out/long.mp4"));
    assert_eq!(samples.len(), joined.len());
    // Near the seams both differ from the source as much as elsewhere.
    let original = judge::sound_of(&source);
    let error = |at: usize| -> f64 {
        let range = at - 1200..at + 1200;
        range.map(|i| f64::from(joined[i] - original[i]).powi(2)).sum::<f64>().sqrt()
    };
    let part = 60 * 48_000 / 1024 * 1024;
    let elsewhere = (1..50).map(|i| error(i * 100_000)).sum::<f64>() / 49.0;
    for seam in [part, 2 * part] {
        assert!(error(seam) < 1.5 * elsewhere, "{} at {seam}, {elsewhere} elsewhere", error(seam));
    }
}

#[test]
fn in_many_segments_or_in_one_it_is_the_same() {
    for (file, make) in [
        ("open.mp4", kinds::open_groups as fn(&Path)),
        ("edited.mp4", kinds::edited),
        ("sparse.mkv", kinds::sparse_sound),
        ("many.mkv", kinds::many_tracks),
    ] {
        let (many, one) = (made_in(file, "0.3", make), made_in(file, "1000", make));
        assert_eq!(one.result["segments"], 1);
        for format in ["mp4", "flv"] {
            let (many, one) = (many.output(format), one.output(format));
            assert_eq!(pictures(&many), pictures(&one), "{file}: times");
            if judge::has(&one, "a") {
                assert_eq!(judge::sound_of(&many), judge::sound_of(&one), "{file}: samples");
            }
        }
    }
}

#[test]
fn sound_that_is_not_always_there_stays_where_it_is() {
    let made = made("a.mkv", kinds::sparse_sound);
    let (source, output) = (judge::loud(&made.source), judge::loud(&made.output("mp4")));
    assert_eq!(source.len(), output.len(), "{source:?} {output:?}");
    for (a, b) in source.iter().zip(&output) {
        assert!((a - b).abs() < 0.04, "{source:?} {output:?}");
    }
}

#[test]
fn text_chapters_and_tags_go_over() {
    let made = made("a.mkv", kinds::annotated);
    made.is_verified("mp4");
    made.is_verified("flv");
    let texts = judge::texts(&made.output("mp4"));
    assert!(texts.contains("00:00:00,500 --> 00:00:01,200\nGuten <b>Tag</b>\n"), "{texts}");
    assert!(texts.contains("00:00:01,200 --> 00:00:01,500\nGuten <b>Tag</b>\nzusammen\n"), "{texts}");
    assert!(texts.contains("00:00:01,500 --> 00:00:02,000\nzusammen\n"), "{texts}");
    let chapters = made.probe("mp4", "chapter=start_time,end_time:chapter_tags=title");
    assert_eq!(chapters.trim(), "0.000000,1.000000,One\n1.000000,3.000000,Two");
    let tags = made.probe("mp4", "format_tags=title,creation_time,location");
    assert!(tags.contains("A film") && tags.contains("2020-01-02T03:04:05"), "{tags}");
    assert!(!tags.contains("48.8577"), "where it was recorded is told: {tags}");
    assert!(made.probe("mp4", "stream_tags=timecode").contains("01:02:03:04"));
    assert!(made.probe("mp4", "stream=codec_name:stream_tags=language").contains("mov_text,deu"));
}

#[test]
fn the_place_is_told_only_if_asked_for() {
    let place = Place::new();
    let source = place.path("a.mkv");
    kinds::annotated(&source);
    place.run(&[&source], &["--keep-location"]).success();
    let tags = judge::probed(&place.path("out/a.mp4"), "format_tags=location");
    assert!(tags.contains("48.857"), "{tags}");
}

#[test]
fn a_timecode_track_goes_over() {
    let made = made("a.mov", kinds::timecoded);
    made.is_right(6);
    assert!(made.probe("mp4", "stream_tags=timecode").contains("01:02:03:04"));
}

#[test]
fn a_cover_is_no_video_and_goes_over() {
    let made = made("a.mp3", kinds::covered);
    assert_eq!(made.result["segments"], 0);
    assert_eq!(made.result["outputs"][0]["video"], Value::Null);
    assert!(made.probe("mp4", "stream=codec_name:stream_disposition=attached_pic").contains("png,1"));
    judge_sound(&made.source, &made.output("mp4"));
}

#[test]
fn closed_captions_stay_with_their_pictures() {
    let made = made("a.mp4", kinds::captioned);
    made.is_right(6);
    for format in ["mp4", "flv"] {
        let frames = made.probe(format, "frame_side_data=side_data_type");
        assert_eq!(frames.matches("Closed Captions").count(), 75, "{format}");
    }
}

#[test]
fn of_a_source_that_is_cut_off_is_made_what_is_there_and_said_what_is_not() {
    let made = made("a.mp4", |path| kinds::cut_off(path, 60));
    let warnings = made.result["warnings"].to_string();
    assert!(warnings.contains("the source is cut off"), "{warnings}");
    let (there, made_of_it) = (pictures_of_damaged(&made.source), pictures(&made.output("mp4")).len());
    assert!(made_of_it.abs_diff(there) <= 1 && there > 30 && there < 75, "{made_of_it} of {there}");
    let ran = made.place.run(&[&made.source], &["--strict", "--overwrite", "--segment-time", "0.4"]);
    assert!(ran.failure().contains("can't be made as it is (strict)"), "{}", ran.failure());
}

#[test]
fn damage_in_the_middle_costs_its_pictures_alone() {
    let made = made("a.mp4", kinds::damaged);
    let warnings = made.result["warnings"].to_string();
    assert!(warnings.contains("pictures are"), "{warnings}");
    let times = pictures(&made.output("mp4"));
    assert!(times.len() > 60, "{} pictures", times.len());
    assert!(times.last().unwrap() - times[0] > 2.8);
    let events =
        made.place.millrace().args(["executions", "list", "--data", "data", "--json"]).output().unwrap();
    assert!(events.status.success());
}

#[test]
fn sound_behind_damage_stays_in_its_place() {
    let place = Place::new();
    let (whole, source) = (place.path("whole.m4a"), place.path("a.m4a"));
    kinds::tones(&whole);
    kinds::damaged_tones(&whole, &source);
    let ran = place.run(&[&source], &[]);
    let warnings = ran.success()["warnings"].to_string();
    assert!(warnings.contains("sound is missing"), "{warnings}");
    // All of it, from behind the damage on.
    let (made, original) = (judge::sound_of(&place.path("out/a.mp4")), judge::sound_of(&whole));
    let (from, window) = (2 * 48_000, 9_600);
    let error = |shift: usize| -> f64 {
        (0..window).map(|i| f64::from(made[from + i] - original[from - 4_800 + shift + i]).powi(2)).sum()
    };
    let best = (0..9_600).min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
    assert!(best.abs_diff(4_800) < 100, "moved by {} samples", best.abs_diff(4_800));
}

#[test]
fn what_is_missing_of_sound_that_counts_its_samples_is_told() {
    let place = Place::new();
    let (whole, source) = (place.path("whole.flac"), place.path("a.flac"));
    kinds::tones(&whole);
    kinds::broken_sound(&whole, &source, 80);
    let ran = place.run(&[&source], &[]);
    let warnings = ran.success()["warnings"].to_string();
    assert!(warnings.contains("sound is missing from 1."), "{warnings}");
    assert!(warnings.contains("it says that it is 3.000 s long, and its sound ends near 2."), "{warnings}");
}

/// Only where a container is whole does reading from its middle find what reading from its start does.
#[test]
fn what_is_not_found_from_the_middle_is_read_from_the_start() {
    let made = made("a.mxf", kinds::damaged_for_seekers);
    assert!(made.result["segments"].as_u64().unwrap() >= 5);
    assert_eq!(pictures(&made.output("mp4")).len(), 75);
    made.is_verified("mp4");
}

fn pictures_of_damaged(path: &Path) -> usize {
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "quiet", "-i", path.to_str().unwrap(), "-map", "0:v", "-f", "framecrc", "-"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}
