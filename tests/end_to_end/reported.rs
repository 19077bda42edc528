//! What people reported elsewhere: sources that went wrong silently, and what is right for each (docs/exactness.md).

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{
    Place, Ran,
    judge::{self, field, judge, pictures},
    media::reported as kinds,
};

/// A source and what was made of it, each segment in a batch of its own, as on a cluster.
struct Made {
    place: Place,
    source: PathBuf,
    result: Value,
}

fn ran(place: &Place, source: &Path, more: &[&str]) -> Ran {
    let mut command = place.run_command(&[source], &["-f", "mp4", "-f", "flv", "--segment-time", "0.5"]);
    Ran::of(command.args(more).env("MILLRACE_TEST_BATCH", "1").output().unwrap())
}

fn made(file: &str, generate: impl FnOnce(&Path)) -> Made {
    let place = Place::new();
    let source = place.path(file);
    generate(&source);
    let result = ran(&place, &source, &[]).success().clone();
    Made { place, source, result }
}

impl Made {
    fn output(&self, format: &str) -> PathBuf {
        let stem = self.source.file_stem().unwrap().to_str().unwrap();
        self.place.path(&format!("out/{stem}.{format}"))
    }

    fn warnings(&self) -> String {
        self.result["warnings"].to_string()
    }

    /// By ffmpeg, and by `millrace verify`.
    fn is_right(&self) {
        for format in ["mp4", "flv"] {
            judge(&self.source, &self.output(format));
            self.is_verified(format);
        }
    }

    fn is_verified(&self, format: &str) {
        let mut verify = self.place.millrace();
        verify.arg("verify").args([&self.source, &self.output(format)]).args(["--pictures", "--sound"]);
        let said = verify.output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    }

