//! The log of the simulation: in memory, with the delays, aborts and lost acknowledgements of a real cluster,
//! injected by a seeded random generator.
//!
//! It runs on tokio's paused clock: a wait takes no real time, and the same seed gives the same run. A
//! connection belongs to a process, which can die, or sleep longer than its session. Offsets have gaps, as
//! transaction markers and aborted records leave them. A committed transaction becomes readable partition by
//! partition.

mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fastrand::Rng;
use millrace_topology::{Clock, StreamSpec};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    error::LogError,
    groups::Positions,
    log::{Assignment, Consumer, Event, Fetched, Log, Membership, Transaction},
    record::Partition,
    watched::{Watched, Watcher},
};
pub use state::CommittedRecord;
use state::State;

/// The faults that a simulated log injects, as probabilities from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct FaultProfile {
    /// A call is delayed by 1 to 60 ms.
    pub delay: f64,
    /// A transaction is aborted.
    pub abort: f64,
    /// The acknowledgement of a commit is lost.
    pub lost_ack: f64,
    /// A partition of a committed transaction becomes readable later than the commit.
    pub late_visibility: f64,
    /// The longest delay of `late_visibility`, in milliseconds.
    pub late_visibility_ms: u64,
    /// True if tables keep superseded records of a key, as before a compaction.
    pub lazy_compaction: bool,
}

impl FaultProfile {
    /// No faults.
    pub const NONE: Self = Self {
        delay: 0.0,
        abort: 0.0,
        lost_ack: 0.0,
        late_visibility: 0.0,
        late_visibility_ms: 0,
        lazy_compaction: false,
    };
}

/// The faults of the process that a connection belongs to. The log calls it before and after each of its
/// operations.
#[async_trait]
pub trait ProcessFaults: Send + Sync + 'static {
    /// Returns when the process continues: late if it is paused, never if it dies here. `doing` names the
    /// operation.
    async fn step(&self, doing: &'static str);

    /// Returns `true` if the process is dead. Its members don't leave their groups; their session expires.
    fn is_dead(&self) -> bool;
}

/// The fault exemption: a process that never pauses or dies.
#[derive(Debug, Clone, Copy)]
pub struct NoProcessFaults;

#[async_trait]
impl ProcessFaults for NoProcessFaults {
    async fn step(&self, _: &'static str) {}

    fn is_dead(&self) -> bool {
        false
    }
}

/// What all connections to a log share.
struct Shared {
    state: Mutex<State>,
    rng: Mutex<Rng>,
    profile: Mutex<FaultProfile>,
    changes: Watched<()>,
    clock: Clock,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns `true` with this probability.
    fn occurs(&self, probability: f64) -> bool {
        probability > 0.0 && self.random(Rng::f64) < probability
    }

    fn profile(&self) -> FaultProfile {
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changes.modify(|()| {});
    }
}

/// A connection to the simulated log.
#[derive(Clone)]
pub struct Simulated {
    shared: Arc<Shared>,
    faults: Arc<dyn ProcessFaults>,
    process: u64,
}

impl Simulated {
    /// Creates a log. The connection belongs to process 0, which has no faults.
    #[must_use]
    pub fn new(seed: u64, profile: FaultProfile, clock: Clock) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            rng: Mutex::new(Rng::with_seed(seed)),
            profile: Mutex::new(profile),
            changes: Watched::new(()),
            clock,
        };
        Self { shared: Arc::new(shared), faults: Arc::new(NoProcessFaults), process: 0 }
    }

    /// Returns a connection of another process to the same log.
    #[must_use]
    pub fn connect(&self, process: u64, faults: Arc<dyn ProcessFaults>) -> Self {
        Self { shared: self.shared.clone(), faults, process }
    }

    /// Sets the fault profile.
    pub fn set_fault_profile(&self, profile: FaultProfile) {
        *self.shared.profile.lock().unwrap_or_else(PoisonError::into_inner) = profile;
    }

    /// Expires the sessions of a process: its members are removed from their groups.
    pub fn expire_sessions(&self, process: u64) {
        self.shared.state().expire_sessions(process);
        self.shared.notify();
    }

    /// Rebalances a group: assigns its partitions again, to its members in random order.
    pub fn rebalance(&self, group: &str) {
        let order = |members: &mut Vec<u64>| self.shared.random(|rng| rng.shuffle(members));
        self.shared.state().groups.shuffle(group, order);
        self.shared.notify();
    }

    /// Resets the committed offset of a group to an earlier one, as an administrator does; a no-op if `to` is
    /// not earlier. The members join again.
    pub fn reset_offset(&self, group: &str, partition: &Partition, to: u64) {
        {
            let mut state = self.shared.state();
            if state.committed(group, partition).0 <= to {
                return;
            }
            state.set_offset(group, partition, to);
            // An administrator does this while the group has no members.
            state.expire_group(group);
        }
        self.shared.notify();
    }

    /// Returns all committed records, in the order of their transactions.
    #[must_use]
    pub fn history(&self) -> Vec<CommittedRecord> {
        self.shared.state().history()
    }

    /// Appends a record with arbitrary bytes, as another program may write it. Returns its offset.
    pub fn append_foreign(&self, partition: &Partition, key: Vec<u8>, value: Vec<u8>) -> u64 {
        let now = (self.shared.clock)();
        let offset = self.shared.state().append_foreign(partition, key, value, now);
        self.shared.notify();
        offset
    }

    /// The faults before or after an operation.
    async fn step(&self, doing: &'static str) {
        self.faults.step(doing).await;
        if self.shared.occurs(self.shared.profile().delay) {
            sleep(Duration::from_millis(self.shared.random(|rng| rng.u64(1..60)))).await;
        }
    }

    /// Returns a function that draws the time from which the records of a transaction in a partition can be
    /// read.
    fn visibility(&self) -> impl FnMut() -> Instant + '_ {
        let (profile, now) = (self.shared.profile(), Instant::now());
        move || {
            if self.shared.occurs(profile.late_visibility) {
                now + Duration::from_millis(
                    self.shared.random(|rng| rng.u64(1..=profile.late_visibility_ms.max(1))),
                )
            } else {
                now
            }
        }
    }

    /// Notifies waiters now, and when the last partition of a transaction can be read.
    fn notify_when_visible(&self, latest: Instant) {
        self.shared.notify();
        if latest > Instant::now() {
            let shared = self.shared.clone();
            tokio::spawn(async move {
                for _ in 0..2 {
                    sleep_until(latest).await;
                    shared.notify();
                }
            });
        }
    }
}

