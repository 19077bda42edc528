//! Packages: many objects that appear together, in folders and in buckets, whatever kills what makes them; and what players read.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{
    Place, Ran,
    bucket::STORE,
    media::{self, Constant},
    package::{files, folder, is_whole},
};

/// Two sizes, and segments of a second.
const LADDER: &str = "[video.main]\ncodec = \"h264\"\npreset = \"ultrafast\"\nrungs = [{ height = 180 }, { height = 90 }]\n\
                      [audio.main]\ncodec = \"aac\"\n[[output]]\nformat = \"cmaf\"\nsegment = \"1s\"\n";

fn source(place: &Place) -> PathBuf {
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "4", size: "320x180", ..Constant::default() });
    source
}

/// `millrace run` to a folder or bucket, with a data folder of its own.
fn command(place: &Place, source: &Path, output: &str, data: &str) -> Command {
    let profile = place.write("ladder.toml", LADDER);
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--data", data, "--json", "--profile"]);
    command.arg(profile).args(["--segment-time", "1"]);
    command
}

/// Returns the texts of the manifests that are visible at the top of a package.
fn visible(files: &BTreeMap<String, u64>) -> Vec<&str> {
    ["master.m3u8", "manifest.mpd"].into_iter().filter(|name| files.contains_key(*name)).collect()
}

/// Holds a package to what a player reads of it: each of its tracks, whole, without a word. Tracks are read one at a time: all at once
/// FFmpeg's reader of DASH ends with the first one that ends.
fn is_played(package: &Path, pictures: usize) {
    for (manifest, options) in [("master.m3u8", &["-allowed_extensions", "ALL"][..]), ("manifest.mpd", &[])] {
        let path = package.join(manifest);
        for (track, packets) in [("v:0", Some(pictures)), ("v:1", Some(pictures)), ("a:0", None)] {
            let mut probe = Command::new("ffprobe");
            probe.args(["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets"]);
            probe.args(["-of", "csv=p=0", "-select_streams", track]).args(options).arg("-i").arg(&path);
            let found = probe.output().unwrap();
            let said = String::from_utf8_lossy(&found.stderr);
            assert!(found.status.success() && said.is_empty(), "{manifest}: {said}");
            let counts = String::from_utf8_lossy(&found.stdout).into_owned();
            let counts: Vec<usize> =
                counts.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
            let is_right = |count: &usize| packets.map_or(*count > 100, |packets| *count == packets);
            assert!(!counts.is_empty() && counts.iter().all(is_right), "{manifest} {track}: {counts:?}");
            let mut decode = Command::new("ffmpeg");
            decode.args(["-v", "error"]).args(options).arg("-i").arg(&path);
            let decoded = decode.args(["-map", &format!("0:{track}"), "-f", "null", "-"]).output().unwrap();
            let said = String::from_utf8_lossy(&decoded.stderr);
            assert!(decoded.status.success() && said.is_empty(), "{manifest} {track}: {said}");
        }
    }
}

#[test]
fn a_ladder_is_a_package_that_players_of_hls_and_dash_read() {
    let place = Place::new();
    let source = source(&place);
    let ran = Ran::of(command(&place, &source, "out", "data").output().unwrap());
    let output = &ran.success()["outputs"][0];
    let package = place.path("out/a");
    is_whole(&package);
    is_played(&package, 100);
    assert_eq!(place.names("out"), ["a"]);
    let bytes: u64 = files(&package)
        .iter()
        .filter(|(name, _)| !name.ends_with("package.json"))
        .map(|(_, size)| size)
        .sum();
    assert_eq!(output["bytes"], bytes);
    assert!(output["url"].as_str().unwrap().ends_with("/out/a/master.m3u8"), "{output}");
    assert_eq!(output["video"]["height"], 180, "the largest");
    // The same command again: it is there already.
    let before = files(&package);
    let again = Ran::of(command(&place, &source, "out", "data").output().unwrap());
    assert_eq!(again.success()["outputs"][0]["bytes"], bytes);
    assert_eq!(files(&package), before);
    // One that lost an object is made again, in another folder, and the first one goes.
    let lost = before.keys().find(|name| name.ends_with(".m4s")).unwrap();
    fs::remove_file(package.join(lost)).unwrap();
    let other = Ran::of(command(&place, &source, "out", "data").output().unwrap());
    other.success();
    is_whole(&package);
    is_played(&package, 100);
    assert_ne!(folder(&files(&package)), folder(&before));
    // What is another's is not replaced.
    let foreign = place.write("foreign/a/master.m3u8", "#EXTM3U\n");
    let refused = Ran::of(command(&place, &source, "foreign", "data").output().unwrap());
    assert!(refused.failure().contains("did not come from this source"), "{}", refused.failure());
    assert_eq!(fs::read_to_string(foreign).unwrap(), "#EXTM3U\n");
}

