//! Single pictures as outputs: thumbnails, sprites and animations, the same in short segments and whole, and what one sees of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use millrace_servers::Store;

use crate::common::{Place, Ran, media};

static STORE: LazyLock<Store> = LazyLock::new(|| {
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    store
});

/// Pictures a second of sources.
const RATE: f64 = 25.0;

/// A source whose pictures are grey; `luma` is a formula of the time T and the number N.
fn grey(place: &Place, name: &str, luma: &str, seconds: &str) -> PathBuf {
    let path = place.path(name);
    let graph = format!(
        "color=c=gray:s=320x180:r={RATE},format=yuv420p,geq=lum='{luma}':cb=128:cr=128,setparams=range=tv:colorspace=smpte170m"
    );
    media::ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &graph,
        "-t",
        seconds,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "1",
        "-g",
        "30",
        "-color_range",
        "tv",
        "-colorspace",
        "smpte170m",
        path.to_str().unwrap(),
    ]);
    path
}

/// Each picture is brighter than the one before it by two steps.
fn counting(place: &Place) -> PathBuf {
    grey(place, "a.mp4", "16+2*N", "4")
}

fn run(place: &Place, source: &Path, profile: &str, output: &str, segment: &str) -> Ran {
    let file = place.write("pictures.toml", profile);
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--json", "--profile"]).arg(file);
    command.args(["--data", &format!("data-{segment}"), "--segment-time", segment]).envs(STORE.variables());
    Ran::of(command.output().unwrap())
}

/// All files of pictures below a folder by their names, without the folder of the attempt.
fn pictures(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_attempt = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if path.is_dir() {
            let below = pictures(&path).into_iter();
            all.extend(
                below.map(|(below, bytes)| {
                    (if is_attempt { below } else { format!("{name}/{below}") }, bytes)
                }),
            );
        } else if !name.ends_with(".vtt") && name != "package.json" {
            all.insert(name, fs::read(path).unwrap());
        }
    }
    all
}

/// The cues of a list: when each begins, and what it shows.
fn cues(list: &Path) -> Vec<(String, PathBuf, String)> {
    let text = fs::read_to_string(list).unwrap();
    assert!(text.starts_with("WEBVTT\n\n"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let cue = |pair: &[&str]| {
        let (begins, _) = pair[0].split_once(" --> ")?;
        let (name, part) = pair[1].split_once('#').unwrap_or((pair[1], ""));
        Some((begins.to_owned(), list.parent().unwrap().join(name), part.to_owned()))
    };
    lines.windows(2).filter_map(cue).collect()
}

/// The mean grey of a part of a picture, from 0 to 255.
fn mean(picture: &Path, part: &str) -> f64 {
    let crop = part.strip_prefix("xywh=").map_or(String::new(), |part| {
        let sides: Vec<&str> = part.split(',').collect();
        format!("crop={}:{}:{}:{},", sides[2], sides[3], sides[0], sides[1])
    });
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(picture);
    ffmpeg.args(["-vf", &format!("{crop}format=gbrp,extractplanes=g"), "-frames:v", "1"]);
    let grey = ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]).output().unwrap();
    assert!(grey.status.success(), "{}", String::from_utf8_lossy(&grey.stderr));
    grey.stdout.iter().map(|byte| f64::from(*byte)).sum::<f64>() / grey.stdout.len() as f64
}

/// The number of the picture of [`counting`] that a part of a file shows.
fn number(picture: &Path, part: &str) -> f64 {
    mean(picture, part) * 219.0 / 255.0 / 2.0
}

const ALL: &str = r#"
[[output]]
format = "thumbnails"
every = "1s"
picture = "png"
[[output]]
format = "thumbnails"
name = "{stem}-at"
at = ["500ms", "3.99s", "00:00:02.2"]
width = 100
[[output]]
format = "sprite"
every = "500ms"
width = 64
columns = 3
rows = 2
[[output]]
format = "gif"
from = "1s"
to = "3s"
frame_rate = 5
[[output]]
format = "webp"
to = "1s"
"#;

