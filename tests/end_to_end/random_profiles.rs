//! Random profiles over sources of twenty kinds: each is refused with a reason, or what it makes is right. The same seeds make the same
//! profiles: `make profiles FIRST=1 COUNT=500`. Keys are set to the ends of their ranges and to values in between; one of which neither is
//! known here has its example.

use std::path::{Path, PathBuf};

use millrace_formats::TABLES;
use millrace_profiles::Profile;

use crate::common::{
    Place, Ran, judge,
    media::{self, Constant, kinds, mutate::Rng},
    profiles::{Asked, AskedOutput, logo, once_in},
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// Makes a source of a kind.
type Make = fn(&Path);

const SOURCES: [(&str, Make); 20] = [
    ("clip.mp4", |path| media::constant(path, small("25", 2))),
    ("still.mp4", |path| media::constant(path, small("25", 0))),
    ("mono.mp4", |path| media::constant(path, small("30000/1001", 1))),
    ("surround.mkv", |path| media::constant(path, small("24", 6))),
    ("transport.ts", |path| media::constant(path, small("50", 2))),
    ("variable.mp4", media::variable),
    ("turned.mp4", media::turned),
    ("interlaced.mp4", |path| kinds::interlaced(path, "tff")),
    ("interlaced.mkv", kinds::interlaced_422),
    ("anamorphic.mp4", kinds::anamorphic),
    ("odd.mp4", kinds::odd),
    ("high.mp4", |path| kinds::high_range(path, "smpte2084")),
    ("gamma.mp4", |path| kinds::high_range(path, "arib-std-b67")),
    ("tiny.mp4", |path| media::constant(path, Constant { size: "16x16", seconds: "1", ..small("10", 1) })),
    ("animated.gif", kinds::animated),
    ("open.mkv", kinds::open_groups),
    ("tracks.mkv", kinds::many_tracks),
    ("annotated.mkv", kinds::annotated),
    ("tone.wav", media::tone),
    ("channels.flac", |path| kinds::surround(path, "7.1")),
];

fn small(rate: &'static str, channels: u32) -> Constant<'static> {
    Constant { rate, channels, size: "160x90", seconds: "1.6", gop: 12, ..Constant::default() }
}

/// Where sources lie, each made once.
struct Sources {
    place: Place,
}

impl Sources {
    fn new() -> Self {
        let sources = Self { place: Place::new() };
        logo(&sources.logo());
        sources.place.write(
            "a.srt",
            "1\n00:00:00,300 --> 00:00:01,000\nFirst\n\n2\n00:00:00,900 --> 00:00:01,200\nSecond\n",
        );
        sources.place.write("a.vtt", "WEBVTT\n\n00:00.300 --> 00:01.000 line:0\nFirst\nline\n");
        sources
    }

    fn logo(&self) -> PathBuf {
        self.place.path("logo.png")
    }

    fn get(&self, number: usize) -> PathBuf {
        let (name, make) = SOURCES[number];
        let path = self.place.path(name);
        if !path.exists() {
            make(&path);
        }
        path
    }
}

/// What became of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Impossible,
    Refused,
    Right,
}

/// Has a profile made of a source, and judges what comes out.
fn run(sources: &Sources, seed: u64) -> Outcome {
    let asked = Asked::random(seed, &sources.logo());
    let text = &asked.text;
    let profile = Profile::from_toml(text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    if let Err(problems) = profile.wanted(&TABLES) {
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.reason.is_empty()), "{text}");
        return Outcome::Impossible;
    }
    let mut rng = Rng(!seed);
    let source = sources.get(rng.below(SOURCES.len()));
    let what = format!("seed {seed}, {} by\n{text}", source.display());
    let Some(place) = made(&source, text, "0.5", &what) else { return Outcome::Refused };
    for output in &asked.outputs {
        judge_output(&source, &asked, output, &place, &what);
    }
    if once_in(&mut rng, 3) {
        let whole = made(&source, text, "600", &what)
            .unwrap_or_else(|| panic!("{what}\nin one piece alone it is refused"));
        for output in &asked.outputs {
            same_times(&path_of(&place, &source, output), &path_of(&whole, &source, output), &what);
        }
    }
    Outcome::Right
}

fn path_of(place: &Place, source: &Path, output: &AskedOutput) -> PathBuf {
    let stem = source.file_stem().unwrap().to_str().unwrap();
    place
        .path(&format!("out/{}", output.name.replace("{stem}", stem).replace("{ext}", output.container.name)))
}

