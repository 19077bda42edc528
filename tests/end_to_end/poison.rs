//! What no program of ours writes, on every topic of a real cluster: it becomes a dead letter with its reason, and holds nothing behind
//! it.

use std::collections::BTreeMap;

use millrace_runtime::{Record, Transaction};
use millrace_schemas::{Upload, frame::Record as _};
use millrace_topology::{StreamSpec, streams};
use serde_json::Value;

use crate::common::{
    cluster::{Cluster, REGISTRY, Server, put, until},
    media::{self, Constant},
};

fn small() -> Constant<'static> {
    Constant { seconds: "4", ..Constant::default() }
}

/// Good uploads, one on each partition; they have names of their own.
async fn one_behind_each(cluster: &Cluster, log: &dyn millrace_runtime::Log, prefix: &str) -> usize {
    let url = |name: &str| format!("file://{}", cluster.place.path(name).display());
    let partitions = log.partitions(streams::UPLOADS.name).await.unwrap();
    let good = (0..partitions).map(|number| {
        let name = format!("{prefix}-{number}");
        let upload = Upload {
            name: Some(name.clone()),
            ..Upload::of(&url("a.mp4"), &url(&format!("out/{prefix}/{number}")))
        };
        // As a program without Avro writes it.
        put(streams::UPLOADS, number, &name, serde_json::to_vec(&upload).unwrap())
    });
    log.commit(Transaction { records: good.collect(), ..Transaction::default() }).await.unwrap();
    usize::try_from(partitions).unwrap()
}

/// What claims to be the version 900 of a stream's record.
fn claimed(stream: StreamSpec) -> Vec<u8> {
    let record = millrace_schemas::catalogue::all().into_iter().find(|record| record.name == stream.record);
    let number = record.unwrap().fixed_id % 1000;
    let mut value = vec![0];
    value.extend(millrace_schemas::frame::schema_id(number, 900).to_be_bytes());
    value.extend([0; 20]);
    value
}

/// Puts poison on each partition of `uploads` and a good upload behind it, while processes run, and returns how long the good ones
/// took. `before` executions have ended already.
async fn time_behind_poison(
    cluster: &Cluster,
    poison: &[(&str, Vec<u8>)],
    before: usize,
) -> std::time::Duration {
    let log = cluster.log().await;
    for partition in 0..log.partitions(streams::UPLOADS.name).await.unwrap() {
        let all = poison.iter().map(|(kind, value)| put(streams::UPLOADS, partition, kind, value.clone()));
        log.commit(Transaction { records: all.collect(), ..Transaction::default() }).await.unwrap();
    }
    let begun = std::time::Instant::now();
    let count = one_behind_each(cluster, log.as_ref(), "running").await;
    let ended = cluster.ended(before + count);
    assert!(ended.iter().all(|one| one["state"] == "succeeded"), "partitions go on: {ended:?}");
    begun.elapsed()
}

/// Starts a process, and waits until the good uploads behind the poison are made.
fn serve_past(cluster: &Cluster, poisons: usize, count: usize) -> Server {
    let begun = std::time::Instant::now();
    let server = cluster.serve("one", &[]).ready();
    let ended = cluster.ended(count);
    println!(
        "{poisons} poisons, and {count} uploads behind them done {:.1} s after the start",
        begun.elapsed().as_secs_f64()
    );
    assert!(ended.iter().all(|one| one["state"] == "succeeded"), "partitions go on: {ended:?}");
    assert_eq!(ended.len(), count);
    server
}

