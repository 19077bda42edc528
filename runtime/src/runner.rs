//! Runs a stateless processor: a bounded window of records at work in any order, results published in order.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use millrace_topology::{Emit, Processor, ProcessorError, ProcessorSpec, Task};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    dead_letter::dead_letter,
    log::{Assignment, Event, Log, LogError, Membership, NewRecord, Partition, Record, Transaction},
    stop::{Level, Stop},
};

/// How a processor runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many records may be at work or finished and not yet published.
    pub window: usize,
    /// The first pause before a transient error is tried again; it doubles, with jitter, up to 30 s.
    pub backoff: Duration,
    /// For how long a transient error is tried again before it counts as permanent.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: 64, backoff: Duration::from_millis(100), patience: Duration::from_secs(300) }
    }
}

/// Why a processor ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log failed.
    #[error("{processor}: {source}")]
    Log {
        /// Which processor.
        processor: &'static str,
        /// What the log says.
        #[source]
        source: LogError,
    },
    /// The processor can't go on.
    #[error("{processor}: {reason}")]
    Fatal {
        /// Which processor.
        processor: &'static str,
        /// Why.
        reason: String,
    },
}

/// A record that was taken: its results, once they are there.
struct Taken {
    offset: u64,
    results: Option<Vec<NewRecord>>,
}

/// What is at work, by partition.
#[derive(Default)]
struct Window {
    partitions: HashMap<Partition, VecDeque<Taken>>,
}

impl Window {
    fn len(&self) -> usize {
        self.partitions.values().map(VecDeque::len).sum()
    }

    fn take(&mut self, record: &Record) {
        let queue = self.partitions.entry(record.partition.clone()).or_default();
        queue.push_back(Taken { offset: record.offset, results: None });
    }

    fn finish(&mut self, partition: &Partition, offset: u64, results: Vec<NewRecord>) {
        let queue = self.partitions.get_mut(partition);
        if let Some(taken) = queue.and_then(|queue| queue.iter_mut().find(|t| t.offset == offset)) {
            taken.results = Some(results);
        }
    }

    /// Forgets partitions that are no longer owned: what is at work there may finish, and commits nothing.
    fn keep(&mut self, partitions: &[Partition]) {
        self.partitions.retain(|partition, _| partitions.contains(partition));
    }

    /// Takes out what is finished, of each partition from its front on: LG-1, in order and nothing skipped.
    fn finished(&mut self, membership: &Membership) -> Option<Transaction> {
        let mut transaction = Transaction { membership: Some(membership.clone()), ..Transaction::default() };
        for (partition, queue) in &mut self.partitions {
            let mut next = None;
            while let Some(results) = queue.front_mut().and_then(|taken| taken.results.take()) {
                next = queue.pop_front().map(|taken| taken.offset + 1);
                transaction.records.extend(results);
            }
            if let Some(next) = next {
                transaction.offsets.push((partition.clone(), next));
            }
        }
        (!transaction.offsets.is_empty()).then_some(transaction)
    }
}

/// Runs a processor until it is told to stop.
///
/// # Errors
/// Where the log fails, or the processor says that the process can't go on.
pub async fn run_processor<P: Processor>(
    log: Arc<dyn Log>,
    spec: ProcessorSpec,
    processor: Arc<P>,
    options: Options,
    stop: Stop,
) -> Result<(), RunError> {
    let failed = |source| RunError::Log { processor: spec.name, source };
    let mut consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
    let mut window = Window::default();
    let mut at_work = JoinSet::new();
    let mut assignment: Option<Assignment> = None;

    loop {
        if stop.level() == Level::Now || (stop.level() == Level::Drain && at_work.is_empty()) {
            return Ok(());
        }
        let room = options.window.saturating_sub(window.len());
        tokio::select! {
            () = stop.reaches(if stop.level() == Level::Run { Level::Drain } else { Level::Now }) => {}
            event = consumer.next(room), if stop.level() == Level::Run && room > 0 => {
                match event.map_err(failed)? {
                    Event::Assigned(new) => {
                        window.keep(&new.partitions);
                        assignment = Some(new);
                    }
                    Event::Records(records) => {
                        for record in records {
                            window.take(&record);
                            at_work.spawn(handle(processor.clone(), record, options));
                        }
                    }
                }
            }
            Some(done) = at_work.join_next() => {
                let (partition, offset, results) = done
                    .map_err(|error| error.to_string())
                    .and_then(|(partition, offset, results)| Ok((partition, offset, results?)))
                    .map_err(|reason| RunError::Fatal { processor: spec.name, reason })?;
                // What was left as it was stays at the front of its partition: nothing behind it is committed.
                if let Some(results) = results {
                    window.finish(&partition, offset, results);
                }
            }
        }
        let Some(owned) = &assignment else { continue };
        if let Some(transaction) = window.finished(&owned.membership) {
            match log.commit(transaction).await {
                // The partitions moved: their new owner does the work again, and finds it done. Begin again from
                // what is committed.
                Err(LogError::Fenced { .. }) => {
                    window.keep(&[]);
                    assignment = None;
                    drop(consumer);
                    consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
                }
                result => result.map_err(failed)?,
            }
        }
    }
}

/// Handles one record to its end: retries what is transient, sets aside what is permanent. None where the process ends
/// before it was done.
async fn handle<P: Processor>(
    processor: Arc<P>,
    record: Record,
    options: Options,
) -> (Partition, u64, Result<Option<Vec<NewRecord>>, String>) {
    let results = attempt(processor.as_ref(), &record, options).await;
    (record.partition, record.offset, results)
}

async fn attempt<P: Processor>(
    processor: &P,
    record: &Record,
    options: Options,
) -> Result<Option<Vec<NewRecord>>, String> {
    let Some(value) = &record.value else { return Ok(Some(Vec::new())) };
    let input = match processor.read(value) {
        Ok(input) => input,
        Err(error) => return Ok(Some(vec![dead_letter(record, &error.to_string())])),
    };
    let give_up = |reason: &str| {
        tracing::warn!(stream = record.partition.stream, offset = record.offset, reason, "dead letter");
        let follows = processor.given_up(&input, reason).into_iter().map(NewRecord::from);
        Ok(Some(follows.chain([dead_letter(record, reason)]).collect()))
    };
    let deadline = Instant::now() + options.patience;
    let mut pause = options.backoff;
    loop {
        match processor.handle(&input, Task { appended_ms: record.at_ms }).await {
            Ok(emits) => return Ok(Some(emits.into_iter().map(|emit: Emit| emit.into()).collect())),
            Err(ProcessorError::Stopped) => return Ok(None),
            Err(ProcessorError::Fatal(reason)) => return Err(reason),
            Err(ProcessorError::Permanent(reason)) => return give_up(&reason),
            Err(ProcessorError::Transient(reason)) => {
                let wait = pause.mul_f64(0.5 + fastrand::f64());
                if Instant::now() + wait > deadline {
                    return give_up(&format!("{reason} (given up after {:?})", options.patience));
                }
                tracing::info!(reason, ?wait, "tried again later");
                tokio::time::sleep(wait).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        }
    }
}
