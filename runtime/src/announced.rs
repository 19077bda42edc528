//! Which versions of records newer Millraces write to a log: each announces them before it writes any.
//!
//! Anybody who may write to a stream can claim a version in a frame. What was announced waits for an upgrade of this process; what was
//! not is a dead letter. Announcements are keys of the table `controls`, which only Millrace writes: so no later version of
//! a record is needed to understand them. With a schema registry ids are its own, and it is the one that announces.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use millrace_schemas::{Control, RecordError, catalogue, frame::Record as _};
use millrace_topology::{Emit, streams};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    log::{Log, LogError, Partition},
    tail::read_on,
};

/// What the keys of announcements begin with; no execution's id does. The record and the version follow.
const ANNOUNCED: &str = "millrace.version/";

fn key(record: &str, version: usize) -> String {
    format!("{ANNOUNCED}{record}/{version}")
}

/// Announces the versions that this Millrace writes: before it writes any record.
///
/// # Errors
/// Where the log can't be read or written.
pub async fn announce(log: &dyn Log) -> Result<(), LogError> {
    let mut known = Versions::default();
    known.look(log).await?;
    let written = catalogue::all().into_iter().map(|record| (record.name, record.versions.len()));
    let missing = written.filter(|(record, version)| *version > 1 && !known.has(record, *version));
    let mut records = Vec::new();
    for (record, version) in missing {
        let key = key(record, version);
        let control = Control { execution: key.clone(), attempt: 0 };
        let value = control.encode().map_err(|_| LogError::Closed)?;
        let emit = Emit {
            stream: streams::CONTROLS.name,
            key: key.into(),
            value: Some(value),
            placement: millrace_topology::Placement::ByKey,
        };
        records.push(emit.into());
    }
    if records.is_empty() {
        return Ok(());
    }
    // Twice or in part is as good: whoever comes next announces what is missing.
    log.advise(records).await
}

/// The versions that were announced, and how far the table was read.
#[derive(Debug, Default)]
struct Versions {
    keys: HashSet<Vec<u8>>,
    positions: HashMap<u32, u64>,
}

impl Versions {
    /// Reads what was announced since the last look.
    async fn look(&mut self, log: &dyn Log) -> Result<(), LogError> {
        for number in 0..log.partitions(streams::CONTROLS.name).await? {
            let partition = Partition { stream: streams::CONTROLS.name.into(), number };
            let position = self.positions.entry(number).or_default();
            let keys = &mut self.keys;
            let take = |record: crate::log::Record| {
                if record.key.starts_with(ANNOUNCED.as_bytes()) {
                    match record.value {
                        Some(_) => keys.insert(record.key),
                        None => keys.remove(&record.key),
                    };
                }
            };
            *position = read_on(log, &partition, *position, take).await?;
        }
        Ok(())
    }

    fn has(&self, record: &str, version: usize) -> bool {
        self.keys.contains(key(record, version).as_bytes())
    }
}

/// Tells claims of versions from announced ones, on one log.
#[derive(Clone)]
pub(crate) struct Announced {
    log: Arc<dyn Log>,
    versions: Arc<Mutex<Versions>>,
}

impl Announced {
    pub(crate) fn new(log: &Arc<dyn Log>) -> Self {
        Self { log: log.clone(), versions: Arc::default() }
    }

    /// For records that were fetched together: what announces one of them lies on the log already, so that one look is
    /// enough for all.
    pub(crate) fn batch(&self) -> Claims {
        Claims { announced: self.clone(), looked: Arc::default() }
    }
}

/// The claims of records that were fetched together.
#[derive(Clone)]
pub(crate) struct Claims {
    announced: Announced,
    looked: Arc<OnceCell<()>>,
}

impl Claims {
    /// What an error is once the log was asked: a claim of an announced version is [`RecordError::Newer`].
    pub(crate) async fn settle(&self, error: RecordError) -> Result<RecordError, LogError> {
        let RecordError::Claimed { record, found, known } = error else { return Ok(error) };
        let Announced { log, versions } = &self.announced;
        let look = || async { versions.lock().await.look(log.as_ref()).await };
        self.looked.get_or_try_init(look).await?;
        let newer = RecordError::Newer { record, found, known };
        Ok(if versions.lock().await.has(record, found) { newer } else { error })
    }
}
