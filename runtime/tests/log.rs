//! Runs the conformance suite on each log of this crate: one line for each backend.
#![allow(clippy::unwrap_used, missing_docs)]

mod conformance;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use conformance::Backend;
use millrace_runtime::{
    Embedded, Event, Log, LogError, Transaction,
    simulated::{FaultProfile, Simulated},
};
use millrace_topology::{Emit, Placement, millis_now, streams};

struct OnDisk(tempfile::TempDir);

#[async_trait]
impl Backend for OnDisk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(Embedded::open(&self.0.path().join("log.sqlite")).unwrap())
    }
}

struct InMemory(Simulated);

#[async_trait]
impl Backend for InMemory {
    fn new() -> Self {
        Self(Simulated::new(7, FaultProfile::NONE, millis_now))
    }

    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }
}

/// Calls are delayed, and transactions become readable partition by partition.
struct WithFaults(Simulated);

#[async_trait]
impl Backend for WithFaults {
    fn new() -> Self {
        let profile = FaultProfile {
            delay: 0.3,
            late_visibility: 0.7,
            late_visibility_ms: 2000,
            lazy_compaction: true,
            ..FaultProfile::NONE
        };
        Self(Simulated::new(7, profile, millis_now))
    }

    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }
}

conformance::conforms!(embedded, OnDisk, start_paused = false);
conformance::conforms!(simulated, InMemory, start_paused = true);
conformance::conforms!(simulated_with_faults, WithFaults, start_paused = true);

fn emit(stream: &'static str, key: &str, value: &str) -> Emit {
    Emit { stream, key: key.into(), value: Some(value.into()), placement: Placement::ByKey }
}

fn append(records: Vec<Emit>) -> Transaction {
    Transaction { records: records.into_iter().map(Into::into).collect(), ..Transaction::default() }
}

async fn embedded(folder: &tempfile::TempDir) -> Arc<dyn Log> {
    let log = OnDisk::open_at(folder);
    log.ensure(&streams::ALL).await.unwrap();
    log
}

impl OnDisk {
    fn open_at(folder: &tempfile::TempDir) -> Arc<dyn Log> {
        Arc::new(Embedded::open(&folder.path().join("log.sqlite")).unwrap())
    }
}

#[tokio::test]
async fn an_append_by_another_process_wakes_a_waiting_consumer() {
    let folder = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (embedded(&folder).await, embedded(&folder).await);
    let mut consumer = here.join("g", "merged").await.unwrap();
    assert!(matches!(consumer.next(10).await.unwrap(), Event::Assigned(_)));
    let waiting = tokio::spawn(async move { consumer.next(10).await });
    elsewhere.commit(append(vec![emit("merged", "k", "1")])).await.unwrap();
    // Asserts that it is woken at all; the benchmark `hop` measures how soon.
    let woken = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
    assert!(matches!(woken.unwrap().unwrap(), Event::Records(records) if records.len() == 1));
}

#[tokio::test]
async fn records_that_all_groups_consumed_are_deleted_beyond_the_retention() {
    let folder = tempfile::tempdir().unwrap();
    let log = embedded(&folder).await;
    let keep = u64::from(streams::PROGRESS.retention.records);
    let partition = millrace_runtime::Partition { stream: "progress".into(), number: 0 };
    let fill = async || {
        for _ in 0..15 {
            log.commit(append((0..100).map(|i| emit("progress", "k", &i.to_string())).collect()))
                .await
                .unwrap();
        }
        log.depth(&partition).await.unwrap()
    };
    assert!((keep..keep + 256).contains(&fill().await));
    // A registered group keeps the records that it has not consumed.
    let mut consumer = log.join("slow", "progress").await.unwrap();
    let Event::Assigned(assignment) = consumer.next(10).await.unwrap() else { panic!("an assignment") };
    let kept = fill().await;
    assert!(kept >= 1500 + keep, "{kept}");
    let end = log.end(&partition).await.unwrap();
    let membership = Some(assignment.membership);
    let offsets = vec![(partition.clone(), end)];
    log.commit(Transaction { offsets, membership, ..Transaction::default() }).await.unwrap();
    let kept = fill().await;
    assert!((1500..1500 + 256).contains(&kept), "only records after the commit are kept: {kept}");
}

#[tokio::test]
async fn the_log_of_a_newer_millrace_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Embedded::open(&path), Err(LogError::TooNew { found: 99, .. })));
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_says_what_to_do_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    std::fs::write(&path, [7; 9000]).unwrap();
    let error = Embedded::open(&path).err().unwrap();
    assert!(matches!(error, LogError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("Move it away"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), [7; 9000]);
}

/// Pages in the middle are overwritten: a read of them fails.
#[tokio::test]
async fn damage_in_the_middle_of_the_file_is_found_when_it_is_read() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    {
        let log = embedded(&folder).await;
        for i in 0..50 {
            log.commit(append((0..20).map(|_| emit("merged", &format!("k{i}"), &"x".repeat(500))).collect()))
                .await
                .unwrap();
        }
    }
    // Moves what the closed connection left in the write-ahead log into the file.
    rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for page in 30..file.metadata().unwrap().len() / 4096 {
        file.write_all_at(&[0xff; 4096], page * 4096).unwrap();
    }
    let log = OnDisk::open_at(&folder);
    let mut result = Ok(());
    for number in 0..4 {
        let partition = millrace_runtime::Partition { stream: "merged".into(), number };
        result = result.and(log.read(&partition, 0, 10_000).await.map(drop));
    }
    assert!(matches!(result, Err(LogError::Damaged { .. })), "{result:?}");
}

/// The file as Millrace 0.1 created it.
#[tokio::test]
async fn a_log_of_the_first_layout_is_taken_over_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
             is_table INTEGER NOT NULL, keep INTEGER) STRICT;
         CREATE TABLE records (seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, part INTEGER NOT NULL,
             off INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, headers BLOB) STRICT;
         CREATE UNIQUE INDEX records_by_offset ON records (stream, part, off);
         CREATE TABLE latest (stream INTEGER NOT NULL, part INTEGER NOT NULL, key BLOB NOT NULL, off INTEGER NOT NULL,
             at INTEGER NOT NULL, value BLOB NOT NULL, headers BLOB, PRIMARY KEY (stream, part, key)) STRICT, WITHOUT ROWID;
         CREATE INDEX latest_by_offset ON latest (stream, part, off);
         CREATE TABLE ends (stream INTEGER NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
             PRIMARY KEY (stream, part)) STRICT, WITHOUT ROWID;
         CREATE TABLE commits (grp TEXT NOT NULL, stream INTEGER NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
             PRIMARY KEY (grp, stream, part)) STRICT, WITHOUT ROWID;
         INSERT INTO streams VALUES (1, 'merged', 4, 0, NULL);
         INSERT INTO records VALUES (1, 1, 2, 0, 5, x'6b', x'31', NULL);
         INSERT INTO ends VALUES (1, 2, 1);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let log = embedded(&folder).await;
    let partition = millrace_runtime::Partition { stream: "merged".into(), number: 2 };
    assert_eq!(log.read(&partition, 0, 10).await.unwrap().records[0].value.as_deref(), Some(&b"1"[..]));
    let key = (0..)
        .map(|i| format!("k{i}"))
        .find(|key| millrace_runtime::murmur2(key.as_bytes()) % 4 == 2)
        .unwrap();
    log.commit(append(vec![emit("merged", &key, "2")])).await.unwrap();
    assert_eq!(log.end(&partition).await.unwrap(), 2);
}
