//! Serving alone, on a data folder: the same commands as on a cluster.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use serde_json::Value;

use crate::common::{Place, Ran, cluster::until, judge::judge, media, serving::Serving};

fn call(place: &Place, arguments: &[&str]) -> Ran {
    Ran::of(place.millrace().args(arguments).args(["--data", "data"]).output().unwrap())
}

fn serve(place: &Place, more: &[&OsStr]) -> Serving {
    Serving::start(place, |command| {
        command.args(["--listen", "none", "--log-json"]).args(more);
    })
}

#[test]
fn a_process_alone_serves_what_others_submit_replay_and_cancel() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    // Submitted before anybody serves: it waits.
    let submitted = call(&place, &["submit", "a.mp4", "-o", "out", "--name", "early", "--json"]);
    assert_eq!(submitted.lines[0]["state"], "submitted");
    let mut serving = serve(&place, &[]);
    let waited = call(&place, &["submit", "a.mp4", "-o", "out", "--name", "early", "--wait", "--json"]);
    assert_eq!(waited.success()["execution"], submitted.lines[0]["execution"]);
    judge(&place.path("a.mp4"), &place.path("out/a.mp4"));

    let record = place.write(
        "upload.json",
        serde_json::json!({
            "source": format!("file://{}", place.path("a.mp4").display()),
            "output_prefix": format!("file://{}", place.path("more").display()),
            "dst_formats": ["flv"],
        })
        .to_string(),
    );
    let flv = call(&place, &["submit", "--record", record.to_str().unwrap(), "--wait", "--json"]);
    assert_eq!(flv.success()["outputs"][0]["format"], "flv");

    std::fs::remove_file(place.path("out/a.mp4")).unwrap();
    let replayed = place
        .millrace()
        .args(["replay", "uploads", "--since", "2020-01-01", "--data", "data"])
        .output()
        .unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let all = || call(&place, &["executions", "list", "--json"]).lines;
    until("the replay", || all().len() == 4 && all().iter().all(|one| one["state"] == "succeeded"));
    judge(&place.path("a.mp4"), &place.path("out/a.mp4"));

    // A data folder has one process that works on it.
    let second = place.millrace().args(["serve", "--data", "data", "--listen", "none"]).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{}", String::from_utf8_lossy(&second.stderr));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(serving.child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    for line in std::fs::read_to_string(place.path("serve.log")).unwrap().lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(told["level"].is_string() && told["timestamp"].is_string(), "{line}");
    }
}

#[test]
fn a_watched_folder_and_what_is_put_into_it_may_have_names_that_are_not_utf_8() {
    let place = Place::new();
    let name = |bytes: &[u8]| place.path("").join(OsStr::from_bytes(bytes));
    std::fs::create_dir_all(name(b"in-\xff/f\xfcr")).unwrap();
    media::clip(&place.path("a.mp4"));
    let watch: OsString = [name(b"in-\xff").as_os_str(), name(b"out-\xff").as_os_str()].join(OsStr::new("="));
    let _serving = serve(&place, &[OsStr::new("--watch"), &watch]);
    std::fs::copy(place.path("a.mp4"), name(b"in-\xff/f\xfcr/caf\xe9.mp4")).unwrap();
    let made = name(b"out-\xff/f\xfcr/caf\xe9.mp4");
    until("it to be made", || made.exists());
    std::fs::rename(&made, place.path("made.mp4")).unwrap();
    judge(&place.path("a.mp4"), &place.path("made.mp4"));
}
