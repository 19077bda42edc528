//! What any log must do, held against the embedded one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use millrace_runtime::{Embedded, Event, Log, LogError, Membership, Partition, Transaction};
use millrace_topology::{Emit, Placement, streams};

fn emit(stream: &'static str, key: &str, value: &str) -> Emit {
    Emit { stream, key: key.into(), value: Some(value.into()), placement: Placement::ByKey }
}

fn append(records: Vec<Emit>) -> Transaction {
    Transaction { records: records.into_iter().map(Into::into).collect(), ..Transaction::default() }
}

async fn log(folder: &tempfile::TempDir) -> Arc<dyn Log> {
    let log = Embedded::open(&folder.path().join("log.sqlite")).unwrap();
    log.ensure(&streams::ALL).await.unwrap();
    Arc::new(log)
}

async fn all(log: &dyn Log, stream: &str) -> Vec<(u32, u64, String)> {
    let mut found = Vec::new();
    for number in 0..log.partitions(stream).await.unwrap() {
        let partition = Partition { stream: stream.into(), number };
        for record in log.read(&partition, 0, 1000).await.unwrap() {
            found.push((number, record.offset, String::from_utf8(record.value.unwrap()).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn records_of_a_key_stay_in_order_in_one_partition() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    for i in 0..20 {
        log.commit(append(vec![emit("merged", "k", &i.to_string())])).await.unwrap();
    }
    let found = all(log.as_ref(), "merged").await;
    assert!(found.iter().all(|(number, ..)| *number == found[0].0));
    assert_eq!(found.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(found[19].2, "19");
}

#[tokio::test]
async fn dealt_records_are_spread_evenly() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    let dealt = |number| Emit { placement: Placement::Dealt(number), ..emit("segments", "execution", "x") };
    log.commit(append((0..24).map(dealt).collect())).await.unwrap();
    let found = all(log.as_ref(), "segments").await;
    for partition in 0..12 {
        assert_eq!(
            found.iter().filter(|(number, ..)| *number == partition).count(),
            2,
            "partition {partition}"
        );
    }
}

#[tokio::test]
async fn a_table_keeps_the_latest_of_each_key_and_forgets_on_a_tombstone() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    for value in ["1", "2", "3"] {
        log.commit(append(vec![emit("assemblies", "a", value), emit("assemblies", "b", value)]))
            .await
            .unwrap();
    }
    let values = all(log.as_ref(), "assemblies").await;
    assert_eq!(values.iter().map(|(.., value)| value.as_str()).collect::<Vec<_>>(), ["3", "3"]);
    log.commit(append(vec![Emit { value: None, ..emit("assemblies", "a", "") }])).await.unwrap();
    assert_eq!(all(log.as_ref(), "assemblies").await.len(), 1);
}

#[tokio::test]
async fn what_is_advisory_is_kept_for_a_while_only() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    for _ in 0..15 {
        log.commit(append((0..100).map(|i| emit("progress", "k", &i.to_string())).collect())).await.unwrap();
    }
    assert_eq!(all(log.as_ref(), "progress").await.len(), 1000);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    let half = append(vec![emit("merged", "k", "1"), emit("no such stream", "k", "2")]);
    assert!(log.commit(half).await.is_err());
    assert_eq!(all(log.as_ref(), "merged").await, []);
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let folder = tempfile::tempdir().unwrap();
    {
        let log = log(&folder).await;
        log.commit(append((0..3).map(|i| emit("merged", "k", &i.to_string())).collect())).await.unwrap();
        let mut consumer = log.join("g", "merged").await.unwrap();
        let Event::Assigned(assignment) = consumer.next(10).await.unwrap() else { panic!("an assignment") };
        assert_eq!(assignment.partitions.len(), 4);
        let Event::Records(records) = consumer.next(2).await.unwrap() else { panic!("records") };
        assert_eq!(records.len(), 2);
        let offsets = vec![(records[0].partition.clone(), records[0].offset + 1)];
        let membership = Some(assignment.membership);
        log.commit(Transaction { offsets, membership, ..Transaction::default() }).await.unwrap();
    }
    let log = log(&folder).await;
    let mut consumer = log.join("g", "merged").await.unwrap();
    assert!(matches!(consumer.next(10).await.unwrap(), Event::Assigned(_)));
    let Event::Records(records) = consumer.next(10).await.unwrap() else { panic!("records") };
    assert_eq!(records[0].value.as_deref(), Some(b"1".as_slice()));
}

#[tokio::test]
async fn a_second_member_takes_half_and_the_first_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    let mut first = log.join("g", "merged").await.unwrap();
    let Event::Assigned(before) = first.next(10).await.unwrap() else { panic!("an assignment") };
    let mut second = log.join("g", "merged").await.unwrap();
    let old = Transaction {
        offsets: vec![(Partition { stream: "merged".into(), number: 1 }, 1)],
        records: vec![emit("executions", "k", "never").into()],
        membership: Some(before.membership),
    };
    assert!(matches!(log.commit(old).await, Err(LogError::Fenced { .. })));
    assert_eq!(all(log.as_ref(), "executions").await, [], "nothing of a fenced transaction is seen");
    let Event::Assigned(a) = first.next(10).await.unwrap() else { panic!("an assignment") };
    let Event::Assigned(b) = second.next(10).await.unwrap() else { panic!("an assignment") };
    assert_eq!((a.partitions.len(), b.partitions.len()), (2, 2));
    drop(second);
    let Event::Assigned(a) = first.next(10).await.unwrap() else { panic!("an assignment") };
    assert_eq!(a.partitions.len(), 4);
}

#[tokio::test]
async fn a_member_that_waits_is_woken_by_an_append() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    let mut consumer = log.join("g", "merged").await.unwrap();
    assert!(matches!(consumer.next(10).await.unwrap(), Event::Assigned(_)));
    let waiting = tokio::spawn(async move { consumer.next(10).await });
    log.commit(append(vec![emit("merged", "k", "1")])).await.unwrap();
    assert!(matches!(waiting.await.unwrap().unwrap(), Event::Records(records) if records.len() == 1));
}

#[tokio::test]
async fn an_offset_of_nobody_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder).await;
    let stranger = Membership { group: "g".into(), member: 77, epoch: 1 };
    let offsets = vec![(Partition { stream: "merged".into(), number: 0 }, 5)];
    let commit =
        log.commit(Transaction { offsets, membership: Some(stranger), ..Transaction::default() }).await;
    assert!(matches!(commit, Err(LogError::Fenced { .. })));
}

#[tokio::test]
async fn the_log_of_a_newer_millrace_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Embedded::open(&path), Err(LogError::TooNew { found: 99, .. })));
}
