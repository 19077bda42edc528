//! `make bench`: Millrace against ffmpeg, side by side in one run. Prints medians and ratios as a table.
//!
//! (B) `ffmpeg` with two outputs in one command, as most people write it; (T) `ffmpeg` with its tee muxer, as an expert
//! does; (C) split by copy, transcode each segment to each format, concat; (F) one `ffmpeg` command to mp4 alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

#[path = "compare/codecs.rs"]
mod codecs;
#[path = "compare/ladder.rs"]
mod ladder;

use nix::sys::resource::{UsageWho, getrusage};

const ENCODE: &str = "-c:v libx264 -preset medium -crf 23 -c:a aac -b:a 128k";
const ROUNDS: usize = 3;

/// One command of the comparison.
struct Case {
    name: &'static str,
    script: String,
}

/// What one run cost.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    peak: f64,
}

fn main() {
    // `cargo test --benches` and `cargo clippy` also run this: only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-work");
    fs::create_dir_all(&work).expect("a work folder");
    media(&work);
    let millrace = env!("CARGO_BIN_EXE_millrace");
    // `cargo bench --bench compare -- codecs` asks for that alone.
    if std::env::args().any(|argument| argument == "codecs") {
        codecs::run(&work, rounds, |name, arguments| make(&work, name, arguments), millrace);
        return;
    }
    // `cargo bench --bench compare -- ladder` for that.
    if std::env::args().any(|argument| argument == "ladder") {
        ladder::run(&work, rounds, |name, arguments| make(&work, name, arguments), millrace);
        return;
    }
    let source = "long.mp4";
    let run = |input: &str, formats: &str| {
        format!("{millrace} run {input} --output out --data data {formats} 2>/dev/null")
    };

    // `cargo bench --bench compare -- sandbox` asks for what is in the sandbox alone, `-- copy` for copies.
    let is_asked = |name: &str| std::env::args().any(|argument| argument == name);
    if !is_asked("sandbox") {
        copied(&work, rounds, millrace);
    }
    if is_asked("copy") {
        return;
    }
    sandboxed(&work, rounds, run);
    if is_asked("sandbox") {
        return;
    }
    let two = [
        Case { name: "millrace, mp4 + flv", script: run(source, "-f mp4 -f flv --segment-time 5") },
        Case {
            name: "B: ffmpeg, two outputs",
            script: format!(
                "ffmpeg -v error -y -i {source} {ENCODE} -movflags +faststart out/b.mp4 {ENCODE} out/b.flv"
            ),
        },
        Case {
            name: "T: ffmpeg, tee",
            script: format!(
                "ffmpeg -v error -y -i {source} -map 0:v -map 0:a {ENCODE} -flags +global_header -f tee '[movflags=+faststart]out/t.mp4|out/t.flv'"
            ),
        },
        Case { name: "C: split, transcode, concat", script: split_and_concat(source) },
    ];
    compare("1080p25, 30 s, to mp4 + flv", &work, &two, rounds);
    let size = |name: &str| fs::metadata(work.join("kept").join(name)).map_or(0.0, |m| m.len() as f64);
    println!("output size, mp4: {:.3} of T's\n", size("long.mp4") / size("t.mp4"));
    let one = [
        Case { name: "millrace, mp4", script: run(source, "--segment-time 5") },
        Case {
            name: "F: ffmpeg",
            script: format!("ffmpeg -v error -y -i {source} {ENCODE} -movflags +faststart out/f.mp4"),
        },
    ];
    compare("1080p25, 30 s, to mp4 alone", &work, &one, rounds);
    let small = [
        Case { name: "millrace, mp4", script: run("short.mp4", "") },
        Case {
            name: "F: ffmpeg",
            script: format!("ffmpeg -v error -y -i short.mp4 {ENCODE} -movflags +faststart out/f.mp4"),
        },
    ];
    compare("320x240, 2 s, to mp4", &work, &small, rounds.max(2) * 4);
}

/// What the box around media costs: the ratios are with it over without it.
fn sandboxed(work: &Path, rounds: usize, run: impl Fn(&str, &str) -> String) {
    for (title, source, rounds) in [
        ("320x240, 2 s, in the sandbox and without it", "short.mp4", rounds * 8),
        ("1080p25, 30 s, in the sandbox and without it", "long.mp4", rounds),
    ] {
        let cases = [
            Case { name: "millrace, --sandbox on", script: run(source, "--sandbox on") },
            Case { name: "millrace, --sandbox off", script: run(source, "--sandbox off") },
        ];
        compare(title, work, &cases, rounds);
    }
}

/// What a copy of 1 GB costs. Millrace's output is on the disk when it ends, and its index lies in front; ffmpeg's is neither, unless
/// that is asked for.
fn copied(work: &Path, rounds: usize, millrace: &str) {
    let profile = "[video.main]\ncodec = \"h264\"\nwhen_fits = \"copy\"\n[audio.main]\ncodec = \"aac\"\nwhen_fits = \"copy\"\n\
                   [[output]]\nformat = \"mp4\"\n";
    fs::write(work.join("copy.toml"), profile).expect("a profile");
    make(
        work,
        "part.mp4",
        "-f lavfi -i testsrc2=s=1920x1080:r=25,noise=alls=12:allf=t -t 20 -c:v libx264 -preset ultrafast -b:v 20M -maxrate 20M \
         -bufsize 20M -g 50 -bf 2 -pix_fmt yuv420p",
    );
    make(
        work,
        "large.mp4",
        "-stream_loop 19 -i part.mp4 -f lavfi -i sine=440:sample_rate=48000:duration=400 -map 0:v -map 1:a -c:v copy -c:a aac",
    );
    let copy = "ffmpeg -v error -y -i large.mp4 -c copy";
    let cases = [
        Case {
            name: "millrace, copied",
            script: format!(
                "{millrace} run large.mp4 --output out --data data --profile copy.toml 2>/dev/null"
            ),
        },
        Case { name: "ffmpeg -c copy", script: format!("{copy} out/f.mp4") },
        Case { name: "ffmpeg -c copy; sync", script: format!("{copy} out/f.mp4 && sync --data out/f.mp4") },
        Case {
            name: "ffmpeg -c copy, index in front; sync",
            script: format!("{copy} -movflags +faststart out/f.mp4 && sync --data out/f.mp4"),
        },
    ];
    compare("1 GB of H.264 and AAC, copied from mp4 to mp4", work, &cases, rounds);
}

