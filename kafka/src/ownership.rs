//! The partitions that a group member owns. The state is read and changed under one lock, which rebalances take too.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use millrace_runtime::{LogError, Partition, Record, Watched};

/// The ownership of a partition. A revoked partition has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionState {
    /// The member consumes it and commits its offsets, since this generation.
    Consuming { since: u64 },
    /// It is being revoked: an open transaction may end, and no other begins.
    Draining,
}

/// The state of a member.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The generation: the number of changes of the assignment.
    pub(crate) epoch: u64,
    pub(crate) partitions: BTreeMap<u32, PartitionState>,
    /// Records that were read and not yet returned to the consumer.
    pub(crate) buffer: VecDeque<Record>,
    /// The size of the buffer in bytes, as [`buffered_size`] counts.
    pub(crate) buffered_bytes: usize,
    /// True until all partitions are back at their committed offsets.
    pub(crate) rewinds: bool,
    /// True if the consumer was dropped.
    pub(crate) closed: bool,
    /// The error that ends consuming, until it is returned.
    pub(crate) failure: Option<LogError>,
    /// The progress of each owned partition.
    pub(crate) progress: BTreeMap<u32, Progress>,
}

/// The progress of a partition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// The offset after the last record that was read.
    pub(crate) read: u64,
    /// The last offset that this member committed.
    pub(crate) committed: u64,
}

impl State {
    /// Returns `true` if the member consumes this partition.
    pub(crate) fn consumes(&self, number: u32) -> bool {
        matches!(self.partitions.get(&number), Some(PartitionState::Consuming { .. }))
    }

    /// Returns `true` if the member has consumed this partition since that generation or an earlier one.
    fn owns_since(&self, number: u32, epoch: u64) -> bool {
        matches!(self.partitions.get(&number), Some(PartitionState::Consuming { since }) if *since <= epoch)
    }

    /// Drops buffered records of partitions that are not consumed any more.
    fn purge(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.retain(|record| self.consumes(record.partition.number));
        self.buffered_bytes = buffer.iter().map(buffered_size).sum();
        self.buffer = buffer;
        let partitions = &self.partitions;
        self.progress.retain(|number, _| partitions.contains_key(number));
    }
}

/// Returns the approximate memory that a buffered record takes, in bytes.
pub(crate) fn buffered_size(record: &Record) -> usize {
    record.value.as_ref().map_or(0, Vec::len) + record.key.len() + 100
}

/// A lock whose guard can move to another thread, so that a thread that hangs does not keep it.
#[derive(Debug, Default)]
struct CommitLock {
    is_locked: Mutex<bool>,
    unlocked: Condvar,
}

/// Unlocks its lock when it is dropped, on any thread.
#[derive(Debug)]
pub(crate) struct CommitGuard(Arc<CommitLock>);

impl CommitLock {
    fn lock(self: &Arc<Self>) -> CommitGuard {
        let is_locked = self.is_locked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.unlocked.wait_while(is_locked, |is_locked| *is_locked);
        *waited.unwrap_or_else(PoisonError::into_inner) = true;
        CommitGuard(self.clone())
    }

    fn try_lock(self: &Arc<Self>) -> Option<CommitGuard> {
        let mut is_locked = self.is_locked.lock().unwrap_or_else(PoisonError::into_inner);
        (!std::mem::replace(&mut *is_locked, true)).then(|| CommitGuard(self.clone()))
    }
}

impl Drop for CommitGuard {
    fn drop(&mut self) {
        *self.0.is_locked.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.unlocked.notify_one();
    }
}

/// The partition ownership of a member, shared by its consumer, its polling thread, rebalances and commits.
pub(crate) struct Ownership {
    group: String,
    stream: String,
    state: Mutex<State>,
    /// Locked while offsets are committed: a revoke waits for it.
    commits: Arc<CommitLock>,
    /// Notified when the buffer has room again, and when the consumer is dropped.
    pub(crate) room: Condvar,
    pub(crate) changed: Watched<()>,
}

impl Ownership {
    pub(crate) fn new(group: &str, stream: &str) -> Self {
        Self {
            group: group.into(),
            stream: stream.into(),
            state: Mutex::default(),
            commits: Arc::default(),
            room: Condvar::new(),
            changed: Watched::new(()),
        }
    }

