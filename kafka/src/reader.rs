//! Reads partitions without a consumer group. A reader stays open for a while, so that the next read
//! continues where it stopped.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use millrace_runtime::{Fetched, LogError, Partition, Record, Watched};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::mpsc;

use crate::{
    client::{Context, cluster_error},
    records,
    settings::Settings,
};

/// How long an unused reader stays open.
const IDLE: Duration = Duration::from_secs(30);
/// The most batches that wait for a reader.
const BATCHES: usize = 4;
/// The most records in a batch.
const BATCH: usize = 1000;
/// How often the position is checked while no record arrives: transaction markers may move it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The readers of this process.
pub(crate) struct Readers {
    settings: Settings,
    context: Context,
    changes: Watched<()>,
    idle: Mutex<Vec<Reader>>,
    /// Consumers that read the committed offsets of a group, by group.
    observers: Mutex<HashMap<String, Arc<BaseConsumer<Context>>>>,
}

/// Records with the position behind them, or the error that ends reading.
type Batch = Result<(Vec<Record>, u64), LogError>;

/// A reader of one partition.
pub(crate) struct Reader {
    partition: Partition,
    /// The next offset to return.
    next: u64,
    buffer: VecDeque<Record>,
    /// The next offset to read; everything before it is in the buffer, was returned, or is not readable.
    position: u64,
    /// True once the reader has reached the end of the partition: from then on its buffer is current.
    caught_up: bool,
    batches: mpsc::Receiver<Batch>,
    /// When the reader was last used.
    used: Instant,
}

impl Readers {
    pub(crate) fn new(settings: Settings, context: Context, changes: Watched<()>) -> Self {
        Self { settings, context, changes, idle: Mutex::default(), observers: Mutex::default() }
    }

    /// Returns an idle reader at this offset, or a new one.
    pub(crate) fn open(&self, partition: &Partition, from: u64) -> Result<Reader, LogError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let index = idle.iter().position(|reader| reader.next == from && reader.partition == *partition);
        if let Some(index) = index {
            return Ok(idle.swap_remove(index));
        }
        drop(idle);
        let failed = |error| cluster_error("reading", &error);
        let consumer: StreamConsumer<Context> = self
            .settings
            .reader("read_committed")
            .create_with_context(self.context.clone())
            .map_err(failed)?;
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(0));
        let topic = self.settings.topic(&partition.stream);
        list.add_partition_offset(&topic, partition.number.cast_signed(), offset).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (sender, batches) = mpsc::channel(BATCHES);
        let pump = Pump { consumer, stream: partition.stream.clone(), position: from };
        tokio::spawn(pump.run(sender, self.changes.clone(), self.context.clone()));
        Ok(Reader {
            partition: partition.clone(),
            next: from,
            buffer: VecDeque::new(),
            position: from,
            caught_up: false,
            batches,
            used: Instant::now(),
        })
    }

    /// Keeps a reader open for the next read.
    pub(crate) fn put_back(&self, mut reader: Reader) {
        reader.used = Instant::now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }

    /// Closes readers that were not used for a while.
    pub(crate) fn close_idle(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|reader| reader.used.elapsed() < IDLE);
    }

    /// Returns a consumer that can read the committed offsets of a group without joining it.
    pub(crate) fn group_observer(&self, group: &str) -> Result<Arc<BaseConsumer<Context>>, LogError> {
        let mut known = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(group) {
            return Ok(found.clone());
        }
        let observer: BaseConsumer<Context> = self
            .settings
            .observer(group)
            .create_with_context(self.context.clone())
            .map_err(|error| cluster_error("reading offsets", &error))?;
        let observer = Arc::new(observer);
        known.insert(group.into(), observer.clone());
        Ok(observer)
    }
}

impl Reader {
    /// Returns `true` if the reader has reached the end of the partition once.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Adds a batch to the buffer.
    fn buffer(&mut self, batch: Batch) -> Result<(), LogError> {
        let (records, position) = batch?;
        self.buffer.extend(records);
        self.position = self.position.max(position);
        Ok(())
    }

    /// Waits until everything before this offset was read, or the buffer has records.
    pub(crate) async fn read_up_to(&mut self, end: u64) -> Result<(), LogError> {
        while self.position < end && self.buffer.is_empty() {
            let batch = self.batches.recv().await.ok_or(LogError::Closed)?;
            self.buffer(batch)?;
        }
        self.caught_up = self.position >= end;
        Ok(())
    }

    /// Returns the records that were read, at most `most`.
    pub(crate) fn fetch(&mut self, most: usize) -> Fetched {
        while self.buffer.len() < most {
            match self.batches.try_recv() {
                Ok(Ok((records, position))) => {
                    self.buffer.extend(records);
                    self.position = self.position.max(position);
                }
                // An error is not returned here: the task sends it again while it persists.
                _ => break,
            }
        }
        let records: Vec<Record> = self.buffer.drain(..most.min(self.buffer.len())).collect();
        match records.last() {
            Some(last) if !self.buffer.is_empty() => self.next = last.offset + 1,
            _ => self.next = self.next.max(self.position),
        }
        Fetched { records, next: self.next }
    }
}

/// The task of a reader: passes records from librdkafka to its channel.
struct Pump {
    consumer: StreamConsumer<Context>,
    stream: String,
    position: u64,
}

impl Pump {
    async fn run(mut self, batches: mpsc::Sender<Batch>, changes: Watched<()>, context: Context) {
        loop {
            let first = tokio::select! {
                biased;
                () = batches.closed() => return,
                first = tokio::time::timeout(CHECK_INTERVAL, self.consumer.recv()) => first,
            };
            let mut records = Vec::new();
            let mut failure = None;
            match first {
                Ok(Ok(message)) => records.push(records::record(&self.stream, &message)),
                Ok(Err(error)) => failure = permanent_error(&error),
                Err(_) => {}
            }
            while !records.is_empty() && records.len() < BATCH {
                match self.consumer.recv().now_or_never() {
                    Some(Ok(message)) => records.push(records::record(&self.stream, &message)),
                    _ => break,
                }
            }
            let before = self.position;
            self.update_position(records.last());
            let batch = match failure {
                Some(error) => Err(error),
                None if records.is_empty() && before == self.position => continue,
                None => Ok((records, self.position)),
            };
            context.health().record_answer();
            if batches.send(batch).await.is_err() {
                return;
            }
            changes.modify(|()| {});
        }
    }

    /// Moves the position behind the last record, and behind transaction markers and aborted records.
    fn update_position(&mut self, last: Option<&Record>) {
        let found = self.consumer.position().ok();
        let found = found
            .and_then(|list| list.elements().first().map(|element| records::offset(Some(element.offset()))));
        let read = last.map_or(0, |last| last.offset + 1);
        self.position = self.position.max(read).max(found.unwrap_or(0));
    }
}

/// Returns the log's error if no retry resolves this one.
fn permanent_error(error: &KafkaError) -> Option<LogError> {
    use RDKafkaErrorCode as Code;
    let permanent = [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::UnknownTopic];
    let code = error.rdkafka_error_code()?;
    permanent.contains(&code).then(|| cluster_error("reading", error))
}
