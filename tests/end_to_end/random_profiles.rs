//! Random profiles over sources of twenty kinds: each is refused with a reason, or what it makes is right. The same seeds make the same
//! profiles: `make profiles FIRST=1 COUNT=500`. A key that the page of profiles lists is tried by its example, if not by values of its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use millrace_formats::{Container, TABLES, codec::Codec};
use millrace_profiles::{KEYS, Profile};

use crate::common::{
    Place, Ran, judge,
    media::{self, Constant, kinds, mutate::Rng},
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

fn one_of<'a, T: ?Sized>(rng: &mut Rng, all: &[&'a T]) -> &'a T {
    all[rng.below(all.len())]
}

/// Returns `true` once in so many times.
fn once_in(rng: &mut Rng, times: usize) -> bool {
    rng.below(times) == 0
}

/// Values of a key: at the ends of its range, and in between; `None` for a key of which no range is known here.
fn value(rng: &mut Rng, key: &str, codec: &dyn Codec) -> Option<String> {
    let text = |value: &str| format!("\"{value}\"");
    Some(match (key, codec.video(), codec.audio()) {
        ("quality", Some(video), _) => {
            let quality = video.quality();
            let values = [quality.best, quality.worst, quality.usual, (quality.best + quality.worst) / 2.0];
            format!("{:?}", values[rng.below(values.len())])
        }
        // The first ones are the fast ones.
        ("preset", Some(video), _) => {
            let presets = video.presets();
            text(one_of(rng, &presets[..presets.len().min(3)]))
        }
        ("size", Some(_), _) => text(one_of(rng, &["2x2", "64x64", "96x54", "400x90"])),
        ("width" | "height", Some(_), _) => one_of(rng, &["2", "64", "90", "300"]).to_owned(),
        ("upscale", Some(_), _) => "true".to_owned(),
        ("keyframe_interval", Some(_), _) => text(one_of(rng, &["0.1s", "0.5s", "60s"])),
        ("pixel_format", Some(video), _) => text(one_of(rng, video.pixel_formats())),
        ("bitrate", _, Some(audio)) => {
            let rates = audio.bit_rates()?;
            let values = [rates.least, rates.most, rates.usual];
            text(&values[rng.below(values.len())].to_string())
        }
        ("sample_rate", _, Some(_)) => {
            one_of(rng, &["8000", "22050", "44100", "48000", "96000", "192000"]).to_owned()
        }
        ("channels", _, Some(_)) => one_of(rng, &["1", "2", "6", "8"]).to_owned(),
        _ => return None,
    })
}

/// The keys of a table, such as `video.NAME.`, each at random, with the lines of its example or a value of its own.
fn keys(rng: &mut Rng, table: &str, codec: &dyn Codec, leave_out: &[&str]) -> String {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for key in KEYS {
        let Some(name) = key.path.strip_prefix(table) else { continue };
        if leave_out.contains(&name) || key.example.starts_with('[') || !once_in(rng, 3) {
            continue;
        }
        if let Some(value) = value(rng, name, codec) {
            lines.insert(name.to_owned(), format!("{name} = {value}"));
            continue;
        }
        for line in key.example.lines() {
            let name = line.split('=').next().unwrap_or_default().trim();
            lines.entry(name.to_owned()).or_insert_with(|| line.to_owned());
        }
    }
    lines.into_values().fold(String::new(), |text, line| text + &line + "\n")
}

