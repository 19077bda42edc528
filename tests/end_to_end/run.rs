//! `millrace run` as a person meets it: results, exit statuses, bad input, going on.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::Command,
};

use crate::common::{
    Place, Ran,
    media::{self, Constant},
};

fn clip(place: &Place, name: &str) -> std::path::PathBuf {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    media::constant(&path, Constant { seconds: "2", ..Constant::default() });
    path
}

#[test]
fn two_formats_of_the_same_settings_cost_one_encode() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    let ran = place.run(&[&source], &["-f", "mp4", "-f", "flv", "--segment-time", "1"]);
    assert_eq!(ran.success()["segments"], 2);
    assert_eq!(place.names("out"), ["a.flv", "a.mp4"]);
    let id = ran.success()["execution"].as_str().unwrap().to_owned();
    let events =
        place.millrace().args(["executions", "events", &id, "--data", "data", "--json"]).output().unwrap();
    let events = Ran::of(events).lines;
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(count("transcoded"), 3, "two segments and the sound, once each: {events:?}");
    assert_eq!(count("merged"), 2);
    assert_eq!(count("succeeded"), 1);
}

#[test]
fn a_second_call_finds_the_work_done() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    place.run(&[&source], &["--segment-time", "1"]).success();
    let made = fs::metadata(place.path("out/a.mp4")).unwrap().modified().unwrap();
    let again = place.run(&[&source], &["--segment-time", "1"]);
    assert_eq!(again.success()["segments_reused"], 2);
    assert_eq!(fs::metadata(place.path("out/a.mp4")).unwrap().modified().unwrap(), made);
}

#[test]
fn what_is_missing_after_a_success_is_made_again_and_nothing_else() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    let formats = ["-f", "mp4", "-f", "flv"];
    place.run(&[&source], &formats).success();
    let kept = fs::metadata(place.path("out/a.mp4")).unwrap().modified().unwrap();
    fs::remove_file(place.path("out/a.flv")).unwrap();
    let again = place.run(&[&source], &formats);
    assert_eq!(again.success()["outputs"].as_array().unwrap().len(), 2);
    assert!(place.path("out/a.flv").exists());
    assert_eq!(fs::metadata(place.path("out/a.mp4")).unwrap().modified().unwrap(), kept);
}

#[test]
fn a_newer_version_of_the_source_replaces_its_output() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    place.run(&[&source], &[]).success();
    media::constant(&source, Constant { seconds: "1", ..Constant::default() });
    let ran = place.run(&[&source], &[]);
    assert_eq!(ran.success()["outputs"][0]["video"]["frames"], 25);
    assert_eq!(place.names("out"), ["a.mp4"]);
}

#[test]
fn a_file_of_another_origin_is_replaced_only_on_request() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    place.write("out/a.mp4", "somebody's");
    let ran = place.run(&[&source], &[]);
    assert!(ran.failure().contains("--overwrite"), "{}", ran.failure());
    assert_eq!(fs::read_to_string(place.path("out/a.mp4")).unwrap(), "somebody's");
    place.run(&[&source], &["--overwrite"]).success();
    assert!(fs::metadata(place.path("out/a.mp4")).unwrap().len() > 1000);
}

#[test]
fn every_media_file_of_a_folder_is_taken_and_a_bad_one_stops_no_other() {
    let place = Place::new();
    clip(&place, "in/a.mov");
    clip(&place, "in/b.mkv");
    place.write("in/broken.mp4", "this is no video");
    place.write("in/notes.txt", "nor is this");
    let ran = place.run(&[Path::new("in")], &[]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.lines.len(), 3);
    assert_eq!(ran.lines.iter().filter(|line| line["state"] == "succeeded").count(), 2);
    assert_eq!(place.names("out"), ["a.mp4", "b.mp4"]);
}

/// Each of these inputs fails with a reason, and leaves no file.
#[test]
fn bad_inputs_fail_with_a_reason_and_leave_nothing() {
    let place = Place::new();
    let good = clip(&place, "good.mp4");
    let bytes = fs::read(&good).unwrap();
    place.write("empty.mp4", "");
    place.write("text.mp4", "just some text\n".repeat(100));
    place.write("cut.mp4", &bytes[..bytes.len() / 2]);
    place.write("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\ngood.mp4\n#EXT-X-ENDLIST\n");
    place.write("concat.mp4", "ffconcat version 1.0\nfile good.mp4\n");
    place.write(
        "sdp.mp4",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    );
    fs::create_dir(place.path("bare")).unwrap();
    for (input, says) in [
        ("absent.mp4", "No such file"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "no known container"),
        ("cut.mp4", "cut off"),
        ("hls.mp4", "playlists"),
        ("concat.mp4", "playlists"),
        ("sdp.mp4", "playlists"),
        ("bare", "no media files"),
    ] {
        let ran = place.run(&[Path::new(input)], &[]);
        assert!(ran.failure().contains(says), "{input}: {}", ran.failure());
        assert!(ran.failure().contains(input.split('.').next().unwrap()), "{input}: {}", ran.failure());
        assert!(!ran.failure().contains('\n'), "{input}: {}", ran.failure());
        assert_eq!(place.names("out"), [""; 0], "{input}");
    }
}