#[test]
fn poison_in_every_topic_is_a_dead_letter_with_its_reason_and_partitions_go_on() {
    let cluster = Cluster::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    media::constant(&cluster.place.path("a.mp4"), small());
    let upload = Upload::of(&format!("file://{}", cluster.place.path("late.mp4").display()), "file:///x")
        .encode()
        .unwrap();
    let kinds: Vec<(&str, Vec<u8>)> = vec![
        ("wrong magic byte", [&[7], &upload[1..]].concat()),
        ("unknown schema id", [&[0, 0xde, 0xad, 0xbe, 0xef], &upload[5..]].concat()),
        // Each record's own version 900, which nobody has announced.
        ("claimed version", Vec::new()),
        (
            "endless text",
            [&upload[..5], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat(),
        ),
        ("deep JSON", br#"{"labels":"#.repeat(9_000)),
        ("cut Avro", upload[..upload.len() / 2].to_vec()),
        ("JSON of a wrong type", br#"{"source": 5, "output_prefix": "x"}"#.to_vec()),
        // As large as the broker takes: its message.max.bytes less what a batch of one record needs.
        ("as large as can be", vec![0x55; 1_048_588 - 120]),
    ];
    let topics = [
        streams::UPLOADS,
        streams::ACCEPTED,
        streams::SEGMENTS,
        streams::TRANSCODED,
        streams::MERGES,
        streams::MERGED,
    ];
    let (mut poisoned, mut count) = (BTreeMap::new(), 0);
    runtime.block_on(async {
        let log = cluster.log().await;
        for topic in topics {
            let partitions = log.partitions(topic.name).await.unwrap();
            poisoned.insert(topic.name, usize::try_from(partitions).unwrap());
            for (kind, value) in &kinds {
                let value = if *kind == "claimed version" { &claimed(topic) } else { value };
                for partition in 0..partitions {
                    let records = vec![put(topic, partition, kind, value.clone())];
                    log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
                }
            }
        }
        count = one_behind_each(&cluster, log.as_ref(), "behind").await;
    });
    let poisons = kinds.len() * poisoned.values().sum::<usize>();
    let server = serve_past(&cluster, poisons, count);
    let letters = || -> Vec<Value> {
        let called = cluster.call(&["dead", "list", "--json"]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        called.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    until("all dead letters", || letters().len() == poisons);
    let version = u32::try_from(Upload::VERSIONS.len()).unwrap();
    let others = format!("schema id is {}", millrace_schemas::frame::schema_id(Upload::NUMBER, version));
    for letter in letters() {
        let reason = letter["reason"].as_str().unwrap();
        let expected: &[&str] = match letter["key"].as_str().unwrap() {
            "wrong magic byte" => &["not in the Confluent frame"],
            "unknown schema id" => &["3735928559"],
            // An Upload's on another topic is another schema.
            "claimed version" => &["of version 900, which no Millrace has announced here"],
            "cut Avro" | "endless text" => &["Upload: ", &others],
            "deep JSON" => &["Upload as JSON: invalid type: map", "not in the Confluent frame"],
            "JSON of a wrong type" => &["Upload as JSON: invalid type", "not in the Confluent frame"],
            _ => &["1048468 bytes"],
        };
        assert!(expected.iter().any(|text| reason.contains(text)), "{letter}");
    }
    let dead = runtime.block_on(cluster.records("dead-letters"));
    for topic in topics {
        for (kind, value) in &kinds {
            let is_its = |record: &&Record| {
                record.key == kind.as_bytes()
                    && record.header("__streams.errors.topic").as_deref() == Some(topic.name)
            };
            let of_it: Vec<_> = dead.iter().filter(is_its).collect();
            assert_eq!(of_it.len(), poisoned[topic.name], "{kind} in {}", topic.name);
            let value = if *kind == "claimed version" { &claimed(topic) } else { value };
            assert!(of_it.iter().all(|one| one.value.as_ref() == Some(value)), "the bytes are as they were");
        }
    }
    let shown = cluster.call(&["dead", "show", letters()[0]["id"].as_str().unwrap()]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    // Published again it is a dead letter again: nothing was put right.
    let id = letters()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(cluster.call(&["dead", "retry", &id]).status, 0);
    until("the letter to come back", || {
        letters().len() == poisons && letters().iter().all(|l| l["id"] != id)
    });
    let few: Vec<_> = kinds
        .into_iter()
        .filter(|(kind, value)| *kind != "claimed version" && value.len() < 10_000)
        .collect();
    let took = runtime.block_on(time_behind_poison(&cluster, &few, count));
    println!("behind poison, in a process that runs: {:.1} s", took.as_secs_f64());
    assert_eq!(server.stop(), 0);
}

/// Strangers may register schemas, too.
#[test]
fn under_a_registry_what_claims_a_schema_holds_no_partition() {
    let cluster = Cluster::with_registry();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    media::constant(&cluster.place.path("a.mp4"), small());
    let register = |subject: &str, schema: &str| -> u32 {
        let url = format!("{}/subjects/{}{subject}/versions", REGISTRY.url(), cluster.prefix);
        let body = serde_json::json!({ "schema": schema }).to_string();
        let sent =
            ureq::post(&url).header("Content-Type", "application/vnd.schemaregistry.v1+json").send(body);
        let text = sent.unwrap().body_mut().read_to_string().unwrap();
        u32::try_from(serde_json::from_str::<Value>(&text).unwrap()["id"].as_u64().unwrap()).unwrap()
    };
    let recursive = register(
        "recursive",
        r#"{"type": "record", "name": "Upload", "namespace": "millrace", "fields": [{"name": "next", "type": ["null", "Upload"]}]}"#,
    );
    let wide = register(
        "wide",
        r#"{"type": "record", "name": "Upload", "namespace": "millrace", "fields": [
            {"name": "source", "type": "string"}, {"name": "output_prefix", "type": "string"},
            {"name": "nothing", "type": {"type": "array", "items": "null"}}]}"#,
    );
    let framed = |id: u32, value: &[u8]| [&[0], &id.to_be_bytes()[..], value].concat();
    // Union branches without end, and an array of two thousand million nulls in five bytes.
    let many = [&[2, b'a', 2, b'b'][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0]].concat();
    let kinds = [
        ("recursive", framed(recursive, &[2; 50_000])),
        ("a claim of many", framed(wide, &many)),
        ("no such schema", framed(0x7fff_fff0, &[0; 20])),
        ("a version that nobody announced", claimed(streams::UPLOADS)),
    ];
    let (mut poisons, mut count) = (0, 0);
    runtime.block_on(async {
        let log = cluster.log().await;
        for partition in 0..log.partitions(streams::UPLOADS.name).await.unwrap() {
            let all = kinds.iter().map(|(kind, value)| put(streams::UPLOADS, partition, kind, value.clone()));
            log.commit(Transaction { records: all.collect(), ..Transaction::default() }).await.unwrap();
            poisons += kinds.len();
        }
        count = one_behind_each(&cluster, log.as_ref(), "behind").await;
    });
    let server = serve_past(&cluster, poisons, count);
    let mut letters: Vec<Value> = Vec::new();
    until("all dead letters", || {
        let called = cluster.call(&["dead", "list", "--json"]);
        letters = called.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        letters.len() == poisons
    });
    let said = |kind: &str| {
        letters.iter().find(|l| l["key"] == kind).unwrap()["reason"].as_str().unwrap().to_owned()
    };
    assert!(said("recursive").contains("it is recursive"), "{}", said("recursive"));
    for (kind, _) in &kinds {
        assert!(said(kind).len() > 20, "{kind}: {}", said(kind));
        println!("{kind}: {}", said(kind));
    }
    let took = runtime.block_on(time_behind_poison(&cluster, &kinds, count));
    println!("behind poison under a registry, in a process that runs: {:.1} s", took.as_secs_f64());
    assert_eq!(server.stop(), 0);
}
