//! Runs a stateless processor: a bounded window of records is processed concurrently, and results are
//! published in the order of offsets.

mod window;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use millrace_schemas::{RecordError, masked_url};
use millrace_topology::{Clock, Processor, ProcessorError, ProcessorSpec, Task, faults::Fault, millis_now};
use tokio::{
    task::{AbortHandle, JoinError, JoinSet},
    time::Instant,
};
use tracing::Instrument as _;

use crate::{
    announcements::{Announcements, VersionCheck},
    backoff::Backoff,
    dead_letter::{GIVEN_UP, UNREADABLE, set_aside},
    error::LogError,
    log::{Event, Log, Membership},
    metrics,
    record::{NewRecord, Partition, Record, check_size, oversize_reason},
    stop::{Level, Stop},
};
use window::Window;

/// The longest part of a record's key that is logged, in bytes.
const LONGEST_KEY: usize = 200;

/// How a processor or an aggregation runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The most records in flight, or finished and not yet published.
    pub window: usize,
    /// The first pause before a retry. It doubles, with jitter, up to 30 s.
    pub backoff: Duration,
    /// How long a record with transient errors is retried before it is given up.
    pub patience: Duration,
    /// The clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: 64,
            backoff: Duration::from_millis(100),
            patience: Duration::from_secs(300),
            clock: millis_now,
        }
    }
}

/// Why a processor ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log failed.
    #[error("{processor}: {source}")]
    Log {
        /// The processor's name.
        processor: &'static str,
        /// The log's error.
        #[source]
        source: LogError,
    },
    /// The processor reported an error that ends the process, or panicked.
    #[error("{processor}: {reason}")]
    Fatal {
        /// The processor's name.
        processor: &'static str,
        /// The reason.
        reason: String,
    },
}

/// Runs a processor until the stop level reaches [`Level::Drain`], and then until the records in flight are
/// done or the level reaches [`Level::Now`].
///
/// # Errors
/// Fails if the log fails, or if the processor returns [`ProcessorError::Fatal`] or panics.
pub async fn run_processor<P: Processor>(
    log: Arc<dyn Log>,
    spec: ProcessorSpec,
    processor: Arc<P>,
    options: Options,
    stop: Stop,
) -> Result<(), RunError> {
    let failed = |source| RunError::Log { processor: spec.name, source };
    let mut consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
    let announcements = Announcements::new(&log);
    let mut window = Window::default();
    let mut in_flight = JoinSet::new();
    let mut handles: BTreeMap<(Partition, u64), AbortHandle> = BTreeMap::new();
    // `None` until the next assignment.
    let mut membership: Option<Membership> = None;
    let mut predecessor_offsets = BTreeMap::new();

    loop {
        let level = stop.level();
        if level == Level::Now || (level == Level::Drain && in_flight.is_empty()) {
            return Ok(());
        }
        let room = if level == Level::Run { options.window.saturating_sub(window.len()) } else { 0 };
        tokio::select! {
            biased;
            () = stop.reaches(if level == Level::Run { Level::Drain } else { Level::Now }) => {}
            Some(done) = in_flight.join_next() => {
                // All finished records are published together: a commit costs the same for one record and for
                // many.
                let mut next = Some(done);
                while let Some(done) = next {
                    next = in_flight.try_join_next();
                    if done.as_ref().is_err_and(JoinError::is_cancelled) {
                        continue;
                    }
                    let (partition, offset, results) = done
                        .map_err(|error| error.to_string())
                        .and_then(|(partition, offset, results)| Ok((partition, offset, results?)))
                        .map_err(|reason| RunError::Fatal { processor: spec.name, reason })?;
                    // A record without results stays at the front of its partition: nothing behind it is
                    // committed.
                    if let Some(results) = results {
                        window.finish(&partition, offset, results);
                    }
                    handles.remove(&(partition, offset));
                }
            }
            // Polled with a full window too, for new assignments.
            event = consumer.next(room) => match event.map_err(failed)? {
                Event::Assigned(new) => {
                    window.retain(&new.partitions);
                    // The new owner processes these records. What a port has begun continues, as it makes a
                    // work object that the new owner can use.
                    handles.retain(|(partition, _), handle| {
                        let is_kept = window.contains(partition);
                        if !is_kept {
                            handle.abort();
                        }
                        is_kept
                    });
                    membership = Some(new.membership);
                }
                Event::Records(records) => {
                    let check = announcements.check_batch();
                    for record in records {
                        window.add(&record);
                        let id = (record.partition.clone(), record.offset);
                        if let Some(group) = &spec.succeeded_group()
                            && is_done(log.as_ref(), group, &record, &mut predecessor_offsets).await.map_err(failed)?
                        {
                            window.finish(&id.0, id.1, Vec::new());
                            continue;
                        }
                        let work = handle(spec.name, processor.clone(), record, check.clone(), options, stop.clone());
                        handles.insert(id, in_flight.spawn(work));
                    }
                }
            },
        }
        if let Some(owner) = &membership
            && !publish(log.as_ref(), spec.name, &mut window, owner, options, &stop).await.map_err(failed)?
        {
            membership = None;
        }
        metrics::set_in_flight(spec.name, window.len());
    }
}

/// Returns `true` if the group that consumed this stream in earlier versions has processed this record. The
/// group's offset is read once for each partition: such a group runs only during an upgrade, and a record
/// that both groups process has its results once.
async fn is_done(
    log: &dyn Log,
    group: &str,
    record: &Record,
    predecessor_offsets: &mut BTreeMap<Partition, u64>,
) -> Result<bool, LogError> {
    let next = match predecessor_offsets.get(&record.partition) {
        Some(next) => *next,
        None => {
            let next = log.committed(group, &record.partition).await?;
            predecessor_offsets.insert(record.partition.clone(), next);
            next
        }
    };
    Ok(record.offset < next)
}

