//! What people do about executions and dead letters, through the command.

use std::{
    path::Path,
    process::{Child, Output, Stdio},
    time::{Duration, Instant},
};

use millrace_runtime::{Embedded, LARGEST_VALUE, Log, Transaction};
use millrace_schemas::{Signal, frame::Record};
use millrace_topology::{Emit, Placement, streams};
use serde_json::Value;

use crate::common::{
    Place, Ran,
    judge::judge,
    media::{self, Constant},
};

/// A call on the data folder of a place.
fn call(place: &Place, arguments: &[&str]) -> Output {
    place.millrace().args(arguments).args(["--data", "data"]).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lines(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let output = call(place, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the one execution of a place is as asked for.
fn wait_for(place: &Place, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(found) = lines(place, &["executions", "list"]).into_iter().find(|e| is_so(e)) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(place: &Place, source: &Path) -> Child {
    let mut command = place.run_command(&[source], &["--segment-time", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The media processes of a process.
fn children(parent: u32) -> usize {
    let stats = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<String> = stat.rsplit(')').next()?.split_whitespace().map(String::from).collect();
        Some((fields.first()?.clone(), fields.get(1)?.clone()))
    });
    stats.filter(|(state, of)| *of == parent.to_string() && state != "Z").count()
}

fn long_film(place: &Place) -> std::path::PathBuf {
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "30", size: "640x360", ..Constant::default() });
    source
}

#[test]
fn a_cancel_from_another_process_stops_the_children_and_a_retry_begins_afresh() {
    let place = Place::new();
    let source = long_film(&place);
    let running = start(&place, &source);
    let at_work = wait_for(&place, |execution| execution["segments_done"].as_i64() > Some(0));
    let id = at_work["execution"].as_str().unwrap();
    assert!(children(running.id()) > 0);
    let cancelled = Instant::now();
    let output = call(&place, &["executions", "cancel", id, "--reason", "not needed"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text(&output), format!("{id}  cancelled\n"));
    // The process may end before the look, which is as good.
    while children(running.id()) > 0 {
        assert!(cancelled.elapsed() < Duration::from_secs(2), "a child outlives the cancel");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = Ran::of(running.wait_with_output().unwrap());
    assert_eq!((ran.status, &ran.lines[0]["state"]), (1, &Value::from("cancelled")));
    assert_eq!(ran.lines[0]["reason"], "not needed");
    assert_eq!(place.names("data/work"), [""; 0], "what was made is freed");
    assert_eq!(place.names("out"), [""; 0]);

    let again = call(&place, &["executions", "cancel", id]);
    assert_eq!(again.status.code(), Some(2), "it has ended");

    let retried = lines(&place, &["executions", "retry", id]);
    assert_eq!(
        (&retried[0]["state"], retried[0]["segments_reused"].as_i64()),
        (&"succeeded".into(), Some(0))
    );
    judge(&source, &place.path("out/a.mp4"));
    let after = wait_for(&place, |execution| execution["state"] == "succeeded");
    assert_eq!(after["attempt"], 2);
    assert_eq!(
        call(&place, &["executions", "retry", id]).status.code(),
        Some(2),
        "there is nothing to try again"
    );
}

#[test]
fn a_data_folder_has_one_process_that_works_on_it_and_a_second_is_told_which() {
    let place = Place::new();
    let source = long_film(&place);
    let mut running = start(&place, &source);
    wait_for(&place, |execution| execution["state"] == "transcoding");
    let second = Ran::of(place.run_command(&[&source], &[]).output().unwrap());
    assert_eq!(second.status, 2, "{}", second.stderr);
    assert!(second.stderr.contains(&format!("process {} works on", running.id())), "{}", second.stderr);
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn a_cancel_works_when_nobody_works_on_the_data_folder() {
    let place = Place::new();
    let source = long_film(&place);
    let mut running = start(&place, &source);
    let id =
        wait_for(&place, |e| e["segments_done"].as_i64() > Some(0))["execution"].as_str().unwrap().to_owned();
    running.kill().unwrap();
    running.wait().unwrap();
    let output = call(&place, &["executions", "cancel", &id[..5]]);
    assert_eq!(text(&output), format!("{id}  cancelled\n"), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.names("data/work"), [""; 0], "what was made is freed");
}

#[test]
fn a_retry_after_a_failure_keeps_what_was_made_and_the_log_lines_tell_of_it() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "6", ..Constant::default() });
    let running = start(&place, &source);
    wait_for(&place, |execution| execution["state"] == "transcoding");
    // Somebody else's file comes into the way of the output.
    place.write("out/a.mp4", "not ours");
    let ran = Ran::of(running.wait_with_output().unwrap());
    assert!(ran.failure().contains("did not come from this source"));
    assert_eq!(place.names("data/work").len(), 1, "work objects wait for a new attempt");
    std::fs::remove_file(place.path("out/a.mp4")).unwrap();

    let id = ran.lines[0]["execution"].as_str().unwrap();
    let retried = lines(&place, &["executions", "retry", id]);
    assert_eq!(retried[0]["state"], "succeeded");
    assert_eq!(retried[0]["segments_reused"], retried[0]["segments"], "nothing is encoded twice");
    judge(&source, &place.path("out/a.mp4"));
    assert_eq!(place.names("data/work"), [""; 0]);

    let logs = lines(&place, &["executions", "logs", id]);
    let said = |target: &str, words: &str| {
        logs.iter().any(|line| {
            line["target"].as_str().unwrap().contains(target)
                && line["message"].as_str().unwrap().contains(words)
        })
    };
    assert!(said("media", "begins transcoding"), "{logs:?}");
    assert!(said("merge", "did not come from this source"), "{logs:?}");
    assert!(said("merge", "put together and proven"), "{logs:?}");
    assert!(logs.iter().all(|line| line["execution"] == id));
    assert!(!said("media", "Invalid NAL"), "nothing is said of a file that nothing is wrong with: {logs:?}");
}

#[test]
fn what_a_media_process_says_is_found_by_its_execution() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "3", ..Constant::default() });
    // Pictures are damaged in the middle: libav says so, on stderr of the child.
    let mut bytes = std::fs::read(&source).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0x55);
    std::fs::write(&source, bytes).unwrap();
    let ran = Ran::of(place.run_command(&[&source], &[]).output().unwrap());
    let logs = lines(&place, &["executions", "logs", ran.lines[0]["execution"].as_str().unwrap()]);
    let said = logs.iter().filter(|line| line["target"] == "media");
    let said: Vec<&str> = said.filter_map(|line| line["message"].as_str()).collect();
    assert!(said.iter().any(|line| line.contains('@')), "no line of libav among {said:?}");
}

