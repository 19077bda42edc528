//! Millrace on a real cluster, as people use it: other clients, replays, poison, zombies, and everything that may be missing.

use std::{collections::BTreeMap, process::Command};

use millrace_runtime::Transaction;
use millrace_schemas::Upload;
use millrace_topology::streams;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{
    cluster::{BROKER, Cluster, REGISTRY, get, put, until},
    judge::judge,
    media::{self, Constant},
};

/// A client that is not ours, from `tests/clients`.
fn python(script: &str, arguments: &[&str]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = millrace_servers::folder().join("python/bin/python");
    let script = format!("{root}/tests/clients/{script}");
    let output = Command::new(python).args(["-W", "ignore", &script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn small() -> Constant<'static> {
    Constant { seconds: "4", ..Constant::default() }
}

#[test]
fn uploads_of_another_client_are_each_merged_once_and_another_client_reads_that() {
    const COUNT: usize = 20;
    let cluster = Cluster::with_registry();
    let first = cluster.place.path("in/0.mp4");
    std::fs::create_dir_all(first.parent().unwrap()).unwrap();
    media::constant(&first, small());
    let sources: Vec<String> = (0..COUNT)
        .map(|number| {
            let path = cluster.place.path(&format!("in/{number}.mp4"));
            if number > 0 {
                std::fs::copy(&first, &path).unwrap();
            }
            format!("file://{}", path.display())
        })
        .collect();
    let server = cluster.serve("one", &["--jobs", "2"]).ready();
    let out = format!("file://{}", cluster.place.path("out").display());
    let (brokers, registry, uploads) = (BROKER.brokers(), REGISTRY.url(), cluster.topic("uploads"));
    let mut arguments = vec![brokers.as_str(), &registry, &uploads, &out];
    arguments.extend(sources.iter().map(String::as_str));
    python("uploads.py", &arguments);
    cluster.ended(COUNT);
    let told = python("results.py", &[&brokers, &registry, &cluster.topic("merged")]);
    let mut ends = BTreeMap::new();
    for line in told.lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        let record = &told["record"];
        assert_eq!(record["state"], "succeeded", "{record}");
        assert_eq!(told["key"], record["execution"]);
        let urls: Vec<String> = record["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["url"].as_str().unwrap().to_owned())
            .collect();
        let twice = ends.insert(record["source"]["url"].as_str().unwrap().to_owned(), urls);
        assert!(twice.is_none(), "an execution ended twice: {record}");
    }
    assert_eq!(ends.len(), COUNT);
    for (number, source) in sources.iter().enumerate() {
        let wanted = ["mp4", "flv"].map(|format| format!("{out}/{number}.{format}"));
        assert_eq!(ends[source], wanted, "each output once");
        // Of each kind of upload: JSON, the registered schema, the team's own.
        for format in if number < 4 { &["mp4", "flv"][..] } else { &[] } {
            judge(
                &cluster.place.path(&format!("in/{number}.mp4")),
                &cluster.place.path(&format!("out/{number}.{format}")),
            );
        }
    }
    // Nobody is behind, as Kafka's own tool counts; in its own time.
    let groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let group = format!("{}-assemble", cluster.application());
    until("no lag", || {
        let told = millrace_servers::tool(
            groups,
            &["--bootstrap-server", &brokers, "--describe", "--group", &group],
        )
        .unwrap();
        let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
        let of_it = rows.iter().filter(|row| row.first() == Some(&group.as_str()));
        // What never held anything has no offset.
        of_it.filter(|row| row[4] != "0").all(|row| row[5] == "0")
    });
    assert_eq!(server.stop(), 0);
    redelivered(&cluster, &brokers);
}

/// Offsets are set back with Kafka's own tool: nothing changes.
fn redelivered(cluster: &Cluster, brokers: &str) {
    let before = cluster.executions();
    let modified =
        |name: &str| cluster.place.path(&format!("out/{name}")).metadata().unwrap().modified().unwrap();
    let files = cluster.place.names("out");
    let times: Vec<_> = files.iter().map(|name| modified(name)).collect();
    let groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let mut arguments =
        vec!["--bootstrap-server", brokers, "--reset-offsets", "--to-earliest", "--all-topics", "--execute"];
    let names: Vec<String> = ["split", "transcode", "assemble", "merge", "cleanup"]
        .map(|processor| format!("{}-{processor}", cluster.application()))
        .into();
    names.iter().for_each(|name| arguments.extend(["--group", name]));
    millrace_servers::tool(groups, &arguments).unwrap();
    let server = cluster.serve("again", &[]).ready();
    let address = server.address();
    until("all to be consumed again", || {
        let (_, metrics) = get(&address, "/metrics");
        let of = |name: &str| {
            metrics.lines().find(|line| line.starts_with(name)).is_some_and(|line| line.ends_with(" 0"))
        };
        ["split", "transcode", "assemble", "merge", "cleanup"]
            .iter()
            .all(|processor| of(&format!("millrace_lag_records{{processor=\"{processor}\"}}")))
            && !metrics.contains("millrace_records_total{processor=\"split\"} 0")
            && metrics.contains("millrace_records_total{processor=\"split\"}")
    });
    assert_eq!(server.stop(), 0);
    assert_eq!(cluster.executions(), before);
    assert_eq!(cluster.place.names("out"), files);
    assert_eq!(files.iter().map(|name| modified(name)).collect::<Vec<_>>(), times);
    assert_eq!(cluster.work(), [""; 0]);
}

#[test]
fn a_named_upload_is_made_once_and_replays_keep_what_is_there() {
    let cluster = Cluster::new();
    media::constant(&cluster.place.path("a.mp4"), small());
    let server = cluster.serve("one", &[]).ready();
    let address = server.address();
    assert_eq!(get(&address, "/healthz").0, 200);
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".into()));
    let submit = [
        "submit",
        "a.mp4",
        "-o",
        "out",
        "-f",
        "mp4",
        "-f",
        "flv",
        "--segment-time",
        "1",
        "--name",
        "friday",
        "--wait",
        "--json",
    ];
    let first = cluster.call(&submit).json();
    assert_eq!(first.success()["execution"], Cluster::execution("friday"));
    judge(&cluster.place.path("a.mp4"), &cluster.place.path("out/a.mp4"));
    let again = cluster.call(&submit).json();
    assert_eq!(again.success()["outputs"], first.lines[0]["outputs"]);
    assert_eq!(cluster.executions().len(), 1, "submitted twice, made once");

    let mp4 = cluster.place.path("out/a.mp4").metadata().unwrap().modified().unwrap();
    std::fs::remove_file(cluster.place.path("out/a.flv")).unwrap();
    let replayed = cluster.call(&["replay", "uploads", "--since", "2020-01-01T00:00Z"]);
    assert_eq!(replayed.status, 0, "{}", replayed.stderr);
    let all = cluster.ended(2);
    assert!(all.iter().all(|one| one["state"] == "succeeded"), "{all:?}");
    judge(&cluster.place.path("a.mp4"), &cluster.place.path("out/a.flv"));
    assert_eq!(
        cluster.place.path("out/a.mp4").metadata().unwrap().modified().unwrap(),
        mp4,
        "what is there is kept"
    );
    // What a replay published is not replayed; the upload itself is, and has nothing to make.
    let replayed = cluster.call(&["replay", "uploads", "--since", "2020-01-01"]);
    assert!(replayed.stdout.starts_with("2 uploads"), "the one of each submit: {}", replayed.stdout);
    let all = cluster.ended(3);
    let latest = all.iter().max_by_key(|one| one["started"].as_str().unwrap().to_owned()).unwrap();
    assert_eq!((&latest["state"], &latest["segments"]), (&"succeeded".into(), &0.into()));

    let execution = Cluster::execution("friday");
    let segments = cluster.call(&["replay", "segments", "--execution", &execution]);
    assert_eq!(segments.status, 0, "{}", segments.stderr);
    until("the second attempt", || {
        cluster
            .executions()
            .iter()
            .any(|one| one["execution"] == execution && one["attempt"] == 2 && one["state"] == "succeeded")
    });
    judge(&cluster.place.path("a.mp4"), &cluster.place.path("out/a.mp4"));
    until("cleanup", || cluster.work().is_empty());
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_cancel_stops_work_in_every_process_and_frees_it() {
    let cluster = Cluster::new();
    media::constant(
        &cluster.place.path("long.mp4"),
        Constant { seconds: "60", size: "1280x720", channels: 0, ..small() },
    );
    // One that decides, and two that work.
    let decides = cluster.serve("decides", &["--processors", "accept,split,assemble,cleanup"]).ready();
    let workers = ["a", "b"].map(|name| cluster.serve(name, &["--processors", "transcode,merge"]).ready());
    let execution = cluster.submit("long.mp4", "long", &["--segment-time", "2"]);
    until("both to work", || workers.iter().all(|worker| worker.children() > 0));
    let asked = std::time::Instant::now();
    let cancelled = cluster.call(&["executions", "cancel", &execution, "--reason", "wrong cut"]);
    assert_eq!(cancelled.status, 0, "{}", cancelled.stderr);
    until("both to stop", || workers.iter().all(|worker| worker.children() == 0));
    eprintln!("children stopped {:?} after the call began", asked.elapsed());
    let shown = cluster.call(&["executions", "show", &execution]);
    assert!(shown.stdout.contains("cancelled") && shown.stdout.contains("wrong cut"), "{}", shown.stdout);
    until("cleanup", || cluster.work().is_empty());
    drop(decides);
}

/// Each with a token, a header that a trusted program sets, and places of its own.
#[test]
fn on_kafka_each_principal_has_its_own_executions_names_and_places_and_no_others() {
    let cluster = Cluster::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = cluster.place.path("");
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    let principal = |name: &str| {
        format!(
            "[[access.principal]]\nname = '{name}'\ntokens = ['{name}-token']\nsources = ['{folder}/{name}/in']\n\
             outputs = ['{folder}/{name}/out']\n"
        )
    };
    let settings = format!("[access]\ntrust_header = true\n{}{}", principal("press"), principal("sport"));
    let settings = cluster.place.write("access.toml", settings);
    for name in ["press", "sport"] {
        std::fs::create_dir_all(cluster.place.path(&format!("{name}/in"))).unwrap();
        media::constant(&cluster.place.path(&format!("{name}/in/a.mp4")), small());
    }
    let url = |name: &str| format!("file://{}", cluster.place.path(name).display());
    let upload = |who: &str, source: &str, out: &str, name: &str| {
        let upload = Upload { name: Some(name.into()), ..Upload::of(&url(source), &url(out)) };
        let mut record = put(streams::UPLOADS, 0, name, serde_json::to_vec(&upload).unwrap());
        record.headers.push(("millrace-principal".into(), who.as_bytes().to_vec()));
        record
    };
    let records = vec![
        upload("press", "press/in/a.mp4", "press/out", "friday"),
        // The same name, and an execution of its own.
        upload("sport", "sport/in/a.mp4", "sport/out", "friday"),
        upload("sport", "press/in/a.mp4", "sport/out", "read"),
        upload("sport", "sport/in/a.mp4", "press/out", "overwrite"),
    ];
    runtime.block_on(async {
        let log = cluster.log().await;
        log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    });
    let server = cluster.serve("one", &["--config", settings.to_str().unwrap()]).ready();
    let ended = cluster.ended(4);
    let told = |who: &str, state: &str| {
        let of_it = ended.iter().filter(|one| one["principal"] == who && one["state"] == state);
        of_it.cloned().collect::<Vec<_>>()
    };
    assert_eq!((told("press", "succeeded").len(), told("sport", "succeeded").len()), (1, 1), "{ended:?}");
    let refused = told("sport", "failed");
    assert_eq!(refused.len(), 2, "{ended:?}");
    for setting in ["sources", "outputs"] {
        let by_it = |one: &&Value| {
            one["reason"].as_str().unwrap().contains(&"'sport' may".to_string())
                && one["reason"].as_str().unwrap().contains(setting)
        };
        assert_eq!(refused.iter().filter(by_it).count(), 1, "{refused:?}");
    }
    for name in ["press", "sport"] {
        assert_eq!(cluster.place.names(&format!("{name}/out")), ["a.mp4"]);
    }
    // And what came over Kafka is another's over HTTP, too.
    let id = told("press", "succeeded")[0]["execution"].as_str().unwrap().to_owned();
    let status = |who: &str, path: &str, method: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::new_with_config(config);
        let url = format!("http://{}/v1/executions/{id}{path}", server.address());
        let token = format!("Bearer {who}-token");
        let answer = match method {
            "GET" => agent.get(&url).header("Authorization", &token).call(),
            _ => agent
                .post(&url)
                .header("Authorization", &token)
                .header("Content-Type", "application/json")
                .send("{}"),
        };
        answer.unwrap().status().as_u16()
    };
    for (path, method) in [("", "GET"), ("/events", "GET"), ("/cancel", "POST"), ("/retry", "POST")] {
        assert_eq!(status("sport", path, method), 404, "{path}");
        assert_ne!(status("press", path, method), 404, "{path}");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_was_put_right_is_made_when_its_dead_letter_is_published_again() {
    let registry = millrace_servers::Registry::start().unwrap();
    let cluster = Cluster::on(&BROKER.brokers(), Some(registry.url()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    media::constant(&cluster.place.path("a.mp4"), small());
    let url = |name: &str| format!("file://{}", cluster.place.path(name).display());
    let text = |text: String| {
        // A string in Avro: its length in zigzag, two bytes for these, and its bytes.
        let length = u16::try_from(2 * text.len()).unwrap();
        let mut bytes = match length {
            0..0x80 => vec![length.to_be_bytes()[1]],
            _ => vec![0x80 | (length & 0x7f).to_be_bytes()[1], (length >> 7).to_be_bytes()[1]],
        };
        bytes.extend(text.into_bytes());
        bytes
    };
    let server = cluster.serve("one", &[]).ready();
    // The next id that this registry gives: each record is under a subject of its own, uploads under two.
    let next = u32::try_from(millrace_schemas::catalogue::all().len()).unwrap() + 2;
    let value = [&[0][..], &next.to_be_bytes(), &text(url("out")), &text(url("a.mp4"))].concat();
    runtime.block_on(async {
        let records = vec![put(streams::UPLOADS, 0, "early", value)];
        cluster.log().await.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    });
    let letters = || cluster.call(&["dead", "list", "--json"]).stdout;
    until("a dead letter", || letters().contains(&format!("schema id is {next}")));
    let schema = r#"{"schema": "{\"type\": \"record\", \"name\": \"Upload\", \"namespace\": \"millrace\", \"fields\": [{\"name\": \"output_prefix\", \"type\": \"string\"}, {\"name\": \"source\", \"type\": \"string\"}]}"}"#;
    // Under a subject of the team's own: a registry gives an id to a text, whatever it is for.
    let subject = format!("{}/subjects/early-value/versions", registry.url());
    let json = "application/vnd.schemaregistry.v1+json";
    let mut answer = ureq::post(&subject).header("Content-Type", json).send(schema).unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), format!("{{\"id\":{next}}}"));
    // A registry's word that there is none is taken for some seconds.
    let all = || cluster.executions();
    until("the retry to work", || {
        assert_eq!(cluster.call(&["dead", "retry", "--all"]).status, 0);
        !all().is_empty()
    });
    assert_eq!(cluster.ended(1)[0]["state"], "succeeded");
    judge(&cluster.place.path("a.mp4"), &cluster.place.path("out/a.mp4"));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_process_that_slept_past_its_session_is_fenced_and_nothing_it_writes_is_seen() {
    let cluster = Cluster::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    media::constant(
        &cluster.place.path("a.mp4"),
        Constant { seconds: "20", size: "640x360", channels: 0, ..small() },
    );
    let sleeper = cluster.serve("sleeper", &[]).ready();
    let execution = cluster.submit("a.mp4", "zombie", &["--segment-time", "1"]);
    until("it to work", || sleeper.said().contains("transcoded segment"));
    sleeper.signal(Signal::SIGSTOP);
    let other = cluster.serve("other", &[]).ready();
    let ended = cluster.ended(1);
    assert_eq!(ended[0]["state"], "succeeded", "{ended:?}");
    sleeper.signal(Signal::SIGCONT);
    // It wakes, finds that its partitions moved, and works on as any other.
    cluster.submit("a.mp4", "after", &["--segment-time", "1"]);
    let ended = cluster.ended(2);
    assert!(ended.iter().all(|one| one["state"] == "succeeded"), "{ended:?}");
    let expected = [execution, Cluster::execution("after")];
    let held = runtime.block_on(async {
        millrace_simulation::check_log(cluster.log().await.as_ref(), &expected, false).await
    });
    held.unwrap().unwrap();
    assert_eq!((sleeper.stop(), other.stop()), (0, 0));
}