/// Publishes the finished results in order. An abort loses none of them. Returns `false` if the assignment is
/// over: partitions that are still owned are published under the next one.
async fn publish(
    log: &dyn Log,
    processor: &'static str,
    window: &mut Window,
    owner: &Membership,
    options: Options,
    stop: &Stop,
) -> Result<bool, LogError> {
    let mut backoff = Backoff::new(options.backoff);
    while let Some(transaction) = window.finished(owner) {
        let offsets = transaction.offsets.clone();
        let result = window::commit(log, transaction).await;
        metrics::count_commit(processor, &result);
        match result {
            Ok(()) => {
                let before = window.len();
                window.remove_published(&offsets);
                metrics::count_published(processor, before - window.len());
            }
            Err(LogError::Fenced { .. }) => return Ok(false),
            Err(LogError::Aborted { reason }) => {
                tracing::info!(group = owner.group, reason, "committing an aborted transaction again");
                if Fault::AbortForgets.is_planted() {
                    window.remove_published(&offsets);
                }
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(backoff.pause()) => {}
                    () = stop.reaches(Level::Now) => return Ok(true),
                }
            }
            // The committed offsets show whether it was committed: a transaction is committed as a whole or
            // not at all.
            Err(LogError::Uncertain { reason }) => {
                tracing::info!(
                    group = owner.group,
                    reason,
                    "reading the committed offsets after a commit without acknowledgement"
                );
                if Fault::LostAckRepeated.is_planted() {
                    continue;
                }
                for (partition, _) in offsets {
                    let next = log.committed(&owner.group, &partition).await?;
                    window.remove_published(&[(partition, next)]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The partition and offset of a record with its results; `None` if the process ended before there were any.
type Handled = (Partition, u64, Result<Option<Vec<NewRecord>>, String>);

/// Processes one record: retries transient errors, and makes a dead letter after a permanent one.
async fn handle<P: Processor>(
    name: &'static str,
    processor: Arc<P>,
    record: Record,
    check: VersionCheck,
    options: Options,
    stop: Stop,
) -> Handled {
    let begun = Instant::now();
    // The key of an upload is its source's URL.
    let key = masked_url(&String::from_utf8_lossy(&record.key[..record.key.len().min(LONGEST_KEY)]));
    let span =
        tracing::info_span!("record", stream = record.partition.stream, offset = record.offset, key = %key);
    let results = attempt(name, processor.as_ref(), &record, &check, options, &stop).instrument(span).await;
    metrics::record_latency(name, begun.elapsed());
    (record.partition, record.offset, results)
}

/// Returns the results of a record, `None` if the process is stopping, or the reason of a fatal error.
async fn attempt<P: Processor>(
    name: &'static str,
    processor: &P,
    record: &Record,
    check: &VersionCheck,
    options: Options,
    stop: &Stop,
) -> Result<Option<Vec<NewRecord>>, String> {
    let Some(value) = &record.value else { return Ok(Some(Vec::new())) };
    let input = match check_size(value).and_then(|()| processor.read_record(value, &record.headers)) {
        Ok(input) => input,
        Err(error) => match check.resolve_claim(error).await.map_err(|error| error.to_string())? {
            error @ RecordError::Newer { .. } => {
                wait_for_upgrade(record, &error, stop).await;
                return Ok(None);
            }
            error => return Ok(Some(vec![set_aside(record, UNREADABLE, &error.to_string())])),
        },
    };
    let task = Task { appended_ms: record.at_ms, clock: options.clock };
    let give_up = |reason: &str| {
        let results = processor.given_up(&input, task, reason).into_iter().map(NewRecord::from);
        Ok(Some(results.chain([set_aside(record, GIVEN_UP, reason)]).collect()))
    };
    let deadline = Instant::now() + options.patience;
    let mut backoff = Backoff::new(options.backoff);
    loop {
        match processor.handle(&input, task).await {
            Ok(emits) => match emits.iter().find_map(oversize_reason) {
                Some(reason) => return give_up(&reason),
                None => return Ok(Some(emits.into_iter().map(NewRecord::from).collect())),
            },
            Err(ProcessorError::Stopped) if stop.level() > Level::Run => return Ok(None),
            Err(ProcessorError::Fatal(reason)) => return Err(reason),
            Err(ProcessorError::Permanent(reason)) => return give_up(&reason),
            // `Stopped` while the process runs on is retried: an unprocessed record would block its partition
            // forever.
            Err(error @ (ProcessorError::Transient(_) | ProcessorError::Stopped)) => {
                let reason = error.to_string();
                let pause = backoff.pause();
                if Instant::now() + pause > deadline {
                    return give_up(&format!("{reason} (given up after {:?})", options.patience));
                }
                tracing::info!(reason, ?pause, "retrying after a pause");
                metrics::count_retry(name);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    () = stop.reaches(Level::Drain) => return Ok(None),
                }
            }
        }
    }
}

/// Waits until the process stops: the record, and with it its partition, is left for a Millrace that can read
/// it.
async fn wait_for_upgrade(record: &Record, error: &RecordError, stop: &Stop) {
    let Partition { stream, number } = &record.partition;
    tracing::error!(stream, partition = number, offset = record.offset, %error, "waits for an upgrade of this process");
    stop.reaches(Level::Drain).await;
}
