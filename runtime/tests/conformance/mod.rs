//! The conformance suite of logs: what each backend must do. A backend is added by one line of `conforms!`.
//!
//! The tests wait for committed records: they need not be readable at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use millrace_runtime::{
    Assignment, Consumer, Event, LARGEST_VALUE, Log, LogError, Membership, NewRecord, Partition, Record,
    Transaction,
};
use millrace_topology::{Emit, Placement, StreamSpec, streams};

/// A log that can be opened again, as after a restart of the process.
#[async_trait]
pub(crate) trait Backend {
    fn new() -> Self;
    async fn open(&self) -> Arc<dyn Log>;
}

/// Declares a test for each fact, on one backend.
macro_rules! conforms {
    ($name:ident, $backend:ty, start_paused = $paused:literal) => {
        mod $name {
            use super::{*, conformance as facts};
            $crate::conformance::conforms! { @ $backend, $paused,
                records_of_a_key_stay_in_order_in_one_partition
                dealt_records_are_spread_evenly
                what_is_published_again_goes_where_it_was
                a_transaction_is_all_or_nothing
                a_transaction_is_seen_whole
                a_group_goes_on_where_it_committed
                groups_do_not_see_each_other
                a_second_member_takes_half_and_the_first_is_fenced
                many_members_share_all_partitions
                a_partition_that_went_and_came_back_is_fresh
                one_that_is_no_member_commits_nothing
                a_commit_without_its_own_offsets_is_refused_too
                a_member_that_waits_is_woken_by_an_append
                one_that_rewinds_begins_again_at_its_commit
                what_only_advises_is_there_too
                lag_is_what_is_yet_to_come
                a_table_keeps_the_latest_of_each_key_and_forgets_on_a_tombstone
                a_table_can_be_read_up_to_its_end
                a_large_value_comes_back_as_it_was
                headers_come_back_in_order
                an_empty_stream_has_nothing
                partitions_are_counted_and_their_number_is_kept
                an_unknown_stream_is_an_error
                what_was_committed_is_there_after_a_restart
                thousands_of_records_come_once_and_in_order
            }
        }
    };
    (@ $backend:ty, $paused:literal, $($fact:ident)+) => {$(
        #[test]
        fn $fact() {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused($paused).build().unwrap();
            runtime.block_on(facts::$fact(&<$backend>::new()));
        }
    )+};
}
pub(crate) use conforms;

async fn open(backend: &impl Backend) -> Arc<dyn Log> {
    let log = backend.open().await;
    log.ensure(&streams::ALL).await.unwrap();
    log
}

fn emit(stream: &'static str, key: &str, value: &str) -> Emit {
    Emit { stream, key: key.into(), value: Some(value.into()), placement: Placement::ByKey }
}

fn append(records: Vec<Emit>) -> Transaction {
    Transaction { records: records.into_iter().map(Into::into).collect(), ..Transaction::default() }
}

fn text(record: &Record) -> String {
    String::from_utf8(record.value.clone().unwrap()).unwrap()
}

fn partition(stream: &str, number: u32) -> Partition {
    Partition { stream: stream.into(), number }
}

/// Returns the records of a partition up to its current end.
async fn read_to_end(log: &dyn Log, partition: &Partition) -> Vec<Record> {
    let mut changes = log.changes();
    let end = log.end(partition).await.unwrap();
    let (mut from, mut found) = (0, Vec::new());
    while from < end {
        changes.mark_seen();
        let fetched = log.read(partition, from, 7).await.unwrap();
        if fetched.next == from {
            changes.changed().await;
        }
        from = fetched.next;
        found.extend(fetched.records);
    }
    found
}

async fn all(log: &dyn Log, stream: &str) -> Vec<Record> {
    let mut found = Vec::new();
    for number in 0..log.partitions(stream).await.unwrap() {
        found.extend(read_to_end(log, &partition(stream, number)).await);
    }
    found
}

/// Returns the next assignment, and drops the records before it.
async fn assigned(consumer: &mut Box<dyn Consumer>) -> Assignment {
    loop {
        if let Event::Assigned(assignment) = consumer.next(0).await.unwrap() {
            return assignment;
        }
    }
}

