//! The log on a Kafka cluster: consumer groups, transactions and topics, by librdkafka.
//!
//! A room of its own, so that simulation and the runtime's tests build without librdkafka.

mod admin;
mod client;
mod committer;
mod member;
mod ownership;
mod reader;
mod records;
mod registry;
mod settings;
mod transaction;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use millrace_runtime::{
    Consumer, Fetched, Log, LogError, NewRecord, Partition, Transaction, Watched, Watcher,
};
use millrace_topology::StreamSpec;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::Timestamp,
    producer::FutureProducer,
};

pub use admin::{Difference, acls};
use client::{Context, Health, cluster_error};
use committer::Committer;
use member::Member;
use ownership::Ownership;
use reader::Readers;
use registry::Registry;
pub use settings::{Guarantee, Settings};

/// For how long a call waits for an answer of a cluster that has answered before.
const PATIENCE: Duration = Duration::from_secs(20);
/// For how long a topic or partition that a broker does not know is asked for again: brokers hear of new topics one after another.
const SPREADING: Duration = Duration::from_secs(5);
/// For how long the number of a topic's partitions is taken for what it was.
const COUNTED: Duration = Duration::from_secs(60);
/// How often those who wait look again, for what a cluster tells nobody: offsets that other processes commit.
const TICK: Duration = Duration::from_millis(500);
/// A cluster of which nothing was heard for so long is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(3);

/// The log on a Kafka cluster.
#[derive(Clone)]
pub struct Kafka {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    health: Arc<Health>,
    changes: Watched<()>,
    /// Answers what no consumer of a group is asked: ends as they are uncommitted.
    uncommitted: Arc<BaseConsumer<Context>>,
    /// The same, of what is committed.
    committed: Arc<BaseConsumer<Context>>,
    plain: FutureProducer<Context>,
    committer: Committer,
    readers: Readers,
    registry: Option<Registry>,
    members: Mutex<Members>,
    counts: Mutex<HashMap<String, (u32, Instant)>>,
    /// Whether a cluster that is away is waited for, however long.
    waits: AtomicBool,
}

/// The members of groups in this process.
#[derive(Default)]
struct Members {
    latest: u64,
    all: HashMap<u64, Arc<Ownership>>,
}

