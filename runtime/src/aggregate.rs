//! Runs a keyed aggregation: state restored before its partition is consumed; records, state and offsets in one
//! transaction.

mod batch;
mod restore;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use millrace_topology::{Aggregation, Clock, ProcessorSpec, faults::Fault};

use crate::{
    announced::Announced,
    backoff::Backoff,
    log::{Event, Log, LogError, Membership, Transaction},
    metrics,
    runner::{Options, RunError, outcome},
    stop::{Level, Stop},
};
use batch::Batch;
use restore::restore;

/// How many records are folded into one transaction: on a cluster one takes some tens of milliseconds, whatever is in it.
const BATCH: usize = 5000;

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
/// Where the log fails.
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
    let announced = Announced::new(&log);
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
                    let restored = tokio::select! {
                        biased;
                        restored = restore(log.as_ref(), table, owned, &announced) => restored.map_err(failed)?,
                        () = stop.reaches(Level::Drain) => return Ok(()),
                    };
                    let part = place.insert(restored.part);
                    for (record, reason) in restored.strays {
                        batch.stray(part, number, record, &reason);
                    }
                }
                membership = Some(new.membership);
            }
            Some(Event::Records(records)) => {
                metrics::published(spec.name, records.len());
                let claims = announced.batch();
                for record in records {
                    if let Some(part) = parts.get_mut(&record.partition.number) {
                        batch.record(aggregation.as_ref(), part, record, &claims).await.map_err(failed)?;
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
        if !commit(log.as_ref(), spec.name, transaction, options).await.map_err(failed)? {
            // What was folded here counts for nothing, or nobody knows: begin again from what is committed.
            parts.clear();
            membership = None;
            consumer.rewind();
        }
    }
    Ok(())
}

/// Commits a transaction; what was aborted is committed again. False where the partitions moved, or where nobody knows: a
/// punctuation's offsets can't tell.
async fn commit(
    log: &dyn Log,
    processor: &'static str,
    transaction: Transaction,
    options: Options,
) -> Result<bool, LogError> {
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
        let result = log.commit(again).await;
        metrics::committed(processor, outcome(&result));
        match result {
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
