//! What a member of a group owns: read under one lock with the rebalance that changes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use millrace_runtime::{Partition, Record, Watched};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};

use crate::member::MemberContext;

/// How a member holds a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// It consumes and commits, since this generation.
    Consuming { since: u64 },
    /// It is being taken away: an open transaction ends, and no other begins. Gone is what is not held at all.
    Draining,
}

/// What a member knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Counts assignments.
    pub(crate) epoch: u64,
    pub(crate) held: BTreeMap<u32, Holding>,
    /// Records that nobody has taken yet.
    pub(crate) buffer: std::collections::VecDeque<Record>,
    pub(crate) buffered_bytes: usize,
    /// All is to begin again at what is committed.
    pub(crate) rewinds: bool,
    /// The member's user is gone.
    pub(crate) closed: bool,
    /// Why nothing more comes.
    pub(crate) failure: Option<millrace_runtime::LogError>,
    /// What is committed, as far as this member has done it, and what it has read: of each partition.
    pub(crate) progress: BTreeMap<u32, Progress>,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Behind the last record that was read.
    pub(crate) read: u64,
    /// What was committed last.
    pub(crate) committed: u64,
}

impl State {
    /// Forgets records of partitions that are not consumed any more.
    pub(crate) fn purge(&mut self) {
        let held = &self.held;
        self.buffer
            .retain(|record| matches!(held.get(&record.partition.number), Some(Holding::Consuming { .. })));
        self.buffered_bytes = self.buffer.iter().map(size).sum();
        self.progress.retain(|number, _| held.contains_key(number));
    }

    pub(crate) fn owns(&self, number: u32, epoch: u64) -> bool {
        matches!(self.held.get(&number), Some(Holding::Consuming { since }) if *since <= epoch)
    }
}

/// What a record weighs in a buffer.
pub(crate) fn size(record: &Record) -> usize {
    record.value.as_ref().map_or(0, Vec::len) + record.key.len() + 100
}

/// A lock that is no thread's: one that hangs does not hold it for good.
#[derive(Debug, Default)]
struct Lease {
    is_held: Mutex<bool>,
    free: Condvar,
}

/// Frees its lease when it is dropped, by whomever.
#[derive(Debug)]
pub(crate) struct Held(Arc<Lease>);

impl Lease {
    fn take(self: &Arc<Self>) -> Held {
        let is_held = self.is_held.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.free.wait_while(is_held, |is_held| *is_held);
        *waited.unwrap_or_else(PoisonError::into_inner) = true;
        Held(self.clone())
    }