impl Kafka {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] where it does not answer, or not to these credentials; [`LogError::Cluster`] where a property
    /// is none.
    pub async fn connect(settings: Settings) -> Result<Self, LogError> {
        settings.check()?;
        let health = Arc::new(Health::new(&settings.brokers));
        let context = Context::new(health.clone());
        let created = |error| cluster_error("connecting", &error);
        let uncommitted: BaseConsumer<Context> =
            settings.reader("read_uncommitted").create_with_context(context.clone()).map_err(created)?;
        let committed: BaseConsumer<Context> =
            settings.reader("read_committed").create_with_context(context.clone()).map_err(created)?;
        let plain = settings.plain().create_with_context(context.clone()).map_err(created)?;
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
            waits: AtomicBool::new(false),
            settings,
            health,
            changes,
        });
        let log = Self { shared };
        log.metadata(None).await?;
        tokio::spawn(tick(Arc::downgrade(&log.shared)));
        Ok(log)
    }

    /// Registers the schemas of records where a registry is named, or only looks them up, for whoever only reads.
    ///
    /// # Errors
    /// Where the registry does not answer, or a schema is incompatible with one that is there.
    pub async fn register(&self, registers: bool) -> Result<(), LogError> {
        let Some(registry) = self.shared.registry.clone() else { return Ok(()) };
        let settings = self.shared.settings.clone();
        let done = tokio::task::spawn_blocking(move || registry.install(&settings, registers));
        done.await.map_err(|_| LogError::Closed)?
    }

    /// Learns what records can't be read without.
    async fn learn(&self, records: &[millrace_runtime::Record]) -> Result<(), LogError> {
        match &self.shared.registry {
            Some(registry) => registry.learn(&self.shared.settings, records).await,
            None => Ok(()),
        }
    }

    /// From now on a cluster that goes away is waited for, however long: for whoever serves.
    pub fn wait_for_it(&self) {
        self.shared.waits.store(true, Ordering::Relaxed);
    }

    /// Begins transactions, so that the first one finds all there.
    ///
    /// # Errors
    /// Where the cluster has none, or does not let this process have any.
    pub async fn warm_up(&self) -> Result<(), LogError> {
        let until = Instant::now() + 3 * PATIENCE;
        loop {
            match self.shared.committer.commit(transaction::Prepared::default()).await {
                // A coordinator that is on its way up, after a restart say, is waited for.
                Err(LogError::Aborted { .. } | LogError::Uncertain { .. }) if Instant::now() < until => {}
                other => return other,
            }
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Leaves all groups whose consumers were dropped, and waits until that is done; within reason.
    pub async fn leave(&self) {
        let gone = || self.with_members(|members| members.all.is_empty());
        let mut changes = self.changes();
        let left = async {
            loop {
                changes.mark_seen();
                if gone() {
                    return;
                }
                changes.changed().await;
            }
        };
        // A cluster that is away takes no leave.
        let _ = tokio::time::timeout(Duration::from_secs(5), left).await;
    }

    fn with_members<T>(&self, act: impl FnOnce(&mut Members) -> T) -> T {
        act(&mut self.shared.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the cluster something that blocks.
    async fn ask<T: Send + 'static, C: ConsumerContext + 'static>(
        &self,
        doing: String,
        from: &Arc<BaseConsumer<C>>,
        question: impl Fn(&BaseConsumer<C>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (consumer, shared) = (from.clone(), self.shared.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let health = &shared.health;
            let patience = if health.has_answered() { PATIENCE } else { shared.settings.patience };
            let until = Instant::now() + patience;
            let known_by = Instant::now() + SPREADING;
            loop {
                match question(&consumer) {
                    Ok(answer) => {
                        health.worked();
                        return Ok(answer);
                    }
                    Err(error)
                        if (client::passes(&error) && Instant::now() < until
                            || client::is_unknown(&error) && Instant::now() < known_by)
                            && !health.is_refused() =>
                    {
                        std::thread::sleep(Duration::from_millis(100));
                        // Who leads may have changed: a leader that is gone is asked until somebody says so. Where nobody
                        // answers, the question itself will say it.
                        let _ = consumer.fetch_metadata(None, Duration::from_secs(2));
                    }
                    Err(error) => return Err(health.error(&doing, &error)),
                }
            }
        });
        asked.await.map_err(|_| LogError::Closed)?
    }

    /// The cluster's topics, each with its number of partitions; or of one.
    async fn metadata(&self, topic: Option<String>) -> Result<HashMap<String, u32>, LogError> {
        let doing = "reading the list of topics".to_owned();
        self.ask(doing, &self.shared.uncommitted, move |consumer| {
            let found = consumer.fetch_metadata(topic.as_deref(), Duration::from_secs(3))?;
            let counted = |topic: &rdkafka::metadata::MetadataTopic| {
                let count = u32::try_from(topic.partitions().len()).unwrap_or(0);
                (count > 0 && topic.error().is_none()).then(|| (topic.name().to_owned(), count))
            };
            Ok(found.topics().iter().filter_map(counted).collect())
        })
        .await
    }

    /// What a transaction is on this cluster.
    async fn prepare(&self, transaction: Transaction) -> Result<transaction::Prepared, LogError> {
        let records = self.placed(transaction.records).await?;
        let mut prepared = transaction::Prepared { records, offsets: transaction.offsets, owner: None };
        if let Some(membership) = transaction.membership {
            let fenced = || LogError::Fenced { group: membership.group.clone(), epoch: membership.epoch };
            // A broker holds nobody to the partitions of a transaction that names none.
            if prepared.offsets.is_empty() {
                return Err(fenced());
            }
            let known = self.with_members(|members| members.all.get(&membership.member).cloned());
            prepared.owner = Some((known.ok_or_else(fenced)?, membership));
        }
        Ok(prepared)
    }

    /// Records with the topics and partitions that they go to.
    async fn placed(&self, records: Vec<NewRecord>) -> Result<Vec<records::Placed>, LogError> {
        let mut placed = Vec::with_capacity(records.len());
        for record in records {
            let partitions = self.partitions(record.emit.stream).await?;
            placed.push(records::Placed::new(&self.shared.settings, record, partitions));
        }
        Ok(placed)
    }

    /// Appends without a transaction: each record on its own.
    async fn append(&self, records: Vec<records::Placed>) -> Result<(), LogError> {
        let mut sent = Vec::new();
        for placed in &records {
            loop {
                match self.shared.plain.send_result(placed.for_future()) {
                    Ok(delivery) => break sent.push(delivery),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err((error, _)) => return Err(self.shared.health.error("publishing", &error)),
                }
            }
        }
        for delivery in sent {
            match delivery.await {
                Ok(Ok(delivered)) => {
                    self.shared.health.worked();
                    if let Timestamp::LogAppendTime(at_ms) = delivered.timestamp {
                        self.shared.health.clock(at_ms);
                    }
                }
                Ok(Err((error, _))) => return Err(self.shared.health.error("publishing", &error)),
                Err(_) => return Err(LogError::Closed),
            }
        }
        Ok(())
    }
}

/// A group's stable offset: the answer waits for transactions that are under way.
fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    number: i32,
) -> Result<u64, KafkaError> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, number);
    let found = consumer.committed_offsets(asked, Duration::from_secs(5))?;
    let Some(found) = found.find_partition(topic, number) else { return Ok(0) };
    found.error()?;
    Ok(records::offset(Some(found.offset())))
}