/// A codec that a format holds, or now and then any.
fn codec(rng: &mut Rng, held: &[&'static dyn Codec]) -> &'static dyn Codec {
    if once_in(rng, 12) { one_of(rng, TABLES.codecs) } else { one_of(rng, held) }
}

fn profile(seed: u64) -> (String, &'static Container) {
    let mut rng = Rng(seed);
    let container = *TABLES.containers.get(rng.below(TABLES.containers.len())).unwrap();
    let mut text = String::new();
    let (mut video, mut audio) = ("none", "none");
    if container.video.most > 0 && !once_in(&mut rng, 6) {
        let codec = codec(&mut rng, container.video.codecs);
        video = "v";
        let _ = writeln!(text, "[video.v]\ncodec = \"{}\"", codec.name());
        text += &keys(&mut rng, "video.NAME.", codec, &["codec"]);
    }
    if container.audio.most > 0 && !once_in(&mut rng, 6) {
        let codec = codec(&mut rng, container.audio.codecs);
        audio = "a";
        let _ = writeln!(text, "[audio.a]\ncodec = \"{}\"", codec.name());
        text += &keys(&mut rng, "audio.NAME.", codec, &["codec"]);
    }
    let _ = writeln!(
        text,
        "[[output]]\nformat = \"{}\"\nvideo = \"{video}\"\naudio = \"{audio}\"",
        container.name
    );
    (text, container)
}

/// Keys by which an output has other pictures than its source, or at other times.
const OTHER_PICTURES: [&str; 3] = ["frame_rate", "deinterlace", "trim"];

/// Decodes all of a file. ffmpeg must say nothing.
fn decodes(path: &Path) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-i"]).arg(path).args(["-f", "null", "-"]);
    let ran = ffmpeg.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    // The clock of a comparison that is written nowhere.
    let is_harmless = |line: &str| line.starts_with("[null @") && line.contains("non monotonically");
    assert!(ran.status.success() && said.lines().all(is_harmless), "{}: {said}", path.display());
}

/// Where sources lie, each made once.
struct Sources {
    place: Place,
}

impl Sources {
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
    let (text, container) = profile(seed);
    if let Err(problems) = Profile::from_toml(&text).unwrap().wanted(&TABLES) {
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.reason.is_empty()), "{text}");
        return Outcome::Impossible;
    }
    let source = sources.get(Rng(!seed).below(SOURCES.len()));
    let place = Place::new();
    let file = place.write("p.toml", &text);
    let asked = ["--profile", file.to_str().unwrap(), "--segment-time", "0.5"];
    let ran: Ran = place.run(&[&source], &asked);
    let what = format!("seed {seed}, {} by\n{text}\n{}", source.display(), ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{what}");
    if ran.status == 1 {
        let reason = ran.failure();
        assert!(!reason.is_empty() && place.names("out").is_empty(), "{what}");
        for word in ["could not be proven", "ended with", "killed", "panicked"] {
            assert!(!reason.contains(word), "{what}: {reason}");
        }
        return Outcome::Refused;
    }
    assert_eq!(ran.status, 0, "{what}");
    let stem = source.file_stem().unwrap().to_str().unwrap();
    let output = place.path(&format!("out/{stem}.{}", container.name));
    assert!(output.exists(), "{what}: {:?}", place.names("out"));
    decodes(&output);
    let has_pictures = judge::has(&source, "V") && text.contains("[video.v]");
    let has_sound = judge::has(&source, "a") && text.contains("[audio.a]");
    assert_eq!((judge::has(&output, "V"), judge::has(&output, "a")), (has_pictures, has_sound), "{what}");
    if has_pictures && !OTHER_PICTURES.iter().any(|key| text.contains(key)) {
        let (a, b) = (judge::pictures(&source), judge::pictures(&output));
        assert_eq!(a.len(), b.len(), "{what}: pictures");
        // A tick and a half of the coarsest clock, which counts milliseconds.
        let off = a.iter().zip(&b).map(|(x, y)| ((y - b[0]) - (x - a[0])).abs()).fold(0.0, f64::max);
        assert!(off <= 0.0016, "{what}: a picture is off by {off} s");
    }
    if has_sound {
        let off = judge::span_of_sound(&source) - judge::span_of_sound(&output);
        // Two packets of the longest ones at the lowest rate, which a codec primes and pads with.
        assert!(off.abs() < 2.0 * 1152.0 / 8000.0, "{what}: the sound is off by {off} s");
    }
    Outcome::Right
}

/// Runs profiles from this seed on until so many are accepted, and counts outcomes.
fn run_accepted(first: u64, count: u64) -> [u64; 3] {
    let sources = Sources { place: Place::new() };
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
    assert!(right > refused, "most of what is accepted is made");
}