#[test]
fn a_package_that_fails_leaves_nothing() {
    let place = Place::new();
    let source = source(&place);
    // Where the package is to be is a file.
    place.write("out/a", "in the way");
    let failed = Ran::of(command(&place, &source, "out", "data").output().unwrap());
    assert_eq!(failed.status, 1, "{}", failed.stderr);
    assert_eq!(place.names("out"), ["a"]);
    fs::remove_file(place.path("out/a")).unwrap();
    Ran::of(command(&place, &source, "out", "data").output().unwrap()).success();
    is_whole(&place.path("out/a"));
}

/// Kills a run at some moment between its start and its end, and looks; then runs it again.
fn killed(place: &Place, source: &Path, output: &str, seen: &Path, number: u32, after: Duration) {
    let data = format!("data{number}");
    let run = || {
        let mut command = command(place, source, output, &data);
        command.stderr(Stdio::null()).stdout(Stdio::piped()).envs(STORE.variables());
        command
    };
    let mut child = run().process_group(0).spawn().unwrap();
    std::thread::sleep(after);
    Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status().unwrap();
    child.wait().unwrap();
    let found = files(seen);
    // Each manifest that is there names what is there.
    for manifest in visible(&found) {
        let text = fs::read_to_string(seen.join(manifest)).unwrap();
        let folder = folder(&found);
        assert!(
            text.contains(folder),
            "killed after {after:?}: {manifest} names another folder than {folder}"
        );
        let list = fs::read(seen.join(folder).join("package.json")).unwrap();
        let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
        for object in list["objects"].as_array().unwrap() {
            let name = object["name"].as_str().unwrap();
            let is_there = found.contains_key(name) || !name.contains('/');
            assert!(is_there, "killed after {after:?}: {manifest} is visible without {name}");
        }
    }
    let ran = Ran::of(run().output().unwrap());
    ran.success();
    is_whole(seen);
}

/// As often as this, a run is killed at another moment; most of them near its end, where it publishes.
fn rounds(place: &Place, source: &Path, output: impl Fn(u32) -> (String, PathBuf), count: u32) {
    let (whole, _) = output(count);
    let begun = Instant::now();
    let ran = Ran::of(command(place, source, &whole, "whole").envs(STORE.variables()).output().unwrap());
    ran.success();
    let long = begun.elapsed();
    for number in 0..count {
        let (output, seen) = output(number);
        let part = 0.4 + 0.62 * f64::from(number) / f64::from(count);
        killed(place, source, &output, &seen, number, long.mul_f64(part));
    }
}

#[test]
fn a_package_whose_process_is_killed_is_visible_whole_or_not_at_all() {
    let place = Place::new();
    let source = source(&place);
    let folder = |number: u32| (format!("out{number}"), place.path(&format!("out{number}/a")));
    rounds(&place, &source, folder, 3);
}

#[test]
fn a_package_in_a_bucket_whose_process_is_killed_is_visible_whole_or_not_at_all() {
    let place = Place::new();
    let source = source(&place);
    let bucket =
        |number: u32| (format!("s3://videos/p{number}"), STORE.folder().join(format!("videos/p{number}/a")));
    rounds(&place, &source, bucket, 3);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test end_to_end packages:: -- --ignored"]
fn twenty_kills_of_packages_in_folders_and_in_buckets() {
    let place = Place::new();
    let source = source(&place);
    rounds(&place, &source, |n| (format!("out{n}"), place.path(&format!("out{n}/a"))), 20);
    let bucket = |n: u32| (format!("s3://videos/k{n}"), STORE.folder().join(format!("videos/k{n}/a")));
    rounds(&place, &source, bucket, 20);
}