/// Wakes those who wait, now and then, lets go of readers that nobody uses, and notices a cluster that does not answer.
async fn tick(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.readers.prune();
        shared.changes.modify(|()| {});
        if shared.health.is_silent(SILENCE) {
            // Consumers say of a connection that it failed, and of a cluster nothing.
            let asked = tokio::task::spawn_blocking(move || {
                let topic = shared.settings.topic(millrace_topology::streams::UPLOADS.name);
                match shared.uncommitted.fetch_metadata(Some(&topic), SILENCE) {
                    Ok(_) => shared.health.worked(),
                    Err(error) => shared.health.failed(&error.to_string()),
                }
            });
            if asked.await.is_err() {
                return;
            }
        }
    }
}

#[async_trait]
impl Log for Kafka {
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError> {
        self.apply(streams).await.map(drop)
    }

    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError> {
        self.partitions(stream).await?;
        let number = self.with_members(|members| {
            members.latest += 1;
            members.latest
        });
        let member = Member::start(self, group, stream, number)?;
        self.with_members(|members| members.all.insert(number, member.ownership()));
        Ok(Box::new(member))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), LogError> {
        if transaction.records.is_empty() && transaction.offsets.is_empty() {
            return Ok(());
        }
        let prepared = self.prepare(transaction).await?;
        // One record is there or is not: a transaction adds nothing.
        let result = if prepared.owner.is_none() && prepared.records.len() == 1 {
            self.append(prepared.records).await
        } else {
            self.shared.committer.commit(prepared).await
        };
        if result.is_ok() {
            self.shared.changes.modify(|()| {});
        }
        result
    }

