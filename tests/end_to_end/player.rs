//! Packages as people meet them: hls.js and dash.js in a real browser seek over each boundary of segments and switch between all rungs.
//! Each picture of the source has its number in it, and each whole second begins with a beep; what is shown and heard is compared with that.
//!
//! `scripts/player.sh` installs the browser and the players.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::common::Place;

const RATE: u32 = 25;
const SECONDS: u32 = 8;

const LADDER: &str = "[video.main]\ncodec = \"h264\"\npreset = \"veryfast\"\n\
                      rungs = [{ height = 360 }, { height = 270 }, { height = 180 }]\n\
                      [audio.main]\ncodec = \"aac\"\n[[output]]\nformat = \"cmaf\"\nsegment = \"1s\"\n";

/// The folder into which `scripts/player.sh` installs.
fn tools() -> PathBuf {
    let installed = std::env::var_os("MILLRACE_PLAYER").map(PathBuf::from);
    installed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/player"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; run scripts/player.sh"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a source in which each picture has its number as 16 squares, with the inverse below them, and each whole second a beep.
fn numbered(path: &Path) {
    let bits = "mod(floor(N/pow(2,X)),2)";
    let pictures = format!(
        "color=black:s=16x2:r={RATE}:d={SECONDS},format=gray,geq=lum='if(lt(Y,1),16+219*{bits},235-219*{bits})',\
         scale=640:180:flags=neighbor,setsar=1,format=yuv420p[code];\
         testsrc2=s=640x180:r={RATE}:d={SECONDS},format=yuv420p[test];[code][test]vstack"
    );
    let sound = format!("aevalsrc='if(lt(mod(t,1),0.04),0.8*sin(2*PI*1000*t),0)':s=48000:d={SECONDS}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-c:a", "flac", "-strict", "-2"]);
    run(ffmpeg.arg(path));
}

/// Makes a package of a source, and returns its folder.
fn packaged(place: &Place, source: &Path, more: &[&str]) -> PathBuf {
    let profile = place.write("ladder.toml", LADDER);
    let mut command = place.run_command(&[source], &["--profile", profile.to_str().unwrap()]);
    command.args(more);
    run(&mut command);
    place.path("out").join(source.file_stem().unwrap())
}

/// Plays a manifest or a file of a folder, and returns what was seen and heard.
fn played(folder: &Path, manifest: &str) -> Value {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/player/driver.mjs");
    let starts: Vec<String> = (1..SECONDS).map(|second| second.to_string()).collect();
    let mut command = Command::new(tools().join("node"));
    command.arg(driver).arg(folder).args([manifest, &RATE.to_string(), &starts.join(",")]);
    let said = run(command.env("MILLRACE_PLAYER", tools()));
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{manifest}: {e}: {said}"))
}

/// Holds what was seen and heard to the source. `harness` is how far a beep is from its picture in the source itself, in milliseconds.
fn check(seen: &Value, harness: i64) {
    let is_empty = |list: &Value| list.as_array().unwrap().is_empty();
    assert!(is_empty(&seen["wrong"]), "a seek shows another picture: {}", seen["wrong"]);
    assert_eq!(seen["seeks"], 4 * (SECONDS - 1), "before and behind each boundary, forwards and backwards");
    assert!(is_empty(&seen["misses"]), "an object isn't there: {}", seen["misses"]);
    assert!(is_empty(&seen["errors"]), "{}", seen["errors"]);
    assert_eq!(seen["rungs"].as_array().unwrap().len(), 3, "{seen}");
    assert_eq!(seen["switched"].as_array().unwrap().len(), 6, "{seen}");
    let played = &seen["played"];
    assert!(is_empty(&played["wrong"]), "a picture at another's time: {}", played["wrong"]);
    for fault in ["unreadable", "repeated", "backwards", "lost", "waits"] {
        assert_eq!(played[fault], 0, "{fault}: {seen}");
    }
    assert_eq!(played["heights"].as_array().unwrap().len(), 3, "each rung is shown while it plays: {seen}");
    let offset = played["offset"].as_i64().unwrap() - harness;
    assert!(offset.abs() <= 40, "sound is {offset} ms from the pictures: {seen}");
}

#[test]
#[ignore = "plays in real time, which a busy machine can't: make players"]
fn players_seek_over_each_boundary_and_switch_between_all_rungs() {
    let place = Place::new();
    let source = place.path("numbered.mp4");
    numbered(&source);
    let harness = played(source.parent().unwrap(), "numbered.mp4")["played"]["offset"].as_i64().unwrap();
    let package = packaged(&place, &source, &["--segment-time", "1"]);
    for manifest in ["master.m3u8", "manifest.mpd"] {
        check(&played(&package, manifest), harness);
    }
}

#[test]
#[ignore = "plays in real time, which a busy machine can't: make players"]
fn a_package_made_in_one_piece_plays_as_one_made_of_many() {
    let place = Place::new();
    let source = place.path("numbered.mp4");
    numbered(&source);
    let harness = played(source.parent().unwrap(), "numbered.mp4")["played"]["offset"].as_i64().unwrap();
    let package = packaged(&place, &source, &["--segment-time", "15"]);
    check(&played(&package, "master.m3u8"), harness);
}