#[async_trait]
impl Log for Simulated {
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError> {
        self.shared.state().ensure(streams)
    }

    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError> {
        self.step("join").await;
        let member = self.shared.state().join(self.process, group, stream)?;
        self.shared.notify();
        Ok(Box::new(Member {
            log: self.clone(),
            group: group.into(),
            stream: stream.into(),
            member,
            positions: Positions::new(),
            changes: self.shared.changes.watch(),
        }))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), LogError> {
        self.step("commit").await;
        let profile = self.shared.profile();
        let aborts = self.shared.occurs(profile.abort);
        let now = (self.shared.clock)();
        let latest = self.shared.state().commit(&transaction, aborts, now, self.visibility())?;
        self.notify_when_visible(latest);
        if aborts {
            // The answer about the abort may be lost too.
            return Err(if self.shared.occurs(profile.lost_ack) {
                LogError::Uncertain { reason: "no answer".into() }
            } else {
                LogError::Aborted { reason: "an injected fault".into() }
            });
        }
        self.step("committed").await;
        if self.shared.occurs(profile.lost_ack) {
            return Err(LogError::Uncertain { reason: "no answer".into() });
        }
        Ok(())
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError> {
        self.step("read").await;
        let lazy_compaction = self.shared.profile().lazy_compaction;
        self.shared.state().read(partition, from, most, lazy_compaction)
    }

    async fn partitions(&self, stream: &str) -> Result<u32, LogError> {
        self.shared.state().partitions(stream)
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        self.shared.state().end(partition)
    }

    async fn depth(&self, partition: &Partition) -> Result<u64, LogError> {
        let fetched = self.shared.state().read(partition, 0, usize::MAX, false)?;
        Ok(fetched.records.iter().filter(|record| record.value.is_some()).count() as u64)
    }

    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        self.step("committed?").await;
        loop {
            let (next, visible) = self.shared.state().committed(group, partition);
            if visible <= Instant::now() {
                return Ok(next);
            }
            sleep_until(visible).await;
        }
    }

    fn changes(&self) -> Watcher<()> {
        self.shared.changes.watch()
    }
}

/// A member of a consumer group.
struct Member {
    log: Simulated,
    group: String,
    stream: String,
    member: u64,
    positions: Positions,
    changes: Watcher<()>,
}

impl Member {
    /// Applies the current assignment; partitions that are new begin at their committed offsets.
    async fn apply_assignment(&mut self) -> Result<Assignment, LogError> {
        // Reading a committed offset waits for commits in progress, and the generation may change in the
        // meantime.
        loop {
            let (epoch, assigned) = self.log.shared.state().groups.assignment(&self.group, self.member);
            let mut committed = Vec::new();
            for (number, _) in &assigned {
                let partition = Partition { stream: self.stream.clone(), number: *number };
                committed.push((*number, self.log.committed(&self.group, &partition).await?));
            }
            if self.log.shared.state().groups.assignment(&self.group, self.member).0 != epoch {
                continue;
            }
            let committed_offset =
                |number| committed.iter().find(|(n, _)| *n == number).map_or(0, |(_, next)| *next);
            let partitions = self.positions.apply(&self.stream, epoch, &assigned, committed_offset);
            let membership = Membership { group: self.group.clone(), member: self.member, epoch };
            return Ok(Assignment { membership, partitions });
        }
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self, most: usize) -> Result<Event, LogError> {
        loop {
            self.changes.mark_seen();
            self.log.step("poll").await;
            if !self.log.shared.state().groups.is_member(&self.group, self.member) {
                // The session has expired: join again.
                let joined = self.log.shared.state().join(self.log.process, &self.group, &self.stream)?;
                self.member = joined;
                self.positions = Positions::new();
                self.log.shared.notify();
            }
            let epoch = self.log.shared.state().groups.assignment(&self.group, self.member).0;
            if epoch != self.positions.epoch() {
                return Ok(Event::Assigned(self.apply_assignment().await?));
            }
            if most > 0 {
                let mut owned = self.positions.owned().to_vec();
                // There is no order across partitions.
                self.log.shared.random(|rng| rng.shuffle(&mut owned));
                let mut found = Vec::new();
                for (number, position) in owned {
                    let partition = Partition { stream: self.stream.clone(), number };
                    let fetched =
                        self.log.shared.state().read(&partition, position, most - found.len(), true)?;
                    if let Some(last) = fetched.records.last() {
                        self.positions.advance(number, last.offset + 1);
                    }
                    found.extend(fetched.records);
                    if found.len() >= most {
                        break;
                    }
                }
                if !found.is_empty() {
                    return Ok(Event::Records(found));
                }
            }
            self.changes.changed().await;
        }
    }

    fn rewind(&mut self) {
        self.positions = Positions::new();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.log.faults.is_dead() {
            self.log.shared.state().groups.leave(&self.group, self.member);
            self.log.shared.notify();
        }
    }
}