/// Makes what a profile asks for; `None` if it is refused, which must have a reason and leave nothing.
fn made(source: &Path, profile: &str, segment_time: &str, what: &str) -> Option<Place> {
    let place = Place::new();
    let file = place.write("p.toml", profile);
    let asked = ["--profile", file.to_str().unwrap(), "--segment-time", segment_time];
    let ran: Ran = place.run(&[source], &asked);
    let what = format!("{what}\n{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{what}");
    if ran.status == 1 {
        let reason = ran.failure();
        assert!(!reason.is_empty() && place.names("out").is_empty(), "{what}");
        for word in ["could not be proven", "ended with", "killed", "panicked", "not proven"] {
            assert!(!reason.contains(word), "{what}: {reason}");
        }
        if std::env::var_os("SHOW_REFUSALS").is_some() {
            println!("refused: {reason}");
        }
        return None;
    }
    assert_eq!(ran.status, 0, "{what}");
    Some(place)
}

/// Holds what is made in segments to what is made in one piece.
fn same_times(segments: &Path, whole: &Path, what: &str) {
    let has = |kind: &str| (judge::has(segments, kind), judge::has(whole, kind));
    assert!([has("V"), has("a")].iter().all(|(a, b)| a == b), "{what}: tracks in segments and in one piece");
    if has("V").0 {
        let (a, b) = (judge::pictures(segments), judge::pictures(whole));
        let off = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(
            a.len() == b.len() && off <= 0.0011,
            "{what}: {} pictures in segments, {} in one piece, {off} s",
            a.len(),
            b.len()
        );
    }
    if has("a").0 {
        let (a, b) = (judge::span_of_sound(segments), judge::span_of_sound(whole));
        assert!((a - b).abs() < 0.002, "{what}: {a} s of sound in segments, {b} s in one piece");
    }
}

fn judge_output(source: &Path, asked: &Asked, output: &AskedOutput, place: &Place, what: &str) {
    let path = path_of(place, source, output);
    assert!(path.exists(), "{what}: {:?}", place.names("out"));
    judge::decodes(&path);
    let has_pictures = judge::has(source, "V") && output.video.is_some();
    let has_sound = judge::has(source, "a") && !output.audio.is_empty();
    let found = (judge::has(&path, "V"), judge::has(&path, "a"));
    if output.by_language {
        assert!(found.0 == has_pictures && (has_sound || !found.1), "{what}: tracks");
    } else {
        assert_eq!(found, (has_pictures, has_sound), "{what}: tracks");
    }
    if has_pictures {
        judge_pictures(source, &path, asked, output, what);
    }
    if found.1 && !output.by_language {
        judge_sound(source, &path, asked, output, what);
    }
}

fn judge_pictures(source: &Path, path: &Path, asked: &Asked, output: &AskedOutput, what: &str) {
    let (a, b) = (judge::pictures(source), judge::pictures(path));
    let video = output.video.as_deref().unwrap_or_default();
    let key = |name: &str| asked.key("video", video, name);
    // A tick and a half of the coarsest clock, which counts milliseconds.
    let slack = 0.0016;
    let rate = key("frame_rate").filter(|value| !value.contains("most"));
    let zero = judge::starts(source, !output.audio.is_empty()).min(a[0]);
    let (from, to) = asked.trim;
    let is_used = |time: &&f64| **time - zero >= from - 1e-6 && **time - zero < to - 1e-6;
    let used: Vec<f64> = a.iter().filter(is_used).copied().collect();
    if let Some(rate) = rate {
        let step = 1.0 / rate_of(rate);
        let end = used.last().unwrap() - used[0];
        let least = (end / step).floor() - 1.0;
        let most = ((end + 1.0) / step).ceil() + 2.0;
        assert!(
            (least..=most).contains(&(b.len() as f64)),
            "{what}: {} pictures of {} every {step} s",
            b.len(),
            used.len()
        );
        let off = b.windows(2).map(|pair| (pair[1] - pair[0] - step).abs()).fold(0.0, f64::max);
        assert!(off <= slack, "{what}: {off} s beside a step");
    } else if key("frame_rate").is_none() {
        assert_eq!(used.len(), b.len(), "{what}: pictures");
        let off = used.iter().zip(&b).map(|(x, y)| ((y - b[0]) - (x - used[0])).abs()).fold(0.0, f64::max);
        assert!(off <= slack, "{what}: a picture is off by {off} s");
    }
    let size: Vec<i32> =
        ["width", "height"].iter().map(|name| judge::field(path, "V", name).parse().unwrap()).collect();
    if let Some(pad) = key("pad") {
        assert_eq!(format!("\"{}x{}\"", size[0], size[1]), pad, "{what}: size of the frame");
    } else {
        let within = |name: &str, side: i32| {
            let most = key(name).map_or(i32::MAX, |most| most.parse().unwrap());
            assert!(side <= most, "{what}: {name} of {side}");
        };
        // The height is in pixels; the width is that of what is shown.
        within("height", size[1]);
        let wide = judge::field(path, "V", "sample_aspect_ratio");
        if ["1:1", "N/A", "0:1"].contains(&wide.as_str()) {
            within("width", size[0]);
        }
    }
    if let Some(format) = key("pixel_format").filter(|format| *format != "\"source\"")
        && key("when_fits").is_none()
    {
        let found = judge::field(path, "V", "pix_fmt");
        // libavcodec's name of 4:2:0 in full range.
        assert_eq!(format!("\"{}\"", found.replace("yuvj", "yuv")), format, "{what}: pixel format");
    }
    if let Some(longest) = key("keyframe_interval") {
        let longest: f64 = longest.trim_matches(['"', 's']).parse().unwrap();
        let keys = judge::keyframes(path);
        let gap = keys.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        let frame = b.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(gap <= longest + frame + slack, "{what}: {gap} s between keyframes");
    }
    // Tone mapping makes other pictures, and in small ones there is little to tell them apart by.
    let is_alike = !["high.mp4", "gamma.mp4", "tiny.mp4"].iter().any(|name| source.ends_with(name));
    if is_alike && asked.keeps_pictures(video) && a.len() == b.len() && size == judge::shown_size(source) {
        let [own, next] = judge::likeness(source, path);
        for (i, psnr) in own.iter().enumerate() {
            let other = next.get(i).copied().unwrap_or(0.0);
            assert!(
                other < psnr + 2.0,
                "{what}: picture {i} looks like the one after it ({psnr:.1} dB, {other:.1} dB)"
            );
        }
    }
}