/// What is no record: wrong magic byte, unknown schema, cut Avro, too large.
fn garbage() -> Vec<(Vec<u8>, &'static str)> {
    let good = Signal::new("stranger", 1, 0).encode().unwrap();
    vec![
        (vec![1, 2, 3, 4, 5, 6], "not in the Confluent frame"),
        ([&[0, 0xff, 0xff, 0xff, 0xff], &good[5..]].concat(), "schema id is 4294967295"),
        (good[..good.len() - 4].to_vec(), ""),
        (vec![b'x'; LARGEST_VALUE + 1], "a value of 1000001 bytes is more than"),
    ]
}

#[test]
fn garbage_in_every_topic_is_a_dead_letter_with_its_reason_and_the_partition_goes_on() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "2", ..Constant::default() });
    std::fs::create_dir(place.path("data")).unwrap();
    let consumed = [
        streams::UPLOADS,
        streams::ACCEPTED,
        streams::SEGMENTS,
        streams::TRANSCODED,
        streams::MERGES,
        streams::MERGED,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut thrown = 0;
    runtime.block_on(async {
        let log = Embedded::open(&place.path("data/log.sqlite")).unwrap();
        log.ensure(&streams::ALL).await.unwrap();
        for stream in consumed {
            for number in 0..stream.partitions {
                for (value, _) in garbage() {
                    let placement = Placement::Exactly(number);
                    let emit = Emit {
                        stream: stream.name,
                        key: b"stranger\x1b[2J".to_vec(),
                        value: Some(value),
                        placement,
                    };
                    log.commit(Transaction { records: vec![emit.into()], ..Transaction::default() })
                        .await
                        .unwrap();
                    thrown += 1;
                }
            }
        }
    });
    place.run(&[&source], &["--segment-time", "0.5"]).success();
    judge(&source, &place.path("out/a.mp4"));

    let dead = lines(&place, &["dead", "list"]);
    assert_eq!(dead.len(), thrown);
    for stream in consumed {
        for (_, reason) in garbage() {
            let told = |letter: &&Value| {
                letter["topic"] == stream.name && letter["reason"].as_str().unwrap().contains(reason)
            };
            assert!(
                dead.iter().filter(told).count() >= stream.partitions as usize,
                "{}: {reason}",
                stream.name
            );
        }
    }
    let id = dead[0]["id"].as_str().unwrap();
    let shown = text(&call(&place, &["dead", "show", id]));
    assert!(shown.contains("reason") && shown.contains("bytes") && !shown.contains('\x1b'), "{shown:?}");

    // Published again it is processed again, and is another dead letter.
    let retried = call(&place, &["dead", "retry", id]);
    assert!(text(&retried).contains("published again"), "{}", String::from_utf8_lossy(&retried.stderr));
    assert_eq!(lines(&place, &["dead", "list"]).len(), thrown - 1);
    assert_eq!(lines(&place, &["dead", "list", "--all"]).len(), thrown);
    assert_eq!(call(&place, &["dead", "show", "9:999"]).status.code(), Some(2));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let place = Place::new();
    let output = place.millrace().args(["man", "pages"]).output().unwrap();
    assert!(output.status.success());
    let pages = place.names("pages");
    for page in ["millrace.1", "millrace-run.1", "millrace-executions-retry.1", "millrace-dead-list.1"] {
        assert!(pages.contains(&page.to_owned()), "{pages:?}");
    }
}