fn split_and_concat(source: &str) -> String {
    format!(
        "mkdir out/c && ffmpeg -v error -y -i {source} -c copy -f segment -segment_time 5 -reset_timestamps 1 out/c/s%03d.mp4 && \
         for f in mp4 flv; do for s in out/c/s*.mp4; do o=out/c/$(basename $s .mp4).o.$f; \
         ffmpeg -v error -y -i $s {ENCODE} $o; echo \"file '$(basename $o)'\" >> out/c/$f.txt; done; \
         ffmpeg -v error -y -f concat -i out/c/$f.txt -c copy out/c.$f; done"
    )
}

/// Has ffmpeg make a source, if it is not there yet.
fn make(work: &Path, name: &str, arguments: &str) {
    if !work.join(name).exists() {
        eprintln!("making {name}");
        let script = format!("ffmpeg -v error -y {arguments} making.{name} && mv making.{name} {name}");
        assert!(shell(&script, work).wait().expect("ffmpeg").success(), "{name} could not be made");
    }
}

fn media(work: &Path) {
    let make = |name: &str, arguments: &str| make(work, name, arguments);
    make(
        "long.mp4",
        "-f lavfi -i testsrc2=s=1920x1080:r=25,noise=alls=3:allf=t -f lavfi -i sine=440:sample_rate=48000 -t 30 \
         -c:v libx264 -preset veryfast -crf 20 -g 25 -pix_fmt yuv420p -c:a aac",
    );
    make("short.mp4", "-f lavfi -i testsrc2=s=320x240:r=25 -f lavfi -i sine=440 -t 2 -pix_fmt yuv420p");
}

fn shell(script: &str, work: &Path) -> Child {
    Command::new("sh")
        .args(["-c", script])
        .current_dir(work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("sh")
}

/// Runs the cases interleaved, so that what else the machine does hits all of them.
fn compare(title: &str, work: &Path, cases: &[Case], rounds: usize) {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); cases.len()];
    for round in 1..=rounds {
        for (case, costs) in cases.iter().zip(&mut costs) {
            for folder in ["out", "data"] {
                // It may not be there.
                let _ = fs::remove_dir_all(work.join(folder));
            }
            fs::create_dir_all(work.join("out")).expect("an output folder");
            let cost = measure(case, work);
            eprintln!(
                "{title}, round {round}: {}: {:.2} s, {:.2} s cpu, {:.0} MB",
                case.name, cost.wall, cost.cpu, cost.peak
            );
            costs.push(cost);
            keep(work);
        }
    }
    let medians: Vec<Cost> = costs.iter().map(|costs| median(costs)).collect();
    println!(
        "## {title}\n\n| | wall s | cpu s | peak MB | wall | cpu | memory |\n|---|---|---|---|---|---|---|"
    );
    for (case, cost) in cases.iter().zip(&medians) {
        let base = medians[0];
        println!(
            "| {} | {:.2} | {:.2} | {:.0} | {:.3} | {:.3} | {:.3} |",
            case.name,
            cost.wall,
            cost.cpu,
            cost.peak,
            base.wall / cost.wall,
            base.cpu / cost.cpu,
            base.peak / cost.peak
        );
    }
    println!("\nThe last three columns: millrace's figure over this one's.\n");
}

/// The outputs of the last run of each case, for their sizes.
fn keep(work: &Path) {
    let kept = work.join("kept");
    fs::create_dir_all(&kept).expect("a folder");
    for entry in fs::read_dir(work.join("out")).expect("the outputs").flatten() {
        if entry.path().is_file() {
            fs::rename(entry.path(), kept.join(entry.file_name())).expect("moving an output");
        }
    }
}

fn measure(case: &Case, work: &Path) -> Cost {
    let before = cpu();
    let begun = Instant::now();
    let mut child = shell(&case.script, work);
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("waiting") {
            break status;
        }
        peak = peak.max(tree_memory(child.id()));
        std::thread::sleep(Duration::from_millis(if begun.elapsed().as_secs() < 3 { 10 } else { 150 }));
    };
    let wall = begun.elapsed().as_secs_f64();
    assert!(status.success(), "{} failed", case.name);
    Cost { wall, cpu: cpu() - before, peak: peak as f64 / 1024.0 }
}

/// Seconds of all children that ended, and of theirs.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Proportional set size of a process and all below it, in KiB: shared pages count once.
fn tree_memory(root: u32) -> u64 {
    let mut sum = 0;
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let rollup = fs::read_to_string(proc.join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        sum += pss.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
        for task in fs::read_dir(proc.join("task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    sum
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |field: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(field).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Cost { wall: middle(|c| c.wall), cpu: middle(|c| c.cpu), peak: middle(|c| c.peak) }
}
