//! Whatever came from outside is shown, and does nothing to a terminal.

use std::process::Output;

use millrace_runtime::{Embedded, Log, NewRecord, Transaction};
use millrace_topology::{Emit, Placement, streams};

use crate::common::{Place, media};

/// Sets a title, clears the screen by C0 and by C1, writes from right to left, begins a line of its own, rings.
const HOSTILE: &str = "\u{1b}]0;owned\u{7} \u{1b}[2J \u{9b}2J \u{202e}4pm \u{2028} end";

/// What a terminal would act on, beside the ends of lines.
fn is_active(c: char) -> bool {
    let of_directions =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n') || of_directions || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Runs a command; gives all that it said.
fn said(place: &Place, arguments: &[&str]) -> String {
    let output: Output = place.millrace().args(arguments).env("MILLRACE_LOG", "info").output().unwrap();
    let all = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    assert!(!all.is_empty(), "{arguments:?}");
    assert!(!all.contains(is_active), "{arguments:?}: {all:?}");
    all
}

#[test]
fn no_command_passes_on_what_a_terminal_acts_on() {
    let place = Place::new();
    let name = format!("{HOSTILE}.mkv");
    media::clip(&place.path("plain.mkv"));
    let title = format!("title={HOSTILE}\nforged: line");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(place.path("plain.mkv"))
        .args(["-c", "copy", "-metadata", &title])
        .arg(place.path(&name))
        .status();
    assert!(made.unwrap().success());
    let broken = place.write(&format!("broken {HOSTILE}.mkv"), b"no media at all");
    let (source, broken) = (place.path(&name), broken.to_string_lossy().into_owned());
    let source = source.to_str().unwrap();

    let probed = said(&place, &["probe", source]);
    assert!(probed.contains("\\u001b") && probed.contains("\\nforged"), "{probed}");
    said(&place, &["probe", source, "--json"]);
    let data = ["--data", "data"];
    for more in [&[][..], &["--json"]] {
        let run = ["run", source, &broken, "--output", "out", "--data", "data"];
        let all = said(&place, &[&run[..], more].concat());
        assert!(all.contains("\\u202e"), "{all}");
    }
    let output = place.path(&format!("out/{HOSTILE}.mp4"));
    said(&place, &["verify", source, output.to_str().unwrap()]);

    // Somebody's record, of which not a byte is as it should be.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let log = Embedded::open(&place.path("data/log.sqlite")).unwrap();
        let emit = Emit {
            stream: streams::UPLOADS.name,
            key: HOSTILE.into(),
            value: Some(format!("{{\"{HOSTILE}\": 1}}").into_bytes()),
            placement: Placement::Exactly(0),
        };
        let headers = vec![(HOSTILE.to_owned(), HOSTILE.as_bytes().to_vec())];
        let records = vec![NewRecord { emit, headers }];
        log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    });
    place.run(&[&place.path("plain.mkv")], &[]).success();
    let listed = said(&place, &["dead", "list", "--data", "data"]);
    let letter = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    for json in [&[][..], &["--json"]] {
        said(&place, &[&["dead", "show", &letter], &data[..], json].concat());
        let executions = said(&place, &[&["executions", "list"], &data[..], json].concat());
        if json.is_empty() {
            for id in executions.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()) {
                for what in ["show", "events", "logs"] {
                    said(&place, &[&["executions", what, id], &data[..]].concat());
                    said(&place, &[&["executions", what, id, "--json"], &data[..]].concat());
                }
            }
        }
    }
    said(&place, &["dead", "retry", &letter, "--data", "data"]);
    said(&place, &["executions", "show", HOSTILE, "--data", "data"]);
    said(
        &place,
        &["submit", source, "--output", "more", "--label", &format!("a={HOSTILE}"), "--data", "data"],
    );
    said(&place, &["run", source, "--output", "out", "--format", HOSTILE]);
}
