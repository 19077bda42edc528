//! A folder of an operator's own profiles: uploads name them, and they change while a process serves.

use std::fs;

use serde_json::{Value, json};

use crate::common::{
    Place, Ran,
    cluster::until,
    judge::{pictures, probed},
    media,
    serving::{Serving, url},
};

/// A profile that makes pictures of this height.
fn of_height(height: u32) -> String {
    format!(
        "description = \"small\"\n[video.main]\ncodec = \"h264\"\nheight = {height}\n[[output]]\nformat = \"mp4\"\nvideo = \"main\"\n"
    )
}

/// A place with a source, and the folder `profiles` with the profile `ours`.
fn place(ours: &str) -> Place {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    change(&place, "ours", ours);
    place
}

/// Puts a profile in place as a whole, as an operator does.
fn change(place: &Place, name: &str, text: &str) {
    let new = place.write(&format!("profiles/.{name}.new"), text);
    fs::rename(new, place.path(&format!("profiles/{name}.toml"))).unwrap();
}

fn serve(place: &Place) -> Serving {
    Serving::start(place, |command| {
        command.args(["--listen", "127.0.0.1:0", "--profiles", "profiles"]);
    })
}

/// Uploads the source by a profile, to a folder.
fn submit(serving: &Serving, place: &Place, profile: &str, to: &str) -> (u16, Value) {
    let upload = json!({"source": url(place, "a.mp4"), "output_prefix": url(place, to), "profile": profile});
    serving.post("/v1/executions", &upload)
}

/// The id of an upload that must have been accepted.
fn accepted((status, body): (u16, Value)) -> String {
    assert_eq!(status, 202, "{body}");
    body["execution"].as_str().unwrap().to_owned()
}

fn succeeded(serving: &Serving, id: &str) -> Value {
    let ended = serving.ended(id);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    ended
}

fn size(place: &Place, output: &str) -> String {
    probed(&place.path(output), "stream=width,height").lines().next().unwrap().to_owned()
}

