//! Benchmark of the embedded log with a million records that are appended, consumed and committed: the size
//! of the file, the records a second, and the time to open it after a kill -9 during writes.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_runtime::{Embedded, Event, Log, Transaction};
use millrace_topology::{Emit, Placement, streams};

const BATCH: usize = 1000;
const BATCHES: usize = 1000;
/// The argument of the writer process, which is killed.
const WRITER: &str = "--write-for-good";

fn batch(round: usize) -> Vec<Emit> {
    (0..BATCH)
        .map(|number| Emit {
            stream: "segments",
            key: format!("{:016x}", round % 50).into_bytes(),
            value: Some(vec![7; 400]),
            placement: Placement::Dealt(u32::try_from(number).unwrap()),
        })
        .chain([Emit {
            stream: "assemblies",
            key: format!("{:016x}", round % 50).into_bytes(),
            value: Some(vec![9; 600]),
            placement: Placement::ByKey,
        }])
        .collect()
}

fn size(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

async fn fill(log: Arc<Embedded>, folder: &Path, batches: usize) {
    log.ensure(&streams::ALL).await.unwrap();
    let mut consumer = log.join("g", "segments").await.unwrap();
    let mut membership = None;
    let begun = Instant::now();
    for round in 0..batches {
        let records = batch(round).into_iter().map(Into::into).collect();
        log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
        let mut seen = 0;
        while seen < BATCH {
            match consumer.next(BATCH).await.unwrap() {
                Event::Assigned(assignment) => membership = Some(assignment.membership),
                Event::Records(records) => {
                    seen += records.len();
                    let next = records.iter().map(|r| (r.partition.clone(), r.offset + 1));
                    // The latest of each partition.
                    let offsets = next.collect::<std::collections::HashMap<_, _>>().into_iter().collect();
                    let membership = membership.clone();
                    log.commit(Transaction { offsets, membership, ..Transaction::default() }).await.unwrap();
                }
            }
        }
        let done = (round + 1) * BATCH;
        if (round + 1) % (batches / 10).max(1) == 0 {
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            println!("{done:>8} records, {rate:>7.0} a second, {:>6.1} MB", size(folder) as f64 / 1e6);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Some(index) = arguments.iter().position(|argument| argument == WRITER) {
        let folder = Path::new(&arguments[index + 1]);
        let log = Arc::new(Embedded::open(&folder.join("log.sqlite")).unwrap());
        runtime.block_on(fill(log, folder, 1_000_000));
        return;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Embedded::open(&folder.path().join("log.sqlite")).unwrap());
    runtime.block_on(fill(log, folder.path(), BATCHES));

    let mut times = Vec::new();
    for round in 0..5 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([WRITER, folder.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(700 + 130 * round));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let begun = Instant::now();
        let log = Embedded::open(&folder.path().join("log.sqlite")).unwrap();
        runtime.block_on(async {
            log.ensure(&streams::ALL).await.unwrap();
            let mut consumer = log.join("g", "segments").await.unwrap();
            assert!(matches!(consumer.next(10).await.unwrap(), Event::Assigned(_)));
        });
        times.push(begun.elapsed());
    }
    println!("open again after kill -9, of 5: {times:?}");
}
