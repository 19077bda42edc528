//! Seams in sound, drift of sound against pictures, and what segments cost in quality. `cargo bench --bench exactness -- seams
//! drift quality digests`: all, or those that are named. `CLIP=real.mp4` takes a real clip for seams and quality, looped.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use millrace_formats::CONTAINERS;
use millrace_media::{
    InspectTask, Launcher, MergeTask, Reply, Sandbox, Task, TaskRequest, TimeRange, TranscodeTask,
};
use millrace_schemas::{Made, OutputPlan, Rendition, TrackKind, TrackPlan, TrackSum};

const HOUR: Duration = Duration::from_secs(3600);
const RATE: usize = 48_000;

fn work() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-work")
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(work()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `millrace run`, afresh.
fn run(input: &str, more: &str) {
    run_with("", input, more);
}

/// Runs it with more in its environment.
fn run_with(environment: &str, input: &str, more: &str) {
    let millrace = env!("CARGO_BIN_EXE_millrace");
    let call = format!("{environment} {millrace} run {input} --output exact-out --data exact-data {more}");
    shell(&format!("rm -rf exact-data exact-out; {call}"));
}

/// A sound track as mono samples of so many a second.
fn samples(path: &str) -> Vec<f32> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"])
        .current_dir(work())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut bytes = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    assert!(child.wait().unwrap().success());
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The 95th of a hundred, in decibels.
fn p95(mut errors: Vec<f32>) -> f64 {
    let at = errors.len() * 95 / 100;
    let (_, value, _) = errors.select_nth_unstable_by(at, f32::total_cmp);
    20.0 * f64::from(*value).log10()
}

/// The error of sound in parts against its source, near the seams and elsewhere; and that of the same sound in one.
fn seams() {
    let seconds = 52 * 60;
    let part = (60 * RATE / 1024) * 1024;
    // Tones whose frequencies have no common measure and wander, and a little noise: it never repeats, and sounds the same
    // everywhere.
    let tones = [(173.2, 40.0, 0.371), (611.9, 90.0, 0.233), (1418.7, 160.0, 0.149), (3871.3, 300.0, 0.087)];
    let tone = |(hertz, wander, slow): &(f64, f64, f64)| {
        format!("0.12*sin(2*PI*({hertz}*t+{wander}*sin({slow}*t)))")
    };
    let tones = tones.iter().map(tone).collect::<Vec<_>>().join("+");
    let mut sources = vec![(
        "aperiodic",
        format!("-f lavfi -i 'aevalsrc={tones}+0.004*(random(0)-0.5):s=48000:d={seconds}'"),
    )];
    if let Ok(clip) = std::env::var("CLIP") {
        sources.push(("real", format!("-stream_loop -1 -i {clip} -t {seconds} -map 0:a -ac 1 -ar 48000")));
    }
    for (name, source) in sources {
        let file = format!("seams-{name}.wav");
        shell(&format!("test -f {file} || ffmpeg -v error -y {source} {file}"));
        let source = samples(&file);
        for (how, time) in [("in parts of 60 s", 15), ("in one", 86_400)] {
            run(&file, &format!("--segment-time {time}"));
            let made = samples(&format!("exact-out/seams-{name}.mp4"));
            let error: Vec<f32> = source.iter().zip(&made).map(|(a, b)| (a - b).abs()).collect();
            let reach = RATE * 25 / 1000;
            let seams: Vec<usize> =
                (1..=50).map(|n| n * part).filter(|at| at + reach < error.len()).collect();
            let near = |at: usize| seams.iter().any(|seam| at.abs_diff(*seam) <= reach);
            let at_seams: Vec<f32> =
                seams.iter().flat_map(|seam| error[seam - reach..seam + reach].iter().copied()).collect();
            let elsewhere: Vec<f32> =
                error.iter().enumerate().filter(|(at, _)| !near(*at)).map(|(_, error)| *error).collect();
            let (a, b) = (p95(at_seams), p95(elsewhere));
            println!(
                "{name} sound {how}: error {a:.2} dB within 25 ms of the places of {} seams, {b:.2} dB elsewhere: {:+.2} dB",
                seams.len(),
                a - b
            );
        }
    }
}

/// When each beep begins, by where it is most like the first of the source, to the sample.
fn beeps(samples: &[f32], pattern: &[f32]) -> Vec<i64> {
    let reach = 2400_i64;
    (0..120_i64)
        .map(|minute| {
            let about = minute * 60 * RATE as i64;
            let like = |at: i64| -> f32 {
                let from = usize::try_from(at.max(0)).unwrap();
                samples
                    .get(from..from + pattern.len())
                    .map_or(f32::MIN, |s| s.iter().zip(pattern).map(|(a, b)| a * b).sum())
            };
            (about - reach..about + reach).max_by(|a, b| like(*a).total_cmp(&like(*b))).unwrap()
        })
        .collect()
}

/// When each flash is shown, in seconds.
fn flashes(path: &str) -> Vec<f64> {
    let listing = shell(&format!(
        "ffprobe -v error -f lavfi -i \"movie={path},signalstats\" -show_entries frame=pts_time:frame_tags=lavfi.signalstats.YAVG -of csv=p=0"
    ));
    let rows = listing.lines().filter_map(|line| {
        let (time, level) = line.split_once(',')?;
        Some((time.parse::<f64>().ok()?, level.trim_end_matches(',').parse::<f64>().ok()?))
    });
    rows.filter(|(_, level)| *level > 128.0).map(|(time, _)| time).collect()
}

/// A flash and a beep each minute, for two hours.
fn drift() {
    let beep = "if(lt(mod(t,60),0.1),0.5*sin(2*PI*(500+4000*mod(t,60))*mod(t,60)),0)";
    shell(&format!(
        "test -f drift.mp4 || ffmpeg -v error -y -f lavfi -i \"color=black:s=64x64:r=25:d=7200,format=yuv420p,\
         geq=lum='if(lt(mod(T,60),0.03),235,16)':cb=128:cr=128\" -f lavfi -i \"aevalsrc='{beep}':s=48000:d=7200\" \
         -c:v libx264 -preset veryfast -g 250 -c:a aac -b:a 128k drift.mp4"
    ));
    let begun = Instant::now();
    run("drift.mp4", "--segment-time 15 -f mp4 -f flv");
    println!("two hours made in {:.1?}", begun.elapsed());
    let source = samples("drift.mp4");
    let pattern = source[..RATE / 10].to_vec();
    let heard = beeps(&source, &pattern);
    let shown = flashes("drift.mp4");
    for format in ["mp4", "flv"] {
        let path = format!("exact-out/drift.{format}");
        let (made, flashes) = (beeps(&samples(&path), &pattern), flashes(&path));
        assert_eq!((flashes.len(), shown.len()), (120, 120));
        // Of sound against pictures in the output, less that in the source, in milliseconds.
        let off = |minute: usize| {
            let sound = (made[minute] - heard[minute]) as f64 * 1000.0 / RATE as f64;
            sound - (flashes[minute] - shown[minute]) * 1000.0
        };
        println!(
            "{format}: {:+.3} ms in the first minute, {:+.3} ms in the last: drift {:+.3} ms",
            off(0),
            off(119),
            off(119) - off(0)
        );
    }
}

/// Makes ranges of a video, in one child or each in one of its own, and puts them together.
struct Maker {
    launcher: Launcher,
    runtime: tokio::runtime::Runtime,
    source: PathBuf,
}

impl Maker {
    fn ask(&self, task: &Task, files: Vec<OwnedFd>) -> (Reply, Vec<Made>) {
        let mut made = Vec::new();
        let heard = |reply| {
            if let Reply::Made { made: more, .. } = reply {
                made.extend(more);
            }
        };
        let reply = self
            .runtime
            .block_on(self.launcher.run(TaskRequest { task, limit: HOUR, bytes: 4 << 30 }, files, heard))
            .unwrap();
        (reply, made)
    }

    fn open(&self) -> OwnedFd {
        File::open(&self.source).unwrap().into()
    }

    /// Makes an output of segments near so many seconds; `apart` gives each an encoder of its own, as on many machines.
    fn make(&self, seconds: f64, apart: bool, name: &str) -> Vec<i64> {
        let inspect = Task::Inspect(InspectTask { segment_seconds: Some(seconds) });
        let (Reply::Inspected(found), _) = self.ask(&inspect, vec![self.open()]) else { panic!("no facts") };
        let video = found.facts.video.unwrap();
        let settings = CONTAINERS[0].video_settings(&video.picture).unwrap();
        let rendition = Rendition { id: "v".into(), video: Some(settings.clone()), audio: None, side: None };
        let ticks = |seconds: f64| (seconds / settings.time_base.as_f64()) as i64;
        let ranges = millrace_processors::split::cuts::plan(
            video.first,
            video.end,
            &video.keyframes,
            ticks(seconds),
            ticks(60.0),
        );
        let range = |r: &millrace_processors::split::cuts::Range| TimeRange { start: r.start, end: r.end };
        let task = |ranges: Vec<TimeRange>, seeks| {
            Task::Transcode(Box::new(TranscodeTask {
                stream: video.stream,
                kind: TrackKind::Video,
                ranges,
                seeks,
                planned: Vec::new(),
                jumps: Vec::new(),
                longest_gap: 0,
                last_time: 0,
                also: video.more_streams.clone(),
                shape: video.shape.clone(),
                states: video.states.clone(),
                trim: None,
                renditions: vec![rendition.clone()],
                assets: Vec::new(),
                cores: 1,
            }))
        };
        let path = |i: usize| work().join(format!("quality-{i}.obj"));
        let create = |i: usize| OwnedFd::from(File::create(path(i)).unwrap());
        let mut made = Vec::new();
        if apart {
            for (i, r) in ranges.iter().enumerate() {
                made.extend(self.ask(&task(vec![range(r)], r.seeks.clone()), vec![self.open(), create(i)]).1);
            }
        } else {
            let mut files = vec![self.open()];
            files.extend((0..ranges.len()).map(create));
            made = self.ask(&task(ranges.iter().map(range).collect(), Vec::new()), files).1;
        }
        let mut sum = TrackSum::new(TrackPlan {
            rendition: "v".into(),
            kind: TrackKind::Video,
            first_segment: 0,
            segments: i32::try_from(ranges.len()).unwrap(),
            video: Some(settings),
            tags: None,
            audio: None,
            source: None,
            order: Vec::new(),
        });
        for (made, index) in made.iter().zip(0..) {
            sum.add(made, index);
        }
        let mut all = Vec::new();
        for i in 0..ranges.len() {
            all.extend(fs::read(path(i)).unwrap());
            fs::remove_file(path(i)).unwrap();
        }
        let joined = work().join("quality.objs");
        fs::write(&joined, all).unwrap();
        let output = OutputPlan {
            url: String::new(),
            format: "mp4".into(),
            renditions: vec!["v".into()],
            keep: false,
            mark: String::new(),
            overwrite: true,
            extras: None,
            remarks: Vec::new(),
            package: None,
            pictures: None,
            waveform: None,
        };
        let out = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(work().join(name))
            .unwrap();
        let files = vec![out.into(), File::open(&joined).unwrap().into()];
        let merge = Task::Merge(Box::new(MergeTask {
            output,
            tracks: vec![sum],
            round: 0,
            strict: false,
            source_bytes: 0,
            key: None,
        }));
        let (Reply::Merged(_), _) = self.ask(&merge, files) else { panic!("not merged") };
        made.iter().map(|made| made.units).collect()
    }
}

/// What segments cost against one encode with the same keyframes: VMAF by the ffmpeg of PyPI's `imageio-ffmpeg`.
fn quality() {
    let ffmpeg = shell(
        "test -x vmaf/bin/python || { python3 -m venv vmaf && vmaf/bin/pip -q install imageio-ffmpeg; }; \
         vmaf/bin/python -c 'import imageio_ffmpeg as i; print(i.get_ffmpeg_exe())'",
    );
    let ffmpeg = ffmpeg.trim();
    match std::env::var("CLIP") {
        Ok(clip) => shell(&format!(
            "ffmpeg -v error -y -stream_loop -1 -i {clip} -t 45 -map 0:v -c:v libx264 -preset veryfast -crf 14 -g 50 quality.mp4"
        )),
        Err(_) => shell(
            "ffmpeg -v error -y -f lavfi -i mandelbrot=s=640x360:rate=25,noise=alls=6:allf=t -t 45 -c:v libx264 -preset veryfast \
             -crf 14 -g 50 -pix_fmt yuv420p quality.mp4",
        ),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let maker = Maker {
        launcher: Launcher::new(env!("CARGO_BIN_EXE_millrace").into(), Sandbox::On),
        runtime,
        source: work().join("quality.mp4"),
    };
    for seconds in [2.0, 15.0] {
        let units = maker.make(seconds, true, "quality-apart.mp4");
        maker.make(seconds, false, "quality-one.mp4");
        let score = |name: &str| -> Vec<f64> {
            shell(&format!(
                "{ffmpeg} -v error -i {name} -i quality.mp4 -lavfi '[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];\
                 [a][b]libvmaf=n_threads=2:log_fmt=csv:log_path=vmaf.csv' -f null -"
            ));
            let csv = fs::read_to_string(work().join("vmaf.csv")).unwrap();
            let mut lines = csv.lines();
            let column = lines.next().unwrap().split(',').position(|name| name == "vmaf").unwrap();
            lines.map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect()
        };
        let (apart, one) = (score("quality-apart.mp4"), score("quality-one.mp4"));
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
        let size = |name: &str| fs::metadata(work().join(name)).unwrap().len() as f64;
        // Pictures at seams, against those around them.
        let mut at = 0;
        let mut worst = f64::MIN;
        for count in &units[..units.len() - 1] {
            at += usize::try_from(*count).unwrap();
            let seam = apart[at - 1].min(apart[at]);
            let others: Vec<f64> = (at.saturating_sub(6)..(at + 6).min(apart.len()))
                .filter(|i| *i != at && *i != at - 1)
                .map(|i| apart[i])
                .collect();
            let least = others.iter().copied().fold(f64::MAX, f64::min);
            worst = worst.max(least - seam);
        }
        println!(
            "segments of {seconds} s, {} of them: VMAF {:.2}, one encode with the same keyframes {:.2}: {:+.3}; size {:+.2} %; \
             the worst picture at a seam is {:+.2} against the worst of its ten neighbours",
            units.len(),
            mean(&apart),
            mean(&one),
            mean(&apart) - mean(&one),
            100.0 * (size("quality-apart.mp4") / size("quality-one.mp4") - 1.0),
            -worst
        );
    }
}

/// What part of an encode the digests of pictures around seams take, each segment made alone.
fn digests() {
    let clip = std::env::var("CLIP").unwrap_or_else(|_| {
        let source =
            "-f lavfi -i testsrc2=size=1920x1080:rate=25:duration=30 -c:v libx264 -preset veryfast -g 25";
        shell(&format!("test -f digests.mp4 || ffmpeg -v error -y {source} -pix_fmt yuv420p digests.mp4"));
        "digests.mp4".into()
    });
    for time in [2, 15] {
        let cpu = || {
            let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
            (used.user_time() + used.system_time()).num_milliseconds() as f64
        };
        let (before, begun) = (cpu(), Instant::now());
        // As on a cluster, where each worker has partitions of its own.
        run_with("MILLRACE_TEST_BATCH=1", &clip, &format!("--segment-time {time}"));
        let (cpu, wall) = (cpu() - before, begun.elapsed().as_secs_f64() * 1000.0);
        let millrace = env!("CARGO_BIN_EXE_millrace");
        let list = shell(&format!("{millrace} executions list --data exact-data"));
        let execution = list.lines().last().and_then(|line| line.split(' ').next()).unwrap().to_owned();
        let logs = shell(&format!("{millrace} executions logs {execution} --data exact-data"));
        let spent = logs.lines().filter_map(|line| {
            let (_, of_it) = line.split_once("seam digests: ")?;
            let mut words = of_it.split(' ');
            let pictures = words.next()?.parse::<u32>().ok()?;
            Some((pictures, words.nth(2)?.parse::<f64>().ok()?))
        });
        let (pictures, spent) = spent.fold((0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(pictures > 0, "{logs}");
        println!(
            "segments of {time} s, each alone: {pictures} digests in {spent:.1} ms: {:.3} % of {:.1} s wall, {:.3} % of {:.1} s cpu",
            100.0 * spent / wall,
            wall / 1000.0,
            100.0 * spent / cpu,
            cpu / 1000.0
        );
    }
}

fn main() {
    fs::create_dir_all(work()).unwrap();
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    if wanted("seams") {
        seams();
    }
    if wanted("drift") {
        drift();
    }
    if wanted("quality") {
        quality();
    }
    if wanted("digests") {
        digests();
    }
}
