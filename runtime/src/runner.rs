//! Runs a stateless processor: a bounded window of records at work in any order, results published in order.

mod window;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use millrace_schemas::RecordError;
use millrace_topology::{
    Clock, Emit, Processor, ProcessorError, ProcessorSpec, Task, faults::Fault, millis_now,
};
use tokio::{
    task::{AbortHandle, JoinError, JoinSet},
    time::Instant,
};
use tracing::Instrument as _;

use crate::{
    announced::{Announced, Claims},
    backoff::Backoff,
    dead_letter::dead_letter,
    log::{Event, LARGEST_VALUE, Log, LogError, Membership, NewRecord, Partition, Record},
    metrics,
    stop::{Level, Stop},
};
use window::Window;

/// How much of the reason of a dead letter is told, in characters.
const LONGEST_REASON: usize = 2000;
/// How much of a record's key is logged, in bytes.
const LONGEST_KEY: usize = 200;

/// How a processor runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many records may be at work or finished and not yet published.
    pub window: usize,
    /// The first pause before a transient error is tried again; it doubles, with jitter, up to 30 s.
    pub backoff: Duration,
    /// For how long a transient error is tried again before it counts as permanent.
    pub patience: Duration,
    /// What tells the time.
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
    let announced = Announced::new(&log);
    let mut window = Window::default();
    let mut at_work = JoinSet::new();
    let mut handles: BTreeMap<(Partition, u64), AbortHandle> = BTreeMap::new();
    // None while another assignment is awaited.
    let mut membership: Option<Membership> = None;
    let mut done_before = BTreeMap::new();

    loop {
        let level = stop.level();
        if level == Level::Now || (level == Level::Drain && at_work.is_empty()) {
            return Ok(());
        }
        let room = if level == Level::Run { options.window.saturating_sub(window.len()) } else { 0 };
        tokio::select! {
            biased;
            () = stop.reaches(if level == Level::Run { Level::Drain } else { Level::Now }) => {}
            Some(done) = at_work.join_next() => {
                // What is finished together is published together: a commit costs the same for one record and for many.
                let mut next = Some(done);
                while let Some(done) = next {
                    next = at_work.try_join_next();
                    if done.as_ref().is_err_and(JoinError::is_cancelled) {
                        continue;
                    }
                    let (partition, offset, results) = done
                        .map_err(|error| error.to_string())
                        .and_then(|(partition, offset, results)| Ok((partition, offset, results?)))
                        .map_err(|reason| RunError::Fatal { processor: spec.name, reason })?;
                    // What was left as it was stays at the front of its partition: nothing behind it is committed.
                    if let Some(results) = results {
                        window.finish(&partition, offset, results);
                    }
                    handles.remove(&(partition, offset));
                }
            }
            // Also where there is no room: to hear of assignments.
            event = consumer.next(room) => match event.map_err(failed)? {
                Event::Assigned(new) => {
                    window.keep(&new.partitions);
                    // Whoever owns it now does it; what a port has begun goes on for its work object's sake.
                    handles.retain(|(partition, _), handle| {
                        let stays = window.has(partition);
                        if !stays {
                            handle.abort();
                        }
                        stays
                    });
                    membership = Some(new.membership);
                }
                Event::Records(records) => {
                    let claims = announced.batch();
                    for record in records {
                        window.take(&record);
                        let place = (record.partition.clone(), record.offset);
                        if let Some(group) = &spec.succeeded_group()
                            && is_done(log.as_ref(), group, &record, &mut done_before).await.map_err(failed)?
                        {
                            window.finish(&place.0, place.1, Vec::new());
                            continue;
                        }
                        let work = handle(spec.name, processor.clone(), record, claims.clone(), options, stop.clone());
                        handles.insert(place, at_work.spawn(work));
                    }
                }
            },
        }
        if let Some(owner) = &membership
            && !publish(log.as_ref(), spec.name, &mut window, owner, options, &stop).await.map_err(failed)?
        {
            membership = None;
        }
        metrics::in_flight(spec.name, window.len());
    }
}

/// Returns `true` if the group that consumed this stream in earlier versions has done this record. It is asked once for each
/// partition: such a group goes on only while an upgrade lasts, and what both do is done once all the same.
async fn is_done(
    log: &dyn Log,
    group: &str,
    record: &Record,
    done_before: &mut BTreeMap<Partition, u64>,
) -> Result<bool, LogError> {
    let next = match done_before.get(&record.partition) {
        Some(next) => *next,
        None => {
            let next = log.committed(group, &record.partition).await?;
            done_before.insert(record.partition.clone(), next);
            next
        }
    };
    Ok(record.offset < next)
}

