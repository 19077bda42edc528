//! A connection to a Kafka cluster: its clients, and the requests that need no consumer group.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use millrace_runtime::{LogError, NewRecord, Partition, Record, Transaction, Watched};
use millrace_topology::streams;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::Timestamp,
    metadata::MetadataTopic,
    producer::FutureProducer,
};

use crate::{
    client::{Context, Health, cluster_error, is_transient, is_unknown},
    committer::Committer,
    reader::Readers,
    rebalance::MemberHandle,
    records::{self, Placed},
    registry::Registry,
    settings::Settings,
    transaction::Prepared,
};

/// How long a request is retried on a cluster that has answered before.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a request is retried if a broker does not know a topic or partition: brokers receive a new topic one after another.
const PROPAGATION: Duration = Duration::from_secs(5);
/// How long the number of partitions of a topic is cached.
const COUNT_VALID: Duration = Duration::from_secs(60);
/// How often waiters are woken. A cluster sends no notification when another process commits offsets.
const TICK: Duration = Duration::from_millis(500);
/// How long a cluster may send nothing before a request checks whether it answers.
const SILENCE: Duration = Duration::from_secs(3);
/// The timeout of one request for offsets.
const OFFSET_TIMEOUT: Duration = Duration::from_secs(5);

/// The log on a Kafka cluster. Clones share the connection.
#[derive(Clone)]
pub struct Kafka {
    pub(crate) shared: Arc<Shared>,
}

/// What all clones of a [`Kafka`] share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) health: Arc<Health>,
    pub(crate) changes: Watched<()>,
    /// A consumer without a group, for offsets that include open transactions.
    pub(crate) uncommitted: Arc<BaseConsumer<Context>>,
    /// A consumer without a group, for offsets before open transactions.
    pub(crate) committed: Arc<BaseConsumer<Context>>,
    /// The producer without transactions.
    plain: FutureProducer<Context>,
    pub(crate) committer: Committer,
    pub(crate) readers: Readers,
    registry: Option<Registry>,
    members: Mutex<Members>,
    /// The numbers of partitions by stream, with the times at which they were read.
    counts: Mutex<HashMap<String, (u32, Instant)>>,
}

/// The group members of this process.
#[derive(Default)]
pub(crate) struct Members {
    /// The latest member id.
    pub(crate) latest: u64,
    pub(crate) handles: HashMap<u64, MemberHandle>,
}

impl Kafka {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// Returns [`LogError::Unreachable`] if the cluster does not answer or refuses the credentials, and [`LogError::Rejected`] if
    /// a setting is invalid.
    pub async fn connect(settings: Settings) -> Result<Self, LogError> {
        settings.check()?;
        let health = Arc::new(Health::new(&settings.brokers));
        let context = Context::new(health.clone());
        let failed = |error| cluster_error("connecting", &error);
        let uncommitted: BaseConsumer<Context> =
            settings.reader("read_uncommitted").create_with_context(context.clone()).map_err(failed)?;
        let committed: BaseConsumer<Context> =
            settings.reader("read_committed").create_with_context(context.clone()).map_err(failed)?;
        let plain = settings.plain().create_with_context(context.clone()).map_err(failed)?;
        let changes = Watched::new(());
        let shared = Arc::new(Shared {
            committer: Committer::start(settings.clone(), context.clone())?,
            readers: Readers::new(settings.clone(), context, changes.clone()),
            uncommitted: Arc::new(uncommitted),
            committed: Arc::new(committed),
            registry: settings.schema_registry.as_deref().map(Registry::new).transpose()?,
            plain,
            members: Mutex::default(),
            counts: Mutex::default(),
            settings,
            health,
            changes,
        });
        let log = Self { shared };
        log.topics(None).await?;
        tokio::spawn(tick(Arc::downgrade(&log.shared)));
        Ok(log)
    }

    /// Looks up the ids of the schemas of all records in the registry, and with `may_register` registers schemas that are
    /// missing. A no-op without a registry.
    ///
    /// # Errors
    /// Fails if the registry does not answer, or if a schema is incompatible with a registered one.
    pub async fn register(&self, may_register: bool) -> Result<(), LogError> {
        let Some(registry) = self.shared.registry.clone() else { return Ok(()) };
        let settings = self.shared.settings.clone();
        let installed = tokio::task::spawn_blocking(move || registry.install(&settings, may_register));
        installed.await.map_err(|_| LogError::Closed)?
    }

    /// Looks up the schemas with unknown ids that these records carry.
    pub(crate) async fn resolve_schemas(&self, records: &[Record]) -> Result<(), LogError> {
        match &self.shared.registry {
            Some(registry) => registry.resolve_schemas(&self.shared.settings, records).await,
            None => Ok(()),
        }
    }

    /// Commits an empty transaction, so that the first one that matters finds the producer ready.
    ///
    /// # Errors
    /// Fails if the cluster has no transactions, or does not allow them to this process.
    pub async fn warm_up(&self) -> Result<(), LogError> {
        let until = Instant::now() + 3 * PATIENCE;
        loop {
            match self.shared.committer.commit(Prepared::default()).await {
                // The transaction coordinator may still be starting, as after a restart of the broker.
                Err(LogError::Aborted { .. } | LogError::Uncertain { .. }) if Instant::now() < until => {}
                result => return result,
            }
        }
    }