#[test]
fn an_output_folder_that_cannot_be_made_is_a_reason() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    place.write("out", "a file where the folder should be");
    let ran = place.run(&[&source], &[]);
    assert!(ran.failure().contains("out"), "{}", ran.failure());
}

#[test]
fn a_source_that_changed_since_it_was_accepted_fails_and_a_new_call_takes_it_as_it_is() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    // The source is written anew as soon as the call has opened its log.
    let mut child = place.run_command(&[&source], &["--segment-time", "0.1"]).spawn().unwrap();
    let log = place.path("data/log.sqlite");
    while !log.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    media::constant(&source, Constant { seconds: "1", ..Constant::default() });
    let first = child.wait().unwrap();
    // Whether it was caught at work or had ended before depends on the moment; a file of two versions never comes out.
    if !first.success() {
        assert_eq!(place.names("out"), [""; 0]);
    }
    let ran = place.run(&[&source], &["--segment-time", "0.1"]);
    assert_eq!(ran.success()["outputs"][0]["video"]["frames"], 25);
}

#[test]
fn a_full_disk_fails_the_input_with_the_reason_and_leaves_nothing() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::noise(&source);
    // No file may grow past 5 MB: what a full disk looks like to whoever writes. The log and the segments stay below it.
    let program = env!("CARGO_BIN_EXE_millrace");
    let flags = "--output full --data data --segment-time 1 --json";
    let script = format!("trap '' XFSZ; ulimit -f 5000; exec {program} run a.mov {flags}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    let ran = Ran::of(output);
    assert!(ran.failure().contains("too large") || ran.failure().contains("No space"), "{}", ran.failure());
    assert_eq!(place.names("full"), [""; 0]);
}

/// Each of these calls ends with 2 before anything was begun.
#[test]
fn wrong_calls_begin_nothing() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    clip(&place, "other/a.mkv");
    let source = source.to_str().unwrap();
    for (arguments, says) in [
        (vec![source, "-f", "mp5"], "known formats: mp4, flv"),
        (vec![source, "--segment-time", "0"], "at least 0.1"),
        (vec![source, "--segment-time", "-1"], "at least 0.1"),
        (vec![source, "--segment-time", "NaN"], "at least 0.1"),
        (vec![source, "other/a.mkv"], "both be written"),
        (vec![source, "--nonsense"], "--nonsense"),
        (vec![source, "--jobs", "0"], "--jobs"),
    ] {
        let call =
            place.millrace().arg("run").args(&arguments).args(["--output", "out", "--data", "data"]).output();
        let call = call.unwrap();
        let said = String::from_utf8_lossy(&call.stderr);
        assert_eq!(call.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(call.stdout.is_empty());
        assert!(!place.path("out").exists() && !place.path("data").exists(), "{arguments:?}");
    }
}

#[test]
fn an_input_is_never_written_over_even_with_overwrite() {
    let place = Place::new();
    let source = clip(&place, "a.mp4");
    let before = fs::read(&source).unwrap();
    let call =
        place.millrace().args(["run", "a.mp4", "--output", ".", "--data", "data", "--overwrite"]).output();
    assert_eq!(call.unwrap().status.code(), Some(2));
    assert_eq!(fs::read(&source).unwrap(), before);
}