/// Publishes what is finished in order. Finished results survive an abort. False where the assignment is over: what is
/// still owned then is published under the next one.
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
        metrics::committed(processor, outcome(&result));
        match result {
            Ok(()) => {
                let before = window.len();
                window.published(&offsets);
                metrics::published(processor, before - window.len());
            }
            Err(LogError::Fenced { .. }) => return Ok(false),
            Err(LogError::Aborted { reason }) => {
                tracing::info!(group = owner.group, reason, "committed again");
                if Fault::AbortForgets.is_planted() {
                    window.published(&offsets);
                }
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(backoff.pause()) => {}
                    () = stop.reaches(Level::Now) => return Ok(true),
                }
            }
            // What is committed tells whether it was: all of a transaction is, or nothing.
            Err(LogError::Uncertain { reason }) => {
                tracing::info!(group = owner.group, reason, "what is committed is looked up");
                if Fault::LostAckRepeated.is_planted() {
                    continue;
                }
                for (partition, _) in offsets {
                    let next = log.committed(&owner.group, &partition).await?;
                    window.published(&[(partition, next)]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// How a commit ended, in a word.
pub(crate) fn outcome(result: &Result<(), LogError>) -> &'static str {
    match result {
        Ok(()) => "committed",
        Err(LogError::Fenced { .. }) => "fenced",
        Err(LogError::Aborted { .. }) => "aborted",
        Err(LogError::Uncertain { .. }) => "uncertain",
        Err(_) => "failed",
    }
}

/// What became of a record; no results where the process ends before it was done.
type Handled = (Partition, u64, Result<Option<Vec<NewRecord>>, String>);

/// Handles one record to its end: retries what is transient, sets aside what is permanent.
async fn handle<P: Processor>(
    name: &'static str,
    processor: Arc<P>,
    record: Record,
    claims: Claims,
    options: Options,
    stop: Stop,
) -> Handled {
    let begun = Instant::now();
    let key = String::from_utf8_lossy(&record.key[..record.key.len().min(LONGEST_KEY)]);
    let span =
        tracing::info_span!("record", stream = record.partition.stream, offset = record.offset, key = %key);
    let results = attempt(name, processor.as_ref(), &record, &claims, options, &stop).instrument(span).await;
    metrics::handled(name, begun.elapsed());
    (record.partition, record.offset, results)
}

async fn attempt<P: Processor>(
    name: &'static str,
    processor: &P,
    record: &Record,
    claims: &Claims,
    options: Options,
    stop: &Stop,
) -> Result<Option<Vec<NewRecord>>, String> {
    let Some(value) = &record.value else { return Ok(Some(Vec::new())) };
    let input = match checked(value).and_then(|()| processor.read_record(value, &record.headers)) {
        Ok(input) => input,
        Err(error) => match claims.settle(error).await.map_err(|error| error.to_string())? {
            error @ RecordError::Newer { .. } => {
                wait_for_upgrade(record, &error, stop).await;
                return Ok(None);
            }
            error => return Ok(Some(vec![set_aside(record, "unreadable", &error.to_string())])),
        },
    };
    let task = Task { appended_ms: record.at_ms, clock: options.clock };
    let give_up = |reason: &str| {
        let follows = processor.given_up(&input, task, reason).into_iter().map(NewRecord::from);
        Ok(Some(follows.chain([set_aside(record, "given-up", reason)]).collect()))
    };
    let deadline = Instant::now() + options.patience;
    let mut backoff = Backoff::new(options.backoff);
    loop {
        match processor.handle(&input, task).await {
            Ok(emits) => match emits.iter().find_map(too_large) {
                Some(reason) => return give_up(&reason),
                None => return Ok(Some(emits.into_iter().map(NewRecord::from).collect())),
            },
            Err(ProcessorError::Stopped) if stop.level() > Level::Run => return Ok(None),
            Err(ProcessorError::Fatal(reason)) => return Err(reason),
            Err(ProcessorError::Permanent(reason)) => return give_up(&reason),
            // What stops in a process that goes on is tried again: left as it is, it would hold its partition for good.
            Err(error @ (ProcessorError::Transient(_) | ProcessorError::Stopped)) => {
                let reason = error.to_string();
                let pause = backoff.pause();
                if Instant::now() + pause > deadline {
                    return give_up(&format!("{reason} (given up after {:?})", options.patience));
                }
                tracing::info!(reason, ?pause, "tried again later");
                metrics::retried(name);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    () = stop.reaches(Level::Drain) => return Ok(None),
                }
            }
        }
    }
}

/// Whether a value is of a size that is read at all.
pub(crate) fn checked(value: &[u8]) -> Result<(), RecordError> {
    match value.len() {
        ..=LARGEST_VALUE => Ok(()),
        bytes => Err(RecordError::LargeValue { bytes, most: LARGEST_VALUE }),
    }
}

/// Why a record to publish is too large, where it is.
pub(crate) fn too_large(emit: &Emit) -> Option<String> {
    let bytes = emit.value.as_ref().map_or(0, Vec::len);
    (bytes > LARGEST_VALUE).then(|| {
        format!(
            "what follows from it is a record of {bytes} bytes for '{}', and {LARGEST_VALUE} are the most",
            emit.stream
        )
    })
}

/// A record of a newer version waits, with its partition, until a Millrace that can read it takes over.
async fn wait_for_upgrade(record: &Record, error: &RecordError, stop: &Stop) {
    let Partition { stream, number } = &record.partition;
    tracing::error!(stream, partition = number, offset = record.offset, %error, "waits for an upgrade of this process");
    stop.reaches(Level::Drain).await;
}

pub(crate) fn set_aside(record: &Record, kind: &str, reason: &str) -> NewRecord {
    let Partition { stream, number } = &record.partition;
    // What can't be read may be quoted in the reason, whole.
    let reason: String = reason.chars().take(LONGEST_REASON).collect();
    tracing::warn!(stream, partition = number, offset = record.offset, reason, "dead letter");
    metrics::set_aside(stream, kind);
    dead_letter(record, kind, &reason)
}
