//! Processes of a cluster are killed, stopped past their session and restarted, and so is the broker: nothing is lost, nothing
//! ends twice, nothing is left.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::common::{
    cluster::{Cluster, Server, until},
    judge::judge,
    media::{self, Constant},
};

/// Flags of every process: nothing is kept for new attempts.
const FLAGS: [&str; 2] = ["--retry-window", "0"];

fn clip(cluster: &Cluster) {
    let path = cluster.place.path("a.mp4");
    media::constant(&path, Constant { seconds: "8", size: "640x360", ..Constant::default() });
}

/// Another copy of the clip, uploaded under its own name.
fn upload(cluster: &Cluster, number: usize) -> String {
    let name = format!("{number}.mp4");
    std::fs::copy(cluster.place.path("a.mp4"), cluster.place.path(&name)).unwrap();
    cluster.submit(&name, &format!("upload {number}"), &["--segment-time", "1", "-f", "mp4", "-f", "flv"])
}

/// How often each segment was transcoded, of all that processes said. A look that finds a work object says otherwise.
fn transcoded(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for name in cluster.place.names(".").iter().filter(|name| name.ends_with(".log")) {
        let said = std::fs::read_to_string(cluster.place.path(name)).unwrap();
        for line in said.lines().filter(|line| line.contains("transcoded segment=")) {
            let execution =
                line.split("transcode{execution=").nth(1).unwrap().split_whitespace().next().unwrap();
            let segment =
                line.split("transcoded segment=").nth(1).unwrap().split_whitespace().next().unwrap();
            *times.entry(format!("{execution} {segment}")).or_default() += 1;
        }
    }
    times
}

/// Everything that must be so in the end.
fn all_is_well(cluster: &Cluster, expected: &[String], again: usize) {
    let ended = cluster.ended(expected.len());
    let over = Instant::now();
    let failed: Vec<_> = ended.iter().filter(|one| one["state"] != "succeeded").collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(ended.len(), expected.len(), "no execution but those that were asked for");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let held = runtime.block_on(async {
        millrace_simulation::check_log(cluster.log().await.as_ref(), expected, false).await
    });
    held.unwrap().unwrap();
    let dead = cluster.call(&["dead", "list", "--all", "--json"]);
    assert_eq!((dead.status, dead.stdout.as_str()), (0, ""), "{}", dead.stderr);
    until("all work objects to be freed", || cluster.work().is_empty());
    eprintln!("work objects were gone {:?} after the last end", over.elapsed());
    assert!(over.elapsed() < Duration::from_secs(60), "work objects were left for {:?}", over.elapsed());
    for number in 0..expected.len() {
        for format in ["mp4", "flv"] {
            judge(&cluster.place.path("a.mp4"), &cluster.place.path(&format!("out/{number}.{format}")));
        }
    }
    quiet(cluster);
    let left: Vec<_> = cluster.place.names("out").into_iter().filter(|name| name.starts_with('.')).collect();
    eprintln!("{} drafts of outputs were left by what was killed", left.len());
    let times = transcoded(cluster);
    let repeated: usize = times.values().map(|times| times - 1).sum();
    eprintln!(
        "{} segments, {repeated} of them transcoded again; at most {again} were in flight",
        times.len()
    );
    assert!(repeated <= again, "{repeated} segments were transcoded again: {times:?}");
}

/// Brokers that go are worth a line, and not ten thousand.
fn quiet(cluster: &Cluster) {
    for name in cluster.place.names(".").iter().filter(|name| name.ends_with(".log")) {
        let said = std::fs::read_to_string(cluster.place.path(name)).unwrap();
        let warnings: Vec<&str> =
            said.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
        eprintln!("{name}: {} warnings of {} lines", warnings.len(), said.lines().count());
        assert!(warnings.len() < 50, "{}", warnings.join("\n"));
    }
}

