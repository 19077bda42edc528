//! A video in short segments, in batches of any length, becomes the same as in one segment: the same pictures at the same times,
//! the same sound, the same warnings. The sources are of every codec and container that FFmpeg writes, most of them with
//! defects. A seed determines its source: `make differential FIRST=1 COUNT=2000`.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use crate::common::{
    Place, Ran,
    compare::{Verdict, differences},
    media::{
        self,
        defects::{self, Source, pairs},
    },
};

/// The number of sources of one process.
const PORTION: u64 = 20;

/// A way to make an output of a source.
struct Way {
    name: &'static str,
    options: &'static [&'static str],
    /// True if each segment is a batch of its own.
    single: bool,
}

/// The last one is what the others are compared with.
const WAYS: [Way; 3] = [
    Way { name: "one batch", options: &["--segment-time", "0.5", "--jobs", "1"], single: false },
    Way { name: "single segments", options: &["--segment-time", "0.5", "--jobs", "4"], single: true },
    Way { name: "one segment", options: &["--segment-time", "86400", "--jobs", "1"], single: false },
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// Calls `act` for each item on as many threads as there are cores. Returns the results in the order of the items.
fn for_each<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        numbers.map_while(|i| Some((i, act(items.get(i)?)))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The results of the seeds so far.
#[derive(Default)]
struct Summary {
    same: u64,
    refused: u64,
    segmented: u64,
    unwritten: Vec<String>,
    differing: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { same, refused, segmented, unwritten, differing } = self;
        let inputs = same + refused + differing.len() as u64;
        write!(
            f,
            "{inputs} inputs: {same} same ({segmented} of them in several segments), {refused} refused by all, "
        )?;
        write!(f, "{} differ; {} not written by this FFmpeg", differing.len(), unwritten.len())
    }
}

/// Runs the program on all sources in one way. Returns their verdicts.
fn run(place: &Place, number: usize, sources: &[&Path]) -> Vec<Verdict> {
    let way = &WAYS[number];
    let (output, data) = (format!("out-{number}"), format!("data-{number}"));
    let mut command = place.millrace();
    command.arg("run").args(sources).args(["--output", &output, "--data", &data, "--json"]).args(way.options);
    if way.single {
        command.env("MILLRACE_TEST_BATCH", "1");
    }
    let ran = Ran::of(command.output().unwrap());
    let verdict = |source: &&Path| {
        let is_of_it = |line: &&serde_json::Value| {
            line["source"].as_str().is_some_and(|url| Path::new(url).file_name() == source.file_name())
        };
        let missing = || Verdict::Missing(format!("status {}: {}", ran.status, ran.stderr));
        ran.lines.iter().find(is_of_it).map_or_else(missing, Verdict::of)
    };
    sources.iter().map(verdict).collect()
}

/// Copies a source and its outputs to a folder that outlives the test. Returns the folder.
fn keep(seed: u64, source: &Source, verdicts: &[(&str, Verdict)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential/{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(&source.path, folder.join(source.path.file_name().unwrap())).unwrap();
    for (name, verdict) in verdicts {
        if let Verdict::Succeeded(line, output) = verdict {
            let name = name.replace(' ', "-");
            std::fs::copy(output, folder.join(format!("{name}.mp4"))).unwrap();
            std::fs::write(folder.join(format!("{name}.json")), line.to_string()).unwrap();
        }
    }
    folder
}

/// Generates the sources of some seeds, makes outputs of them in all ways, and compares these.
fn portion(place: &Place, seeds: Range<u64>, summary: &mut Summary) {
    let (folder, intact) = (place.path("in"), place.path("intact"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(&intact).unwrap();
    let seeds: Vec<u64> = seeds.collect();
    let mut sources = Vec::new();
    for (seed, generated) in
        seeds.iter().zip(for_each(&seeds, |seed| defects::generate(&intact, &folder, *seed)))
    {
        match generated {
            Ok(source) => sources.push((*seed, source)),
            Err(message) => summary.unwritten.push(message),
        }
    }
    let paths: Vec<&Path> = sources.iter().map(|(_, source)| source.path.as_path()).collect();
    let verdicts = for_each(&[0, 1, 2], |number| run(place, *number, &paths));
    let of_source = |i: usize| -> Vec<(&str, Verdict)> {
        WAYS.iter().zip(&verdicts).map(|(way, verdicts)| (way.name, verdicts[i].clone())).collect()
    };
    let cases: Vec<_> =
        sources.iter().enumerate().map(|(i, (seed, source))| (*seed, source, of_source(i))).collect();
    for ((seed, source, verdicts), found) in cases.iter().zip(for_each(&cases, |case| differences(&case.2))) {
        if !found.is_empty() {
            let kept = keep(*seed, source, verdicts);
            let text =
                format!("seed {seed}: {source}\n    {}\n    see {}", found.join("\n    "), kept.display());
            println!("{text}");
            summary.differing.push(text);
        } else if matches!(verdicts[0].1, Verdict::Failed(_)) {
            summary.refused += 1;
        } else {
            summary.same += 1;
            summary.segmented += u64::from(verdicts[0].1.segments() > 1);
        }
    }
    for name in ["in", "out-0", "out-1", "out-2", "data-0", "data-1", "data-2"] {
        // A folder of outputs may not exist.
        let _ = std::fs::remove_dir_all(place.path(name));
    }
}

fn differential(first: u64, count: u64) {
    let place = Place::new();
    let begun = Instant::now();
    let mut summary = Summary::default();
    for seed in (first..first + count).step_by(usize::try_from(PORTION).unwrap()) {
        let end = (seed + PORTION).min(first + count);
        portion(&place, seed..end, &mut summary);
        println!("up to seed {}: {summary}, {:.0?}", end - 1, begun.elapsed());
    }
    assert!(summary.differing.is_empty(), "{summary}\n{}", summary.differing.join("\n"));
    // A build of FFmpeg may lack a few encoders.
    assert!(summary.unwritten.len() as u64 <= count / 10, "{:#?}", summary.unwritten);
}

#[test]
fn short_segments_in_any_batches_make_what_one_segment_makes() {
    differential(number("FIRST", 1), 60);
}

#[test]
fn a_picture_that_is_repeated_is_found() {
    let place = Place::new();
    let source = pairs::of_seed(1).video(&place.path(""), false).unwrap();
    let encode = |name: &str, filter: &str| {
        let path = place.path(name);
        let options = ["-filter_complex", filter, "-c:v", "libx264", "-pix_fmt", "yuv420p"];
        let input = ["-i", source.to_str().unwrap()];
        media::ffmpeg(&[&input[..], &options, &[path.to_str().unwrap()]].concat());
        let output = serde_json::json!({
            "url": format!("file://{}", path.display()), "video": {}, "audio": null
        });
        let line = serde_json::json!({ "state": "succeeded", "warnings": [], "outputs": [output] });
        Verdict::of(&line)
    };
    let verdicts = [
        ("wrong", encode("a.mp4", "split[a][b];[a][b]freezeframes=20:20:19")),
        ("right", encode("b.mp4", "null")),
    ];
    let found = differences(&verdicts);
    assert!(found.len() == 1 && found[0].starts_with("picture: wrong / right: 1 of 60 differ"), "{found:?}");
}

#[test]
#[ignore = "make differential"]
fn short_segments_of_thousands_of_sources_make_what_one_segment_makes() {
    differential(number("FIRST", 1), number("COUNT", 2000));
}

#[test]
#[ignore = "several minutes"]
fn a_seed_generates_the_same_source_each_time() {
    let place = Place::new();
    let generate = |name: &str, seed: u64| {
        let folder = place.path(&format!("{name}/{seed}"));
        std::fs::create_dir_all(&folder).unwrap();
        let bytes =
            defects::generate(&folder, &folder, seed).ok().map(|source| std::fs::read(source.path).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
        bytes
    };
    let seeds: Vec<u64> = (1..number("COUNT", 300)).collect();
    let differ = for_each(&seeds, |seed| generate("a", *seed) != generate("b", *seed));
    let differing: Vec<&u64> =
        seeds.iter().zip(differ).filter_map(|(seed, differ)| differ.then_some(seed)).collect();
    assert!(differing.is_empty(), "seeds {differing:?} generate another source each time");
}

#[test]
#[ignore = "several minutes"]
fn this_ffmpeg_writes_every_pair_of_codec_and_container() {
    let place = Place::new();
    let folder = place.path("intact");
    std::fs::create_dir_all(&folder).unwrap();
    let count_pictures = |path: &Path| {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v:0", "-count_frames"])
            .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().next().unwrap_or_default().trim_end_matches(',').parse::<usize>().unwrap_or_default()
    };
    let check = |pair: &pairs::Pair| {
        let failure = match pair.video(&folder, true) {
            Ok(path) => {
                let count = count_pictures(&path);
                std::fs::remove_file(path).unwrap();
                // Some containers end with their sound, and FFmpeg does not read all H.264 in MXF that it writes.
                if count < 5 { format!("{count} pictures are read") } else { return None }
            }
            Err(message) => message,
        };
        Some(format!("{} in {}: {failure}", pair.encoding.name, pair.container.name))
    };
    let failures: Vec<String> = for_each(&pairs::pairs(), check).into_iter().flatten().collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
