//! A member of a consumer group: one thread polls, and nothing else keeps it from that.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use millrace_runtime::{
    Assignment, Consumer, Event, Log as _, LogError, Membership, Owned, Partition, Watcher,
};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    Kafka,
    client::{Context, cluster_error},
    ownership::{Holding, Ownership, State, size},
    records,
};

/// So many records, or so many bytes of them, wait at most: then fetching pauses.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;
/// How long one poll lasts at most.
const POLL: Duration = Duration::from_millis(100);
/// How often a partition that rests commits its position.
const RESTS: Duration = Duration::from_secs(1);

/// Hears of rebalances.
pub(crate) struct MemberContext {
    context: Context,
    ownership: Arc<Ownership>,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<u32> {
    list.elements().iter().filter_map(|e| u32::try_from(e.partition()).ok()).collect()
}

impl ConsumerContext for MemberContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) => {
                let (stream, lost) = (self.ownership.stream(), consumer.assignment_lost());
                tracing::info!(stream, partitions = ?numbers(list), lost, "revoked");
                self.ownership.revoke(&numbers(list));
            }
            Rebalance::Assign(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "rebalancing"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            let stream = self.ownership.stream();
            tracing::info!(stream, partitions = ?numbers(list), "assigned");
            self.ownership.assign(&numbers(list));
        }
    }
}

/// A member, as the runner has it.
pub(crate) struct Member {
    log: Kafka,
    group: String,
    number: u64,
    ownership: Arc<Ownership>,
    changed: Watcher<()>,
    /// What the latest assignment said.
    epoch: u64,
    /// Where each partition goes on.
    positions: BTreeMap<u32, u64>,
    /// Taken out of the buffer, and not handed over yet: their schemas are looked up.
    pending: Vec<millrace_runtime::Record>,
}

impl Member {
    pub(crate) fn start(log: &Kafka, group: &str, stream: &str, number: u64) -> Result<Self, LogError> {
        let settings = &log.shared.settings;
        let context = Context::new(log.shared.health.clone());
        let ownership = Arc::new(Ownership::new(group, stream));
        let doing = |error| cluster_error("joining a group", &error);
        let heard = MemberContext { context, ownership: ownership.clone() };
        let consumer: BaseConsumer<MemberContext> =
            settings.member(group).create_with_context(heard).map_err(doing)?;
        let topic = settings.topic(stream);
        consumer.subscribe(&[&topic]).map_err(doing)?;
        let consumer = Arc::new(consumer);
        ownership.set_consumer(&consumer);
        let (held, shared) = (ownership.clone(), log.clone());
        std::thread::Builder::new()
            .name(format!("poll {stream}"))
            .spawn(move || {
                Poller { log: shared.clone(), ownership: held, consumer, topic, rested: BTreeMap::new() }
                    .run();
                shared.with_members(|members| members.all.remove(&number));
                shared.shared.changes.modify(|()| {});
            })
            .map_err(|_| LogError::Closed)?;
        let changed = ownership.changed.watch();
        Ok(Self {
            log: log.clone(),
            group: group.into(),
            number,
            ownership,
            changed,
            epoch: 0,
            positions: BTreeMap::new(),
            pending: Vec::new(),
        })
    }

    pub(crate) fn ownership(&self) -> Arc<Ownership> {
        self.ownership.clone()
    }

    fn partition(&self, number: u32) -> Partition {
        Partition { stream: self.ownership.stream().into(), number }
    }

    /// The assignment as it is now; `None` where it changed meanwhile.
    async fn assigned(&mut self) -> Result<Option<Assignment>, LogError> {
        let (epoch, held) = {
            let state = self.ownership.state();
            (state.epoch, state.held.clone())
        };
        let mut partitions = Vec::new();
        let mut positions = BTreeMap::new();
        for (number, holding) in held {
            let Holding::Consuming { since } = holding else { continue };
            let kept = self.positions.get(&number).filter(|_| since <= self.epoch).copied();
            let position = match kept {
                Some(position) => position,
                None => self.log.committed(&self.group, &self.partition(number)).await?,
            };
            positions.insert(number, position);
            partitions.push(Owned { partition: self.partition(number), position, fresh: kept.is_none() });
        }
        let still = self.ownership.state().epoch == epoch;
        if !still {
            return Ok(None);
        }
        self.pending.retain(|record| {
            partitions.iter().any(|owned| owned.partition == record.partition && !owned.fresh)
        });
        self.epoch = epoch;
        self.positions = positions;
        let membership = Membership { group: self.group.clone(), member: self.number, epoch };
        Ok(Some(Assignment { membership, partitions }))
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self, most: usize) -> Result<Event, LogError> {
        loop {
            self.changed.mark_seen();
            let (changed, failure) = {
                let mut state = self.ownership.state();
                (state.epoch != self.epoch, state.failure.take())
            };
            if let Some(error) = failure {
                return Err(error);
            }
            if changed {
                match self.assigned().await? {
                    Some(assignment) => return Ok(Event::Assigned(assignment)),
                    None => continue,
                }
            }
            let records = if self.pending.is_empty() {
                let mut state = self.ownership.state();
                // An assignment is told before what came after it.
                let count = if state.epoch == self.epoch { most.min(state.buffer.len()) } else { 0 };
                let records: Vec<_> = state.buffer.drain(..count).collect();
                state.buffered_bytes -= records.iter().map(size).sum::<usize>().min(state.buffered_bytes);
                records
            } else {
                Vec::new()
            };
            if !records.is_empty() {
                self.ownership.room.notify_all();
                for record in &records {
                    self.positions.insert(record.partition.number, record.offset + 1);
                }
                // Not dropped while it waits: what was taken out of the buffer must come.
                self.pending = records;
            }
            if !self.pending.is_empty() {
                self.log.learn(&self.pending).await?;
                return Ok(Event::Records(std::mem::take(&mut self.pending)));
            }
            self.changed.changed().await;
        }
    }