    /// Returns `true` if the member is one of this group, for this stream.
    pub(crate) fn is_of(&self, group: &str, stream: &str) -> bool {
        self.group == group && self.stream == stream
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the buffer is full, until the consumer is dropped or the timeout has passed.
    pub(crate) fn wait_for_room(&self, is_full: impl Fn(&State) -> bool, timeout: Duration) {
        let state = self.state();
        let waited = self.room.wait_timeout_while(state, timeout, |state| is_full(state) && !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns `true` if the member has owned all of these partitions since that generation or an earlier one.
    pub(crate) fn owns(&self, offsets: &[(Partition, u64)], epoch: u64) -> bool {
        let state = self.state();
        offsets.iter().all(|(partition, _)| {
            partition.stream == self.stream && state.owns_since(partition.number, epoch)
        })
    }

    /// Locks commits. While the guard lives, no partition is revoked.
    pub(crate) fn lock_commits(&self) -> CommitGuard {
        self.commits.lock()
    }

    /// Locks commits, or returns `None` if they are locked.
    pub(crate) fn try_lock_commits(&self) -> Option<CommitGuard> {
        self.commits.try_lock()
    }

    /// Records committed offsets.
    pub(crate) fn record_committed(&self, offsets: &[(Partition, u64)]) {
        let mut state = self.state();
        for (partition, next) in offsets {
            let progress = state.progress.entry(partition.number).or_default();
            progress.committed = progress.committed.max(*next);
        }
    }

    /// Adds partitions, in a new generation.
    pub(crate) fn assign(&self, numbers: &[u32]) {
        {
            let mut state = self.state();
            state.epoch += 1;
            let since = state.epoch;
            for number in numbers {
                state.partitions.insert(*number, PartitionState::Consuming { since });
                state.progress.insert(*number, Progress::default());
            }
        }
        self.changed.modify(|()| {});
    }

    /// Removes partitions, in a new generation. No transaction begins for them any more; returns after an open one has ended.
    pub(crate) fn revoke(&self, numbers: &[u32]) {
        {
            let mut state = self.state();
            for number in numbers {
                state.partitions.entry(*number).and_modify(|state| *state = PartitionState::Draining);
            }
            state.purge();
        }
        drop(self.lock_commits());
        {
            let mut state = self.state();
            state.epoch += 1;
            for number in numbers {
                state.partitions.remove(number);
            }
            state.purge();
        }
        self.changed.modify(|()| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_in(number: u32) -> (Partition, u64) {
        (Partition { stream: "s".into(), number }, 1)
    }

    fn record(number: u32) -> Record {
        let (partition, offset) = offset_in(number);
        Record { partition, offset, at_ms: 0, key: Vec::new(), value: None, headers: Vec::new() }
    }

    #[test]
    fn a_partition_that_came_back_is_not_owned_since_before_and_one_that_stayed_is() {
        let ownership = Ownership::new("g", "s");
        ownership.assign(&[0, 1]);
        let before = ownership.state().epoch;
        assert!(ownership.owns(&[offset_in(0), offset_in(1)], before));
        ownership.revoke(&[1]);
        assert!(
            ownership.owns(&[offset_in(0)], before),
            "a newer generation does not fence a partition that stayed"
        );
        assert!(!ownership.owns(&[offset_in(0), offset_in(1)], before));
        ownership.assign(&[1]);
        assert!(!ownership.owns(&[offset_in(1)], before), "another member may have consumed it");
        let now = ownership.state().epoch;
        assert!(ownership.owns(&[offset_in(0), offset_in(1)], now));
        let elsewhere = (Partition { stream: "t".into(), number: 0 }, 1);
        assert!(!ownership.owns(&[elsewhere], now));
    }

    #[test]
    fn buffered_records_of_a_revoked_partition_are_dropped() {
        let ownership = Ownership::new("g", "s");
        ownership.assign(&[0, 1]);
        ownership.state().buffer.extend([record(0), record(1), record(0)]);
        ownership.revoke(&[0]);
        let left: Vec<u32> = ownership.state().buffer.iter().map(|record| record.partition.number).collect();
        assert_eq!(left, [1]);
    }

    #[test]
    fn a_revoke_waits_for_the_open_transaction_and_no_other_begins_in_the_meantime() {
        let ownership = Arc::new(Ownership::new("g", "s"));
        ownership.assign(&[0]);
        let epoch = ownership.state().epoch;
        let open = ownership.lock_commits();
        let revoked = std::thread::spawn({
            let ownership = ownership.clone();
            move || ownership.revoke(&[0])
        });
        while !matches!(ownership.state().partitions.get(&0), Some(PartitionState::Draining)) {
            std::thread::yield_now();
        }
        assert!(!ownership.owns(&[offset_in(0)], epoch), "draining");
        assert!(!revoked.is_finished(), "a revoke waits for the open transaction");
        drop(open);
        revoked.join().unwrap();
        assert!(ownership.state().partitions.is_empty(), "revoked");
    }
}
