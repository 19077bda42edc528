//! kill -9 of the whole process tree at random moments, then the same command again.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::common::{
    Place, Ran,
    judge::judge,
    media::{self, Constant},
};

/// Work objects that are whole, by path, with the time at which they were made.
fn finished(work: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let list = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default()
    };
    let renditions = list(work).into_iter().flat_map(|execution| list(&execution));
    let objects = renditions.flat_map(|rendition| list(&rendition));
    let named = objects.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    named.filter_map(|path| Some((path.clone(), fs::metadata(path).ok()?.modified().ok()?))).collect()
}

/// Processes of a group, from /proc.
fn alive(group: u32) -> usize {
    let stat = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
        .filter(|pid| {
            let stat = stat(pid);
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            fields.get(2) == Some(&group.to_string().as_str()) && fields.first() != Some(&"Z")
        })
        .count()
}

const FLAGS: [&str; 6] = ["-f", "mp4", "-f", "flv", "--segment-time", "0.5"];

fn command(place: &Place, source: &Path, number: u64) -> Command {
    let (out, data) = (format!("out{number}"), format!("data{number}"));
    let mut command = place.millrace();
    command.arg("run").arg(source).args(FLAGS).args(["--output", &out, "--data", &data, "--json"]);
    command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    command
}

/// One round: killed so long after its start, then run again.
fn round(place: &Place, source: &Path, number: u64, after: Duration, all: bool) {
    let mut child = command(place, source, number).process_group(0).spawn().unwrap();
    let group = child.id();
    std::thread::sleep(after);
    let whom = if all { format!("-{group}") } else { group.to_string() };
    Command::new("kill").args(["-9", "--", &whom]).status().unwrap();
    child.wait().unwrap();
    // No child outlives its parent by more than 2 s.
    let died = Instant::now();
    while alive(group) > 0 {
        assert!(died.elapsed() < Duration::from_secs(2), "a child outlives its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
    let work = place.path(&format!("data{number}/work"));
    let before = finished(&work);
    let video = before
        .iter()
        .filter(|(path, _)| path.parent().unwrap().file_name().unwrap().to_string_lossy().starts_with('v'));
    let video = video.count();

    let ran = Ran::of(command(place, source, number).output().unwrap());
    let result = ran.success();
    let reused = usize::try_from(result["segments_reused"].as_u64().unwrap()).unwrap();
    println!("round {number}: killed after {after:?}; {video} segments were finished, {reused} reused");
    assert!(reused >= video, "round {number}: {video} segments were finished, {reused} reused");
    for format in ["mp4", "flv"] {
        judge(source, &place.path(&format!("out{number}/a.{format}")));
    }
    assert_eq!(place.names(&format!("out{number}")), ["a.flv", "a.mp4"]);
    assert_eq!(finished(&work), []);
}

fn rounds(count: u64) {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "6", size: "640x360", ..Constant::default() });
    let begun = Instant::now();
    let whole = command(&place, &source, 1000).output().unwrap();
    assert!(whole.status.success());
    let long = begun.elapsed();
    for number in 0..count {
        // Spread over the whole length of a run, and a little at random within each part.
        let part = (number as f64 + f64::from(std::process::id() % 97) / 97.0) / count as f64;
        round(&place, &source, number, long.mul_f64(part), number % 2 == 0);
    }
}