/// A rate as a profile has it, in pictures a second.
fn rate_of(text: &str) -> f64 {
    let (num, den) = text.trim_matches('"').split_once('/').unwrap_or((text, "1"));
    let rate = num.trim_matches('"').parse::<f64>().unwrap() / den.parse::<f64>().unwrap();
    if (rate - 29.97).abs() < 0.005 { 30_000.0 / 1001.0 } else { rate }
}

fn judge_sound(source: &Path, path: &Path, asked: &Asked, output: &AskedOutput, what: &str) {
    let tracks = judge::count(path, "a");
    let most = output.container.audio.most;
    let wanted = (judge::count(source, "a") * output.audio.len()).min(most);
    // Encodings that would be equal are there once.
    assert!(
        tracks <= wanted && tracks >= wanted / output.audio.len(),
        "{what}: {tracks} tracks of sound, not {wanted}"
    );
    let span = judge::span_of_sound(source);
    let (from, to) = asked.trim;
    let span = if from > 0.0 || to.is_finite() {
        // Sound may begin later than pictures.
        (span.min(to) - from).max(0.0)
    } else {
        span
    };
    let off = span - judge::span_of_sound(path);
    // Two packets of the longest ones at the lowest rate, which a codec primes and pads with.
    assert!(off.abs() < 2.0 * 1152.0 / 8000.0, "{what}: the sound is off by {off} s");
    let key = |name: &str| asked.key("audio", &output.audio[0], name);
    let codec = asked.codec("audio", &output.audio[0]);
    if codec != "copy" && key("when_fits").is_none() {
        let found = |name: &str| judge::field(path, "a", name).parse::<i32>().unwrap();
        if let Some(channels) = key("channels") {
            assert!(found("channels") <= channels.parse().unwrap(), "{what}: channels");
        }
        if let Some(rate) = key("sample_rate") {
            let rate: i32 = rate.parse().unwrap();
            let highest = [48_000, 96_000, 192_000];
            assert!(
                found("sample_rate") >= rate || highest.contains(&found("sample_rate")),
                "{what}: sample rate"
            );
        }
    }
}

/// Runs profiles from this seed on until so many are accepted, and counts outcomes.
fn run_accepted(first: u64, count: u64) -> [u64; 3] {
    let sources = Sources::new();
    let mut counts = [0; 3];
    let mut seed = first;
    while counts[1] + counts[2] < count {
        counts[run(&sources, seed) as usize] += 1;
        seed += 1;
    }
    counts
}

#[test]
fn a_random_profile_is_refused_with_a_reason_or_right() {
    let [_, _, right] = run_accepted(1, 8);
    assert!(right > 0);
}

#[test]
#[ignore = "takes minutes: make profiles"]
fn hundreds_of_random_profiles_are_refused_with_a_reason_or_right() {
    let [impossible, refused, right] = run_accepted(number("FIRST", 1), number("COUNT", 500));
    println!("{impossible} impossible, {refused} refused, {right} right");
    let is_many = right + refused >= 100;
    assert!(right > refused || !is_many, "most of what is accepted is made");
}
