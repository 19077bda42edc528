//! A member of a consumer group: the consumer that the runner polls, and the thread that polls librdkafka.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use millrace_runtime::{
    Assignment, Consumer, Event, LogError, Membership, OwnedPartition, Partition, Record, Watcher,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    topic_partition_list::TopicPartitionListElem,
};

use crate::{
    client::{Context, cluster_error},
    cluster::Kafka,
    ownership::{Ownership, PartitionState, State, buffered_size},
    rebalance::{MemberHandle, RebalanceContext},
    records,
};

/// The most records in the buffer; fetching pauses then.
const BUFFERED_RECORDS: usize = 10_000;
/// The most bytes of records in the buffer; fetching pauses then.
const BUFFERED_BYTES: usize = 16 << 20;
/// The longest time that one poll takes.
const POLL: Duration = Duration::from_millis(100);
/// How often the position of an idle partition is committed.
const IDLE_COMMIT: Duration = Duration::from_secs(1);
/// The timeout of the requests of a rewind.
const REWIND_TIMEOUT: Duration = Duration::from_secs(10);

/// A member, as its user has it.
pub(crate) struct Member {
    log: Kafka,
    group: String,
    number: u64,
    handle: MemberHandle,
    changed: Watcher<()>,
    /// The generation of the latest assignment that was returned.
    epoch: u64,
    /// The next offset to return, by partition.
    positions: BTreeMap<u32, u64>,
    /// Records out of the buffer that are not returned yet: their schemas are being looked up.
    pending: Vec<Record>,
}

impl Member {
    /// Joins a group, and starts the thread that polls. `number` is the member's id in this process.
    pub(crate) fn start(log: &Kafka, group: &str, stream: &str, number: u64) -> Result<Self, LogError> {
        let settings = &log.shared.settings;
        let ownership = Arc::new(Ownership::new(group, stream));
        let failed = |error| cluster_error("joining a group", &error);
        let context = RebalanceContext::new(Context::new(log.shared.health.clone()), ownership.clone());
        let consumer: BaseConsumer<RebalanceContext> =
            settings.member(group).create_with_context(context).map_err(failed)?;
        let topic = settings.topic(stream);
        consumer.subscribe(&[&topic]).map_err(failed)?;
        let consumer = Arc::new(consumer);
        let handle = MemberHandle::new(ownership.clone(), &consumer);
        let changed = ownership.changed.watch();
        let poller = Poller { log: log.clone(), ownership, consumer, topic, idle_commits: BTreeMap::new() };
        let log_of_thread = log.clone();
        std::thread::Builder::new()
            .name(format!("poll {stream}"))
            .spawn(move || {
                poller.run();
                log_of_thread.with_members(|members| members.handles.remove(&number));
                log_of_thread.shared.changes.modify(|()| {});
            })
            .map_err(|_| LogError::Closed)?;
        Ok(Self {
            log: log.clone(),
            group: group.into(),
            number,
            handle,
            changed,
            epoch: 0,
            positions: BTreeMap::new(),
            pending: Vec::new(),
        })
    }

    pub(crate) fn handle(&self) -> &MemberHandle {
        &self.handle
    }

    fn ownership(&self) -> &Ownership {
        &self.handle.ownership
    }

    fn partition(&self, number: u32) -> Partition {
        Partition { stream: self.ownership().stream().into(), number }
    }

    /// Applies the current assignment and returns it, or `None` if it changed in the meantime.
    async fn apply_assignment(&mut self) -> Result<Option<Assignment>, LogError> {
        let (epoch, owned) = {
            let state = self.ownership().state();
            (state.epoch, state.partitions.clone())
        };
        let mut partitions = Vec::new();
        let mut positions = BTreeMap::new();
        for (number, state) in owned {
            let PartitionState::Consuming { since } = state else { continue };
            let kept = self.positions.get(&number).filter(|_| since <= self.epoch).copied();
            let position = match kept {
                Some(position) => position,
                None => self.log.committed_offset(&self.group, &self.partition(number)).await?,
            };
            positions.insert(number, position);
            let fresh = kept.is_none();
            partitions.push(OwnedPartition { partition: self.partition(number), position, fresh });
        }
        let is_current = self.ownership().state().epoch == epoch;
        if !is_current {
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
                let mut state = self.ownership().state();
                (state.epoch != self.epoch, state.failure.take())
            };
            if let Some(error) = failure {
                return Err(error);
            }
            if changed {
                match self.apply_assignment().await? {
                    Some(assignment) => return Ok(Event::Assigned(assignment)),
                    None => continue,
                }
            }
            let records = if self.pending.is_empty() {
                let mut state = self.ownership().state();
                // An assignment is returned before the records that follow it.
                let count = if state.epoch == self.epoch { most.min(state.buffer.len()) } else { 0 };
                let records: Vec<_> = state.buffer.drain(..count).collect();
                let bytes = records.iter().map(buffered_size).sum::<usize>();
                state.buffered_bytes = state.buffered_bytes.saturating_sub(bytes);
                records
            } else {
                Vec::new()
            };
            if !records.is_empty() {
                self.ownership().room.notify_all();
                for record in &records {
                    self.positions.insert(record.partition.number, record.offset + 1);
                }
                // Kept if this call is cancelled during the wait below: records out of the buffer must be returned.
                self.pending = records;
            }
            if !self.pending.is_empty() {
                self.log.resolve_schemas(&self.pending).await?;
                return Ok(Event::Records(std::mem::take(&mut self.pending)));
            }
            self.changed.changed().await;
        }
    }

    fn rewind(&mut self) {
        {
            let mut state = self.ownership().state();
            state.epoch += 1;
            let epoch = state.epoch;
            for partition in state.partitions.values_mut() {
                if let PartitionState::Consuming { since } = partition {
                    *since = epoch;
                }
            }
            state.buffer.clear();
            state.buffered_bytes = 0;
            state.rewinds = true;
        }
        self.ownership().room.notify_all();
        self.ownership().changed.modify(|()| {});
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ownership().state().closed = true;
        self.ownership().room.notify_all();
    }
}

