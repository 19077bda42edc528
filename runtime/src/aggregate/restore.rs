//! Restores the keyed state of a partition from its changelog.

use std::collections::BTreeMap;

use millrace_schemas::{RecordError, frame};
use millrace_topology::{StreamSpec, faults::Fault};

use super::partition::{BATCH, PartitionState, States};
use crate::{
    announcements::{Announcements, VersionCheck},
    error::LogError,
    log::{Log, OwnedPartition},
    record::{Partition, Record},
};

/// A restored partition.
pub(super) struct Restored<S> {
    pub(super) partition: PartitionState<S>,
    /// The records in the changelog that are no states, each with the reason.
    pub(super) invalid: Vec<(Record, String)>,
}

/// Reads the states of a partition up to the current end of its changelog. Records of open transactions count: the restore
/// waits until they are committed or aborted.
pub(super) async fn restore<S: frame::Record>(
    log: &dyn Log,
    table: StreamSpec,
    owned: &OwnedPartition,
    announcements: &Announcements,
) -> Result<Restored<S>, LogError> {
    let changelog = Partition { stream: table.name.into(), number: owned.partition.number };
    let mut partition = PartitionState { states: States::new(), position: owned.position, waits: false };
    let mut invalid = BTreeMap::new();
    if Fault::NoRestore.is_planted() {
        return Ok(Restored { partition, invalid: Vec::new() });
    }
    let mut changes = log.changes();
    let end = log.end(&changelog).await?;
    let mut from = 0;
    while from < end {
        changes.mark_seen();
        let fetched = log.read(&changelog, from, BATCH).await?;
        if fetched.next == from {
            if Fault::RestoreStopsEarly.is_planted() {
                break;
            }
            changes.changed().await;
            continue;
        }
        from = fetched.next;
        let check = announcements.check_batch();
        for record in fetched.records {
            restore_record(&mut partition, &mut invalid, record, &check).await?;
        }
    }
    Ok(Restored { partition, invalid: invalid.into_values().collect() })
}

/// Applies one record of the changelog.
async fn restore_record<S: frame::Record>(
    partition: &mut PartitionState<S>,
    invalid: &mut BTreeMap<Vec<u8>, (Record, String)>,
    record: Record,
    check: &VersionCheck,
) -> Result<(), LogError> {
    invalid.remove(&record.key);
    let error = match record.value.as_deref().map(S::decode) {
        Some(Ok(state)) => {
            partition.states.insert(record.key, state);
            return Ok(());
        }
        None => {
            partition.states.remove(&record.key);
            return Ok(());
        }
        Some(Err(error)) => check.resolve_claim(error).await?,
    };
    if matches!(error, RecordError::Newer { .. }) {
        let Partition { stream, number } = &record.partition;
        tracing::error!(table = stream, partition = number, %error, "waits for an upgrade of this process");
        partition.waits = true;
    } else {
        // Written by another program: the key keeps its previous state.
        invalid.insert(record.key.clone(), (record, error.to_string()));
    }
    Ok(())
}