/// Waits until these partitions are spread evenly over the members. Returns the assignment of each member,
/// with the partitions that were fresh in one of its assignments.
async fn balanced(
    members: &mut [Box<dyn Consumer>],
    partitions: usize,
) -> Vec<(Assignment, BTreeSet<Partition>)> {
    let mut found: Vec<Option<Assignment>> = members.iter().map(|_| None).collect();
    let mut fresh = vec![BTreeSet::new(); members.len()];
    let share = partitions / members.len();
    loop {
        for ((member, found), fresh) in members.iter_mut().zip(&mut found).zip(&mut fresh) {
            // A member without an event does not delay the others.
            let next = tokio::time::timeout(Duration::from_millis(20), member.next(0)).await;
            if let Ok(event) = next
                && let Event::Assigned(assignment) = event.unwrap()
            {
                fresh.retain(|partition| assignment.partitions.iter().any(|o| o.partition == *partition));
                fresh.extend(assignment.partitions.iter().filter(|o| o.fresh).map(|o| o.partition.clone()));
                *found = Some(assignment);
            }
        }
        let counts: Vec<usize> =
            found.iter().flatten().map(|assignment| assignment.partitions.len()).collect();
        let even = counts.iter().all(|count| (share..=share + 1).contains(count));
        if counts.len() == members.len() && even && counts.iter().sum::<usize>() == partitions {
            return found.into_iter().flatten().zip(fresh).collect();
        }
    }
}

/// Returns `count` records, and ignores assignments.
async fn records(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Record> {
    let mut found = Vec::new();
    while found.len() < count {
        if let Event::Records(more) = consumer.next(count - found.len()).await.unwrap() {
            found.extend(more);
        }
    }
    found
}

fn commit_of(membership: &Membership, offsets: Vec<(Partition, u64)>) -> Transaction {
    Transaction { offsets, membership: Some(membership.clone()), ..Transaction::default() }
}

pub(crate) async fn records_of_a_key_stay_in_order_in_one_partition(backend: &impl Backend) {
    let log = open(backend).await;
    for i in 0..20 {
        log.commit(append(vec![emit("merged", "k", &i.to_string())])).await.unwrap();
    }
    let found = all(log.as_ref(), "merged").await;
    assert!(found.iter().all(|record| record.partition == found[0].partition && record.key == b"k"));
    assert!(found.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!(
        found.iter().map(text).collect::<Vec<_>>(),
        (0..20).map(|i| i.to_string()).collect::<Vec<_>>()
    );
}

pub(crate) async fn dealt_records_are_spread_evenly(backend: &impl Backend) {
    let log = open(backend).await;
    let dealt = |number| Emit { placement: Placement::Dealt(number), ..emit("segments", "execution", "x") };
    log.commit(append((0..24).map(dealt).collect())).await.unwrap();
    for number in 0..12 {
        assert_eq!(
            read_to_end(log.as_ref(), &partition("segments", number)).await.len(),
            2,
            "partition {number}"
        );
    }
}

pub(crate) async fn what_is_published_again_goes_where_it_was(backend: &impl Backend) {
    let log = open(backend).await;
    for number in 0..12 {
        let exactly = Emit { placement: Placement::Exactly(number), ..emit("segments", "e", "x") };
        log.commit(append(vec![exactly])).await.unwrap();
        assert_eq!(read_to_end(log.as_ref(), &partition("segments", number)).await.len(), 1);
    }
}

pub(crate) async fn a_transaction_is_all_or_nothing(backend: &impl Backend) {
    let log = open(backend).await;
    let half = append(vec![emit("merged", "k", "1"), emit("no such stream", "k", "2")]);
    assert!(log.commit(half).await.is_err());
    log.commit(append(vec![emit("merged", "k", "3")])).await.unwrap();
    assert_eq!(all(log.as_ref(), "merged").await.iter().map(text).collect::<Vec<_>>(), ["3"]);
}

pub(crate) async fn a_transaction_is_seen_whole(backend: &impl Backend) {
    let log = open(backend).await;
    let mut consumer = log.join("g", "merged").await.unwrap();
    assigned(&mut consumer).await;
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..20 {
                log.commit(append((0..3).map(|_| emit("merged", "k", "x")).collect())).await.unwrap();
            }
        }
    });
    let mut seen = 0;
    while seen < 60 {
        if let Event::Records(records) = consumer.next(1000).await.unwrap() {
            seen += records.len();
            let whole = seen.div_ceil(3) * 3;
            let there = log.read(&records[0].partition, 0, 1000).await.unwrap().records.len();
            assert!(there >= whole, "a part of a transaction can be read: {there} records of {whole}");
        }
    }
    writing.await.unwrap();
}

