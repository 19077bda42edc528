//! Reads partitions without a group: each reader goes on where it was, and hears of what comes.

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

/// A reader that nobody used for so long goes.
const IDLE: Duration = Duration::from_secs(30);
/// So many batches of so many records wait at most for whoever reads.
const BATCHES: usize = 4;
const BATCH: usize = 1000;
/// How often a reader that rests looks whether its position moved over what nobody can read.
const LOOK: Duration = Duration::from_millis(100);

/// All readers of this process.
pub(crate) struct Readers {
    settings: Settings,
    context: Context,
    changes: Watched<()>,
    idle: Mutex<Vec<Reader>>,
    onlookers: Mutex<HashMap<String, Arc<BaseConsumer<Context>>>>,
}

/// What a reader hears: records, and behind them how far it is.
type News = Result<(Vec<Record>, u64), LogError>;

/// Reads one partition.
pub(crate) struct Reader {
    partition: Partition,
    /// What is handed out next begins here.
    front: u64,
    buffer: VecDeque<Record>,
    /// Everything before this is in the buffer, or was handed out, or is nothing that can be read.
    position: u64,
    /// Whether it has been at the end: it hears of what comes, and need not ask.
    live: bool,
    news: mpsc::Receiver<News>,
    used: Instant,
}

impl Readers {
    pub(crate) fn new(settings: Settings, context: Context, changes: Watched<()>) -> Self {
        Self { settings, context, changes, idle: Mutex::default(), onlookers: Mutex::default() }
    }

    /// A reader that goes on here: one that is there, or a new one.
    pub(crate) fn take(&self, partition: &Partition, from: u64) -> Result<Reader, LogError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().position(|reader| reader.front == from && reader.partition == *partition);
        if let Some(place) = place {
            return Ok(idle.swap_remove(place));
        }
        drop(idle);
        let failed = |error| cluster_error("reading", &error);
        let consumer: StreamConsumer<Context> = self
            .settings
            .reader("read_committed")
            .create_with_context(self.context.clone())
            .map_err(failed)?;
        let mut list = TopicPartitionList::new();
        let at = Offset::Offset(i64::try_from(from).unwrap_or(0));
        let topic = self.settings.topic(&partition.stream);
        list.add_partition_offset(&topic, partition.number.cast_signed(), at).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (tell, news) = mpsc::channel(BATCHES);
        let pump = Pump { consumer, stream: partition.stream.clone(), position: from };
        tokio::spawn(pump.run(tell, self.changes.clone(), self.context.clone()));
        Ok(Reader {
            partition: partition.clone(),
            front: from,
            buffer: VecDeque::new(),
            position: from,
            live: false,
            news,
            used: Instant::now(),
        })
    }

    pub(crate) fn put(&self, mut reader: Reader) {
        reader.used = Instant::now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }

    /// Lets go of readers that nobody uses.
    pub(crate) fn prune(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|reader| reader.used.elapsed() < IDLE);
    }

    /// A client that asks for the offsets of a group, and is no member of it.
    pub(crate) fn of_group(&self, group: &str) -> Result<Arc<BaseConsumer<Context>>, LogError> {
        let mut known = self.onlookers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(group) {
            return Ok(found.clone());
        }
        let made: BaseConsumer<Context> = self
            .settings
            .onlooker(group)
            .create_with_context(self.context.clone())
            .map_err(|error| cluster_error("reading offsets", &error))?;
        let made = Arc::new(made);
        known.insert(group.into(), made.clone());
        Ok(made)
    }
}

impl Reader {
    /// Whether it has been at the end, and hears of what comes.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    fn keep(&mut self, news: News) -> Result<(), LogError> {
        let (records, position) = news?;
        self.buffer.extend(records);
        self.position = self.position.max(position);
        Ok(())
    }

    /// Waits until everything before this offset was read, or there is something to hand out.
    pub(crate) async fn read_up_to(&mut self, end: u64) -> Result<(), LogError> {
        while self.position < end && self.buffer.is_empty() {
            let news = self.news.recv().await.ok_or(LogError::Closed)?;
            self.keep(news)?;
        }
        self.live = self.position >= end;
        Ok(())
    }

    /// What is there, so many records of it at most.
    pub(crate) fn fetch(&mut self, most: usize) -> Fetched {
        while self.buffer.len() < most {
            match self.news.try_recv() {
                Ok(Ok((records, position))) => {
                    self.buffer.extend(records);
                    self.position = self.position.max(position);
                }
                // Told when somebody reads on.
                _ => break,
            }
        }
        let records: Vec<Record> = self.buffer.drain(..most.min(self.buffer.len())).collect();
        match records.last() {
            Some(last) if !self.buffer.is_empty() => self.front = last.offset + 1,
            _ => self.front = self.front.max(self.position),
        }
        Fetched { records, next: self.front }
    }
}

/// Moves what librdkafka has read to whoever reads.
struct Pump {
    consumer: StreamConsumer<Context>,
    stream: String,
    position: u64,
}

impl Pump {
    async fn run(mut self, tell: mpsc::Sender<News>, changes: Watched<()>, context: Context) {
        loop {
            let first = tokio::select! {
                biased;
                () = tell.closed() => return,
                first = tokio::time::timeout(LOOK, self.consumer.recv()) => first,
            };
            let mut records = Vec::new();
            let mut failure = None;
            match first {
                Ok(Ok(message)) => records.push(records::record(&self.stream, &message)),
                Ok(Err(error)) => failure = refused(&error),
                Err(_) => {}
            }
            while !records.is_empty() && records.len() < BATCH {
                match self.consumer.recv().now_or_never() {
                    Some(Ok(message)) => records.push(records::record(&self.stream, &message)),
                    _ => break,
                }
            }
            let before = self.position;
            self.look(records.last());
            let news = match failure {
                Some(error) => Err(error),
                None if records.is_empty() && before == self.position => continue,
                None => Ok((records, self.position)),
            };
            context.health().worked();
            if tell.send(news).await.is_err() {
                return;
            }
            changes.modify(|()| {});
        }
    }

    /// How far the reader is: behind markers of transactions too, and what was aborted.
    fn look(&mut self, last: Option<&Record>) {
        let found = self.consumer.position().ok();
        let found = found
            .and_then(|list| list.elements().first().map(|element| records::offset(Some(element.offset()))));
        let read = last.map_or(0, |last| last.offset + 1);
        self.position = self.position.max(read).max(found.unwrap_or(0));
    }
}

fn refused(error: &KafkaError) -> Option<LogError> {
    use RDKafkaErrorCode as Code;
    let no = [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::UnknownTopic];
    let code = error.rdkafka_error_code()?;
    no.contains(&code).then(|| cluster_error("reading", error))
}
