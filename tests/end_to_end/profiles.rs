//! Profiles: outputs are what is asked for, and what is not possible is refused before anything begins.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{
    Place, Ran,
    judge::{judge, likeness_after, pictures, probed},
    media::{self, Constant},
    serving::{Serving, url},
};

const OURS: &str = r#"
description = "a small one, and the source's own size"
[video.small]
codec = "h264"
quality = 12
height = 90
[video.large]
codec = "x264"
preset = "veryfast"
width = 4000
[audio.low]
codec = "aac"
bitrate = "64k"
channels = 1
[[output]]
format = "mp4"
video = "small"
audio = "low"
name = "{stem} small.{ext}"
[[output]]
format = "flv"
video = "large"
[[output]]
format = "mp4"
video = "large"
audio = "none"
"#;

fn profile(place: &Place, text: &str) -> String {
    place.write("ours.toml", text).to_str().unwrap().to_owned()
}

/// `millrace profiles`, as it prints and ends.
fn profiles(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let output = place.millrace().arg("profiles").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn sizes(path: &Path) -> String {
    probed(path, "stream=codec_name,width,height,channels")
}

#[test]
fn each_output_is_what_the_profile_asks_for() {
    let place = Place::new();
    let source = place.path("a b.mp4");
    media::clip(&source);
    let ours = profile(&place, OURS);
    let ran = place.run(&[&source], &["--profile", &ours, "--segment-time", "1"]);
    let outputs = ran.success()["outputs"].as_array().unwrap().len();
    assert_eq!(
        (outputs, place.names("out")),
        (3, ["a b small.mp4", "a b.flv", "a b.mp4"].map(str::to_owned).into())
    );
    assert_eq!(sizes(&place.path("out/a b small.mp4")), "h264,160,90\naac,1");
    assert_eq!(sizes(&place.path("out/a b.flv")), "h264,320,180\naac,1");
    assert_eq!(sizes(&place.path("out/a b.mp4")), "h264,320,180", "never enlarged, and without audio");
    assert_eq!(pictures(&place.path("out/a b small.mp4")), pictures(&source));
    let verify = |more: &[&str]| {
        let mut command = place.millrace();
        command.arg("verify").args([source.as_path(), &place.path("out/a b small.mp4")]).args(more);
        command.output().unwrap().status.code()
    };
    assert_eq!(
        (verify(&["--profile", &ours]), verify(&[])),
        (Some(0), Some(1)),
        "it is smaller than the source"
    );
    assert_eq!(verify(&["--profile", "web"]), Some(2), "that makes no such output");
    judge(&source, &place.path("out/a b.flv"));
    // The same call does nothing again; another profile is another execution.
    let again = place.run(&[&source], &["--profile", &ours, "--segment-time", "1"]);
    assert_eq!(again.success()["execution"], ran.success()["execution"]);
    let web = place.run(&[&source], &["--profile", "web", "--segment-time", "1"]);
    assert_ne!(web.success()["execution"], ran.success()["execution"]);
}

#[test]
fn pictures_that_are_scaled_in_segments_are_those_of_one_command() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { gop: 10, ..Constant::default() });
    let text =
        "[video.main]\ncodec = \"h264\"\nquality = 1\nsize = \"214x120\"\n[[output]]\nformat = \"mp4\"";
    let ours = profile(&place, text);
    place.run(&[&source], &["--profile", &ours, "--segment-time", "0.5"]).success();
    let output = place.path("out/a.mp4");
    assert_eq!(pictures(&output), pictures(&source));
    let likeness = likeness_after(&source, "scale=214:120:flags=bicubic", &output);
    assert!(likeness >= 40.0, "{likeness} dB");
    let whole = Place::new();
    std::fs::copy(&source, whole.path("a.mp4")).unwrap();
    whole.run(&[&whole.path("a.mp4")], &["--profile", &profile(&whole, text)]).success();
    // Both are encoded, so that they differ by the encoder's own noise.
    let likeness = likeness_after(&whole.path("out/a.mp4"), "null", &output);
    assert!(likeness >= 45.0, "{likeness} dB");
}

#[test]
fn encodings_that_are_equal_for_a_source_are_one() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let text = "[video.a]\ncodec = \"h264\"\nheight = 720\n[video.b]\ncodec = \"libx264\"\nheight = 1080\n\
                [[output]]\nformat = \"mp4\"\nvideo = \"a\"\n[[output]]\nformat = \"flv\"\nvideo = \"b\"";
    let ours = profile(&place, text);
    let (status, said, _) =
        profiles(&place, &["check", &ours, "--source", source.to_str().unwrap(), "--json"]);
    let line: Value = serde_json::from_str(&said).unwrap();
    let video = |i: usize| line["outputs"][i]["renditions"][0].as_str().unwrap();
    assert_eq!((status, video(0)), (0, video(1)), "{line}");
    let (_, said, _) = profiles(&place, &["check", &ours, "--source", source.to_str().unwrap()]);
    assert!(said.contains("1 decode of pictures") && said.contains("2 renditions in all"), "{said}");
}

