//! The log of simulation: in memory, and as unkind as a real one may be, by chance and by nothing else.
//!
//! It stands on a runtime whose clock is virtual (tokio's, paused): what takes time takes none, and the same seed gives
//! the same run. Connections belong to processes; a process can be lost, or sleep past its session. Offsets have gaps as
//! transaction markers and aborted records leave them; what is committed becomes visible partition by partition.

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
    groups::Positions,
    log::{Assignment, Consumer, Event, Fetched, Log, LogError, Membership, Partition, Transaction},
    watched::{Watched, Watcher},
};
pub use state::Appended;
use state::State;

/// How unkind a log is: chances from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// That a call takes a while.
    pub delay: f64,
    /// That a transaction is aborted.
    pub abort: f64,
    /// That the acknowledgement of a commit is lost.
    pub lost_ack: f64,
    /// That a partition of a transaction becomes visible later than others, and how much later at most.
    pub half: f64,
    /// See `half`.
    pub half_ms: u64,
    /// Whether tables keep old records of a key for a while.
    pub lazy: bool,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Self = Self { delay: 0.0, abort: 0.0, lost_ack: 0.0, half: 0.0, half_ms: 0, lazy: false };
}

/// What happens to the process that a connection belongs to: asked before and after everything that the log does.
#[async_trait]
pub trait Fate: Send + Sync + 'static {
    /// May take long, as for a process that is stopped; never returns in one that dies here.
    async fn step(&self, doing: &'static str);

    /// Whether the process is dead: it leaves no group in an orderly way.
    fn is_dead(&self) -> bool;
}

/// A process that nothing happens to.
#[derive(Debug, Clone, Copy)]
pub struct Spared;

#[async_trait]
impl Fate for Spared {
    async fn step(&self, _: &'static str) {}

    fn is_dead(&self) -> bool {
        false
    }
}

struct Shared {
    state: Mutex<State>,
    chance: Mutex<Rng>,
    weather: Mutex<Weather>,
    changes: Watched<()>,
    clock: Clock,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chance<T>(&self, act: impl FnOnce(&mut Rng) -> T) -> T {
        act(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn happens(&self, likely: f64) -> bool {
        likely > 0.0 && self.chance(Rng::f64) < likely
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changes.modify(|()| {});
    }
}

/// A connection to the simulated log.
#[derive(Clone)]
pub struct Simulated {
    shared: Arc<Shared>,
    fate: Arc<dyn Fate>,
    process: u64,
}

impl Simulated {
    /// A new log. The connection belongs to process 0, which nothing happens to.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, clock: Clock) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            chance: Mutex::new(Rng::with_seed(seed)),
            weather: Mutex::new(weather),
            changes: Watched::new(()),
            clock,
        };
        Self { shared: Arc::new(shared), fate: Arc::new(Spared), process: 0 }
    }

    /// A connection of another process.
    #[must_use]
    pub fn connect(&self, process: u64, fate: Arc<dyn Fate>) -> Self {
        Self { shared: self.shared.clone(), fate, process }
    }

    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Ends the session of a process: its members are no members any more.
    pub fn expire(&self, process: u64) {
        self.shared.state().expire(process);
        self.shared.notify();
    }

    /// Deals the partitions of a group anew.
    pub fn rebalance(&self, group: &str) {
        let order = |members: &mut Vec<u64>| self.shared.chance(|rng| rng.shuffle(members));
        self.shared.state().groups.shuffle(group, order);
        self.shared.notify();
    }

    /// Sets the offset of a group back, as an administrator does, and deals its partitions anew.
    pub fn set_back(&self, group: &str, partition: &Partition, to: u64) {
        {
            let mut state = self.shared.state();
            if state.committed(group, partition).0 <= to {
                return;
            }
            state.set_offset(group, partition, to);
            // An administrator does this while the group is stopped.
            state.expire_group(group);
        }
        self.shared.notify();
    }

    /// Everything that was ever committed, in that order.
    #[must_use]
    pub fn history(&self) -> Vec<Appended> {
        self.shared.state().history()
    }

    /// Appends bytes as they are, to wherever: what a stranger may put on a topic.
    pub fn throw_in(&self, partition: &Partition, key: Vec<u8>, value: Vec<u8>) -> u64 {
        let now = (self.shared.clock)();
        let offset = self.shared.state().throw_in(partition, key, value, now);
        self.shared.notify();
        offset
    }

    async fn step(&self, doing: &'static str) {
        self.fate.step(doing).await;
        if self.shared.happens(self.shared.weather().delay) {
            sleep(Duration::from_millis(self.shared.chance(|rng| rng.u64(1..60)))).await;
        }
    }

    /// When the records of a transaction can be read, partition by partition.
    fn visible(&self) -> impl FnMut() -> Instant + '_ {
        let (weather, now) = (self.shared.weather(), Instant::now());
        move || {
            if self.shared.happens(weather.half) {
                now + Duration::from_millis(self.shared.chance(|rng| rng.u64(1..=weather.half_ms.max(1))))
            } else {
                now
            }
        }
    }

    /// Tells those who wait when what was committed can be read.
    fn tell(&self, latest: Instant) {
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
        let weather = self.shared.weather();
        let aborts = self.shared.happens(weather.abort);
        let now = (self.shared.clock)();
        let latest = self.shared.state().commit(&transaction, aborts, now, self.visible())?;
        self.tell(latest);
        if aborts {
            // Whoever asked may not hear of that either.
            return Err(if self.shared.happens(weather.lost_ack) {
                LogError::Uncertain { reason: "no answer".into() }
            } else {
                LogError::Aborted { reason: "bad weather".into() }
            });
        }
        self.step("committed").await;
        if self.shared.happens(weather.lost_ack) {
            return Err(LogError::Uncertain { reason: "no answer".into() });
        }
        Ok(())
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError> {
        self.step("read").await;
        let lazy = self.shared.weather().lazy;
        self.shared.state().read(partition, from, most, lazy)
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

/// A member of a group.
struct Member {
    log: Simulated,
    group: String,
    stream: String,
    member: u64,
    positions: Positions,
    changes: Watcher<()>,
}

impl Member {
    async fn assigned(&mut self) -> Result<Assignment, LogError> {
        // Stable offsets of what is new: a commit under way comes first. The generation may change meanwhile.
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
            let at = |number| committed.iter().find(|(n, _)| *n == number).map_or(0, |(_, next)| *next);
            let partitions = self.positions.take(&self.stream, epoch, &assigned, at);
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
                // Its session has ended: it begins anew.
                let joined = self.log.shared.state().join(self.log.process, &self.group, &self.stream)?;
                self.member = joined;
                self.positions = Positions::new();
                self.log.shared.notify();
            }
            let epoch = self.log.shared.state().groups.assignment(&self.group, self.member).0;
            if epoch != self.positions.epoch() {
                return Ok(Event::Assigned(self.assigned().await?));
            }
            if most > 0 {
                let mut owned = self.positions.owned().to_vec();
                // Across partitions there is no order.
                self.log.shared.chance(|rng| rng.shuffle(&mut owned));
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
        if !self.log.fate.is_dead() {
            self.log.shared.state().groups.leave(&self.group, self.member);
            self.log.shared.notify();
        }
    }
}