#[test]
fn the_pictures_that_are_shown_at_their_times_are_kept_in_short_segments_as_in_one() {
    let place = Place::new();
    let source = counting(&place);
    let ran = run(&place, &source, ALL, "short", "0.5");
    let outputs = &ran.success()["outputs"];
    let frames: Vec<u64> = (0..5).map(|i| outputs[i]["video"]["frames"].as_u64().unwrap()).collect();
    assert_eq!(frames, [4, 3, 8, 10, 10]);
    run(&place, &source, ALL, "whole", "100").success();
    let (short, whole) = (pictures(&place.path("short")), pictures(&place.path("whole")));
    assert_eq!(short.len(), 4 + 3 + 2 + 2, "{:?}", short.keys());
    let animations = |name: &&String| name.ends_with(".gif") || name.ends_with(".webp");
    assert_eq!(short.keys().filter(animations).count(), 2);
    for (name, bytes) in &short {
        assert!(whole[name] == *bytes, "{name} differs");
    }
    for (list, expected) in [
        (
            "short/a-thumbnails/thumbnails.vtt",
            &[("00:00:00.000", 0), ("00:00:01.000", 25), ("00:00:02.000", 50), ("00:00:03.000", 75)][..],
        ),
        ("short/a-at/thumbnails.vtt", &[("00:00:00.500", 12), ("00:00:02.200", 55), ("00:00:03.990", 99)]),
        (
            "short/a-sprite/sprite.vtt",
            &[
                ("00:00:00.000", 0),
                ("00:00:00.500", 12),
                ("00:00:01.000", 25),
                ("00:00:01.500", 37),
                ("00:00:02.000", 50),
                ("00:00:02.500", 62),
                ("00:00:03.000", 75),
                ("00:00:03.500", 87),
            ],
        ),
    ] {
        let found = cues(&place.path(list));
        assert_eq!(found.len(), expected.len(), "{list}");
        for ((begins, picture, part), (at, shown)) in found.iter().zip(expected) {
            let is = number(picture, part);
            assert!(
                begins == at && (is - f64::from(*shown)).abs() < 0.5,
                "{list}: {is} at {begins}, {shown} is right"
            );
        }
    }
    let end = fs::read_to_string(place.path("short/a-sprite/sprite.vtt")).unwrap();
    assert!(end.contains("00:00:03.500 --> 00:00:04.000"), "{end}");
}

#[test]
fn an_animation_has_its_pictures_for_as_long_as_they_are_shown() {
    let place = Place::new();
    run(&place, &counting(&place), ALL, "out", "1").success();
    let mut probe = Command::new("ffprobe");
    probe.args([
        "-v",
        "error",
        "-show_entries",
        "stream=width,height:packet=duration_time",
        "-of",
        "csv=p=0",
    ]);
    let found = probe.arg(place.path("out/a.gif")).output().unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 11, "{text}");
    assert!(lines[..10].iter().all(|line| line.starts_with("0.2000")), "{text}");
    assert_eq!(lines[10], "320,180");
    for (at, shown) in [(0, 25), (4, 45), (9, 70)] {
        let picture = place.path(&format!("{at}.png"));
        let select = format!("select=eq(n\\,{at})");
        let gif = place.path("out/a.gif");
        media::ffmpeg(&[
            "-i",
            gif.to_str().unwrap(),
            "-vf",
            &select,
            "-frames:v",
            "1",
            picture.to_str().unwrap(),
        ]);
        let is = number(&picture, "");
        assert!((is - f64::from(shown)).abs() < 1.5, "{is} is the picture {at}, {shown} is right");
    }
}

#[test]
fn what_is_there_is_not_made_again_and_what_was_lost_is() {
    let place = Place::new();
    let source = counting(&place);
    run(&place, &source, ALL, "out", "1").success();
    let before = pictures(&place.path("out"));
    let times = |name: &str| fs::metadata(place.path(name)).unwrap().modified().unwrap();
    let stamps = (times("out/a.gif"), times("out/a.webp"), times("out/a-sprite/sprite.vtt"));
    run(&place, &source, ALL, "out", "1").success();
    assert_eq!((times("out/a.gif"), times("out/a.webp"), times("out/a-sprite/sprite.vtt")), stamps);
    let (_, lost, _) = cues(&place.path("out/a-at/thumbnails.vtt")).remove(1);
    fs::remove_file(lost).unwrap();
    run(&place, &source, ALL, "out", "1").success();
    assert!(pictures(&place.path("out")) == before);
    let foreign = place.write("foreign/a.gif", "GIF89a");
    let refused = run(&place, &source, ALL, "foreign", "1");
    assert!(refused.failure().contains("did not come from this source"), "{}", refused.failure());
    assert_eq!(fs::read_to_string(foreign).unwrap(), "GIF89a");
}

