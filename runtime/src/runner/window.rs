//! What is at work: records by partition, in the order of their offsets.

use std::collections::{BTreeMap, VecDeque};

use millrace_topology::{
    faults::Fault,
    invariants::{debug_hold, done_up_to},
};

use crate::log::{Log, LogError, Membership, NewRecord, Owned, Partition, Record, Transaction};

/// A record that was taken: its results, once they are there.
struct Taken {
    offset: u64,
    results: Option<Vec<NewRecord>>,
}

/// What is at work or finished, and not yet published.
#[derive(Default)]
pub(super) struct Window {
    partitions: BTreeMap<Partition, VecDeque<Taken>>,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.partitions.values().map(VecDeque::len).sum()
    }

    pub(super) fn take(&mut self, record: &Record) {
        let queue = self.partitions.entry(record.partition.clone()).or_default();
        queue.push_back(Taken { offset: record.offset, results: None });
    }

    pub(super) fn finish(&mut self, partition: &Partition, offset: u64, results: Vec<NewRecord>) {
        let queue = self.partitions.get_mut(partition);
        if let Some(taken) = queue.and_then(|queue| queue.iter_mut().find(|t| t.offset == offset)) {
            taken.results = Some(results);
        }
    }

    /// Forgets partitions that were not owned all the time: what is at work there may finish, and commits nothing.
    pub(super) fn keep(&mut self, owned: &[Owned]) {
        let stays = |o: &Owned| !o.fresh || Fault::LostRevoke.is_planted();
        self.partitions.retain(|partition, _| owned.iter().any(|o| o.partition == *partition && stays(o)));
    }

    /// Whether something of this partition is at work, or waits to be published.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// What is finished, of each partition from its front on: LG-1, in order and nothing skipped. It stays until it is
    /// published.
    pub(super) fn finished(&self, owner: &Membership) -> Option<Transaction> {
        let mut transaction = Transaction { membership: Some(owner.clone()), ..Transaction::default() };
        for (partition, queue) in &self.partitions {
            let mut next = None;
            for taken in queue {
                match &taken.results {
                    Some(results) => {
                        transaction.records.extend(results.iter().cloned());
                        next = Some(taken.offset + 1);
                    }
                    None if Fault::OffsetOutOfOrder.is_planted() => {}
                    None => break,
                }
            }
            if let Some(next) = next {
                let open = |offset| queue.iter().any(|t| t.offset == offset && t.results.is_none());
                let first = queue.front().map_or(next, |taken| taken.offset);
                debug_hold(|| done_up_to(first, next, |offset| !open(offset)));
                transaction.offsets.push((partition.clone(), next));
            }
        }
        (!transaction.offsets.is_empty()).then_some(transaction)
    }

    /// Forgets what is committed.
    pub(super) fn published(&mut self, offsets: &[(Partition, u64)]) {
        for (partition, next) in offsets {
            if let Some(queue) = self.partitions.get_mut(partition) {
                queue.retain(|taken| taken.offset >= *next);
            }
        }
    }
}

/// Commits a transaction, as one.
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
        /// LG-1: whatever ends in whatever order, what is committed is done with, and in the end all is.
        #[test]
        fn no_offset_is_committed_past_work_that_is_open(
            order in Just((0..20_u64).collect::<Vec<_>>()).prop_shuffle(),
            commits in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let owner = Membership { group: "g".into(), member: 1, epoch: 1 };
            let mut window = Window::default();
            // Offsets have gaps, as markers leave them.
            (0..20).for_each(|offset| window.take(&record(offset * 3)));
            let (mut done, mut committed) = (Vec::new(), 0);
            for (offset, commit) in order.into_iter().zip(commits) {
                window.finish(&record(0).partition, offset * 3, Vec::new());
                done.push(offset * 3);
                if let Some(transaction) = window.finished(&owner).filter(|_| commit) {
                    let next = transaction.offsets[0].1;
                    let is_done = |offset| offset % 3 != 0 || done.contains(&offset);
                    prop_assert_eq!(done_up_to(committed, next, is_done), Ok(()));
                    committed = next;
                    window.published(&transaction.offsets);
                }
            }
            let last = window.finished(&owner).map_or(committed, |transaction| transaction.offsets[0].1);
            prop_assert_eq!(last, 19 * 3 + 1);
        }
    }
}
