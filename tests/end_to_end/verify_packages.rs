//! `millrace verify` of packages: what is right holds, and each kind of wrong is told.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::common::{
    Place, Ran,
    bucket::STORE,
    media::{self, Constant, kinds},
    package::{files, folder},
};

const LADDER: &str = "[video.main]\ncodec = \"h264\"\npreset = \"ultrafast\"\nrungs = [{ height = 180 }, { height = 90 }]\n\
                      [audio.main]\ncodec = \"aac\"\n[[output]]\nformat = \"cmaf\"\nsegment = \"1s\"\n";

fn command(place: &Place, source: &Path, output: &str) -> Command {
    let profile = place.write("ladder.toml", LADDER);
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--data", "data", "--json", "--profile"]);
    command.arg(profile).args(["--segment-time", "1"]).envs(STORE.variables());
    command
}

/// What does not hold, and all that was said.
fn wrong(place: &Place, source: &Path, output: &str, more: &[&str]) -> (Vec<String>, Value) {
    let mut verify = place.millrace();
    verify.arg("verify").arg(source).args([output, "--json"]).args(more).envs(STORE.variables());
    let said = verify.output().unwrap();
    let line: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let checks = line["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false);
    let wrong: Vec<String> = checks.map(|check| check["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said.status.code(), Some(i32::from(!wrong.is_empty())), "{line}");
    (wrong, line)
}

/// The names of all checks.
fn checked(line: &Value) -> Vec<&str> {
    line["checks"].as_array().unwrap().iter().map(|check| check["what"].as_str().unwrap()).collect()
}

#[test]
fn packages_in_folders_and_buckets_hold_with_a_profile_and_without() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "2.4", size: "320x180", ..Constant::default() });
    let profile = place.path("ladder.toml");
    for output in ["out", "s3://videos/verified"] {
        Ran::of(command(&place, &source, output).output().unwrap()).success();
        let manifest = format!("{output}/a/master.m3u8");
        let by_profile = ["--pictures", "--sound", "--profile", profile.to_str().unwrap()];
        for more in [&["--pictures", "--sound"][..], &by_profile] {
            let (wrong, line) = wrong(&place, &source, &manifest, more);
            assert!(wrong.is_empty(), "{manifest}: {line}");
            let checked = checked(&line);
            for what in ["video-180p: segments", "video-90p: keyframes", "audio-1: segments", "each second"] {
                assert!(checked.contains(&what), "{what}: {checked:?}");
            }
            assert!(checked.contains(&"video-90p: each picture"), "{checked:?}");
        }
    }
    // By the source of another one it is wrong.
    let other = place.path("b.mp4");
    media::constant(&other, Constant { seconds: "2", size: "320x180", ..Constant::default() });
    let (wrong, _) = wrong(&place, &other, "out/a/master.m3u8", &[]);
    assert!(
        wrong.contains(&"pictures".to_owned()) && wrong.contains(&"video-90p: pictures".to_owned()),
        "{wrong:?}"
    );
}

#[test]
fn texts_of_a_package_are_counted() {
    let place = Place::new();
    let source = place.path("a.mkv");
    kinds::annotated(&source);
    Ran::of(command(&place, &source, "out").output().unwrap()).success();
    let (wrong, line) = wrong(&place, &source, "out/a/master.m3u8", &[]);
    assert!(wrong.is_empty(), "{line}");
    assert!(checked(&line).contains(&"text tracks"), "{line}");
}

#[test]
fn each_kind_of_wrong_in_a_package_is_told() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "2.4", size: "320x180", ..Constant::default() });
    Ran::of(command(&place, &source, "out").output().unwrap()).success();
    let package = place.path("out/a");
    let of_it = folder(&files(&package)).to_owned();
    let object = |name: &str| package.join(&of_it).join(name);
    // Each changes one file, whose bytes are put back behind it.
    let told = |name: &str, expected: &str, change: &dyn Fn(&Path, Vec<u8>)| {
        let path = object(name);
        let before = fs::read(&path).unwrap_or_default();
        change(&path, before.clone());
        let (wrong, line) = wrong(&place, &source, "out/a/master.m3u8", &[]);
        assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{name}, {expected}: {line}");
        if before.is_empty() { fs::remove_file(path).unwrap() } else { fs::write(path, before).unwrap() }
    };
    told("video-90p/00002.m4s", "objects", &|path, _| fs::remove_file(path).unwrap());
    told("video-90p/00002.m4s", "objects", &|path, mut bytes| {
        bytes.pop();
        fs::write(path, bytes).unwrap();
    });
    told("video-90p/00009.m4s", "objects", &|path, _| fs::write(path, "another").unwrap());
    let replaced = |from: &'static str, to: &'static str| {
        move |path: &Path, bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    told("video-90p/media.m3u8", "manifests", &replaced("#EXTINF:", "#EXTINX:"));
    told("video-180p/media.m3u8", "video-180p: segments", &replaced("#EXTINF:1.000000", "#EXTINF:0.900000"));
    told("audio-1/media.m3u8", "audio-1: segments", &replaced("#EXTINF:0.", "#EXTINF:1."));
    told("../manifest.mpd", "segments", &replaced("<S t=\"0\"", "<S t=\"9\""));
    // Pictures that are another segment's, under the first one's times.
    let other = fs::read(object("video-180p/00001.m4s")).unwrap();
    told("video-180p/00001.m4s", "objects", &|path, _| fs::write(path, &other[..other.len() - 8]).unwrap());
    told("video-180p/00001.m4s", "damaged pictures", &|path, mut bytes| {
        let at = bytes.len() / 2;
        bytes[at..at + 400].fill(0xff);
        fs::write(path, bytes).unwrap();
    });
    let (wrong, line) = wrong(&place, &source, "out/a/master.m3u8", &[]);
    assert!(wrong.is_empty(), "all is as it was: {line}");
    // What is no package says so.
    let mut verify = place.millrace();
    place.write("none/master.m3u8", "#EXTM3U\n");
    let said = verify.arg("verify").arg(&source).arg("none/master.m3u8").output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("no package of Millrace"));
}