    fn try_take(self: &Arc<Self>) -> Option<Held> {
        let mut is_held = self.is_held.lock().unwrap_or_else(PoisonError::into_inner);
        (!std::mem::replace(&mut *is_held, true)).then(|| Held(self.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.is_held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}

/// A member's ownership.
pub(crate) struct Ownership {
    group: String,
    stream: String,
    state: Mutex<State>,
    /// Held while offsets are committed: a revoke waits for it.
    committing: Arc<Lease>,
    /// The buffer has room again, or all is over.
    pub(crate) room: Condvar,
    pub(crate) changed: Watched<()>,
    consumer: Mutex<Weak<BaseConsumer<MemberContext>>>,
}

impl Ownership {
    pub(crate) fn new(group: &str, stream: &str) -> Self {
        Self {
            group: group.into(),
            stream: stream.into(),
            state: Mutex::default(),
            committing: Arc::default(),
            room: Condvar::new(),
            changed: Watched::new(()),
            consumer: Mutex::default(),
        }
    }

    pub(crate) fn is_of(&self, group: &str, stream: &str) -> bool {
        self.group == group && self.stream == stream
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    pub(crate) fn set_consumer(&self, consumer: &Arc<BaseConsumer<MemberContext>>) {
        *self.consumer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(consumer);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a while for room in the buffer, or for the end.
    pub(crate) fn wait_for_room(&self, full: impl Fn(&State) -> bool, long: Duration) {
        let state = self.state();
        let waited = self.room.wait_timeout_while(state, long, |state| full(state) && !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether all of these partitions are consumed, since that generation at the latest.
    pub(crate) fn owns(&self, offsets: &[(Partition, u64)], epoch: u64) -> bool {
        let state = self.state();
        offsets
            .iter()
            .all(|(partition, _)| partition.stream == self.stream && state.owns(partition.number, epoch))
    }

    /// Held while offsets are committed.
    pub(crate) fn commit_lock(&self) -> Held {
        self.committing.take()
    }

    /// The same, unless it is held.
    pub(crate) fn try_commit_lock(&self) -> Option<Held> {
        self.committing.try_take()
    }

    /// Who the member is to the brokers now. `None` where it is gone.
    pub(crate) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.live_consumer()?.group_metadata()
    }

    pub(crate) fn live_consumer(&self) -> Option<Arc<BaseConsumer<MemberContext>>> {
        self.consumer.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Notes what was committed.
    pub(crate) fn committed(&self, offsets: &[(Partition, u64)]) {
        let mut state = self.state();
        for (partition, next) in offsets {
            let progress = state.progress.entry(partition.number).or_default();
            progress.committed = progress.committed.max(*next);
        }
    }

    /// Partitions came.
    pub(crate) fn assign(&self, numbers: &[u32]) {
        {
            let mut state = self.state();
            state.epoch += 1;
            let since = state.epoch;
            for number in numbers {
                state.held.insert(*number, Holding::Consuming { since });
                state.progress.insert(*number, Progress::default());
            }
        }
        self.changed.modify(|()| {});
    }

    /// Partitions go: no transaction begins for them, the open one ends, and they are gone.
    pub(crate) fn revoke(&self, numbers: &[u32]) {
        {
            let mut state = self.state();
            for number in numbers {
                state.held.entry(*number).and_modify(|held| *held = Holding::Draining);
            }
            state.purge();
        }
        drop(self.commit_lock());
        {
            let mut state = self.state();
            state.epoch += 1;
            for number in numbers {
                state.held.remove(number);
            }
            state.purge();
        }
        self.changed.modify(|()| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> (Partition, u64) {
        (Partition { stream: "s".into(), number }, 1)
    }

    fn record(number: u32) -> Record {
        let (partition, offset) = place(number);
        Record { partition, offset, at_ms: 0, key: Vec::new(), value: None, headers: Vec::new() }
    }

    #[test]
    fn what_came_back_is_not_what_was_owned_and_what_stayed_is() {
        let ownership = Ownership::new("g", "s");
        ownership.assign(&[0, 1]);
        let before = ownership.state().epoch;
        assert!(ownership.owns(&[place(0), place(1)], before));
        ownership.revoke(&[1]);
        assert!(ownership.owns(&[place(0)], before), "a generation that changed around it fences nobody");
        assert!(!ownership.owns(&[place(0), place(1)], before));
        ownership.assign(&[1]);
        assert!(!ownership.owns(&[place(1)], before), "another member may have gone on with it");
        let now = ownership.state().epoch;
        assert!(ownership.owns(&[place(0), place(1)], now));
        let elsewhere = (Partition { stream: "t".into(), number: 0 }, 1);
        assert!(!ownership.owns(&[elsewhere], now));
    }

    #[test]
    fn records_of_what_is_taken_away_are_forgotten() {
        let ownership = Ownership::new("g", "s");
        ownership.assign(&[0, 1]);
        ownership.state().buffer.extend([record(0), record(1), record(0)]);
        ownership.revoke(&[0]);
        let left: Vec<u32> = ownership.state().buffer.iter().map(|record| record.partition.number).collect();
        assert_eq!(left, [1]);
    }

    #[test]
    fn a_revoke_waits_for_the_transaction_that_is_open_and_no_other_begins_meanwhile() {
        let ownership = Arc::new(Ownership::new("g", "s"));
        ownership.assign(&[0]);
        let epoch = ownership.state().epoch;
        let open = ownership.commit_lock();
        let revoked = std::thread::spawn({
            let ownership = ownership.clone();
            move || ownership.revoke(&[0])
        });
        while !matches!(ownership.state().held.get(&0), Some(Holding::Draining)) {
            std::thread::yield_now();
        }
        assert!(!ownership.owns(&[place(0)], epoch), "draining");
        assert!(!revoked.is_finished(), "the transaction is open");
        drop(open);
        revoked.join().unwrap();
        assert!(ownership.state().held.is_empty(), "gone");
    }
}
