//! Ladders: an output for each size, of one decode, with keyframes at the same times; and what is no ladder is refused.

use std::path::{Path, PathBuf};

use crate::common::{
    Place, Ran,
    judge::{decodes, judge_sound, keyframes, likeness_after, pictures, probed, shown_size},
    media::{self, Constant, ffmpeg},
};

/// Scenes of an odd length each, one behind the other, so that encoders would place keyframes by themselves.
fn scenes(path: &Path, (size, rate): (&str, &str)) {
    let scene = |kind: &str, seconds: &str| format!("{kind}=size={size}:rate={rate}:duration={seconds}");
    let [a, b, c] = [scene("testsrc2", "1.3"), scene("smptehdbars", "0.7"), scene("testsrc", "2.4")];
    let joined =
        "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[2:v]format=yuv420p[c];[a][b][c]concat=n=3[v]";
    let tone = "sine=f=440:r=48000:d=4.4";
    let inputs = [
        "-f", "lavfi", "-i", &a, "-f", "lavfi", "-i", &b, "-f", "lavfi", "-i", &c, "-f", "lavfi", "-i", tone,
    ];
    let encode =
        ["-map", "[v]", "-map", "3:a", "-c:v", "libx264", "-preset", "veryfast", "-g", "37", "-c:a", "aac"];
    let named = ["-filter_complex", joined];
    ffmpeg(&[&inputs[..], &named, &encode, &[path.to_str().unwrap()]].concat());
}

fn ladder(codec: &str, keys: &str, output: &str) -> String {
    format!("[video.main]\ncodec = \"{codec}\"\n{keys}\n[[output]]\n{output}")
}

fn made(place: &Place, source: &Path, profile: &str) -> Ran {
    let file = place.write("ladder.toml", profile);
    place.run(&[source], &["--profile", file.to_str().unwrap(), "--segment-time", "1"])
}

fn outputs(place: &Place) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        place.names("out").iter().map(|name| place.path(&format!("out/{name}"))).collect();
    all.sort_by_key(|path| std::cmp::Reverse(shown_size(path)));
    all
}

/// Returns the times of keyframes of all outputs, which are the same, from that of the first picture on.
fn shared_keyframes(outputs: &[PathBuf]) -> Vec<f64> {
    let times = |path: &PathBuf| -> Vec<f64> {
        let times = keyframes(path);
        times.iter().map(|time| ((time - times[0]) * 1e4).round() / 1e4).collect()
    };
    let first = times(&outputs[0]);
    for other in &outputs[1..] {
        assert_eq!(times(other), first, "{}", other.display());
        assert_eq!(pictures(other).len(), pictures(&outputs[0]).len());
    }
    first
}

const RUNGS: &str =
    "rungs = [{ height = 360 }, { height = 240, quality = 10 }, { height = 144, name = \"small\" }]";

#[test]
fn each_rung_is_a_file_and_all_have_keyframes_on_one_grid() {
    let place = Place::new();
    let source = place.path("film.mp4");
    scenes(&source, ("640x360", "25"));
    let keys = format!("quality = 8\nkeyframe_interval = \"0.5s\"\n{RUNGS}");
    let ran = made(&place, &source, &ladder("h264", &keys, "format = \"mp4\""));
    assert_eq!(ran.success()["segments"], 4, "of a second, and the rest");
    assert_eq!(place.names("out"), ["film-240p.mp4", "film-360p.mp4", "film-small.mp4"]);
    let all = outputs(&place);
    let sizes: Vec<Vec<i32>> = all.iter().map(|path| shown_size(path)).collect();
    assert_eq!(sizes, [[640, 360], [426, 240], [256, 144]]);
    assert_eq!(shared_keyframes(&all), [0.0, 0.52, 1.0, 1.52, 2.0, 2.52, 3.0, 3.52, 4.0], "and nowhere else");
    for path in &all {
        decodes(path);
        judge_sound(&source, path);
        assert_eq!(pictures(path), pictures(&source));
    }
    // One command of ffmpeg's with the same sizes and qualities.
    let reference = |name: &str| place.path(&format!("reference-{name}.mp4"));
    let names = ["large", "middle", "small"].map(|name| reference(name).to_str().unwrap().to_owned());
    let graph = "[0:v]split=3[a][b][c];[b]scale=426:240:flags=bicubic[e];[c]scale=256:144:flags=bicubic[f]";
    let mut arguments = vec!["-i", source.to_str().unwrap(), "-filter_complex", graph];
    for (label, quality, name) in [("[a]", "8", &names[0]), ("[e]", "10", &names[1]), ("[f]", "8", &names[2])]
    {
        arguments.extend(["-map", label, "-c:v", "libx264", "-crf", quality, name]);
    }
    ffmpeg(&arguments);
    for (path, name) in all.iter().zip(&names) {
        let likeness = likeness_after(Path::new(name), "null", path);
        assert!(likeness >= 40.0, "{}: {likeness} dB", path.display());
    }
}