pub(crate) async fn a_group_goes_on_where_it_committed(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append((0..3).map(|i| emit("merged", "k", &i.to_string())).collect())).await.unwrap();
    let mut consumer = log.join("g", "merged").await.unwrap();
    let assignment = assigned(&mut consumer).await;
    assert_eq!(assignment.partitions.len(), 4);
    assert!(assignment.partitions.iter().all(|owned| owned.fresh && owned.position == 0));
    let found = records(&mut consumer, 2).await;
    let offsets = vec![(found[0].partition.clone(), found[0].offset + 1)];
    log.commit(commit_of(&assignment.membership, offsets)).await.unwrap();
    assert_eq!(log.committed("g", &found[0].partition).await.unwrap(), found[0].offset + 1);
    drop(consumer);
    let log = open(backend).await;
    let mut consumer = log.join("g", "merged").await.unwrap();
    let found = records(&mut consumer, 2).await;
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
}

pub(crate) async fn groups_do_not_see_each_other(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append(vec![emit("merged", "k", "1")])).await.unwrap();
    for group in ["a", "b"] {
        let mut consumer = log.join(group, "merged").await.unwrap();
        let membership = assigned(&mut consumer).await.membership;
        let found = records(&mut consumer, 1).await;
        let offsets = vec![(found[0].partition.clone(), found[0].offset + 1)];
        log.commit(commit_of(&membership, offsets)).await.unwrap();
    }
}

pub(crate) async fn a_second_member_takes_half_and_the_first_is_fenced(backend: &impl Backend) {
    let log = open(backend).await;
    let mut members = vec![log.join("g", "merged").await.unwrap()];
    let before = assigned(&mut members[0]).await;
    members.push(log.join("g", "merged").await.unwrap());
    let both = balanced(&mut members, 4).await;
    assert!(both[0].1.is_empty(), "partitions that stayed are not fresh");
    assert_eq!(both[1].1.len(), 2, "partitions that moved are");
    let moved = both[1].0.partitions[0].partition.clone();
    let mut old = commit_of(&before.membership, vec![(moved.clone(), 1)]);
    old.records = vec![emit("executions", "k", "never").into()];
    assert!(matches!(log.commit(old).await, Err(LogError::Fenced { .. })));
    assert_eq!(all(log.as_ref(), "executions").await, [], "nothing of a fenced transaction is seen");
    assert_eq!(log.committed("g", &moved).await.unwrap(), 0);
    drop(members.pop());
    let alone = balanced(&mut members, 4).await;
    assert_eq!(alone[0].1.len(), 2, "partitions that came back are fresh");
}

pub(crate) async fn many_members_share_all_partitions(backend: &impl Backend) {
    let log = open(backend).await;
    let mut members = Vec::new();
    for _ in 0..5 {
        members.push(log.join("g", "segments").await.unwrap());
    }
    let mut owned: Vec<u32> = Vec::new();
    for (assignment, fresh) in balanced(&mut members, 12).await {
        assert!(fresh.len() <= assignment.partitions.len());
        owned.extend(assignment.partitions.iter().map(|owned| owned.partition.number));
    }
    owned.sort_unstable();
    assert_eq!(owned, (0..12).collect::<Vec<_>>(), "each has one owner");
}

pub(crate) async fn a_partition_that_went_and_came_back_is_fresh(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append((0..4).map(|i| emit("merged", "k", &i.to_string())).collect())).await.unwrap();
    let partition = all(log.as_ref(), "merged").await[0].partition.clone();
    let mut first = log.join("g", "merged").await.unwrap();
    assigned(&mut first).await;
    let before = records(&mut first, 1).await;
    // While the first member does not poll, a second one takes over some partitions, commits, and leaves.
    let mut second = log.join("g", "merged").await.unwrap();
    let owner = loop {
        let owner = assigned(&mut second).await;
        if !owner.partitions.is_empty() {
            break owner;
        }
    };
    let mine = owner.partitions.iter().any(|owned| owned.partition == partition);
    let next = before[0].offset + if mine { 3 } else { 0 };
    if mine {
        log.commit(commit_of(&owner.membership, vec![(partition.clone(), next)])).await.unwrap();
    }
    drop(second);
    let mut members = [first];
    let (after, fresh) = balanced(&mut members, 4).await.remove(0);
    let owned = after.partitions.iter().find(|owned| owned.partition == partition).unwrap();
    assert_eq!(fresh.contains(&partition), mine);
    if mine {
        assert_eq!(owned.position, next, "it begins at the other member's committed offset");
    }
}