/// Many tiny clips at once in one process, which is killed again and again; then the same command once more.
fn burst(uploads: usize, kills: usize) {
    let place = Place::new();
    let mut clips = Vec::new();
    for (number, seconds) in ["0.4", "0.8", "1", "1.2"].into_iter().enumerate() {
        let clip = place.path(&format!("clip{number}.mp4"));
        media::constant(&clip, Constant { seconds, size: "160x90", gop: 10, ..Constant::default() });
        clips.push(clip);
    }
    fs::create_dir(place.path("in")).unwrap();
    for number in 0..uploads {
        fs::copy(&clips[number % clips.len()], place.path(&format!("in/{number:03}.mp4"))).unwrap();
    }
    let command = || {
        let mut command = place.millrace();
        command.args(["run", "in", "--output", "out", "--data", "data", "--segment-time", "0.4", "--json"]);
        command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        command
    };
    let finished = || place.names("out").iter().filter(|name| !name.starts_with('.')).count();
    for kill in 0..kills {
        let mut child = command().process_group(0).spawn().unwrap();
        // Somewhere in its part of the whole, by chance: between two outputs, or in the middle of one.
        let chance = usize::try_from(std::process::id()).unwrap().wrapping_mul(2_654_435_761 + kill) >> 7;
        let until = uploads * kill / (kills + 1) + chance % (uploads / (kills + 1)).max(1);
        while finished() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis((chance % 211) as u64));
        println!("kill {kill}: {} of {uploads} outputs are there", finished());
        Command::new("kill").args(["-9", "--", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
    }
    let ran = Ran::of(command().output().unwrap());
    assert_eq!(ran.status, 0, "{:?}", ran.lines);
    assert_eq!(ran.lines.len(), uploads);
    assert!(ran.lines.iter().all(|line| line["state"] == "succeeded"), "{:?}", ran.lines);
    assert_eq!(place.names("out").len(), uploads, "{:?}", place.names("out"));
    assert_eq!(place.names("data/work"), [""; 0]);
    // Each is held to its source in the long form; in the short one some are.
    for number in (0..uploads).step_by(if uploads > 100 { 1 } else { 3 }) {
        judge(&clips[number % clips.len()], &place.path(&format!("out/{number:03}.mp4")));
    }
}

#[test]
fn many_uploads_at_once_survive_kills_and_leave_nothing() {
    burst(24, 3);
}

/// The hidden file that an output is being written to, as soon as there is something in it.
fn draft(place: &Place) -> Option<PathBuf> {
    let hidden = place.names("out").into_iter().filter(|name| name.starts_with('.'));
    let paths = hidden.map(|name| place.path("out").join(name));
    paths.into_iter().find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0))
}

#[test]
fn a_draft_goes_with_the_same_command_where_its_process_was_killed_and_stays_where_it_lives() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::constant(&source, Constant { seconds: "6", ..Constant::default() });
    let run = |data: &str| {
        let mut command = place.millrace();
        command.arg("run").arg(&source).args(["--output", "out", "--data", data, "--json"]);
        command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        command
    };
    let signal = |name: &str, group: &Child| {
        Command::new("kill").args([name, "--", &format!("-{}", group.id())]).status().unwrap();
    };
    // A process, and its media processes, that stand still in the middle of a merge; and the draft.
    let stopped = |data: &str| {
        for _ in 0..20 {
            let mut child = run(data).process_group(0).spawn().unwrap();
            while draft(&place).is_none() && child.try_wait().unwrap().is_none() {}
            signal("-STOP", &child);
            if let Some(draft) = draft(&place) {
                return (child, draft);
            }
            // The merge was over before it was looked at.
            signal("-CONT", &child);
            child.wait().unwrap();
            fs::remove_file(place.path("out/a.mp4")).unwrap();
        }
        panic!("no merge was ever seen");
    };
    let (mut killed, left) = stopped("data");
    signal("-KILL", &killed);
    killed.wait().unwrap();
    assert!(left.exists());
    Ran::of(run("data").output().unwrap()).success();
    assert_eq!(place.names("out"), ["a.mp4"]);

    fs::remove_file(place.path("out/a.mp4")).unwrap();
    let (sleeping, draft) = stopped("other");
    Ran::of(run("data").output().unwrap()).success();
    assert!(draft.exists() && place.path("out/a.mp4").exists());
    signal("-CONT", &sleeping);
    Ran::of(sleeping.wait_with_output().unwrap()).success();
    assert_eq!(place.names("out"), ["a.mp4"]);
    judge(&source, &place.path("out/a.mp4"));
}

/// `make crash`.
#[test]
#[ignore = "the long form of the test above"]
fn two_hundred_uploads_at_once_survive_ten_kills_and_leave_nothing() {
    burst(200, 10);
}

#[test]
fn a_killed_run_goes_on_and_encodes_nothing_twice() {
    rounds(4);
}

/// `make crash`.
#[test]
#[ignore = "the long form of the test above: make crash ROUNDS=20"]
fn twenty_killed_runs_go_on_and_encode_nothing_twice() {
    rounds(std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20));
}
