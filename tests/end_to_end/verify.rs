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
