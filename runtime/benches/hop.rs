//! Benchmark of a hop on the embedded log: from an append to the waiting consumer, and the commit of its
//! offset; and the cpu share of an idle consumer.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_runtime::{Embedded, Event, Log, Transaction};
use millrace_topology::{Emit, Placement, streams};
use nix::time::{ClockId, clock_gettime};

const HOPS: usize = 2000;

fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap())
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Embedded::open(&folder.path().join("log.sqlite")).unwrap());
    let mut times = runtime.block_on(hops(log));
    times.sort_unstable();
    let far = runtime.block_on(from_elsewhere(&folder.path().join("log.sqlite")));
    println!(
        "noticed from another process, of {}: median {:?}, slowest {:?}",
        far.len(),
        far[far.len() / 2],
        far[far.len() - 1]
    );
    println!("a hop, of {HOPS}: median {:?}, 99th percentile {:?}", times[HOPS / 2], times[HOPS * 99 / 100]);
}

/// Measures the time from an append by another connection, as of another process, to its consumption. Sorted.
async fn from_elsewhere(path: &std::path::Path) -> Vec<Duration> {
    let (here, elsewhere) = (Embedded::open(path).unwrap(), Embedded::open(path).unwrap());
    let mut consumer = here.join("far", "merged").await.unwrap();
    assert!(matches!(consumer.next(10).await.unwrap(), Event::Assigned(_)));
    let mut times = Vec::new();
    for number in 0..100 {
        let waiting = tokio::spawn(async move { (consumer.next(10).await, consumer) });
        // At varying times between two checks of the file.
        tokio::time::sleep(Duration::from_millis(20 + number * 37 % 101)).await;
        let emit = Emit {
            stream: "merged",
            key: b"execution".to_vec(),
            value: Some(vec![7; 400]),
            placement: Placement::ByKey,
        };
        let sent = Instant::now();
        let transaction = Transaction { records: vec![emit.into()], ..Transaction::default() };
        elsewhere.commit(transaction).await.unwrap();
        let event;
        (event, consumer) = waiting.await.unwrap();
        assert!(matches!(event.unwrap(), Event::Records(_)));
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    times
}

async fn hops(log: Arc<Embedded>) -> Vec<Duration> {
    log.ensure(&streams::ALL).await.unwrap();
    let mut consumer = log.join("g", "segments").await.unwrap();
    let Event::Assigned(assignment) = consumer.next(10).await.unwrap() else { return Vec::new() };
    let (idle, begun) = (cpu(), Instant::now());
    // Nothing is appended: this measures the waiting consumer.
    let _ = tokio::time::timeout(Duration::from_secs(3), consumer.next(10)).await;
    let share = (cpu() - idle).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("an idle consumer: {:.3} % of a core", share * 100.0);
    let mut times = Vec::with_capacity(HOPS);
    for number in 0..HOPS {
        let emit = Emit {
            stream: "segments",
            key: b"execution".to_vec(),
            value: Some(vec![7; 400]),
            placement: Placement::Dealt(u32::try_from(number).unwrap()),
        };
        let sent = Instant::now();
        let appending = log.clone();
        let append = async move {
            appending.commit(Transaction { records: vec![emit.into()], ..Transaction::default() }).await
        };
        let append = tokio::spawn(append);
        let Event::Records(records) = consumer.next(10).await.unwrap() else { continue };
        let offsets = records.iter().map(|record| (record.partition.clone(), record.offset + 1)).collect();
        let membership = Some(assignment.membership.clone());
        log.commit(Transaction { offsets, membership, ..Transaction::default() }).await.unwrap();
        times.push(sent.elapsed());
        append.await.unwrap().unwrap();
    }
    times
}