    /// What happened, as `executions events` tells it.
    fn events(&self) -> String {
        let execution = self.result["execution"].as_str().unwrap();
        let mut command = self.place.millrace();
        command.args(["executions", "events", execution, "--data", "data"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

#[test]
fn containers_that_lie_about_keyframes_lose_no_picture() {
    for (file, kind) in [
        ("a.mp4", kinds::false_keyframes as fn(&Path)),
        ("a.mov", kinds::false_keyframes),
        ("a.mkv", kinds::all_keyframes),
    ] {
        let made = made(file, kind);
        made.is_right();
        // The index of Matroska names true ones: there nothing need be made again.
        let again = made.events().contains("seams-unclean");
        assert_eq!(again, file != "a.mkv", "{file}: {}", made.events());
        assert_eq!(made.warnings(), "[]", "{file}: it is right");
    }
}

#[test]
fn an_flv_with_a_second_header_is_read_by_it() {
    let made = made("a.flv", |path| kinds::sender_came_back(path, "240x180", "3.2"));
    assert_eq!(pictures(&made.output("mp4")).len(), 150);
    made.is_verified("mp4");
    assert!(made.warnings().contains("size 160x120 to 240x180"), "{}", made.warnings());
}

#[test]
fn a_clock_that_begins_again_goes_on() {
    for file in ["a.flv", "a.mkv"] {
        let made = made(file, |path| {
            if file == "a.flv" {
                return kinds::sender_came_back(path, "160x120", "0");
            }
            kinds::whole(path);
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, [&bytes[..], &bytes].concat()).unwrap();
        });
        let times = pictures(&made.output("mp4"));
        assert_eq!(times.len(), 150, "{file}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 0.12), "{file}: {times:?}");
        let sound = judge::span_of_sound(&made.output("mp4"));
        assert!((sound - 6.0).abs() < 0.1, "{file}: {sound} s of sound");
        assert_eq!(made.warnings(), "[]", "{file}");
    }
}

#[test]
fn the_last_picture_is_shown_as_long_as_it_was() {
    for file in ["a.gif", "a.mp4"] {
        let made = made(file, kinds::long_last_picture);
        let video = &made.result["outputs"][0]["video"];
        assert_eq!(video["frames"], 3, "{file}");
        assert!((video["end_seconds"].as_f64().unwrap() - 6.0).abs() < 0.02, "{file}: {video}");
        made.is_verified("mp4");
        assert!(made.warnings().contains("flv has no length for its last picture"), "{}", made.warnings());
    }
}

#[test]
fn tags_that_are_not_utf_8_are_read_as_what_they_look_like() {
    let made = made("a.mov", kinds::foreign_tags);
    made.is_right();
    assert_eq!(judge::probed(&made.output("mp4"), "format_tags=title").trim(), "Grüße a");
}

#[test]
fn a_track_without_packets_is_left_out_and_a_source_of_nothing_else_refused() {
    let made = made("a.mkv", kinds::empty_track);
    assert!(made.warnings().contains("text track holds no packets"), "{}", made.warnings());
    made.is_right();
    let place = Place::new();
    let source = place.path("a.wav");
    std::fs::write(
        &source,
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data\0\0\0\0",
    )
    .unwrap();
    assert!(ran(&place, &source, &[]).failure().contains("its only track holds no packets"));
}

#[test]
fn channels_keep_their_layout() {
    let made = made("a.mkv", kinds::quad);
    for format in ["mp4", "flv"] {
        assert_eq!(field(&made.output(format), "a", "channel_layout"), "quad", "{format}");
        made.is_verified(format);
    }
    assert_eq!(made.result["outputs"][0]["audio"]["layout"], "quad");
}

#[test]
fn sound_whose_clock_drifts_is_stretched_and_jitter_changes_nothing() {
    let made = made("drift.mkv", kinds::drifting);
    assert!(made.warnings().contains("drifts by +1.0 %"), "{}", made.warnings());
    let long = made.result["outputs"][0]["audio"]["end_seconds"].as_f64().unwrap();
    assert!((long - 10.1).abs() < 0.04, "{long} s");
    // It gets loud once, and silent at its end alone.
    let edges = judge::loud(&made.output("mp4"));
    assert!(edges.iter().skip(1).all(|at| *at > 9.9), "no silence goes in: {edges:?}");
    let made = self::made("jitter.flv", kinds::jittering);
    assert_eq!(made.warnings(), "[]");
    let samples = made.result["outputs"][0]["audio"]["samples"].as_i64().unwrap();
    assert!((samples - 3 * 48_000).abs() <= 2048, "{samples} samples");
}

#[test]
fn a_disc_stays_round_where_the_size_changes() {
    let made = made("a.ts", kinds::turned);
    assert!(made.warnings().contains("size 160x120 to 120x160"), "{}", made.warnings());
    made.is_verified("mp4");
    // Upright in a frame of 160x120: 120/160 of its size.
    let picture = judge::gray_picture(&made.output("mp4"), 60, (160, 120));
    let width = (0..160).filter(|x| picture[60 * 160 + x] > 128).count();
    let height = (0..120).filter(|y| picture[y * 160 + 80] > 128).count();
    assert!(width.abs_diff(60) <= 2 && height.abs_diff(60) <= 2, "{width} x {height}");
}

#[test]
fn streams_that_follow_each_other_are_one_track() {
    let made = made("a.ts", kinds::other_streams);
    let times = pictures(&made.output("mp4"));
    assert_eq!(times.len(), 150);
    assert!((judge::span_of_sound(&made.output("mp4")) - 6.2).abs() < 0.1);
    assert_eq!(made.warnings(), "[]");
    made.is_verified("mp4");
}

#[test]
fn what_ends_early_is_said_for_every_container_and_strict_fails() {
    for name in ["mp4", "mov", "mkv", "webm", "avi", "flv", "ts", "ogg", "wav"] {
        let made = made(&format!("a.{name}"), |path| kinds::cut_off(path, 60));
        assert!(made.warnings().contains("the source is cut off: "), "{name}: {}", made.warnings());
        let strict = ran(&made.place, &made.source, &["--strict", "--overwrite"]);
        assert!(strict.failure().contains("(strict): the source is cut off"), "{name}: {}", strict.failure());
        let whole = self::made(&format!("a.{name}"), kinds::whole);
        assert_eq!(whole.warnings(), "[]", "{name}");
    }
}

#[test]
fn what_is_encrypted_is_refused_by_that_name() {
    let place = Place::new();
    let source = place.path("a.mp4");
    kinds::encrypted(&source);
    let ran = ran(&place, &source, &[]);
    assert!(ran.failure().contains("it is encrypted (CENC, cenc)"), "{}", ran.failure());
}

#[test]
fn a_file_without_a_timescale_gives_the_same_each_time() {
    let one = made("a.mp4", kinds::without_timescale);
    let mut again = one.place.millrace();
    again.arg("run").arg(&one.source).args(["--output", "other", "--data", "others", "--json"]);
    let batched = Ran::of(again.args(["--segment-time", "0.5"]).output().unwrap());
    let facts = |result: &Value| {
        let output = &result["outputs"][0];
        (
            output["video"]["frames"].clone(),
            output["video"]["end_seconds"].clone(),
            output["audio"]["samples"].clone(),
        )
    };
    assert_eq!(facts(&one.result), facts(batched.success()));
    assert_eq!(pictures(&one.output("mp4")).len(), 75);
}

#[test]
fn of_several_videos_the_one_that_plays_is_taken() {
    let made = made("a.mov", kinds::motion_photo);
    assert_eq!(field(&made.output("mp4"), "v", "width"), "160");
    assert!(
        made.warnings().contains("video track 0 (0.1 s, default) is left out: track 1 plays"),
        "{}",
        made.warnings()
    );
}

#[test]
fn twenty_samples_are_sound() {
    let made = made("a.wav", |path| {
        let mut bytes =
            b"RIFF\x4c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data\x28\0\0\0"
                .to_vec();
        bytes.extend((0..20_u8).flat_map(|i| [i, i]));
        std::fs::write(path, bytes).unwrap();
    });
    assert_eq!(made.result["outputs"][0]["audio"]["samples"], 20);
}
