//! The window of a processor: records in flight or finished, by partition, in the order of their offsets.

use std::collections::{BTreeMap, VecDeque};

use millrace_topology::{
    faults::Fault,
    invariants::{check_done_up_to, debug_check},
};

use crate::{
    error::LogError,
    log::{Log, Membership, OwnedPartition, Transaction},
    record::{NewRecord, Partition, Record},
};

/// A record in the window. It is in flight until it has results.
struct WindowRecord {
    offset: u64,
    results: Option<Vec<NewRecord>>,
}

/// The records in flight, or finished and not yet published.
#[derive(Default)]
pub(super) struct Window {
    partitions: BTreeMap<Partition, VecDeque<WindowRecord>>,
}

impl Window {
    /// Returns the number of records in the window.
    pub(super) fn len(&self) -> usize {
        self.partitions.values().map(VecDeque::len).sum()
    }

    /// Adds a record in flight. Records of a partition are added in the order of their offsets.
    pub(super) fn add(&mut self, record: &Record) {
        let queue = self.partitions.entry(record.partition.clone()).or_default();
        queue.push_back(WindowRecord { offset: record.offset, results: None });
    }

    /// Sets the results of a record; a no-op if it is not in the window.
    pub(super) fn finish(&mut self, partition: &Partition, offset: u64, results: Vec<NewRecord>) {
        let queue = self.partitions.get_mut(partition);
        if let Some(entry) = queue.and_then(|queue| queue.iter_mut().find(|entry| entry.offset == offset)) {
            entry.results = Some(results);
        }
    }

    /// Removes the partitions that are not owned any more, or that are fresh: their records may finish, but
    /// are not committed.
    pub(super) fn retain(&mut self, owned: &[OwnedPartition]) {
        let is_kept = |o: &OwnedPartition| !o.fresh || Fault::LostRevoke.is_planted();
        self.partitions.retain(|partition, _| owned.iter().any(|o| o.partition == *partition && is_kept(o)));
    }

    /// Returns `true` if the window has records of this partition.
    pub(super) fn contains(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// Returns a transaction with the results of the finished records at the front of each partition, up to
    /// the first one in flight (LG-1); `None` if there are none. The records stay in the window until
    /// [`Window::remove_published`].
    pub(super) fn finished(&self, owner: &Membership) -> Option<Transaction> {
        let mut transaction = Transaction { membership: Some(owner.clone()), ..Transaction::default() };
        for (partition, queue) in &self.partitions {
            let mut next = None;
            for entry in queue {
                match &entry.results {
                    Some(results) => {
                        transaction.records.extend(results.iter().cloned());
                        next = Some(entry.offset + 1);
                    }
                    None if Fault::OffsetOutOfOrder.is_planted() => {}
                    None => break,
                }
            }
            if let Some(next) = next {
                let open =
                    |offset| queue.iter().any(|entry| entry.offset == offset && entry.results.is_none());
                let first = queue.front().map_or(next, |entry| entry.offset);
                debug_check(|| check_done_up_to(first, next, |offset| !open(offset)));
                transaction.offsets.push((partition.clone(), next));
            }
        }
        (!transaction.offsets.is_empty()).then_some(transaction)
    }

    /// Removes the records before these committed offsets.
    pub(super) fn remove_published(&mut self, offsets: &[(Partition, u64)]) {
        for (partition, next) in offsets {
            if let Some(queue) = self.partitions.get_mut(partition) {
                queue.retain(|entry| entry.offset >= *next);
            }
        }
    }
}

/// Commits a transaction. Planted faults split it.
pub(super) async fn commit(log: &dyn Log, transaction: Transaction) -> Result<(), LogError> {
    if Fault::CommitBeforePublish.is_planted() {
        let Transaction { records, offsets, membership } = transaction;
        log.commit(Transaction { offsets, membership, ..Transaction::default() }).await?;
        return log.commit(Transaction { records, ..Transaction::default() }).await;
    }
    if Fault::HalfPlan.is_planted() && transaction.records.len() > 3 {
        let Transaction { mut records, offsets, membership } = transaction;
        let rest = records.split_off(records.len() / 2);
        log.commit(Transaction { records: rest, ..Transaction::default() }).await?;
        return log.commit(Transaction { records, offsets, membership }).await;
    }
    log.commit(transaction).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(offset: u64) -> Record {
        let partition = Partition { stream: "s".into(), number: 0 };
        Record { partition, offset, at_ms: 0, key: Vec::new(), value: None, headers: Vec::new() }
    }

    proptest! {
        /// LG-1: in whatever order records finish, only finished ones are committed, and in the end all are.
        #[test]
        fn no_offset_is_committed_past_work_that_is_open(
            order in Just((0..20_u64).collect::<Vec<_>>()).prop_shuffle(),
            commits in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let owner = Membership { group: "g".into(), member: 1, epoch: 1 };
            let mut window = Window::default();
            // Offsets have gaps, as transaction markers make them.
            (0..20).for_each(|offset| window.add(&record(offset * 3)));
            let (mut done, mut committed) = (Vec::new(), 0);
            for (offset, commit) in order.into_iter().zip(commits) {
                window.finish(&record(0).partition, offset * 3, Vec::new());
                done.push(offset * 3);
                if let Some(transaction) = window.finished(&owner).filter(|_| commit) {
                    let next = transaction.offsets[0].1;
                    let is_done = |offset| offset % 3 != 0 || done.contains(&offset);
                    prop_assert_eq!(check_done_up_to(committed, next, is_done), Ok(()));
                    committed = next;
                    window.remove_published(&transaction.offsets);
                }
            }
            let last = window.finished(&owner).map_or(committed, |transaction| transaction.offsets[0].1);
            prop_assert_eq!(last, 19 * 3 + 1);
        }
    }
}
