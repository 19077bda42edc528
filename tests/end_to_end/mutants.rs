//! Broken files: each ends in a clear verdict, and nothing else does. The same seeds make the same files:
//! `make mutants FIRST=1 COUNT=5000`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{
    Place, Ran,
    media::{self, Constant, kinds, mutate},
};

/// How many files go through one process.
const PORTION: u64 = 40;
/// How long a portion may take: what hangs is ended by its own limit, which is longer than this.
const LONGEST: Duration = Duration::from_secs(400);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// What is broken: small files of each container.
fn whole(place: &Place) -> Vec<PathBuf> {
    let short = Constant { seconds: "1", size: "128x72", gop: 8, ..Constant::default() };
    let mut files = Vec::new();
    for name in ["a.mp4", "a.mkv", "a.ts", "a.flv", "a.mov", "a.avi"] {
        files.push(place.path(name));
        media::constant(files.last().unwrap(), short);
    }
    for (name, make) in [
        ("fragments.mp4", kinds::fragmented as fn(&Path)),
        ("edited.mp4", kinds::edited),
        ("many.mkv", kinds::many_tracks),
        ("annotated.mkv", kinds::annotated),
        ("tone.m4a", kinds::gapless),
        ("cover.mp3", kinds::covered),
    ] {
        files.push(place.path(name));
        make(files.last().unwrap());
    }
    files
}

/// Files of these seeds go through one process.
fn portion(
    place: &Place,
    whole: &[Vec<u8>],
    names: &[PathBuf],
    seeds: std::ops::Range<u64>,
) -> (usize, usize) {
    let folder = place.path("in");
    std::fs::create_dir_all(&folder).unwrap();
    let mut inputs = Vec::new();
    for seed in seeds.clone() {
        let which = usize::try_from(seed).unwrap() % whole.len();
        let mut bytes = whole[which].clone();
        mutate::mutate(&mut bytes, seed);
        let extension = names[which].extension().unwrap().to_str().unwrap();
        let path = folder.join(format!("{seed}.{extension}"));
        std::fs::write(&path, bytes).unwrap();
        inputs.push(path);
    }
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let mut command = place.run_command(&inputs, &["--segment-time", "0.3"]);
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < LONGEST, "seeds {seeds:?} took {:?}", begun.elapsed());
    let ran = Ran::of(output);
    assert!(matches!(ran.status, 0 | 1), "seeds {seeds:?}: status {}\n{}", ran.status, ran.stderr);
    assert_eq!(ran.lines.len(), inputs.len(), "seeds {seeds:?}: a verdict for each");
    let (mut made, mut refused) = (0, 0);
    for line in &ran.lines {
        let source = line["source"].as_str().unwrap();
        match line["state"].as_str().unwrap() {
            "succeeded" => {
                made += 1;
                decodes(source, line["outputs"][0]["url"].as_str().unwrap());
            }
            "failed" => {
                refused += 1;
                let reason = line["reason"].as_str().unwrap();
                assert!(reason.len() > 20, "{source}: {reason}");
            }
            other => panic!("{source}: {other}"),
        }
    }
    // Failed ones keep theirs for the retry window.
    let failed = |name: &String| {
        let of_it =
            |line: &&serde_json::Value| line["execution"].as_str().is_some_and(|id| name.starts_with(id));
        ran.lines.iter().any(|line| line["state"] == "failed" && of_it(&line))
    };
    let left: Vec<String> = place.names("data/work").into_iter().filter(|name| !failed(name)).collect();
    let whose = |name: &String| {
        let line =
            ran.lines.iter().find(|line| line["execution"].as_str().is_some_and(|id| name.starts_with(id)));
        line.map_or("nobody".into(), |line| format!("{} {}", line["source"], line["state"]))
    };
    let whose: Vec<String> = left.iter().map(whose).collect();
    assert!(left.is_empty(), "seeds {seeds:?}: work objects are left: {whose:?}\n{}", ran.stderr);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    let partial: Vec<String> =
        place.names("out").into_iter().filter(|name| !name.ends_with(".mp4")).collect();
    assert!(partial.is_empty(), "seeds {seeds:?}: {partial:?} are left");
    std::fs::remove_dir_all(&folder).unwrap();
    for folder in ["out", "data"] {
        std::fs::remove_dir_all(place.path(folder)).unwrap();
    }
    (made, refused)
}

/// What was published decodes, whatever it was made of.
fn decodes(source: &str, url: &str) {
    let path = url.strip_prefix("file://").unwrap();
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-i", path, "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The clock of a comparison that is written nowhere.
    let harmless = |line: &str| {
        line.contains("non monotonically") || line.contains("Last message repeated") || line.is_empty()
    };
    assert!(output.status.success() && said.lines().all(harmless), "{source}: {said}");
}

fn mutants(first: u64, count: u64) {
    let place = Place::new();
    let names = whole(&place);
    let whole: Vec<Vec<u8>> = names.iter().map(|name| std::fs::read(name).unwrap()).collect();
    let (mut made, mut refused) = (0, 0);
    let begun = Instant::now();
    for seed in (first..first + count).step_by(usize::try_from(PORTION).unwrap()) {
        let (more, fewer) = portion(&place, &whole, &names, seed..(seed + PORTION).min(first + count));
        made += more;
        refused += fewer;
        if count > PORTION {
            println!(
                "up to seed {}: {made} made, {refused} refused, {:.0?}",
                seed + PORTION - 1,
                begun.elapsed()
            );
        }
    }
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
}

#[test]
fn a_broken_file_ends_in_a_clear_verdict() {
    mutants(1, PORTION);
}

/// To look at one: `FIRST=2403 COUNT=1 KEEP=/tmp cargo test --test end_to_end mutants::broken_files_are_kept -- --ignored`.
#[test]
#[ignore = "writes files"]
fn broken_files_are_kept() {
    let place = Place::new();
    let names = whole(&place);
    let folder = PathBuf::from(std::env::var("KEEP").unwrap());
    for seed in number("FIRST", 1)..number("FIRST", 1) + number("COUNT", 1) {
        let name = &names[usize::try_from(seed).unwrap() % names.len()];
        let mut bytes = std::fs::read(name).unwrap();
        mutate::mutate(&mut bytes, seed);
        std::fs::write(folder.join(format!("{seed}.{}", name.extension().unwrap().to_str().unwrap())), bytes)
            .unwrap();
    }
}

#[test]
#[ignore = "make mutants"]
fn thousands_of_broken_files_end_in_clear_verdicts() {
    mutants(number("FIRST", 1), number("COUNT", 5000));
}