/// The status of a command, and what it says.
fn called(place: &Place, arguments: &[&str]) -> (i32, String) {
    let output = place.millrace().args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn the_next_execution_has_the_changed_profile_and_older_ones_keep_theirs() {
    let place = place(&of_height(90));
    let serving = serve(&place);
    // One that fails, since another file is there, and one that is running while its profile changes.
    place.write("taken/a.mp4", "somebody else's");
    let failed = accepted(submit(&serving, &place, "ours", "taken"));
    let state = serving.ended(&failed);
    assert_eq!(state["state"], "failed", "{state}");
    let before = accepted(submit(&serving, &place, "ours", "before"));
    change(&place, "ours", &of_height(120));
    let after = accepted(submit(&serving, &place, "ours", "after"));
    let (before, after) = (succeeded(&serving, &before), succeeded(&serving, &after));
    assert_eq!(
        (size(&place, "before/a.mp4"), size(&place, "after/a.mp4")),
        ("160,90".into(), "214,120".into())
    );
    assert_eq!(pictures(&place.path("after/a.mp4")), pictures(&place.path("a.mp4")));
    for ended in [&before, &after] {
        assert_eq!(ended["profile"]["name"], "ours");
    }
    let version = |ended: &Value| ended["profile"]["version"].as_str().unwrap().to_owned();
    assert_eq!(version(&state), version(&before));
    assert_ne!(version(&before), version(&after));

    // A retry and a replay are made with the profile that their upload was accepted with.
    fs::remove_file(place.path("taken/a.mp4")).unwrap();
    let (status, body) = serving.post(&format!("/v1/executions/{failed}/retry"), &json!({}));
    assert_eq!(status, 202, "{body}");
    until("the retry", || serving.verdict(&failed, &[]).is_some_and(|state| state["attempt"] == 2));
    assert_eq!(version(&succeeded(&serving, &failed)), version(&before));
    assert_eq!(size(&place, "taken/a.mp4"), "160,90");
    fs::remove_file(place.path("before/a.mp4")).unwrap();
    let id = before["execution"].as_str().unwrap();
    let (status, said) = called(&place, &["replay", "uploads", "--execution", id, "--data", "data"]);
    assert_eq!(status, 0, "{said}");
    until("the replay", || place.path("before/a.mp4").exists());
    assert_eq!(size(&place, "before/a.mp4"), "160,90");
    let (_, said) = called(&place, &["executions", "show", id, "--data", "data"]);
    assert!(said.contains(&format!("profile    ours@{}", version(&before))), "{said}");

    // A version is asked for as it is in force, and no other.
    let (status, problem) = submit(&serving, &place, &format!("ours@{}", version(&before)), "old");
    let known = format!("of the profile 'ours'; known versions: {}", version(&after));
    assert!(status == 422 && problem.to_string().contains(&known), "{status} {problem}");
    let exact = accepted(submit(&serving, &place, &format!("ours@{}", version(&after)), "exact"));
    assert_eq!(version(&succeeded(&serving, &exact)), version(&after));
    for wrong in ["ours@1", "our", "../ours", "ours.toml"] {
        let (status, problem) = submit(&serving, &place, wrong, "wrong");
        assert!(status == 422 && problem.to_string().contains("profile"), "{wrong}: {status} {problem}");
    }
}

#[test]
fn a_faulty_profile_is_reported_and_its_last_good_version_stays_in_force() {
    let place = place(&of_height(90));
    let mut serving = serve(&place);
    let before = accepted(submit(&serving, &place, "ours", "before"));
    let faulty = of_height(120).replace("h264", "h265x");
    change(&place, "ours", &faulty);
    let after = accepted(submit(&serving, &place, "ours", "after"));
    let (before, after) = (succeeded(&serving, &before), succeeded(&serving, &after));
    assert_eq!(before["profile"], after["profile"]);
    assert_eq!(size(&place, "after/a.mp4"), "160,90");
    let log = fs::read_to_string(place.path("serve.log")).unwrap();
    assert!(log.contains("the version before it stays in force") && log.contains("h265x"), "{log}");
    let (_, metrics) = serving.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("millrace_profile_faults_total 1"), "{metrics}");
    assert!(metrics.contains("millrace_faulty_profiles 1"), "{metrics}");
    let (_, listed) = serving.get("/v1/profiles");
    assert!(listed["faults"]["ours.toml"].as_str().unwrap().contains("h265x"), "{listed}");
    assert_eq!(listed["profiles"][0]["version"], before["profile"]["version"]);
    let (status, said) = called(&place, &["profiles", "list", "--profiles", "profiles"]);
    assert!(status == 1 && said.contains("ours.toml") && said.contains("h265x"), "{status} {said}");

    // A start is refused, since there is no version before it.
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    let (status, said) =
        called(&place, &["serve", "--data", "data", "--listen", "none", "--profiles", "profiles"]);
    assert!(status == 2 && said.contains("profiles/ours.toml: ") && said.contains("h264"), "{status} {said}");
    let (status, said) =
        called(&place, &["serve", "--data", "data", "--listen", "none", "--profiles", "none"]);
    assert!(status == 2 && said.contains("--profiles none: No such file"), "{status} {said}");
}

#[test]
fn profiles_of_a_folder_are_listed_shown_compared_and_used_by_name() {
    let place = place(&of_height(90));
    change(&place, "web", &of_height(120));
    place.write("millrace.toml", "profiles = \"profiles\"\n");
    let (status, said) = called(&place, &["profiles", "list", "--config", "millrace.toml"]);
    assert_eq!(status, 0, "{said}");
    let line = |name: &str| said.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    assert!(line("ours").ends_with("small (own)"), "{said}");
    assert!(line("web").ends_with("small (own, in place of the shipped one)"), "{said}");
    let version = line("web").split_whitespace().nth(1).unwrap();
    let (_, shown) = called(&place, &["profiles", "show", "web", "--profiles", "profiles"]);
    assert_eq!(shown, format!("# web@{version}\n{}", of_height(120)));
    let (_, shipped) = called(&place, &["profiles", "show", "web"]);
    let shipped = shipped.lines().next().unwrap().trim_start_matches("# ");
    let (status, said) = called(&place, &["profiles", "diff", "ours", "web", "--profiles", "profiles"]);
    assert_eq!((status, said.as_str()), (1, "-video.main.height = 90\n+video.main.height = 120\n"));
    let (status, _) = called(&place, &["profiles", "diff", shipped, "web", "--profiles", "profiles"]);
    assert_eq!(status, 1, "the shipped one is known by its version");
    let mut run = place.run_command(&[&place.path("a.mp4")], &["--profile", "ours"]);
    Ran::of(run.env("MILLRACE_PROFILES", "profiles").output().unwrap()).success();
    assert_eq!(size(&place, "out/a.mp4"), "160,90");
}