#[test]
fn rungs_of_the_sources_size_are_never_enlarged_and_portrait_pictures_keep_their_side() {
    for (size, rungs) in [
        ("642x362", vec![("362p", [642, 362]), ("240p", [426, 240])]),
        ("360x640", vec![("360p", [360, 640]), ("240p", [240, 426])]),
        ("160x90", vec![("90p", [160, 90])]),
    ] {
        let place = Place::new();
        let source = place.path("a.mp4");
        media::constant(&source, Constant { size, seconds: "1", ..Constant::default() });
        made(&place, &source, &ladder("h264", "rungs = \"auto\"", "format = \"mkv\"")).success();
        let mut names: Vec<String> = rungs.iter().map(|(rung, _)| format!("a-{rung}.mkv")).collect();
        names.sort();
        assert_eq!(place.names("out"), names);
        for (rung, size) in &rungs {
            assert_eq!(shown_size(&place.path(&format!("out/a-{rung}.mkv"))), size, "{rung}");
        }
    }
    let place = Place::new();
    let source = place.path("small.mp4");
    media::constant(&source, Constant { size: "160x90", seconds: "1", ..Constant::default() });
    let listed = ladder("h264", "rungs = [{ height = 720 }, { height = 360 }]", "format = \"mp4\"");
    made(&place, &source, &listed).success();
    assert_eq!(place.names("out"), ["small-360p.mp4"], "the smallest rung, in the source's size");
    assert_eq!(shown_size(&place.path("out/small-360p.mp4")), [160, 90]);
}

#[test]
fn a_source_that_is_turned_has_the_rungs_of_what_players_show() {
    let place = Place::new();
    let source = place.path("turned.mp4");
    media::turned(&source);
    let shown = shown_size(&source);
    made(&place, &source, &ladder("h264", "rungs = \"auto\"\nheight = 144", "format = \"mp4\"")).success();
    let all = outputs(&place);
    let made = shown_size(&all[0]);
    assert_eq!(made.iter().min(), Some(&144), "{made:?}");
    assert_eq!(made[0] < made[1], shown[0] < shown[1]);
}

#[test]
fn the_grid_of_a_part_and_of_another_frame_rate_is_that_of_the_output() {
    for (keys, source_terms, expected) in [
        ("", "[source]\ntrim = { from = 0.7, to = \"3.9s\" }", vec![0.0, 1.0, 2.0, 3.0]),
        ("frame_rate = 10", "", vec![0.0, 1.0, 2.0, 3.0, 4.0]),
        ("frame_rate = \"30000/1001\"", "", vec![0.0, 1.001, 2.002, 3.003, 4.004]),
    ] {
        let place = Place::new();
        let source = place.path("film.mp4");
        scenes(&source, ("320x180", "25"));
        let keys = format!("keyframe_interval = 1\nrungs = [{{ height = 180 }}, {{ height = 90 }}]\n{keys}");
        let profile = ladder("h264", &keys, &format!("format = \"mp4\"\n{source_terms}"));
        let ran = made(&place, &source, &profile);
        assert!(ran.success()["segments"].as_u64().unwrap() >= 3, "{source_terms}");
        assert_eq!(shared_keyframes(&outputs(&place)), expected, "{keys} {source_terms}");
    }
}

#[test]
fn variable_times_and_other_codecs_have_keyframes_on_one_grid() {
    let place = Place::new();
    let source = place.path("variable.mkv");
    media::variable(&source);
    let keys = "keyframe_interval = \"0.5s\"\nrungs = [{ height = 180 }, { height = 90 }]";
    made(&place, &source, &ladder("h264", keys, "format = \"mp4\"")).success();
    let all = outputs(&place);
    let times = pictures(&all[0]);
    let found = shared_keyframes(&all);
    // The first picture at or behind each multiple.
    let mut expected: Vec<f64> = Vec::new();
    for multiple in 0.. {
        let from = f64::from(multiple) * 0.5 - 0.0005;
        let Some(time) = times.iter().map(|time| time - times[0]).find(|time| *time >= from) else { break };
        if expected.last().is_none_or(|last| time > *last + 0.0005) {
            expected.push(time);
        }
    }
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.001), "{found:?} {expected:?}");
    for codec in ["hevc", "vp9"] {
        let place = Place::new();
        let source = place.path("film.mp4");
        scenes(&source, ("320x180", "25"));
        let keys = "keyframe_interval = 1\nrungs = [{ height = 180 }, { height = 90 }]";
        made(&place, &source, &ladder(codec, keys, "format = \"mkv\"")).success();
        assert_eq!(shared_keyframes(&outputs(&place)), [0.0, 1.0, 2.0, 3.0, 4.0], "{codec}");
    }
}

