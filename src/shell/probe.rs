//! Looks at media at once, for `millrace probe` and for programs that ask over HTTP.

use std::sync::Arc;

use millrace_media::{InspectTask, Inspected, Launcher, Reply, Task};
use millrace_schemas::SourceRef;
use millrace_storage::Stores;
use millrace_topology::ports::PortError;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    limits,
    ports::{Feeds, again, name, port},
};
use crate::commands::CommandError;

/// Looks at media, a few at a time.
pub(crate) struct Probes {
    launcher: Launcher,
    stores: Stores,
    room: Arc<Semaphore>,
}

impl Probes {
    pub(crate) fn new(stores: Stores) -> Result<Self, CommandError> {
        let launcher = Launcher::new(std::env::current_exe().map_err(CommandError::failed)?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { launcher, stores, room: Arc::new(Semaphore::new(2 * cores)) })
    }

    /// What a source holds.
    pub(crate) async fn inspect(&self, url: &str) -> Result<(SourceRef, Inspected), PortError> {
        let source = self.stores.pin(url).await.map_err(port)?;
        let opened = self.stores.open(&source).await.map_err(port)?;
        // The semaphore is never closed.
        let _room = self.room.acquire().await;
        let task = Task::Inspect(InspectTask { segment_seconds: None });
        let mut deaths = 0;
        loop {
            let feeds = Feeds::default();
            let limit = limits::inspect(source.bytes);
            let reply = self.launcher.run(&task, vec![feeds.descriptor(&opened)?], limit, drop).await;
            match (reply, feeds.failure()) {
                (Ok(Reply::Inspected(found)), _) => return Ok((source, *found)),
                (_, Some(reason)) => return Err(reason),
                (Ok(_), None) => {
                    return Err(PortError::Refused("the media process gave another answer".into()));
                }
                (Err(error), None) => again(&name(url), error, &mut deaths).await?,
            }
        }
    }

    /// The same as JSON.
    pub(crate) async fn probe(&self, url: &str) -> Result<Value, PortError> {
        let (source, found) = self.inspect(url).await?;
        Ok(as_json(&source, &found))
    }
}

/// What a source holds, as programs read it.
pub(crate) fn as_json(source: &SourceRef, found: &Inspected) -> Value {
    let metadata: std::collections::BTreeMap<_, _> = found.metadata.iter().cloned().collect();
    json!({
        "source": source.url, "bytes": source.bytes, "container": found.container,
        "duration_seconds": found.duration_seconds, "bit_rate": found.bit_rate, "streams": found.streams,
        "metadata": metadata,
    })
}
