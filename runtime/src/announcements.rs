//! Announcements of record versions: a Millrace announces the versions that it writes before it writes any record.
//!
//! A frame can claim any version, and anybody who may write to a stream can write such a frame. A record of an announced version waits for
//! an upgrade of this process; a record of any other unknown version becomes a dead letter. Announcements are keys of the table
//! `controls`, which only Millrace writes, so reading them requires no later version of any record. With a schema
//! registry, the registry's ids take the place of announcements.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use millrace_schemas::{Control, RecordError, catalogue, frame::Record as _};
use millrace_topology::{Emit, Placement, streams};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    error::LogError,
    log::{Log, read_to_end},
    record::{Partition, Record},
};

/// The prefix of the keys of announcements; the record's name and the version follow. No execution id begins with it.
const PREFIX: &str = "millrace.version/";

fn key(record: &str, version: usize) -> String {
    format!("{PREFIX}{record}/{version}")
}

/// Announces the record versions that this Millrace writes. Call it before writing any record.
///
/// # Errors
/// Fails if the log can't be read or written.
pub async fn announce(log: &dyn Log) -> Result<(), LogError> {
    let mut known = Versions::default();
    known.refresh(log).await?;
    let written = catalogue::all().into_iter().map(|record| (record.name, record.versions.len()));
    let missing = written.filter(|(record, version)| *version > 1 && !known.contains(record, *version));
    let mut records = Vec::new();
    for (record, version) in missing {
        let key = key(record, version);
        let control = Control { execution: key.clone(), attempt: 0 };
        let value = control.encode().map_err(|_| LogError::Closed)?;
        let emit = Emit {
            stream: streams::CONTROLS.name,
            key: key.into(),
            value: Some(value),
            placement: Placement::ByKey,
        };
        records.push(emit.into());
    }
    if records.is_empty() {
        return Ok(());
    }
    // Announcements may be duplicated or incomplete: the next process announces what is missing.
    log.advise(records).await
}

/// The announced versions, and the position in each partition of the table.
#[derive(Debug, Default)]
struct Versions {
    keys: HashSet<Vec<u8>>,
    positions: HashMap<u32, u64>,
}

impl Versions {
    /// Reads the announcements since the last call.
    async fn refresh(&mut self, log: &dyn Log) -> Result<(), LogError> {
        for number in 0..log.partitions(streams::CONTROLS.name).await? {
            let partition = Partition { stream: streams::CONTROLS.name.into(), number };
            let position = self.positions.entry(number).or_default();
            let keys = &mut self.keys;
            let visit = |record: Record| {
                if record.key.starts_with(PREFIX.as_bytes()) {
                    match record.value {
                        Some(_) => keys.insert(record.key),
                        None => keys.remove(&record.key),
                    };
                }
            };
            *position = read_to_end(log, &partition, *position, visit).await?;
        }
        Ok(())
    }

    fn contains(&self, record: &str, version: usize) -> bool {
        self.keys.contains(key(record, version).as_bytes())
    }
}

/// The announcements on one log. Clones share what was read.
#[derive(Clone)]
pub(crate) struct Announcements {
    log: Arc<dyn Log>,
    versions: Arc<Mutex<Versions>>,
}

impl Announcements {
    pub(crate) fn new(log: &Arc<dyn Log>) -> Self {
        Self { log: log.clone(), versions: Arc::default() }
    }

    /// Returns a check for records that were fetched together. An announcement precedes the records of its version, so the
    /// check reads the table at most once.
    pub(crate) fn check_batch(&self) -> VersionCheck {
        VersionCheck { announcements: self.clone(), refreshed: Arc::default() }
    }
}

/// Tells announced versions from unannounced ones, for records that were fetched together.
#[derive(Clone)]
pub(crate) struct VersionCheck {
    announcements: Announcements,
    refreshed: Arc<OnceCell<()>>,
}

impl VersionCheck {
    /// Returns [`RecordError::Newer`] if the error is a claim of an announced version, and the unchanged error otherwise.
    pub(crate) async fn resolve_claim(&self, error: RecordError) -> Result<RecordError, LogError> {
        let RecordError::Claimed { record, found, known } = error else { return Ok(error) };
        let Announcements { log, versions } = &self.announcements;
        let refresh = || async { versions.lock().await.refresh(log.as_ref()).await };
        self.refreshed.get_or_try_init(refresh).await?;
        let newer = RecordError::Newer { record, found, known };
        Ok(if versions.lock().await.contains(record, found) { newer } else { error })
    }
}