    async fn advise(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let placed = self.placed(records).await?;
        self.append(placed).await
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError> {
        self.partitions(&partition.stream).await?;
        let mut reader = self.shared.readers.take(partition, from)?;
        if !reader.is_live() {
            // What can be read now is read, before "nothing more" is said.
            let end = self.watermarks(partition, &self.shared.committed).await?.1;
            reader.read_up_to(end).await?;
        }
        let fetched = reader.fetch(most);
        self.shared.readers.put(reader);
        self.learn(&fetched.records).await?;
        Ok(fetched)
    }

    async fn partitions(&self, stream: &str) -> Result<u32, LogError> {
        let known = |counts: &HashMap<String, (u32, Instant)>| {
            counts.get(stream).filter(|(_, at)| at.elapsed() < COUNTED).map(|(count, _)| *count)
        };
        let counts = || self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known(&counts()) {
            return Ok(count);
        }
        let topic = self.shared.settings.topic(stream);
        let found = self.metadata(Some(topic.clone())).await?;
        let count = *found.get(&topic).ok_or_else(|| LogError::UnknownStream(topic))?;
        counts().insert(stream.into(), (count, Instant::now()));
        Ok(count)
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.watermarks(partition, &self.shared.uncommitted).await?.1)
    }

    async fn depth(&self, partition: &Partition) -> Result<u64, LogError> {
        let (low, high) = self.watermarks(partition, &self.shared.committed).await?;
        Ok(high.saturating_sub(low))
    }

    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        let own = self.with_members(|members| {
            let own = members.all.values().find(|member| member.is_of(group, &partition.stream));
            own.and_then(|member| member.live_consumer())
        });
        let topic = self.shared.settings.topic(&partition.stream);
        let number = partition.number.cast_signed();
        let doing = format!("reading the offset of {topic}");
        match own {
            Some(consumer) => self.ask(doing, &consumer, move |c| committed(c, &topic, number)).await,
            None => {
                let onlooker = self.shared.readers.of_group(group)?;
                self.ask(doing, &onlooker, move |c| committed(c, &topic, number)).await
            }
        }
    }

    async fn lag(&self, group: &str, stream: &str) -> Result<u64, LogError> {
        let count = self.partitions(stream).await?;
        let topic = self.shared.settings.topic(stream);
        let list = move |at: rdkafka::Offset| {
            let mut all = TopicPartitionList::new();
            (0..count)
                .try_for_each(|number| all.add_partition_offset(&topic, number.cast_signed(), at))
                .map(|()| all)
        };
        let (asked, doing) = (list.clone(), format!("reading how far {stream} is consumed"));
        let onlooker = self.shared.readers.of_group(group)?;
        let consumed = self
            .ask(doing.clone(), &onlooker, move |c| {
                c.committed_offsets(asked(rdkafka::Offset::Invalid)?, Duration::from_secs(5))
                    .map(records::offsets)
            })
            .await?;
        let ends = self.at(doing.clone(), list.clone(), rdkafka::Offset::End).await?;
        let begins = self.at(doing, list, rdkafka::Offset::Beginning).await?;
        let left = |number: &i32| {
            let of = |all: &HashMap<i32, u64>| all.get(number).copied().unwrap_or(0);
            of(&ends).saturating_sub(of(&consumed).max(of(&begins)))
        };
        Ok((0..count.cast_signed()).map(|number| left(&number)).sum())
    }

    fn changes(&self) -> Watcher<()> {
        self.shared.changes.watch()
    }
}

impl Kafka {
    /// The ends of partitions, or their beginnings: times that ListOffsets knows, all in one request.
    async fn at(
        &self,
        doing: String,
        list: impl Fn(rdkafka::Offset) -> Result<TopicPartitionList, KafkaError> + Send + 'static,
        place: rdkafka::Offset,
    ) -> Result<HashMap<i32, u64>, LogError> {
        self.ask(doing, &self.shared.committed, move |consumer| {
            let asked = list(place)?;
            consumer.offsets_for_times(asked, Duration::from_secs(5)).map(records::offsets)
        })
        .await
    }

    /// The first offset of a partition, and the next.
    async fn watermarks(
        &self,
        partition: &Partition,
        from: &Arc<BaseConsumer<Context>>,
    ) -> Result<(u64, u64), LogError> {
        let topic = self.shared.settings.topic(&partition.stream);
        let number = partition.number.cast_signed();
        let doing = format!("reading the end of {topic}");
        self.ask(doing, from, move |consumer| {
            let (low, high) = consumer.fetch_watermarks(&topic, number, Duration::from_secs(5))?;
            Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
        })
        .await
    }
}
