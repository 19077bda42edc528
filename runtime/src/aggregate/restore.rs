//! Keyed state, restored from its changelog.

use std::collections::BTreeMap;

use millrace_schemas::{RecordError, frame};
use millrace_topology::{StreamSpec, faults::Fault};

use super::{BATCH, Part, States};
use crate::{
    announced::{Announced, Claims},
    log::{Log, LogError, Owned, Partition, Record},
};

/// A partition's states, and what lies in its changelog and is none, with the reason.
pub(super) struct Restored<S> {
    pub(super) part: Part<S>,
    pub(super) strays: Vec<(Record, String)>,
}

/// Reads a partition's states up to the end that its changelog has now, as read uncommitted: what a transaction under way
/// adds belongs to it.
pub(super) async fn restore<S: frame::Record>(
    log: &dyn Log,
    table: StreamSpec,
    owned: &Owned,
    announced: &Announced,
) -> Result<Restored<S>, LogError> {
    let partition = Partition { stream: table.name.into(), number: owned.partition.number };
    let mut part = Part { states: States::new(), position: owned.position, waits: false };
    let mut strays = BTreeMap::new();
    if Fault::NoRestore.is_planted() {
        return Ok(Restored { part, strays: Vec::new() });
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
        let claims = announced.batch();
        for record in fetched.records {
            take(&mut part, &mut strays, record, &claims).await?;
        }
    }
    Ok(Restored { part, strays: strays.into_values().collect() })
}

async fn take<S: frame::Record>(
    part: &mut Part<S>,
    strays: &mut BTreeMap<Vec<u8>, (Record, String)>,
    record: Record,
    claims: &Claims,
) -> Result<(), LogError> {
    strays.remove(&record.key);
    let error = match record.value.as_deref().map(S::decode) {
        Some(Ok(state)) => {
            part.states.insert(record.key, state);
            return Ok(());
        }
        None => {
            part.states.remove(&record.key);
            return Ok(());
        }
        Some(Err(error)) => claims.settle(error).await?,
    };
    if matches!(error, RecordError::Newer { .. }) {
        let Partition { stream, number } = &record.partition;
        tracing::error!(table = stream, partition = number, %error, "waits for an upgrade of this process");
        part.waits = true;
    } else {
        // A stranger's. The state that was there before stays what it was.
        strays.insert(record.key.clone(), (record, error.to_string()));
    }
    Ok(())
}