#[test]
fn what_is_not_possible_is_refused_before_anything_begins() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let refused = |ran: &Ran, reason: &str| {
        assert_eq!((ran.status, ran.lines.len()), (2, 0), "{}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
        assert!(!place.path("out").exists() && !place.path("data").exists());
    };
    for (text, reason) in [
        ("[[output]]\nformat = \"mp5\"", "known formats: mp4"),
        ("[video.a]\ncodec = \"h264\"\nqualty = 2\n[[output]]\nformat = \"mp4\"", "line 3"),
        (
            "[video.a]\ncodec = \"h264\"\nquality = 90\n[[output]]\nformat = \"mp4\"",
            "video.a.quality: 90 is out of range",
        ),
    ] {
        let ours = profile(&place, text);
        refused(&place.run(&[&source], &["--profile", &ours]), reason);
        let (status, said, wrong) = profiles(&place, &["check", &ours]);
        assert!(status > 0 && (said + &wrong).contains(reason));
    }
    refused(&place.run(&[&source], &["--profile", "wub"]), "known profiles: web");
    refused(&place.run(&[&source], &["--profile", "web", "-f", "mp4"]), "cannot be used with");
    refused(&place.run(&[&source], &["--profile", "no/such.toml"]), "no/such.toml: No such file");
}

#[test]
fn a_source_that_the_profile_does_not_accept_fails_with_the_reason() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let ours = profile(&place, "[[output]]\nformat = \"mp4\"\n[source]\naccept = { max_duration = \"2s\" }");
    let ran = place.run(&[&source], &["--profile", &ours]);
    assert!(ran.failure().contains("the profile accepts at most 2s"), "{}", ran.failure());
    assert!(place.names("out").is_empty());
}

#[test]
fn profiles_are_listed_shown_and_compared() {
    let place = Place::new();
    let (status, said, _) = profiles(&place, &["list"]);
    assert!(status == 0 && said.lines().any(|line| line.starts_with("web  ")), "{said}");
    let (_, shown, _) = profiles(&place, &["show", "web"]);
    let ours = profile(&place, &shown.replace("quality = 23", "quality = 20"));
    assert_eq!(profiles(&place, &["check", &ours]).0, 0);
    let (status, said, _) = profiles(&place, &["diff", "web", &ours]);
    assert_eq!((status, said.as_str()), (1, "-video.main.quality = 23.0\n+video.main.quality = 20.0\n"));
    assert_eq!(profiles(&place, &["diff", "web", "web"]).0, 0);
}

#[test]
fn an_upload_names_a_profile_or_is_given_one_and_is_pinned_to_it() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let serving = Serving::start(&place, |command| {
        command.args(["--listen", "127.0.0.1:0"]);
    });
    let upload = |profile: Value| json!({"source": url(&place, "a.mp4"), "output_prefix": url(&place, "out"), "profile": profile});
    let given = json!({"output": [{"format": "flv", "name": "{stem}-x.{ext}"}]});
    let (status, accepted) = serving.post("/v1/executions", &upload(given));
    assert_eq!(status, 202, "{accepted}");
    let ended = serving.ended(accepted["execution"].as_str().unwrap());
    assert_eq!(ended["state"], "succeeded", "{ended}");
    judge(&place.path("a.mp4"), &place.path("out/a-x.flv"));
    // A name and what it stands for are the same execution.
    let (status, named) = serving.post("/v1/executions", &upload("web".into()));
    assert_eq!(status, 202, "{named}");
    let (_, shown, _) = profiles(&place, &["show", "web", "--json"]);
    let (_, again) = serving.post("/v1/executions", &upload(serde_json::from_str(&shown).unwrap()));
    assert_eq!(named["execution"], again["execution"]);
    serving.ended(named["execution"].as_str().unwrap());
    for (wrong, reason) in [
        (json!("wib"), "known profiles: web"),
        (json!({"output": [{"format": "mp4", "video": "x"}]}), "there is no [video.x]"),
        (json!(7), "profile"),
    ] {
        let (status, problem) = serving.post("/v1/executions", &upload(wrong));
        assert!(status >= 400 && problem.to_string().contains(reason), "{status} {problem}");
    }
}
