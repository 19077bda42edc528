//! Runs a keyed aggregation: state restored before its partition is consumed; records, state and offsets in one
//! transaction.

mod batch;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use millrace_schemas::RecordError;
use millrace_topology::{Aggregation, Clock, ProcessorSpec, StreamSpec, faults::Fault};

use crate::{
    backoff::Backoff,
    log::{Event, Log, LogError, Membership, Owned, Partition, Transaction},
    runner::{Options, RunError},
    stop::{Level, Stop},
};
use batch::Batch;

/// How many records are folded into one transaction.
const BATCH: usize = 1000;

/// The states of the keys of one partition.
type States<S> = BTreeMap<Vec<u8>, S>;

/// A partition that is owned: its states, and how far it was folded.
struct Part<S> {
    states: States<S>,
    position: u64,
    /// A newer Millrace's record is next: it waits for an upgrade of this process.
    waits: bool,
}

type Parts<S> = BTreeMap<u32, Part<S>>;

/// Runs an aggregation until it is told to stop.
///
/// # Errors
/// Where the log fails, or the changelog holds what is no state.
pub async fn run_aggregation<A: Aggregation>(
    log: Arc<dyn Log>,
    spec: ProcessorSpec,
    aggregation: Arc<A>,
    options: Options,
    stop: Stop,
) -> Result<(), RunError> {
    let failed = |source| RunError::Log { processor: spec.name, source };
    let fatal = |reason: String| RunError::Fatal { processor: spec.name, reason };
    let table = spec.state.ok_or_else(|| fatal("an aggregation needs a table for its state".into()))?;
    let mut consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
    let mut parts: Parts<A::State> = BTreeMap::new();
    let mut membership: Option<Membership> = None;

    while stop.level() == Level::Run {
        let due = if membership.is_some() { next_wake(aggregation.as_ref(), &parts) } else { None };
        let event = tokio::select! {
            biased;
            () = stop.reaches(Level::Drain) => return Ok(()),
            () = until(due, options.clock) => None,
            event = consumer.next(BATCH) => Some(event.map_err(failed)?),
        };
        let mut batch = Batch::new(spec.reads, table);
        match event {
            Some(Event::Assigned(new)) => {
                parts.retain(|number, _| {
                    new.partitions.iter().any(|o| o.partition.number == *number && !o.fresh)
                });
                for owned in &new.partitions {
                    let number = owned.partition.number;
                    let Entry::Vacant(place) = parts.entry(number) else { continue };
                    let part = tokio::select! {
                        biased;
                        part = restore(log.as_ref(), table, owned) => part.map_err(failed)?,
                        () = stop.reaches(Level::Drain) => return Ok(()),
                    };
                    place.insert(part.map_err(|error| fatal(error.to_string()))?);
                }
                membership = Some(new.membership);
                continue;
            }
            Some(Event::Records(records)) => {
                for record in records {
                    if let Some(part) = parts.get_mut(&record.partition.number) {
                        batch.record(aggregation.as_ref(), part, record);
                    }
                }
            }
            None => {
                let now = (options.clock)();
                for (number, part) in &mut parts {
                    batch.punctuate(aggregation.as_ref(), part, *number, &spec, now);
                }
            }
        }
        let Some(owner) = &membership else { continue };
        let mut transaction = batch.transaction(&parts).map_err(|error| fatal(error.to_string()))?;
        transaction.membership = Some(owner.clone());
        if !commit(log.as_ref(), transaction, options).await.map_err(failed)? {
            // What was folded here counts for nothing, or nobody knows: begin again from what is committed.
            parts.clear();
            membership = None;
            drop(consumer);
            consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Commits a transaction; what was aborted is committed again. False where the partitions moved, or where nobody knows: a
/// punctuation's offsets can't tell.
async fn commit(log: &dyn Log, transaction: Transaction, options: Options) -> Result<bool, LogError> {
    if transaction.offsets.is_empty() {
        return Ok(true);
    }
    let mut backoff = Backoff::new(options.backoff);
    loop {
        let again = Transaction {
            records: transaction.records.clone(),
            offsets: transaction.offsets.clone(),
            membership: transaction.membership.clone(),
        };
        match log.commit(again).await {
            Ok(()) => return Ok(true),
            Err(LogError::Uncertain { .. }) if Fault::LostAckRepeated.is_planted() => {}
            Err(LogError::Aborted { .. }) if Fault::AbortForgets.is_planted() => return Ok(true),
            Err(LogError::Fenced { .. } | LogError::Uncertain { .. }) => return Ok(false),
            Err(LogError::Aborted { reason }) => {
                tracing::info!(reason, "committed again");
                tokio::time::sleep(backoff.pause()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn next_wake<A: Aggregation>(aggregation: &A, parts: &Parts<A::State>) -> Option<i64> {
    let awake = parts.values().filter(|part| !part.waits);
    awake.flat_map(|part| part.states.values()).filter_map(|state| aggregation.wakes_at(state)).min()
}

async fn until(due_ms: Option<i64>, clock: Clock) {
    match due_ms {
        Some(due) => {
            let wait = u64::try_from(due - clock()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => std::future::pending().await,
    }
}

/// Reads a partition's states up to the end that its changelog has now, as read uncommitted: what a transaction under way
/// adds belongs to it.
async fn restore<S: millrace_schemas::frame::Record>(
    log: &dyn Log,
    table: StreamSpec,
    owned: &Owned,
) -> Result<Result<Part<S>, RecordError>, LogError> {
    let partition = Partition { stream: table.name.into(), number: owned.partition.number };
    let mut part = Part { states: States::new(), position: owned.position, waits: false };
    if Fault::NoRestore.is_planted() {
        return Ok(Ok(part));
    }
    let mut changes = log.changes();
    let end = log.end(&partition).await?;
    let mut from = 0;
    while from < end {
        changes.mark_seen();
        let fetched = log.read(&partition, from, BATCH).await?;
        if fetched.next == from {
            if Fault::RestoreStopsEarly.is_planted() {
                break;
            }
            changes.changed().await;
            continue;
        }
        from = fetched.next;
        for record in fetched.records {
            match record.value.map(|value| S::decode(&value)) {
                Some(Ok(state)) => drop(part.states.insert(record.key, state)),
                Some(Err(error @ RecordError::Newer { .. })) => {
                    tracing::warn!(table = table.name, partition = partition.number, %error, "waits for an upgrade of this process");
                    part.waits = true;
                }
                Some(Err(error)) => return Ok(Err(error)),
                None => drop(part.states.remove(&record.key)),
            }
        }
    }
    Ok(Ok(part))
}