    /// Returns the settings of the connection.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Waits until all dropped consumers have left their groups, for at most 5 s.
    pub async fn leave(&self) {
        let is_done = || self.with_members(|members| members.handles.is_empty());
        let mut changes = self.shared.changes.watch();
        let left = async {
            loop {
                changes.mark_seen();
                if is_done() {
                    return;
                }
                changes.changed().await;
            }
        };
        // A cluster that does not answer can't confirm that a member left.
        let _ = tokio::time::timeout(Duration::from_secs(5), left).await;
    }

    pub(crate) fn with_members<T>(&self, act: impl FnOnce(&mut Members) -> T) -> T {
        act(&mut self.shared.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a blocking request on a thread of its own, and retries it for a while after transient errors. `doing` names the request in
    /// errors.
    pub(crate) async fn request<T: Send + 'static, C: ConsumerContext + 'static>(
        &self,
        doing: String,
        consumer: &Arc<BaseConsumer<C>>,
        send: impl Fn(&BaseConsumer<C>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (consumer, shared) = (consumer.clone(), self.shared.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let health = &shared.health;
            let patience = if health.has_answered() { PATIENCE } else { shared.settings.patience };
            let begun = Instant::now();
            loop {
                match send(&consumer) {
                    Ok(answer) => {
                        health.record_answer();
                        return Ok(answer);
                    }
                    Err(error)
                        if (is_transient(&error) && begun.elapsed() < patience
                            || is_unknown(&error) && begun.elapsed() < PROPAGATION)
                            && !health.is_refused() =>
                    {
                        std::thread::sleep(Duration::from_millis(100));
                        // The leader may have changed: librdkafka asks the old one until its metadata are refreshed. An error
                        // here is not reported, as the request fails with the same one.
                        let _ = consumer.fetch_metadata(None, Duration::from_secs(2));
                    }
                    Err(error) => return Err(health.error(&doing, &error)),
                }
            }
        });
        answer.await.map_err(|_| LogError::Closed)?
    }

    /// Returns the number of partitions of each topic, or of one topic.
    pub(crate) async fn topics(&self, topic: Option<String>) -> Result<HashMap<String, u32>, LogError> {
        let doing = "reading the list of topics".to_owned();
        self.request(doing, &self.shared.uncommitted, move |consumer| {
            let metadata = consumer.fetch_metadata(topic.as_deref(), Duration::from_secs(3))?;
            let count = |topic: &MetadataTopic| {
                let count = u32::try_from(topic.partitions().len()).unwrap_or(0);
                (count > 0 && topic.error().is_none()).then(|| (topic.name().to_owned(), count))
            };
            Ok(metadata.topics().iter().filter_map(count).collect())
        })
        .await
    }

    /// Returns the number of partitions of a stream.
    pub(crate) async fn count_partitions(&self, stream: &str) -> Result<u32, LogError> {
        let cached = |counts: &HashMap<String, (u32, Instant)>| {
            counts.get(stream).filter(|(_, at)| at.elapsed() < COUNT_VALID).map(|(count, _)| *count)
        };
        let counts = || self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = cached(&counts()) {
            return Ok(count);
        }
        let topic = self.shared.settings.topic(stream);
        let found = self.topics(Some(topic.clone())).await?;
        let count = *found.get(&topic).ok_or_else(|| LogError::UnknownStream(topic))?;
        counts().insert(stream.into(), (count, Instant::now()));
        Ok(count)
    }

    /// Returns the committed offset of a group, 0 if it never committed. Waits for transactions in progress.
    pub(crate) async fn committed_offset(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        let own = self.with_members(|members| {
            let own =
                members.handles.values().find(|member| member.ownership.is_of(group, &partition.stream));
            own.and_then(MemberHandle::consumer)
        });
        let topic = self.shared.settings.topic(&partition.stream);
        let number = partition.number.cast_signed();
        let doing = format!("reading the offset of {topic}");
        match own {
            Some(consumer) => {
                self.request(doing, &consumer, move |c| fetch_committed(c, &topic, number)).await
            }
            None => {
                let observer = self.shared.readers.group_observer(group)?;
                self.request(doing, &observer, move |c| fetch_committed(c, &topic, number)).await
            }
        }
    }

    /// Returns the first offset of a partition, and the offset after the last one that `consumer` can read.
    pub(crate) async fn watermarks(
        &self,
        partition: &Partition,
        consumer: &Arc<BaseConsumer<Context>>,
    ) -> Result<(u64, u64), LogError> {
        let topic = self.shared.settings.topic(&partition.stream);
        let number = partition.number.cast_signed();
        let doing = format!("reading the end of {topic}");
        self.request(doing, consumer, move |consumer| {
            let (low, high) = consumer.fetch_watermarks(&topic, number, OFFSET_TIMEOUT)?;
            Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
        })
        .await
    }

    /// Returns the number of records of a stream that a group has not consumed yet. It takes three requests, whatever the
    /// number of partitions.
    pub(crate) async fn count_lag(&self, group: &str, stream: &str) -> Result<u64, LogError> {
        let count = self.count_partitions(stream).await?;
        let topic = self.shared.settings.topic(stream);
        let list = move |offset: Offset| {
            let mut all = TopicPartitionList::new();
            (0..count)
                .try_for_each(|number| all.add_partition_offset(&topic, number.cast_signed(), offset))
                .map(|()| all)
        };
        let (partitions, doing) = (list.clone(), format!("reading how far {stream} is consumed"));
        let observer = self.shared.readers.group_observer(group)?;
        let consumed = self
            .request(doing.clone(), &observer, move |c| {
                c.committed_offsets(partitions(Offset::Invalid)?, OFFSET_TIMEOUT).map(records::offsets)
            })
            .await?;
        let ends = self.list_offsets(doing.clone(), list.clone(), Offset::End).await?;
        let begins = self.list_offsets(doing, list, Offset::Beginning).await?;
        let lag = |number: &i32| {
            let offset = |all: &HashMap<i32, u64>| all.get(number).copied().unwrap_or(0);
            offset(&ends).saturating_sub(offset(&consumed).max(offset(&begins)))
        };
        Ok((0..count.cast_signed()).map(|number| lag(&number)).sum())
    }

    /// Returns the ends or the beginnings of partitions, with one ListOffsets request.
    async fn list_offsets(
        &self,
        doing: String,
        list: impl Fn(Offset) -> Result<TopicPartitionList, KafkaError> + Send + 'static,
        bound: Offset,
    ) -> Result<HashMap<i32, u64>, LogError> {
        self.request(doing, &self.shared.committed, move |consumer| {
            consumer.offsets_for_times(list(bound)?, OFFSET_TIMEOUT).map(records::offsets)
        })
        .await
    }

    /// Resolves the topics and partitions of a transaction, and the member that commits it.
    pub(crate) async fn prepare(&self, transaction: Transaction) -> Result<Prepared, LogError> {
        let records = self.place(transaction.records).await?;
        let mut prepared = Prepared { records, offsets: transaction.offsets, owner: None };
        if let Some(membership) = transaction.membership {
            let fenced = || LogError::Fenced { group: membership.group.clone(), epoch: membership.epoch };
            // A broker does not check ownership for a transaction without offsets.
            if prepared.offsets.is_empty() {
                return Err(fenced());
            }
            let handle = self.with_members(|members| members.handles.get(&membership.member).cloned());
            prepared.owner = Some((handle.ok_or_else(fenced)?, membership));
        }
        Ok(prepared)
    }

    /// Resolves the topics and partitions of records.
    pub(crate) async fn place(&self, records: Vec<NewRecord>) -> Result<Vec<Placed>, LogError> {
        let mut placed = Vec::with_capacity(records.len());
        for record in records {
            let partitions = self.count_partitions(record.emit.stream).await?;
            placed.push(Placed::new(&self.shared.settings, record, partitions));
        }
        Ok(placed)
    }

    /// Appends records without a transaction: after an error some of them may be there.
    pub(crate) async fn append(&self, records: Vec<Placed>) -> Result<(), LogError> {
        let mut deliveries = Vec::new();
        for placed in &records {
            loop {
                match self.shared.plain.send_result(placed.to_future_record()) {
                    Ok(delivery) => break deliveries.push(delivery),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err((error, _)) => return Err(self.shared.health.error("publishing", &error)),
                }
            }
        }
        for delivery in deliveries {
            match delivery.await {
                Ok(Ok(delivered)) => {
                    self.shared.health.record_answer();
                    if let Timestamp::LogAppendTime(at_ms) = delivered.timestamp {
                        self.shared.health.check_clock(at_ms);
                    }
                }
                Ok(Err((error, _))) => return Err(self.shared.health.error("publishing", &error)),
                Err(_) => return Err(LogError::Closed),
            }
        }
        Ok(())
    }
}

/// Fetches a group's stable offset: the broker answers after transactions in progress have ended.
fn fetch_committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    number: i32,
) -> Result<u64, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, number);
    let found = consumer.committed_offsets(list, OFFSET_TIMEOUT)?;
    let Some(found) = found.find_partition(topic, number) else { return Ok(0) };
    found.error()?;
    Ok(records::offset(Some(found.offset())))
}

/// Every half second: wakes waiters, closes idle readers, and checks that a silent cluster still answers.
async fn tick(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.readers.close_idle();
        shared.changes.modify(|()| {});
        if shared.health.is_silent(SILENCE) {
            // Consumers report a failed connection, but not a cluster that does not answer.
            let checked = tokio::task::spawn_blocking(move || {
                let topic = shared.settings.topic(streams::UPLOADS.name);
                match shared.uncommitted.fetch_metadata(Some(&topic), SILENCE) {
                    Ok(_) => shared.health.record_answer(),
                    Err(error) => shared.health.record_outage(&error.to_string()),
                }
            });
            if checked.await.is_err() {
                return;
            }
        }
    }
}