pub(crate) async fn one_that_is_no_member_commits_nothing(backend: &impl Backend) {
    let log = open(backend).await;
    let unknown = Membership { group: "g".into(), member: 77, epoch: 1 };
    let commit = log.commit(commit_of(&unknown, vec![(partition("merged", 0), 5)])).await;
    assert!(matches!(commit, Err(LogError::Fenced { .. })), "{commit:?}");
    assert_eq!(log.committed("g", &partition("merged", 0)).await.unwrap(), 0);
}

pub(crate) async fn a_commit_without_its_own_offsets_is_refused_too(backend: &impl Backend) {
    let log = open(backend).await;
    let mut members = vec![log.join("g", "merged").await.unwrap()];
    let old = assigned(&mut members[0]).await.membership;
    members.push(log.join("g", "merged").await.unwrap());
    balanced(&mut members, 4).await;
    let mut transaction = commit_of(&old, Vec::new());
    transaction.records = vec![emit("executions", "k", "from a punctuation").into()];
    assert!(matches!(log.commit(transaction).await, Err(LogError::Fenced { .. })));
}

pub(crate) async fn a_member_that_waits_is_woken_by_an_append(backend: &impl Backend) {
    let log = open(backend).await;
    let mut consumer = log.join("g", "merged").await.unwrap();
    assigned(&mut consumer).await;
    let waiting = tokio::spawn(async move { records(&mut consumer, 1).await });
    log.commit(append(vec![emit("merged", "k", "1")])).await.unwrap();
    assert_eq!(text(&waiting.await.unwrap()[0]), "1");
}

pub(crate) async fn one_that_rewinds_begins_again_at_its_commit(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append((0..4).map(|i| emit("merged", "k", &i.to_string())).collect())).await.unwrap();
    let mut consumer = log.join("g", "merged").await.unwrap();
    let membership = assigned(&mut consumer).await.membership;
    let first = records(&mut consumer, 3).await;
    let next = first[0].offset + 1;
    log.commit(commit_of(&membership, vec![(first[0].partition.clone(), next)])).await.unwrap();
    consumer.rewind();
    let again = assigned(&mut consumer).await;
    assert_eq!(again.partitions.len(), 4);
    assert!(again.partitions.iter().all(|owned| owned.fresh));
    let owned = again.partitions.iter().find(|owned| owned.partition == first[0].partition).unwrap();
    assert_eq!(owned.position, next);
    let found = records(&mut consumer, 3).await;
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"]);
}

pub(crate) async fn what_only_advises_is_there_too(backend: &impl Backend) {
    let log = open(backend).await;
    let reports = (0..3).map(|i| emit("progress", "k", &i.to_string()).into()).collect();
    log.advise(reports).await.unwrap();
    assert_eq!(all(log.as_ref(), "progress").await.len(), 3);
}

pub(crate) async fn lag_is_what_is_yet_to_come(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append((0..4).map(|_| emit("merged", "k", "x")).collect())).await.unwrap();
    let mut consumer = log.join("g", "merged").await.unwrap();
    let membership = assigned(&mut consumer).await.membership;
    let found = records(&mut consumer, 4).await;
    let partition = found[0].partition.clone();
    assert!(log.lag("g", "merged").await.unwrap() >= 4);
    let end = found[3].offset + 1;
    log.commit(commit_of(&membership, vec![(partition.clone(), end)])).await.unwrap();
    // The lag reaches 0 although transaction markers follow the last record.
    let mut changes = log.changes();
    loop {
        changes.mark_seen();
        if log.lag("g", "merged").await.unwrap() == 0 {
            return;
        }
        changes.changed().await;
    }
}

/// Returns the latest record of each key; a log may return older ones too.
async fn latest(log: &dyn Log, stream: &str) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    for record in all(log, stream).await {
        match &record.value {
            Some(_) => drop(found.insert(record.key.clone(), text(&record))),
            None => drop(found.remove(&record.key)),
        }
    }
    found
}

pub(crate) async fn a_table_keeps_the_latest_of_each_key_and_forgets_on_a_tombstone(backend: &impl Backend) {
    let log = open(backend).await;
    for value in ["1", "2", "3"] {
        log.commit(append(vec![emit("assemblies", "a", value), emit("assemblies", "b", value)]))
            .await
            .unwrap();
    }
    let found = latest(log.as_ref(), "assemblies").await;
    assert_eq!(found.into_values().collect::<Vec<_>>(), ["3", "3"]);
    log.commit(append(vec![Emit { value: None, ..emit("assemblies", "a", "") }])).await.unwrap();
    let found = latest(log.as_ref(), "assemblies").await;
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [b"b"]);
}