/// Three processes, and trouble every so often, for so long; the broker goes twice.
fn chaos(seconds: u64, every: u64) {
    let mut broker = millrace_servers::Kafka::start().unwrap();
    let cluster = Cluster::on(&broker.brokers(), None);
    clip(&cluster);
    let start = |number: usize| cluster.serve(&format!("process-{number}"), &FLAGS);
    let mut servers: Vec<Server> = (0..3).map(|number| start(number).ready()).collect();
    let mut expected = Vec::new();
    let mut asleep: Option<(usize, Instant)> = None;
    let begun = Instant::now();
    let (mut troubles, mut broker_went) = (0, 0);
    // This is what trouble is made of: time. Nothing is asserted by it.
    while begun.elapsed() < Duration::from_secs(seconds) {
        expected.push(upload(&cluster, expected.len()));
        let next = begun + Duration::from_secs(every) * u32::try_from(troubles + 1).unwrap();
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if let Some((number, since)) = asleep
            && since.elapsed() > Duration::from_secs(15)
        {
            servers[number].signal(Signal::SIGCONT);
            asleep = None;
        }
        let number = troubles % 3;
        // One that sleeps is left to it.
        if asleep.is_none_or(|(sleeps, _)| sleeps != number) {
            match (troubles / 3 + number) % 3 {
                0 => servers[number] = start(number),
                1 if asleep.is_none() => {
                    servers[number].signal(Signal::SIGSTOP);
                    asleep = Some((number, Instant::now()));
                }
                _ => {
                    let fresh = start(number);
                    let old = std::mem::replace(&mut servers[number], fresh);
                    assert_eq!(old.stop(), 0);
                }
            }
        }
        troubles += 1;
        if begun.elapsed().as_secs() > (broker_went + 1) * seconds / 3 && broker_went < 2 {
            broker_went += 1;
            broker.kill();
            broker.resume().unwrap();
        }
    }
    if let Some((number, _)) = asleep {
        servers[number].signal(Signal::SIGCONT);
    }
    eprintln!("{} uploads, {troubles} troubles, the broker went {broker_went} times", expected.len());
    // Each trouble had one video segment and one sound track in flight, and a broker that goes what each process had.
    all_is_well(&cluster, &expected, 2 * (troubles + 3 * usize::try_from(broker_went).unwrap()));
    for server in servers {
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn what_is_killed_stopped_and_restarted_loses_nothing() {
    chaos(35, 6);
}

/// `make chaos`: as long and as often as it was asked for.
#[test]
#[ignore = "takes minutes"]
fn what_is_killed_stopped_and_restarted_for_three_minutes_loses_nothing() {
    let seconds = std::env::var("SECONDS_OF_TROUBLE").ok().and_then(|text| text.parse().ok()).unwrap_or(180);
    chaos(seconds, 10);
}

/// Leaders of partitions, groups and transactions move with each broker that goes.
#[test]
fn brokers_that_go_one_after_the_other_lose_nothing() {
    let mut brokers = millrace_servers::Kafka::start_cluster(3).unwrap();
    let names: Vec<String> = brokers.iter().map(millrace_servers::Kafka::brokers).collect();
    let cluster = Cluster::on(&names.join(","), None);
    let described = millrace_servers::tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--bootstrap-server", &names[0], "--describe", "--topic", &cluster.topic("segments")],
    );
    assert!(described.unwrap().contains("ReplicationFactor: 3"), "as the brokers have it by default");
    clip(&cluster);
    let servers: Vec<Server> =
        (0..2).map(|number| cluster.serve(&format!("process-{number}"), &FLAGS).ready()).collect();
    let mut expected = Vec::new();
    expected.push(upload(&cluster, 0));
    until("it to work", || servers.iter().any(|server| server.said().contains("transcoded segment")));
    for broker in &mut brokers {
        broker.kill();
        expected.push(upload(&cluster, expected.len()));
        cluster.ended(expected.len());
        broker.resume().unwrap();
    }
    all_is_well(&cluster, &expected, 4 * brokers.len());
    for server in servers {
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn a_rolling_restart_under_load_fails_nothing_and_makes_nothing_twice() {
    let broker = millrace_servers::Kafka::start().unwrap();
    let cluster = Cluster::on(&broker.brokers(), None);
    clip(&cluster);
    let start = |number: usize| {
        let name = format!("worker-{number}");
        cluster.serve(&name, &[&FLAGS[..], &["--instance", &name]].concat())
    };
    let mut servers: Vec<Server> = (0..3).map(|number| start(number).ready()).collect();
    let mut expected = Vec::new();
    for server in 0..3 {
        expected.extend((0..2).map(|more| upload(&cluster, 2 * server + more)));
        until("it to work", || servers[server].said().contains("transcoded segment"));
        let fresh = |old: Server| {
            let asked = Instant::now();
            assert_eq!(old.stop(), 0, "it drains");
            eprintln!("worker-{server} drained within {:?}", asked.elapsed());
            assert!(asked.elapsed() < Duration::from_secs(30), "its grace period");
        };
        let old = servers.remove(server);
        fresh(old);
        servers.insert(server, start(server).ready());
    }
    all_is_well(&cluster, &expected, 0);
}
