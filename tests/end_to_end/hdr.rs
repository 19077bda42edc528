//! High dynamic range that is kept, more than 8 bits a sample, and chroma other than 4:2:0: the same in segments as in one, and with
//! all that the source says of colour and light.

use std::path::Path;

use crate::common::{
    Place,
    judge::{likeness_after, pictures, probed},
    media::{boxes, ffmpeg},
};

/// The mastering display and the light levels of sources here, as x265 takes them.
const LIGHT: &str =
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400";
/// The same as steps of 0.00002 and of 0.0001 cd/m²: red, green, blue, white, least and greatest luminance; then both levels.
const STEPS: [i64; 12] =
    [34_000, 16_000, 13_250, 34_500, 7500, 3000, 15_635, 16_450, 50, 10_000_000, 1000, 400];

/// Three seconds of HEVC of this pixel format and transfer, with a keyframe each second.
fn source(path: &Path, pixel_format: &str, transfer: &str, light: &str) {
    let params = format!("log-level=error:keyint=25:open-gop=0:chromaloc=2{light}");
    let line = format!(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -f lavfi -i sine=frequency=440:duration=3 -c:v libx265 -preset \
         ultrafast -crf 12 -pix_fmt {pixel_format} -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv"
    );
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.extend(["-x265-params", &params, "-c:a", "aac", "-shortest", path.to_str().unwrap()]);
    ffmpeg(&arguments);
}

/// What ffprobe reads of light: in the stream, or in the first picture.
fn light(path: &Path, of: &str) -> Vec<i64> {
    let value = |name: &str, steps: f64| -> Option<i64> {
        let found = probed(path, &format!("{of}={name}"));
        let first = found.lines().find(|line| line.chars().any(|c| c.is_ascii_digit()))?;
        let text = first.split(',').find(|part| !part.is_empty())?.trim();
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        Some((num.parse::<f64>().ok()? / den.parse::<f64>().ok()? * steps).round() as i64)
    };
    let points = ["red", "green", "blue", "white_point"]
        .into_iter()
        .flat_map(|at| ["x", "y"].map(|axis| format!("{at}_{axis}")));
    let mut all: Vec<Option<i64>> = points.map(|name| value(&name, 50_000.0)).collect();
    all.extend(["min_luminance", "max_luminance"].map(|name| value(name, 10_000.0)));
    all.extend(["max_content", "max_average"].map(|name| value(name, 1.0)));
    all.into_iter().flatten().collect()
}