#[test]
fn a_second_process_on_the_data_folder_is_refused_and_told_who_holds_it() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::constant(&source, Constant { seconds: "20", size: "640x360", ..Constant::default() });
    let mut first = place.run_command(&[&source], &[]).spawn().unwrap();
    let holder = first.id().to_string();
    let lock = place.path("data/lock");
    while fs::read_to_string(&lock).unwrap_or_default().trim() != holder {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it was looked at");
        std::thread::yield_now();
    }
    let second = place.run(&[&source], &[]);
    assert_eq!(second.status, 2);
    assert!(second.stderr.contains(&holder), "{}", second.stderr);
    let list = place.millrace().args(["executions", "list", "--data", "data"]).output().unwrap();
    assert!(list.status.success(), "reading always works");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn an_interrupted_call_says_how_to_go_on_and_the_same_call_does() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::constant(&source, Constant { seconds: "10", size: "640x360", ..Constant::default() });
    let child = place
        .run_command(&[&source], &["--segment-time", "1", "--jobs", "1"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let work = place.path("data/work");
    while fs::read_dir(&work).map_or(0, Iterator::count) == 0 {
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    assert_eq!(place.names("out"), [""; 0]);
    place.run(&[&source], &["--segment-time", "1"]).success();
}

#[test]
fn a_success_is_found_by_its_execution() {
    let place = Place::new();
    let source = clip(&place, "a.mov");
    let ran = place.run(&[&source], &[]);
    let id = ran.success()["execution"].as_str().unwrap();
    let say = |arguments: &[&str]| {
        let output =
            place.millrace().arg("executions").args(arguments).args(["--data", "data"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(say(&["list"]).contains(id));
    let show = say(&["show", &id[..6]]);
    assert!(show.contains("succeeded") && show.contains("out/a.mp4"), "{show}");
    let events = say(&["events", id]);
    for event in ["started", "transcoded", "merging", "merged", "succeeded", "cleaned"] {
        assert!(events.contains(event), "{event}: {events}");
    }
    let unknown = place.millrace().args(["executions", "show", "zzz", "--data", "data"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn probe_tells_what_a_file_holds() {
    let place = Place::new();
    clip(&place, "a.mkv");
    let output = place.millrace().args(["probe", "a.mkv", "--json"]).output().unwrap();
    let facts = &Ran::of(output).lines[0];
    assert_eq!(facts["streams"][0]["codec"], "h264");
    assert_eq!(facts["streams"][1]["channels"], 2);
    place.write("text.mp4", "text");
    let refused = place.millrace().args(["probe", "text.mp4"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("text.mp4"));
}

#[test]
fn names_are_whatever_the_file_system_takes_and_need_not_be_utf_8() {
    let place = Place::new();
    let made = clip(&place, "a.mov");
    let (here, folder) = (place.path(""), place.path("").join(OsStr::from_bytes(b"in-\xff")));
    fs::create_dir(&folder).unwrap();
    let latin = OsStr::from_bytes(b"caf\xe9 %41#.mov");
    // With .mp4 for .mov the output's name has 234 bytes, or 255: the most that there are.
    let (long, longest) = (format!("{}.mov", "l".repeat(230)), format!("{}.mov", "m".repeat(251)));
    for name in [latin, OsStr::new(&long), OsStr::new(&longest)] {
        fs::copy(&made, folder.join(name)).unwrap();
    }
    let (out, data) = (here.join(OsStr::from_bytes(b"out-\xff")), here.join(OsStr::from_bytes(b"data-\xff")));
    let run = |input: &Path| {
        let mut command = place.millrace();
        command.arg("run").arg(input).arg("--output").arg(&out).arg("--data").arg(&data).arg("--json");
        Ran::of(command.output().unwrap())
    };
    // The file on its own, then all of its folder.
    let alone = run(&folder.join(latin));
    assert!(
        alone.success()["source"].as_str().unwrap().ends_with("caf\u{fffd} %41#.mov"),
        "{:?}",
        alone.lines
    );
    let url = alone.success()["outputs"][0]["url"].as_str().unwrap();
    assert!(url.ends_with("/out-%FF/caf%E9%20%2541%23.mp4"), "{url}");
    let all = run(&folder);
    assert_eq!((all.status, all.lines.len()), (0, 3), "{}\n{:?}", all.stderr, all.lines);
    let mut names: Vec<OsString> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mp4 = |name: &str| OsString::from(name.replace(".mov", ".mp4"));
    assert_eq!(names, [OsStr::from_bytes(b"caf\xe9 %41#.mp4").into(), mp4(&long), mp4(&longest)]);

    // Other commands take them, too; and a file is the same by its path and by its URL.
    let output = out.join(OsStr::from_bytes(b"caf\xe9 %41#.mp4"));
    let call =
        |command: &str, arguments: &[&OsStr]| place.millrace().arg(command).args(arguments).output().unwrap();
    let verified = call("verify", &[folder.join(latin).as_os_str(), OsStr::new(url)]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let probed = call("probe", &[output.as_os_str(), OsStr::new("--json")]);
    assert_eq!(Ran::of(probed).lines[0]["streams"][0]["codec"], "h264");
    let mut submit = place.millrace();
    submit.arg("submit").arg(folder.join(latin)).arg("--output").arg(&out).arg("--data").arg(&data);
    let submitted = Ran::of(submit.args(["--wait", "--json"]).output().unwrap());
    assert_eq!(submitted.success()["execution"], alone.lines[0]["execution"]);
}

#[test]
fn an_output_whose_name_would_be_too_long_is_refused_before_any_work() {
    let place = Place::new();
    let made = clip(&place, "a.mov");
    let source = place.path(&format!("{}.ts", "n".repeat(252)));
    fs::rename(made, &source).unwrap();
    let ran = place.run(&[&source], &[]);
    assert!(ran.failure().contains("its name is longer than the file system allows"), "{}", ran.failure());
    assert!(
        ran.failure().contains("nnn.mp4") && ran.failure().contains("a shorter name"),
        "{}",
        ran.failure()
    );
    let events = place.millrace().args(["executions", "list", "--data", "data", "--json"]).output().unwrap();
    assert_eq!(Ran::of(events).lines[0]["segments_done"], 0);
    assert_eq!((place.names("out"), place.names("data/work")), (Vec::new(), Vec::new()));
}