#[test]
fn each_rung_has_the_average_that_is_asked_for() {
    let place = Place::new();
    let source = place.path("noise.mp4");
    media::constant(&source, Constant { size: "640x360", seconds: "6", ..Constant::default() });
    let keys = "keyframe_interval = 1\nrungs = [{ height = 360, bitrate = \"800k\" }, { height = 240, bitrate = \"400k\" }, \
                { height = 180, bitrate = \"250k\" }, { height = 120, bitrate = \"120k\" }]";
    let profile = ladder("h264", keys, "format = \"mp4\"\naudio = \"none\"");
    made(&place, &source, &profile).success();
    let all = outputs(&place);
    for (path, asked) in all.iter().zip([800.0, 400.0, 250.0, 120.0]) {
        let rate = probed(path, "stream=bit_rate").parse::<f64>().unwrap() / 1000.0;
        assert!((rate / asked - 1.0).abs() < 0.05, "{}: {rate} kbit/s instead of {asked}", path.display());
    }
    assert_eq!(shared_keyframes(&all), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn a_rung_is_verified_and_shown_before_it_is_made() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let profile = ladder("h264", "rungs = [{ height = 180 }, { height = 90 }]", "format = \"mp4\"");
    made(&place, &source, &profile).success();
    let call = |arguments: &[&str]| {
        let output = place.millrace().args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (status, text) = call(&["verify", "a.mp4", "out/a-90p.mp4", "--profile", "ladder.toml"]);
    assert_eq!(status, 0, "{text}");
    let (status, text) = call(&["verify", "a.mp4", "out/a-180p.mp4", "--profile", "ladder.toml"]);
    assert_eq!(status, 0, "{text}");
    std::fs::rename(place.path("out/a-90p.mp4"), place.path("out/a-91p.mp4")).unwrap();
    let (status, text) = call(&["verify", "a.mp4", "out/a-91p.mp4", "--profile", "ladder.toml"]);
    assert!(status == 2 && text.contains("it makes {stem}-180p.mp4, {stem}-90p.mp4"), "{text}");
    let (status, text) = call(&["profiles", "check", "ladder.toml", "--source", "a.mp4"]);
    assert!(status == 0 && text.contains("a-180p.mp4") && text.contains("h264 160x90"), "{text}");
    let (status, text) = call(&["profiles", "check", "ladder.toml"]);
    assert!(status == 0 && text.contains("makes {stem}-180p.mp4, {stem}-90p.mp4"), "{text}");
}

#[test]
fn what_is_no_ladder_is_refused_with_what_would_work() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    for (profile, reason) in [
        (ladder("av1", "rungs = \"auto\"", "format = \"mp4\""), "take one of: h264, hevc, vp9"),
        (ladder("h264", "rungs = \"all\"", "format = \"mp4\""), "\"auto\", or a list of sizes"),
        (
            ladder("h264", "rungs = \"auto\"", "format = \"mp4\"\nname = \"{stem}.{ext}\""),
            "put {rung} into it",
        ),
        (ladder("h264", "rungs = [{ height = 90 }]\npad = \"64x64\"", "format = \"mp4\""), "leave it out"),
    ] {
        let ran = made(&place, &source, &profile);
        assert!(ran.status == 2 && ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(place.names("out").is_empty());
    }
    let sound = place.path("sound.wav");
    media::tone(&sound);
    let file = place.write("l.toml", ladder("h264", "rungs = \"auto\"", "format = \"mp4\""));
    let ran = place.run(&[&sound], &["--profile", file.to_str().unwrap()]);
    assert!(ran.failure().contains("ask for an encoding without rungs"), "{}", ran.failure());
    // Two sources whose rungs would be one file.
    let other = place.path("b/a.mov");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::copy(&source, &other).unwrap();
    let ran = place.run(&[&source, &other], &["--profile", "ladder"]);
    assert!(ran.status == 2 && ran.stderr.contains("would both be written to"), "{}", ran.stderr);
}
