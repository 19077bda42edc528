//! `cargo bench --bench compare -- codecs`: each codec of pictures but the usual one, in segments of 5 s, against one `ffmpeg` command
//! with the same encoder settings: wall time, size and likeness side by side. `SECONDS_OF_SOURCE` and `SIZE_OF_SOURCE` choose the
//! source.

use std::{fs, path::Path, process::Command};

use millrace_formats::{CODECS, Codec, VideoAsk};
use millrace_schemas::{Picture, Ratio};

use super::{Case, compare};

/// As long as six segments, and as large as most films on the web.
const SECONDS: &str = "30";
const SIZE: &str = "1280x720";
const RATE: i32 = 25;

fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// Compares each codec that is not the first, which `compare` itself measures.
pub(super) fn run(work: &Path, rounds: usize, make: impl Fn(&str, &str), millrace: &str) {
    let (seconds, size) = (setting("SECONDS_OF_SOURCE", SECONDS), setting("SIZE_OF_SOURCE", SIZE));
    let source = format!("codecs-{size}-{seconds}.mp4");
    make(
        &source,
        &format!(
            "-f lavfi -i testsrc2=s={size}:r={RATE},noise=alls=3:allf=t -t {seconds} -c:v libx264 -preset veryfast -crf 12 -g {RATE} -pix_fmt yuv420p"
        ),
    );
    let (width, height) = size.split_once('x').expect("SIZE_OF_SOURCE is WIDTHxHEIGHT");
    let size = [width, height].map(|side| side.parse::<i32>().expect("SIZE_OF_SOURCE is WIDTHxHEIGHT"));
    let picture = Picture::plain(size.into(), Ratio { num: RATE, den: 1 }, Ratio { num: 1, den: 12_800 });
    for codec in CODECS.iter().copied().filter(|codec| codec.video().is_some()).skip(1) {
        let name = codec.name();
        let profile = format!(
            "[video.v]\ncodec = \"{name}\"\n[[output]]\nformat = \"mkv\"\nname = \"{{stem}}-{name}.{{ext}}\"\n"
        );
        fs::write(work.join("codec.toml"), profile).expect("a profile");
        let cases = [
            Case {
                name: "millrace, 5 s segments",
                script: format!(
                    "{millrace} run {source} --output out --data data --profile codec.toml --segment-time 5 2>/dev/null"
                ),
            },
            Case {
                name: "ffmpeg",
                script: format!("ffmpeg -v error -y -i {source} {} out/{name}.mkv", encode(codec, &picture)),
            },
        ];
        compare(&format!("{name}, {source}"), work, &cases, rounds);
        let stem = source.trim_end_matches(".mp4");
        let made =
            [format!("{stem}-{name}.mkv"), format!("{name}.mkv")].map(|file| work.join("kept").join(file));
        likeness(name, &work.join(&source), &made);
    }
}

/// The options of `ffmpeg` for the settings that an output of this codec has.
fn encode(codec: &dyn Codec, picture: &Picture) -> String {
    let settings = codec.video_settings(picture, &VideoAsk::default()).expect("a codec of pictures");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = i32::try_from(cores).unwrap_or(1);
    let options = codec.video().map(|video| video.options_for(&settings, threads)).unwrap_or_default();
    let options = options.into_iter().map(|(key, value)| format!("-{key}:v '{value}'"));
    let encoders = codec.encoders();
    let encoder = encoders.iter().find(|name| has(&["-encoders"], name)).expect("an encoder");
    format!("-c:v {encoder} -threads {threads} {}", options.collect::<Vec<_>>().join(" "))
}

/// Whether `ffmpeg` lists a name.
fn has(list: &[&str], name: &str) -> bool {
    let listed = Command::new("ffmpeg").args(["-v", "error"]).args(list).output().expect("ffmpeg");
    String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}

/// Prints the sizes of both, their SSIM to the source, and their VMAF where this `ffmpeg` measures it.
fn likeness(codec: &str, source: &Path, made: &[std::path::PathBuf; 2]) {
    println!("| {codec} | bytes | SSIM | VMAF |\n|---|---|---|---|");
    for (name, file) in ["millrace", "ffmpeg"].iter().zip(made) {
        let bytes = fs::metadata(file).expect("an output").len();
        let ssim = measured(source, file, "ssim", "All:").unwrap_or_else(|| "-".into());
        let vmaf =
            has(&["-filters"], "libvmaf").then(|| measured(source, file, "libvmaf", "score: ")).flatten();
        println!("| {name} | {bytes} | {ssim} | {} |", vmaf.unwrap_or_else(|| "-".into()));
    }
    println!();
}

/// What a filter of `ffmpeg` that compares two files says behind a word.
fn measured(source: &Path, file: &Path, filter: &str, word: &str) -> Option<String> {
    let graph = format!("[0:v]settb=AVTB,setpts=N[a];[1:v]settb=AVTB,setpts=N[b];[a][b]{filter}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "info", "-i"]).arg(file).arg("-i").arg(source);
    let said = ffmpeg.args(["-lavfi", &graph, "-f", "null", "-"]).output().expect("ffmpeg").stderr;
    let said = String::from_utf8_lossy(&said);
    let behind = said.rsplit_once(word)?.1;
    behind.split_whitespace().next().map(str::to_owned)
}