pub(crate) async fn a_table_can_be_read_up_to_its_end(backend: &impl Backend) {
    let log = open(backend).await;
    log.commit(append(vec![emit("assemblies", "a", "1")])).await.unwrap();
    log.commit(append(vec![Emit { value: None, ..emit("assemblies", "a", "") }])).await.unwrap();
    // The last record is a tombstone, which may be removed.
    assert!(latest(log.as_ref(), "assemblies").await.is_empty());
}

pub(crate) async fn a_large_value_comes_back_as_it_was(backend: &impl Backend) {
    let log = open(backend).await;
    let large: String =
        (0..LARGEST_VALUE).map(|i| char::from(b'a' + u8::try_from(i % 26).unwrap())).collect();
    log.commit(append(vec![emit("merged", "k", &large)])).await.unwrap();
    assert!(text(&all(log.as_ref(), "merged").await[0]) == large);
}

pub(crate) async fn headers_come_back_in_order(backend: &impl Backend) {
    let log = open(backend).await;
    let headers = vec![("b".to_owned(), vec![0xff, 0]), ("a".to_owned(), Vec::new())];
    let record = NewRecord { emit: emit("merged", "k", ""), headers: headers.clone() };
    log.commit(Transaction { records: vec![record], ..Transaction::default() }).await.unwrap();
    let found = all(log.as_ref(), "merged").await;
    assert_eq!(found[0].headers, headers);
    assert_eq!(found[0].value.as_deref(), Some(&[][..]), "an empty value is no tombstone");
}

pub(crate) async fn an_empty_stream_has_nothing(backend: &impl Backend) {
    let log = open(backend).await;
    let partition = partition("merged", 2);
    assert_eq!(log.end(&partition).await.unwrap(), 0);
    assert_eq!(log.depth(&partition).await.unwrap(), 0);
    assert_eq!(log.committed("g", &partition).await.unwrap(), 0);
    let fetched = log.read(&partition, 0, 10).await.unwrap();
    assert_eq!((fetched.records, fetched.next), (Vec::new(), 0));
}

pub(crate) async fn partitions_are_counted_and_their_number_is_kept(backend: &impl Backend) {
    let log = open(backend).await;
    assert_eq!(log.partitions("segments").await.unwrap(), 12);
    let more = StreamSpec { partitions: 8, ..streams::TRANSCODED };
    let error = log.ensure(&[more]).await;
    assert!(matches!(error, Err(LogError::Partitions { found: 4, expected: 8, .. })), "{error:?}");
}

pub(crate) async fn an_unknown_stream_is_an_error(backend: &impl Backend) {
    let log = open(backend).await;
    assert!(matches!(log.join("g", "nothing").await.err(), Some(LogError::UnknownStream(_))));
    assert!(matches!(log.read(&partition("nothing", 0), 0, 1).await, Err(LogError::UnknownStream(_))));
    assert!(matches!(log.partitions("nothing").await, Err(LogError::UnknownStream(_))));
}

pub(crate) async fn what_was_committed_is_there_after_a_restart(backend: &impl Backend) {
    {
        let log = open(backend).await;
        log.commit(append(vec![emit("merged", "k", "1"), emit("assemblies", "k", "2")])).await.unwrap();
    }
    let log = open(backend).await;
    assert_eq!(text(&all(log.as_ref(), "merged").await[0]), "1");
    assert_eq!(latest(log.as_ref(), "assemblies").await.len(), 1);
}

pub(crate) async fn thousands_of_records_come_once_and_in_order(backend: &impl Backend) {
    let log = open(backend).await;
    for batch in 0..5 {
        let record = |i: i32| emit("merged", &format!("k{}", i % 7), &format!("{:05}", batch * 500 + i));
        log.commit(append((0..500).map(record).collect())).await.unwrap();
    }
    let mut consumer = log.join("g", "merged").await.unwrap();
    let found = records(&mut consumer, 2500).await;
    let mut by_key: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for record in &found {
        by_key.entry(record.key.clone()).or_default().push(text(record));
    }
    assert_eq!(by_key.len(), 7);
    assert!(by_key.values().all(|values| values.is_sorted_by(|a, b| a < b)));
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), 2500);
}
