//! `millrace verify`: what is right holds, and each kind of wrong is told.

use std::path::Path;

use serde_json::Value;

use crate::common::{
    Place,
    media::{self, ffmpeg},
};

/// What does not hold between two files.
fn wrong(place: &Place, source: &Path, output: &Path) -> Vec<String> {
    let mut verify = place.millrace();
    verify.arg("verify").args([source, output]).args(["--pictures", "--sound", "--json"]);
    let said = verify.output().unwrap();
    let line: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let wrong: Vec<String> = line["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["holds"] == false)
        .map(|check| check["what"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(said.status.code(), Some(i32::from(!wrong.is_empty())));
    assert_eq!(line["holds"], wrong.is_empty());
    wrong
}

/// The source as another program would have made it, with these options.
fn made_by_others(place: &Place, source: &Path, options: &str) -> std::path::PathBuf {
    let output = place.path("other.mp4");
    let mut arguments = vec!["-i", source.to_str().unwrap()];
    arguments.extend(options.split_whitespace());
    arguments.push(output.to_str().unwrap());
    ffmpeg(&arguments);
    output
}

#[test]
fn what_another_program_made_right_holds() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::clip(&source);
    let output = made_by_others(&place, &source, "-c:v libx264 -preset veryfast -c:a aac");
    assert!(wrong(&place, &source, &output).is_empty());
    assert!(wrong(&place, &source, &source).is_empty(), "a file is its own right output");
}

#[test]
fn each_kind_of_wrong_is_told() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::clip(&source);
    let h264 = "-c:v libx264 -preset veryfast -c:a aac";
    for (options, expected) in [
        ("-r 24", &["pictures", "times"][..]),
        ("-vf select='not(eq(n,40))' -fps_mode passthrough", &["pictures", "times"]),
        ("-vf setpts='PTS+gt(N,40)*0.004/TB' -fps_mode passthrough -enc_time_base -1", &["times"]),
        ("-vf scale=318:180", &["size"]),
        ("-vf setsar=4/3", &["sample aspect"]),
        ("-vf hflip", &["each picture"]),
        ("-af adelay=200:all=1", &["sound length", "moved by"]),
        ("-af volume=0.5", &["louder by"]),
        ("-af aselect='not(between(t,1,1.2))'", &["holes in sound"]),
        ("-an", &["sound tracks"]),
    ] {
        let output = made_by_others(&place, &source, &format!("{h264} {options}"));
        let wrong = wrong(&place, &source, &output);
        let told = expected.iter().any(|what| wrong.iter().any(|wrong| wrong == what));
        assert!(told, "{options}: {wrong:?}");
    }
}

/// Makes outputs by a profile, and returns what `verify --profile` says of one of them.
fn verified(place: &Place, source: &Path, profile: &str, output: &str) -> Value {
    let profile = place.write("p.toml", profile);
    place.run(&[source], &["--profile", profile.to_str().unwrap(), "--segment-time", "1"]).success();
    let mut verify = place.millrace();
    verify.arg("verify").arg(source).arg(place.path(output)).arg("--profile").arg(&profile);
    let said = verify.args(["--pictures", "--sound", "--json"]).output().unwrap();
    serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)))
}

#[test]
fn an_output_of_a_part_of_its_source_is_held_to_that_part() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::clip(&source);
    let profile = |from: &str| {
        format!(
            "[video.a]\ncodec = \"h264\"\npreset = \"veryfast\"\n[[output]]\nformat = \"mp4\"\n[source]\ntrim = {{ from = \"{from}\", to = \"2500ms\" }}"
        )
    };
    let line = verified(&place, &source, &profile("900ms"), "out/a.mp4");
    assert_eq!(line["holds"], true, "{line}");
    assert!(line["left_out"][0].as_str().unwrap().starts_with("each channel"), "{line}");
    // By another part it is wrong.
    let other = place.write("other.toml", profile("1100ms"));
    let mut verify = place.millrace();
    verify.arg("verify").arg(&source).arg(place.path("out/a.mp4")).arg("--profile").arg(&other);
    assert_eq!(verify.output().unwrap().status.code(), Some(1));
}

#[test]
fn outputs_with_watermarks_and_several_encodings_of_audio_are_judged() {
    let place = Place::new();
    let (source, logo) = (place.path("a.mov"), place.path("logo.png"));
    media::clip(&source);
    ffmpeg(&["-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", logo.to_str().unwrap()]);
    let profile = "[video.a]\ncodec = \"h264\"\npreset = \"veryfast\"\nwatermark = { image = \"logo.png\" }\n\
                   [audio.a]\ncodec = \"aac\"\n[audio.b]\ncodec = \"flac\"\n\
                   [[output]]\nformat = \"mkv\"\naudio = [\"a\", \"b\"]";
    let line = verified(&place, &source, profile, "out/a.mkv");
    assert_eq!(line["holds"], true, "{line}");
    assert!(line["left_out"][0].as_str().unwrap().starts_with("each picture"), "{line}");
    let tracks = line["checks"].as_array().unwrap().iter().find(|check| check["what"] == "sound tracks");
    assert_eq!(tracks.unwrap()["output"], "2");
}

#[test]
fn an_output_is_judged_by_the_codecs_that_it_has() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::clip(&source);
    for (name, options) in [
        ("a.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        ("a.mkv", "-c:v libx264 -preset veryfast -c:a pcm_s16le"),
        ("a.ts", "-c:v libx264 -preset veryfast -c:a libopus"),
    ] {
        let output = place.path(name);
        let mut arguments = vec!["-i", source.to_str().unwrap()];
        arguments.extend(options.split_whitespace());
        ffmpeg(&[&arguments[..], &[output.to_str().unwrap()]].concat());
        assert_eq!(wrong(&place, &source, &output), [""; 0], "{name}");
    }
}

#[test]
fn a_wrong_call_says_what_to_do() {
    let place = Place::new();
    let source = place.path("a.mov");
    media::clip(&source);
    let said = place.millrace().args(["verify", "a.mov", "nothing.mp4"]).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("nothing.mp4"));
    let said = place.millrace().args(["verify", "a.mov"]).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let table = place.millrace().args(["verify", "a.mov", "a.mov"]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout);
    assert!(table.contains("The output holds.") && table.lines().count() > 10, "{table}");
}