/// Pixel format, primaries, transfer and matrix of the pictures.
fn colour(path: &Path) -> String {
    probed(path, "stream=pix_fmt,color_space,color_transfer,color_primaries")
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

fn profile(place: &Place, text: &str) -> String {
    place.write("ours.toml", text).to_str().unwrap().to_owned()
}

/// One source, made in segments of a second and in one.
struct Both {
    segments: Place,
    whole: Place,
}

impl Both {
    fn make(make: impl Fn(&Path), text: &str) -> Self {
        let of = |seconds: &str| {
            let place = Place::new();
            make(&place.path("a.mkv"));
            place
                .run(
                    &[&place.path("a.mkv")],
                    &["--profile", &profile(&place, text), "--segment-time", seconds],
                )
                .success();
            place
        };
        Self { segments: of("1"), whole: of("600") }
    }

    /// Holds an output to its source and to the one that was made in one: as many pictures at the same times, of the same kind and look.
    /// `turn` is how ffmpeg's filters show the source. Returns the output.
    fn judge(&self, name: &str, turn: &str, least: f64) -> std::path::PathBuf {
        let (source, output) = (self.segments.path("a.mkv"), self.segments.path(&format!("out/{name}")));
        let whole = self.whole.path(&format!("out/{name}"));
        assert_eq!(pictures(&output), pictures(&whole), "{name}");
        assert_eq!(pictures(&output).len(), 75, "{name}");
        assert_eq!(colour(&output), colour(&whole), "{name}");
        let likeness = likeness_after(&source, turn, &output);
        assert!(likeness >= least, "{name}: {likeness} dB from its source");
        let likeness = likeness_after(&whole, "null", &output);
        assert!(likeness >= least, "{name}: {likeness} dB from the one that was made in one");
        output
    }
}

const HDR: &str = r#"
[video.hevc]
codec = "hevc"
preset = "ultrafast"
quality = 8
color = "source"
[video.vp9]
codec = "vp9"
preset = "5"
quality = 8
color = "source"
[video.av1]
codec = "av1"
preset = "12"
quality = 8
color = "source"
[video.h264]
codec = "h264"
preset = "veryfast"
quality = 8
color = "source"
[[output]]
format = "mp4"
video = "hevc"
[[output]]
format = "mov"
video = "hevc"
audio = "none"
[[output]]
format = "mkv"
video = "hevc"
audio = "none"
[[output]]
format = "webm"
video = "vp9"
audio = "none"
[[output]]
format = "mp4"
video = "av1"
audio = "none"
name = "{stem} av1.{ext}"
[[output]]
format = "mov"
video = "h264"
audio = "none"
name = "{stem} h264.{ext}"
"#;

#[test]
fn hdr10_is_kept_with_its_light_in_each_codec_and_format() {
    let pq = |path: &Path| source(path, "yuv420p10le", "smpte2084", &format!(":{LIGHT}"));
    let both = Both::make(pq, HDR);
    assert_eq!(light(&both.segments.path("a.mkv"), "frame_side_data"), STEPS, "the source says so");
    for name in ["a.mp4", "a.mov", "a.mkv", "a.webm", "a av1.mp4", "a h264.mov"] {
        let output = both.judge(name, "null", 38.0);
        assert_eq!(colour(&output), "yuv420p10le,bt2020nc,smpte2084,bt2020", "{name}");
        assert_eq!(light(&output, "stream_side_data"), STEPS, "{name}");
    }
    for name in ["a.mp4", "a av1.mp4"] {
        assert_eq!(
            light(&both.segments.path(&format!("out/{name}")), "frame_side_data"),
            STEPS,
            "{name}: in the stream"
        );
    }
    // Of this one, its container alone says anything.
    let again = Place::new();
    std::fs::copy(both.segments.path("out/a.webm"), again.path("a.webm")).unwrap();
    again.run(&[&again.path("a.webm")], &["--profile", "hdr"]).success();
    assert_eq!(light(&again.path("out/a.mp4"), "stream_side_data"), STEPS);
    assert_eq!(colour(&again.path("out/a.mp4")), "yuv420p10le,bt2020nc,smpte2084,bt2020");
}

#[test]
fn hlg_is_kept_and_says_nothing_of_light_that_the_source_does_not() {
    let hlg = |path: &Path| source(path, "yuv420p10le", "arib-std-b67", "");
    let text = HDR.split("[video.vp9]").next().unwrap().to_owned() + "[[output]]\nformat = \"mp4\"\n";
    let both = Both::make(hlg, &text);
    let output = both.judge("a.mp4", "null", 38.0);
    assert_eq!(colour(&output), "yuv420p10le,bt2020nc,arib-std-b67,bt2020");
    assert_eq!(light(&output, "stream_side_data"), [0; 0]);
}

#[test]
fn the_archive_keeps_colour_sampling_and_depth() {
    let pq = |path: &Path| source(path, "yuv422p10le", "smpte2084", &format!(":{LIGHT}"));
    let place = Place::new();
    pq(&place.path("a.mkv"));
    place.run(&[&place.path("a.mkv")], &["--profile", "archive", "--segment-time", "1"]).success();
    let output = place.path("out/a.mkv");
    assert_eq!(colour(&output), "yuv422p10le,bt2020nc,smpte2084,bt2020");
    assert_eq!(light(&output, "stream_side_data"), STEPS);
    assert_eq!(pictures(&output), pictures(&place.path("a.mkv")));
}

#[test]
fn pictures_of_422_are_rotated_in_their_own_sampling() {
    let turned = |path: &Path| {
        // Matroska of FFmpeg 5.1 states no rotation.
        let movie = path.with_extension("mp4");
        source(&movie, "yuv422p10le", "bt709", "");
        boxes::lay(&movie, [0, 1, -1, 0]);
        std::fs::rename(&movie, path).unwrap();
    };
    let text = "[video.a]\ncodec = \"h264\"\nquality = 5\npreset = \"veryfast\"\npixel_format = \"yuv422p10le\"\n[[output]]\nformat = \"mkv\"";
    let both = Both::make(turned, text);
    let output = both.judge("a.mkv", "transpose=clock", 38.0);
    assert!(colour(&output).starts_with("yuv422p10le,"), "{}", colour(&output));
    assert_eq!(probed(&output, "stream=width,height").lines().next(), Some("180,320"));
}

#[test]
fn tone_mapping_gives_the_pixel_format_that_is_asked_for() {
    let place = Place::new();
    source(&place.path("a.mkv"), "yuv420p10le", "smpte2084", &format!(":{LIGHT}"));
    let text = "[video.a]\ncodec = \"h264\"\nquality = 8\npixel_format = \"yuv420p10le\"\n[video.b]\ncodec = \"h264\"\nquality = 8\n\
                [[output]]\nformat = \"mp4\"\nvideo = \"a\"\n[[output]]\nformat = \"mkv\"\nvideo = \"b\"";
    place
        .run(&[&place.path("a.mkv")], &["--profile", &profile(&place, text), "--segment-time", "1"])
        .success();
    let (deep, plain) = (place.path("out/a.mp4"), place.path("out/a.mkv"));
    assert_eq!(
        [colour(&deep), colour(&plain)],
        ["yuv420p10le,bt709,bt709,bt709", "yuv420p,bt709,bt709,bt709"]
    );
    assert_eq!(light(&deep, "stream_side_data"), [0; 0], "light of high range is none of the standard one");
    let likeness = likeness_after(&plain, "null", &deep);
    assert!(likeness >= 38.0, "{likeness} dB");
}

#[test]
fn a_source_of_the_standard_range_is_the_same_rendition_whether_colour_is_kept_or_not() {
    let place = Place::new();
    source(&place.path("a.mkv"), "yuv420p", "bt709", "");
    let text = "[video.a]\ncodec = \"h264\"\ncolor = \"source\"\n[video.b]\ncodec = \"h264\"\n\
                [[output]]\nformat = \"mp4\"\nvideo = \"a\"\n[[output]]\nformat = \"flv\"\nvideo = \"b\"";
    let ours = profile(&place, text);
    let mut check = place.millrace();
    check.args(["profiles", "check", &ours, "--json", "--source"]).arg(place.path("a.mkv"));
    let said = check.output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let video = |output: usize| line["outputs"][output]["renditions"][0].as_str().unwrap();
    assert_eq!(video(0), video(1), "{line}");
}

#[test]
fn what_can_not_hold_high_range_is_refused_before_work_begins_with_what_would_work() {
    let place = Place::new();
    source(&place.path("a.mkv"), "yuv420p10le", "arib-std-b67", "");
    for (keys, format, reason) in [
        ("pixel_format = \"yuv420p\"", "mp4", "set pixel_format to yuv420p10le or yuv422p10le"),
        ("pixel_format = \"yuv422p\"", "mkv", "yuv422p has fewer"),
        (
            "",
            "flv",
            "flv does not state; ask for another format: mp4, mov, mkv, cmaf, hls, dash; or set color to \"sdr\"",
        ),
    ] {
        let text = format!(
            "[video.a]\ncodec = \"h264\"\ncolor = \"source\"\n{keys}\n[[output]]\nformat = \"{format}\""
        );
        let ran = place.run(&[&place.path("a.mkv")], &["--profile", &profile(&place, &text)]);
        assert!(ran.failure().contains(reason), "{reason}: {}", ran.failure());
        assert!(place.names("out").is_empty());
    }
}

#[test]
fn pictures_that_are_tone_mapped_are_cropped_once() {
    let place = Place::new();
    let high = place.path("a.mkv");
    source(&high, "yuv420p10le", "arib-std-b67", "");
    let text = |keys: &str, name: &str| {
        format!("[video.{name}]\ncodec = \"h264\"\nquality = 4\npreset = \"veryfast\"\n{keys}\n")
    };
    let output = |name: &str| {
        format!("[[output]]\nformat = \"mp4\"\nvideo = \"{name}\"\nname = \"{{stem}}-{name}.{{ext}}\"\n")
    };
    let crop = "crop = { left = 160, top = 60 }";
    let encodings = [
        ("whole", String::new()),
        ("part", crop.into()),
        ("large", format!("{crop}\nwidth = 320\nupscale = true")),
    ];
    let tables: String = encodings.iter().map(|(name, keys)| text(keys, name)).collect();
    let outputs: String = encodings.iter().map(|(name, _)| output(name)).collect();
    let ours = profile(&place, &(tables + &outputs));
    place.run(&[&high], &["--profile", &ours, "--segment-time", "1"]).success();
    let made = |name: &str| place.path(&format!("out/a-{name}.mp4"));
    for (name, filter) in
        [("part", "crop=160:120:160:60"), ("large", "crop=160:120:160:60,scale=320:240:flags=bicubic")]
    {
        let alike = likeness_after(&made("whole"), filter, &made(name));
        // Pictures are enlarged before they are mapped, and by another filter.
        assert!(alike >= 30.0, "{name}: {alike} dB");
    }
}