#[test]
fn scenes_begin_where_they_do_whatever_the_segments_are() {
    let place = Place::new();
    let source = grey(&place, "a.mp4", "if(lt(T,1.2),60,if(lt(T,2.6),180,100))+mod(N,5)", "4");
    let profile = "[[output]]\nformat = \"thumbnails\"\nscenes = 0.1\n";
    for segment in ["0.4", "100"] {
        let output = format!("out-{segment}");
        run(&place, &source, profile, &output, segment).success();
        let found = cues(&place.path(&format!("{output}/a-thumbnails/thumbnails.vtt")));
        let times: Vec<&str> = found.iter().map(|(begins, ..)| begins.as_str()).collect();
        assert_eq!(times, ["00:00:00.000", "00:00:01.200", "00:00:02.600"], "{segment}");
    }
    assert!(pictures(&place.path("out-0.4")) == pictures(&place.path("out-100")));
}

#[test]
fn the_best_of_many_is_neither_black_nor_blurred() {
    let place = Place::new();
    // Black, then a soft ramp, then a checkerboard for half a second, then the ramp.
    let ramp = "60+X/4";
    let luma = format!("if(lt(T,1),16,if(between(T,2,2.48),60+120*mod(floor(X/8)+floor(Y/8),2),{ramp}))");
    let source = grey(&place, "a.mp4", &luma, "4");
    let profile = "[[output]]\nformat = \"thumbnails\"\nevery = \"250ms\"\nbest = 2\n";
    run(&place, &source, profile, "out", "1").success();
    let found = cues(&place.path("out/a-thumbnails/thumbnails.vtt"));
    let times: Vec<&str> = found.iter().map(|(begins, ..)| begins.as_str()).collect();
    assert_eq!(times, ["00:00:02.000", "00:00:02.250"]);
}

#[test]
fn pictures_ride_beside_what_is_encoded_or_copied_and_of_a_part_of_the_source() {
    let place = Place::new();
    let source = counting(&place);
    let both = "[video.a]\ncodec = \"h264\"\nwhen_fits = \"copy\"\n[[output]]\nformat = \"mp4\"\n\
                [[output]]\nformat = \"thumbnails\"\nevery = 1\n[source]\ntrim = { from = \"1s\", to = \"3s\" }\n";
    let ran = run(&place, &source, both, "out", "0.5");
    assert_eq!(ran.success()["outputs"][0]["video"]["frames"], 50);
    let shown: Vec<f64> = cues(&place.path("out/a-thumbnails/thumbnails.vtt"))
        .iter()
        .map(|(_, picture, part)| number(picture, part).round())
        .collect();
    assert_eq!(shown, [25.0, 50.0]);
    let mut usual = place.millrace();
    usual.arg("run").arg(&source).args(["--output", "usual", "--data", "usual-data", "--json"]);
    let usual = Ran::of(usual.args(["-f", "thumbnails", "-f", "gif"]).output().unwrap());
    usual.success();
    assert_eq!(cues(&place.path("usual/a-thumbnails/thumbnails.vtt")).len(), 1, "one in ten seconds");
}

#[test]
fn times_behind_the_end_are_refused_with_how_long_the_source_is() {
    let place = Place::new();
    let source = counting(&place);
    let late = run(&place, &source, "[[output]]\nformat = \"thumbnails\"\nat = [4]\n", "out", "1");
    assert!(late.failure().contains("the pictures are 4.000 s long"), "{}", late.failure());
    let mute = place.path("tone.m4a");
    media::tone(&mute);
    let silent = run(&place, &mute, "[[output]]\nformat = \"thumbnails\"\n", "out", "1");
    assert!(silent.failure().contains("thumbnails would be empty"), "{}", silent.failure());
}

#[test]
fn pictures_lie_in_a_bucket_as_in_a_folder() {
    let place = Place::new();
    let source = counting(&place);
    run(&place, &source, ALL, "s3://videos/pictures", "1").success();
    run(&place, &source, ALL, "out", "1").success();
    let bucket = STORE.folder().join("videos/pictures");
    assert!(pictures(&bucket) == pictures(&place.path("out")));
    run(&place, &source, ALL, "s3://videos/pictures", "2").success();
    assert_eq!(cues(&bucket.join("a-sprite/sprite.vtt")).len(), 8);
}
