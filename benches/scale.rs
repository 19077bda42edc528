//! One process of a cluster, then two, on the same video: how much sooner it is done, and who did what. Then a second process
//! that joins in the middle.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/end_to_end/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{
    cluster::{Cluster, Server, until},
    media::{self, Constant},
};

const SEGMENTS: usize = 12;

fn begun(server: &Server) -> usize {
    server.said().matches("transcoded segment=").count()
}

/// When something was said, in seconds of the day.
fn when(said: &str, what: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains(what))?;
    let time = line.split('T').nth(1)?.split('Z').next()?;
    let parts: Vec<f64> = time.split(':').filter_map(|part| part.parse().ok()).collect();
    Some((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2])
}

/// Makes the video with so many processes; gives the time, and how many segments each made.
fn timed(cluster: &Cluster, count: usize, round: usize) -> (Duration, Vec<usize>) {
    let servers: Vec<Server> =
        (0..count).map(|number| cluster.serve(&format!("{count}-{round}-{number}"), &[]).ready()).collect();
    // All of them own their share when the video comes.
    until("an even share", || servers.iter().all(|server| owned(server) == SEGMENTS / count));
    let source = format!("{count}-{round}.mp4");
    std::fs::copy(cluster.place.path("a.mp4"), cluster.place.path(&source)).unwrap();
    let begin = Instant::now();
    let called =
        cluster.call(&["submit", &source, "-o", "out", "--segment-time", "4", "--wait", "--json"]).json();
    let took = begin.elapsed();
    called.success();
    let made = servers.iter().map(begun).collect();
    servers.into_iter().for_each(|server| assert_eq!(server.stop(), 0));
    (took, made)
}

/// How many partitions of segments a process owns now, by what it said.
fn owned(server: &Server) -> usize {
    let said = server.said();
    let mut owned = std::collections::BTreeSet::new();
    for line in
        said.lines().filter(|line| line.contains("stream=\"segments\"") && line.contains("partitions="))
    {
        let list = line.split("partitions=[").nth(1).unwrap().split(']').next().unwrap();
        let numbers = list.split(", ").filter_map(|number| number.parse::<u32>().ok());
        if line.contains(": revoked ") {
            owned.retain(|n| !numbers.clone().any(|gone| gone == *n));
        } else {
            owned.extend(numbers);
        }
    }
    owned.len()
}

fn joins(cluster: &Cluster) {
    let first = cluster.serve("first", &[]).ready();
    until("all partitions", || owned(&first) == SEGMENTS);
    let execution = cluster.submit("a.mp4", "joined", &["--segment-time", "4"]);
    until("two segments", || begun(&first) >= 2);
    let second = cluster.serve("second", &[]).ready();
    cluster.ended(6);
    let said = second.said();
    let assigned = when(&said, "stream=\"segments\"").unwrap();
    let works = when(&said, "begins transcoding")
        .map_or("it never began".to_owned(), |at| format!("{:.2} s", at - assigned));
    println!(
        "joined in the middle: it began a segment {works} after its assignment (asked: 5 s); segments {} and {} of {SEGMENTS}",
        begun(&first),
        begun(&second)
    );
    drop(execution);
}

fn main() {
    let broker = millrace_servers::Kafka::start().unwrap();
    let cluster = Cluster::on(&broker.brokers(), None);
    let c = Constant { seconds: "48", size: "1280x720", channels: 0, ..Constant::default() };
    media::constant(&cluster.place.path("a.mp4"), c);
    // A broker that just came up is busy with itself.
    timed(&cluster, 2, 0);
    for round in 1..3 {
        let (one, _) = timed(&cluster, 1, round);
        let (two, made) = timed(&cluster, 2, round);
        let ratio = one.as_secs_f64() / two.as_secs_f64();
        println!(
            "one process {one:.2?}, two {two:.2?}: {ratio:.2} times as fast (asked: 1.8); segments {made:?}"
        );
    }
    joins(&cluster);
}
