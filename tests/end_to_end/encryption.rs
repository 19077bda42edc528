//! Encrypted packages: what players decrypt is what was made, and the key is nowhere but where it was put.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{
    Place, Ran,
    media::{self, Constant},
};

/// The key, also in hexadecimal.
const KEY: [u8; 16] = *b"\x9a\x01\xfe\x33sixteen byte";
const HEX: &str = "9a01fe337369787465656e2062797465";

fn source(place: &Place) -> PathBuf {
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "4", size: "320x180", ..Constant::default() });
    source
}

/// A profile of two sizes, encrypted or not.
fn profile(format: &str, encryption: &str) -> String {
    format!(
        "[video.main]\ncodec = \"h264\"\npreset = \"ultrafast\"\nrungs = [{{ height = 180 }}, {{ height = 90 }}]\n\
         [audio.main]\ncodec = \"aac\"\n[[output]]\nformat = \"{format}\"\nsegment = \"1s\"\n{encryption}"
    )
}

/// The encryption of a profile by the key `film`, which players find at this path.
fn by_name(method: &str, file: &Path) -> String {
    format!(
        "[output.encryption]\nmethod = \"{method}\"\nkey = \"film\"\nuri = \"file://{}\"\n",
        file.display()
    )
}

fn command(place: &Place, source: &Path, profile: &str, output: &str) -> Command {
    let profile = place.write(&format!("{output}.toml"), profile);
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--data", "data", "--json", "-vv", "--profile"]);
    command.arg(profile);
    command
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Holds these bytes to have no key in any form.
fn is_without_key(what: &str, bytes: &[u8]) {
    let lower = bytes.to_ascii_lowercase();
    assert!(!holds(bytes, &KEY) && !holds(&lower, HEX.as_bytes()), "{what} has the key");
}

/// Returns the digests of the decoded pictures and sound of a playlist or file. What ffmpeg says of it is an error.
fn decoded(path: &Path, options: &[&str], track: &str) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin"]).args(options).arg("-i").arg(path);
    let done = ffmpeg.args(["-map", track, "-f", "framemd5", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{}: {said}", path.display());
    let lines = String::from_utf8_lossy(&done.stdout).into_owned();
    let digest = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    lines.lines().filter(|line| !line.starts_with('#')).map(digest).collect()
}

const HLS: [&str; 4] = ["-allowed_extensions", "ALL", "-protocol_whitelist", "file,crypto,data"];

#[test]
fn segments_that_are_encrypted_as_a_whole_are_decrypted_by_players_and_the_key_is_in_no_record() {
    let place = Place::new();
    let source = source(&place);
    let key = place.write("keys/film.key", KEY);
    for format in ["hls", "hls-ts"] {
        let clear = format!("clear-{format}");
        Ran::of(command(&place, &source, &profile(format, ""), &clear).output().unwrap()).success();
        let output = format!("out-{format}");
        let encrypted = profile(format, &by_name("aes-128", &key));
        let mut command = command(&place, &source, &encrypted, &output);
        let file = format!("film={}", key.display());
        let ran = Ran::of(command.args(["--key-file", &file]).output().unwrap());
        let bytes = ran.success()["outputs"][0]["bytes"].as_u64().unwrap();
        let package = place.path(&output).join("a");
        let all = files(&package);
        let mut sum = 0;
        for path in &all {
            let bytes = fs::read(path).unwrap();
            is_without_key(&path.display().to_string(), &bytes);
            sum += if path.ends_with("package.json") { 0 } else { bytes.len() as u64 };
            let extension = path.extension().unwrap();
            if extension == "m4s" || extension == "ts" {
                assert!(bytes.len() % 16 == 0 && !holds(&bytes, b"moof"), "{}", path.display());
                assert!(bytes.chunks(188).take(4).any(|packet| packet[0] != 0x47), "{}", path.display());
            }
        }
        assert_eq!(sum, bytes);
        assert!(!all.iter().any(|path| path.ends_with("iframes.m3u8")), "keyframes are not shown");
        for track in ["0:v:0", "0:v:1", "0:a:0"] {
            let found = decoded(&package.join("master.m3u8"), &HLS, track);
            let asked = decoded(&place.path(&clear).join("a/master.m3u8"), &HLS, track);
            assert!(found.len() >= 100 && found == asked, "{format} {track}");
        }
        is_without_key("stderr", ran.stderr.as_bytes());
    }
    let records = files(&place.path("data"));
    assert!(records.iter().any(|path| path.ends_with("log.sqlite")), "{records:?}");
    for path in records {
        is_without_key(&path.display().to_string(), &fs::read(&path).unwrap());
    }
}

#[test]
fn samples_that_are_encrypted_by_themselves_are_decrypted_by_others() {
    let place = Place::new();
    let source = source(&place);
    let key = place.write("keys/film.key", KEY);
    Ran::of(command(&place, &source, &profile("cmaf", ""), "clear").output().unwrap()).success();
    let mut command = command(&place, &source, &profile("cmaf", &by_name("cbcs", &key)), "out");
    let ran = Ran::of(command.env("MILLRACE_KEYS_FILM", HEX.to_uppercase()).output().unwrap());
    ran.success();
    is_without_key("stderr", ran.stderr.as_bytes());
    // The digests of a track, each of its segments behind the initialization segment.
    let digests = |output: &str, track: &str, options: &[&str]| {
        let all = files(&place.path(output));
        let is_of_it = |path: &&PathBuf| path.display().to_string().contains(&format!("/{track}/"));
        let is_segment = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "m4s");
        let init = all.iter().filter(is_of_it).find(|path| path.ends_with("init.mp4")).unwrap();
        let mut found = Vec::new();
        for segment in all.iter().filter(is_of_it).filter(is_segment) {
            let joined = [fs::read(init).unwrap(), fs::read(segment).unwrap()].concat();
            found.extend(decoded(&place.write("joined.mp4", joined), options, "0:0"));
        }
        found
    };
    for track in ["video-180p", "video-90p", "audio-1"] {
        let found = digests("out", track, &["-decryption_key", HEX]);
        assert!(found.len() >= 100 && found == digests("clear", track, &[]), "{track}");
    }
    for path in files(&place.path("data")).into_iter().chain(files(&place.path("out"))) {
        is_without_key(&path.display().to_string(), &fs::read(&path).unwrap());
    }
}

#[test]
fn a_key_is_read_from_a_url_when_the_package_is_made() {
    let place = Place::new();
    let source = source(&place);
    let key = place.write("keys/film.key", KEY);
    let url = format!("file://{}", key.display());
    let by_url = format!("[output.encryption]\nmethod = \"aes-128\"\nkey = \"{url}\"\nuri = \"{url}\"\n");
    let ran = Ran::of(command(&place, &source, &profile("hls", &by_url), "out").output().unwrap());
    ran.success();
    let pictures = decoded(&place.path("out/a/master.m3u8"), &HLS, "0:v:0");
    assert_eq!(pictures.len(), 100);
    let short = place.write("keys/short.key", &KEY[..15]);
    let by_short = by_url.replace("film.key", "short.key");
    let ran = Ran::of(command(&place, &source, &profile("hls", &by_short), "short").output().unwrap());
    let reason = ran.failure();
    assert!(
        reason.contains(short.to_str().unwrap()) && reason.contains("has 15 bytes; it must have 16"),
        "{reason}"
    );
    assert_eq!(place.names("short/a"), [""; 0], "nothing is left");
}

#[test]
fn a_key_that_is_missing_or_given_itself_is_refused_before_work_begins() {
    let place = Place::new();
    let source = source(&place);
    let key = place.write("keys/film.key", KEY);
    let encrypted = profile("hls", &by_name("aes-128", &key));
    let missing = command(&place, &source, &encrypted, "out").output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(2), "{said}");
    assert!(said.contains("MILLRACE_KEYS_FILM") && said.contains("--key-file film=FILE"), "{said}");
    let given = encrypted.replace("\"film\"", &format!("\"{HEX}\""));
    let refused = command(&place, &source, &given, "out").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("this is a key itself"), "{said}");
    is_without_key("stderr", &refused.stderr);
    for path in files(&place.path("data")) {
        is_without_key(&path.display().to_string(), &fs::read(&path).unwrap());
    }
    assert_eq!(place.names("out"), [""; 0]);
}