    fn rewind(&mut self) {
        {
            let mut state = self.ownership.state();
            state.epoch += 1;
            let since = state.epoch;
            for held in state.held.values_mut() {
                if let Holding::Consuming { since: from } = held {
                    *from = since;
                }
            }
            state.buffer.clear();
            state.buffered_bytes = 0;
            state.rewinds = true;
        }
        self.ownership.room.notify_all();
        self.ownership.changed.modify(|()| {});
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ownership.state().closed = true;
        self.ownership.room.notify_all();
    }
}

fn is_full(state: &State) -> bool {
    state.buffer.len() >= MOST || state.buffered_bytes >= MOST_BYTES
}

/// What the thread does.
struct Poller {
    log: Kafka,
    ownership: Arc<Ownership>,
    consumer: Arc<BaseConsumer<MemberContext>>,
    topic: String,
    /// When a partition's position was committed last, while it rested.
    rested: BTreeMap<u32, Instant>,
}

impl Poller {
    fn run(mut self) {
        let mut paused = false;
        loop {
            let (closed, rewinds, full) = {
                let state = self.ownership.state();
                (state.closed, state.rewinds, is_full(&state))
            };
            if closed {
                // Dropping the consumer leaves the group.
                return;
            }
            if rewinds {
                self.rewind();
            }
            if full && !paused {
                self.ownership.wait_for_room(is_full, POLL);
                if is_full(&self.ownership.state()) {
                    paused = self.pause(true);
                }
            } else if paused && !full {
                paused = !self.pause(false);
            }
            match self.consumer.poll(if paused { POLL / 5 } else { POLL }) {
                Some(Ok(message)) => {
                    self.log.shared.health.worked();
                    self.take(&message);
                    // Of a partition that came while the others paused: all pause again in the next round, if need be.
                    paused = false;
                }
                Some(Err(error)) => self.failed(&error),
                None => self.rest(),
            }
        }
    }

    fn take(&self, message: &rdkafka::message::BorrowedMessage<'_>) {
        let record = records::record(self.ownership.stream(), message);
        {
            let mut state = self.ownership.state();
            let number = record.partition.number;
            if state.rewinds || !matches!(state.held.get(&number), Some(Holding::Consuming { .. })) {
                return;
            }
            state.progress.entry(number).or_default().read = record.offset + 1;
            state.buffered_bytes += size(&record);
            state.buffer.push_back(record);
        }
        self.ownership.changed.modify(|()| {});
    }

    fn pause(&self, stop: bool) -> bool {
        let Ok(all) = self.consumer.assignment() else { return false };
        let done = if stop { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        done.is_ok()
    }

    /// Goes back to what is committed, in all partitions.
    fn rewind(&self) {
        let Ok(mut all) = self.consumer.assignment() else { return };
        if all.count() == 0 {
            self.ownership.state().rewinds = false;
            return;
        }
        let done =
            self.consumer.committed_offsets(all.clone(), Duration::from_secs(10)).and_then(|committed| {
                for element in committed.elements() {
                    let at = match element.offset() {
                        Offset::Offset(offset) => Offset::Offset(offset),
                        _ => Offset::Beginning,
                    };
                    all.set_partition_offset(&self.topic, element.partition(), at)?;
                }
                let sought = self.consumer.seek_partitions(all, Duration::from_secs(10))?;
                sought
                    .elements()
                    .iter()
                    .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            });
        match done {
            Ok(()) => self.ownership.state().rewinds = false,
            // Tried again in the next round.
            Err(error) => {
                tracing::debug!(%error, "going back to what is committed");
                self.ownership.wait_for_room(|_| true, POLL);
            }
        }
    }

    fn failed(&self, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        let doing = format!("consuming {}", self.topic);
        match error.rdkafka_error_code() {
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::InconsistentGroupProtocol
                | Code::FencedInstanceId,
            ) => {
                self.ownership.state().failure = Some(cluster_error(&doing, error));
                self.ownership.changed.modify(|()| {});
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                tracing::warn!(topic = self.topic, "the topic is not there; waiting for it");
            }
            _ => tracing::debug!(%error, topic = self.topic, "consuming"),
        }
    }

    /// Partitions of which all is committed that can be, commit how far they are: behind transaction markers, so that
    /// their lag is 0.
    fn rest(&mut self) {
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements() {
            let (Offset::Offset(position), Ok(number)) =
                (element.offset(), u32::try_from(element.partition()))
            else {
                continue;
            };
            let position = u64::try_from(position).unwrap_or(0);
            let since = self.rested.get(&number);
            if since.is_some_and(|since| since.elapsed() < RESTS) {
                continue;
            }
            // This thread polls: it waits for nobody.
            let Some(_committing) = self.ownership.try_commit_lock() else { return };
            {
                let mut state = self.ownership.state();
                let consumes = matches!(state.held.get(&number), Some(Holding::Consuming { .. }));
                let buffered = state.buffer.iter().any(|record| record.partition.number == number);
                let progress = state.progress.entry(number).or_default();
                let done = progress.committed >= progress.read && !buffered;
                if !consumes || !done || position <= progress.committed || state.rewinds {
                    continue;
                }
            }
            self.rested.insert(number, Instant::now());
            let mut list = TopicPartitionList::new();
            let place = list.add_partition_offset(&self.topic, element.partition(), element.offset());
            // One that fails is tried again a second later.
            if place.and_then(|()| self.consumer.commit(&list, CommitMode::Sync)).is_ok() {
                let mut state = self.ownership.state();
                state.progress.entry(number).or_default().committed = position;
            }
        }
    }
}
