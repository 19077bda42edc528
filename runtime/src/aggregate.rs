//! Runs a keyed aggregation. The state of a partition is restored before the partition is consumed; records, state and
//! offsets are committed in one transaction.

mod batch;
mod partition;
mod restore;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use millrace_topology::{Aggregation, Clock, ProcessorSpec, faults::Fault};

use crate::{
    announcements::Announcements,
    backoff::Backoff,
    error::LogError,
    log::{Event, Log, Membership, Transaction},
    metrics,
    runner::{Options, RunError},
    stop::{Level, Stop},
};
use batch::Batch;
use partition::{BATCH, PartitionStates};
use restore::restore;

/// Runs an aggregation until the stop level reaches [`Level::Drain`].
///
/// # Errors
/// Fails if the log fails, if `spec` has no table for the state, or if a state can't be encoded.
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
    let announcements = Announcements::new(&log);
    let mut partitions: PartitionStates<A::State> = BTreeMap::new();
    // `None` until the next assignment.
    let mut membership: Option<Membership> = None;

    while stop.level() == Level::Run {
        let due = if membership.is_some() { next_wake(aggregation.as_ref(), &partitions) } else { None };
        let event = tokio::select! {
            biased;
            () = stop.reaches(Level::Drain) => return Ok(()),
            () = sleep_until(due, options.clock) => None,
            event = consumer.next(BATCH) => Some(event.map_err(failed)?),
        };
        let mut batch = Batch::new(spec.reads, table);
        match event {
            Some(Event::Assigned(new)) => {
                partitions.retain(|number, _| {
                    new.partitions.iter().any(|o| o.partition.number == *number && !o.fresh)
                });
                for owned in &new.partitions {
                    let number = owned.partition.number;
                    let Entry::Vacant(entry) = partitions.entry(number) else { continue };
                    let restored = tokio::select! {
                        biased;
                        restored = restore(log.as_ref(), table, owned, &announcements) => restored.map_err(failed)?,
                        () = stop.reaches(Level::Drain) => return Ok(()),
                    };
                    let partition = entry.insert(restored.partition);
                    for (record, reason) in restored.invalid {
                        batch.replace_invalid_state(partition, number, record, &reason);
                    }
                }
                membership = Some(new.membership);
            }
            Some(Event::Records(records)) => {
                metrics::count_published(spec.name, records.len());
                let check = announcements.check_batch();
                for record in records {
                    if let Some(partition) = partitions.get_mut(&record.partition.number) {
                        batch
                            .fold_record(aggregation.as_ref(), partition, record, &check)
                            .await
                            .map_err(failed)?;
                    }
                }
            }
            None => {
                let now = (options.clock)();
                for (number, partition) in &mut partitions {
                    batch.punctuate(aggregation.as_ref(), partition, *number, &spec, now);
                }
            }
        }
        let Some(owner) = &membership else { continue };
        let mut transaction =
            batch.into_transaction(&partitions).map_err(|error| fatal(error.to_string()))?;
        transaction.membership = Some(owner.clone());
        if !commit(log.as_ref(), spec.name, transaction, options).await.map_err(failed)? {
            // The states here may be ahead of the log: restore them, and continue from the committed offsets.
            partitions.clear();
            membership = None;
            consumer.rewind();
        }
    }
    Ok(())
}

/// Commits a transaction, again for as long as it is aborted. Returns `false` if it was fenced, or if its outcome is
/// unknown: the offsets don't show it, as a punctuation does not move them.
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
        let copy = Transaction {
            records: transaction.records.clone(),
            offsets: transaction.offsets.clone(),
            membership: transaction.membership.clone(),
        };
        let result = log.commit(copy).await;
        metrics::count_commit(processor, &result);
        match result {
            Ok(()) => return Ok(true),
            Err(LogError::Uncertain { .. }) if Fault::LostAckRepeated.is_planted() => {}
            Err(LogError::Aborted { .. }) if Fault::AbortForgets.is_planted() => return Ok(true),
            Err(LogError::Fenced { .. } | LogError::Uncertain { .. }) => return Ok(false),
            Err(LogError::Aborted { reason }) => {
                tracing::info!(reason, "committing an aborted transaction again");
                tokio::time::sleep(backoff.pause()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns the earliest time at which a state is to be punctuated, in milliseconds since 1970.
fn next_wake<A: Aggregation>(aggregation: &A, partitions: &PartitionStates<A::State>) -> Option<i64> {
    let active = partitions.values().filter(|partition| !partition.waits);
    active
        .flat_map(|partition| partition.states.values())
        .filter_map(|state| aggregation.wakes_at(state))
        .min()
}

/// Sleeps until a time in milliseconds since 1970; forever if there is none.
async fn sleep_until(due_ms: Option<i64>, clock: Clock) {
    match due_ms {
        Some(due) => {
            let wait = u64::try_from(due - clock()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => std::future::pending().await,
    }
}