#[test]
fn a_name_on_the_log_is_looked_up_where_it_is_accepted_and_again_when_a_refusal_is_retried() {
    let place = place(&of_height(90));
    let serving = serve(&place);
    let submit = |profile: &str, name: &str| {
        let arguments = ["submit", "a.mp4", "-o", "out", "--data", "data", "--wait", "--json"];
        let mut command = place.millrace();
        Ran::of(command.args(arguments).args(["--profile", profile, "--name", name]).output().unwrap())
    };
    let ran = submit("ours", "known");
    assert!(ran.stderr.contains("'ours' is not known here"), "{}", ran.stderr);
    ran.success();
    assert_eq!(size(&place, "out/a.mp4"), "160,90");
    let ran = submit("theirs", "unknown");
    assert!(ran.failure().contains("no profile 'theirs'; known profiles: ours, web"), "{}", ran.failure());
    // It comes later; what was refused is not made by itself.
    change(&place, "theirs", &of_height(60));
    let id = ran.lines[0]["execution"].as_str().unwrap();
    let (status, body) = serving.post(&format!("/v1/executions/{id}/retry"), &json!({}));
    assert_eq!(status, 202, "{body}");
    until("the retry", || serving.verdict(id, &[]).is_some_and(|state| state["attempt"] == 2));
    assert_eq!(succeeded(&serving, id)["profile"]["name"], "theirs");
    let ran = submit("ours@0123456789ab", "version");
    assert!(ran.failure().contains("known versions: "), "{}", ran.failure());
    // With a folder here, what is not in it is a wrong call.
    let (status, said) = called(
        &place,
        &["submit", "a.mp4", "-o", "out", "--data", "data", "--profile", "wib", "--profiles", "profiles"],
    );
    assert!(status == 2 && said.contains("known profiles: ours, theirs"), "{status} {said}");
}

#[test]
fn a_watched_folder_names_a_profile_whose_image_is_beside_it() {
    let text = |height| {
        of_height(height)
            .replace("[[output]]", "watermark = { image = \"logo.png\", width = 16 }\n[[output]]")
    };
    let place = place(&text(90));
    let logo = place.path("profiles/logo.png");
    media::ffmpeg(&["-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", logo.to_str().unwrap()]);
    fs::create_dir(place.path("in")).unwrap();
    place.write(
        "millrace.toml",
        "profiles = \"profiles\"\n[[watch]]\nfrom = \"in\"\nto = \"made\"\nprofile = \"ours\"\nsettle_seconds = 0.1\npoll_seconds = 0.2\n",
    );
    let serving = Serving::start(&place, |command| {
        command.args(["--listen", "127.0.0.1:0", "--config", "millrace.toml"]);
    });
    let put = |name: &str| fs::copy(place.path("a.mp4"), place.path(&format!("in/{name}"))).unwrap();
    put("one.mp4");
    until("the first", || place.path("made/one.mp4").exists());
    change(&place, "ours", &text(120));
    put("two.mp4");
    until("the second", || place.path("made/two.mp4").exists());
    assert_eq!(
        (size(&place, "made/one.mp4"), size(&place, "made/two.mp4")),
        ("160,90".into(), "214,120".into())
    );
    // Without its profile what is found fails with the reason.
    fs::remove_file(place.path("profiles/ours.toml")).unwrap();
    put("three.mp4");
    let failed = || {
        let (_, all) = serving.get("/v1/executions?state=failed");
        all["executions"][0]["reason"].as_str().map(str::to_owned)
    };
    until("the third", || failed().is_some());
    assert!(failed().unwrap().contains("there is no profile 'ours'"), "{:?}", failed());
    drop(serving);
    let (status, said) = called(&place, &["serve", "--data", "data", "--config", "millrace.toml"]);
    assert!(status == 2 && said.contains("the watch of") && said.contains("no profile 'ours'"), "{said}");
}