fn is_full(state: &State) -> bool {
    state.buffer.len() >= BUFFERED_RECORDS || state.buffered_bytes >= BUFFERED_BYTES
}

/// The thread that polls. It does nothing that takes long, as a member that does not poll loses its partitions.
struct Poller {
    log: Kafka,
    ownership: Arc<Ownership>,
    consumer: Arc<BaseConsumer<RebalanceContext>>,
    topic: String,
    /// When the position of an idle partition was last committed.
    idle_commits: BTreeMap<u32, Instant>,
}

impl Poller {
    /// Polls until the member is dropped.
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
                    paused = self.set_paused(true);
                }
            } else if paused && !full {
                paused = !self.set_paused(false);
            }
            match self.consumer.poll(if paused { POLL / 5 } else { POLL }) {
                Some(Ok(message)) => {
                    self.log.shared.health.record_answer();
                    self.buffer(&message);
                    // From a partition that was assigned during the pause: the next round pauses all, if necessary.
                    paused = false;
                }
                Some(Err(error)) => self.record_failure(&error),
                None => self.commit_idle(),
            }
        }
    }

    /// Adds a message to the buffer, unless its partition was revoked or is being rewound.
    fn buffer(&self, message: &BorrowedMessage<'_>) {
        let record = records::record(self.ownership.stream(), message);
        {
            let mut state = self.ownership.state();
            let number = record.partition.number;
            if state.rewinds || !state.consumes(number) {
                return;
            }
            state.progress.entry(number).or_default().read = record.offset + 1;
            state.buffered_bytes += buffered_size(&record);
            state.buffer.push_back(record);
        }
        self.ownership.changed.modify(|()| {});
    }

    /// Pauses or resumes fetching; returns `true` if it did.
    fn set_paused(&self, paused: bool) -> bool {
        let Ok(all) = self.consumer.assignment() else { return false };
        let result = if paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        result.is_ok()
    }

    /// Moves all partitions back to their committed offsets. The next round retries after an error.
    fn rewind(&self) {
        let Ok(all) = self.consumer.assignment() else { return };
        if all.count() == 0 {
            self.ownership.state().rewinds = false;
            return;
        }
        match self.seek_committed(all) {
            Ok(()) => self.ownership.state().rewinds = false,
            Err(error) => {
                tracing::debug!(%error, "seeking the committed offsets failed");
                self.ownership.wait_for_room(|_| true, POLL);
            }
        }
    }

    fn seek_committed(&self, mut all: TopicPartitionList) -> Result<(), KafkaError> {
        let committed = self.consumer.committed_offsets(all.clone(), REWIND_TIMEOUT)?;
        for element in committed.elements() {
            let offset = match element.offset() {
                Offset::Offset(offset) => Offset::Offset(offset),
                _ => Offset::Beginning,
            };
            all.set_partition_offset(&self.topic, element.partition(), offset)?;
        }
        let sought = self.consumer.seek_partitions(all, REWIND_TIMEOUT)?;
        sought.elements().iter().try_for_each(TopicPartitionListElem::error)
    }

    /// Ends consuming after an error that no retry resolves, and logs any other.
    fn record_failure(&self, error: &KafkaError) {
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
                tracing::warn!(topic = self.topic, "the topic does not exist; waiting for it");
            }
            _ => tracing::debug!(%error, topic = self.topic, "polling failed"),
        }
    }

    /// Commits the positions of partitions that have nothing left to process. They may be behind transaction markers, so that the lag
    /// becomes 0.
    fn commit_idle(&mut self) {
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements() {
            let (Offset::Offset(position), Ok(number)) =
                (element.offset(), u32::try_from(element.partition()))
            else {
                continue;
            };
            let position = u64::try_from(position).unwrap_or(0);
            let latest = self.idle_commits.get(&number);
            if latest.is_some_and(|latest| latest.elapsed() < IDLE_COMMIT) {
                continue;
            }
            // This thread must not wait for the lock.
            let Some(_guard) = self.ownership.try_lock_commits() else { return };
            {
                let mut state = self.ownership.state();
                let consumes = state.consumes(number);
                let buffered = state.buffer.iter().any(|record| record.partition.number == number);
                let progress = state.progress.entry(number).or_default();
                let is_idle = progress.committed >= progress.read && !buffered;
                if !consumes || !is_idle || position <= progress.committed || state.rewinds {
                    continue;
                }
            }
            self.idle_commits.insert(number, Instant::now());
            let mut list = TopicPartitionList::new();
            let added = list.add_partition_offset(&self.topic, element.partition(), element.offset());
            // A commit that fails is retried after `IDLE_COMMIT`.
            if added.and_then(|()| self.consumer.commit(&list, CommitMode::Sync)).is_ok() {
                let mut state = self.ownership.state();
                state.progress.entry(number).or_default().committed = position;
            }
        }
    }
}
