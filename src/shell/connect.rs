//! The log that a command uses: a cluster's, or a data folder's.

use std::{sync::Arc, time::Duration};

use millrace_kafka::{Kafka, Settings};
use millrace_runtime::{Log, LogError, Transaction, announce};
use millrace_topology::{Emit, streams};

use super::data::DataFolder;
use crate::{cli::LogLocation, config::Config, error::CommandError};

/// How long brokers may take to respond while `serve` starts: they may be restarting.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects to the cluster that the settings name; `None` if they name none. With `writes`, also registers the schemas of records, if
/// there is a registry.
pub(crate) async fn connect(config: &Config, writes: bool) -> Result<Option<Arc<Kafka>>, CommandError> {
    let Some(settings) = config.kafka() else { return Ok(None) };
    connect_with(settings, writes).await.map(Some)
}

/// Connects as [`connect`] with `writes` does, and waits for brokers that are restarting.
pub(crate) async fn connect_to_serve(config: &Config) -> Result<Option<Arc<Kafka>>, CommandError> {
    let Some(settings) = config.kafka() else { return Ok(None) };
    connect_with(Settings { patience: PATIENCE, ..settings }, true).await.map(Some)
}

async fn connect_with(settings: Settings, writes: bool) -> Result<Arc<Kafka>, CommandError> {
    let kafka = Kafka::connect(settings).await?;
    kafka.register(writes).await?;
    // A registry announces what is registered there.
    if writes && kafka.settings().schema_registry.is_none() {
        match announce(&kafka).await {
            // The topics are made later, and whoever makes them announces.
            Ok(()) | Err(LogError::UnknownStream(_)) => {}
            Err(error @ LogError::Unreachable { .. }) => return Err(error.into()),
            // A client without the right to write 'controls' leaves it to the processes that have it.
            Err(error) => tracing::debug!(%error, "the versions that this process writes are not announced"),
        }
    }
    Ok(Arc::new(kafka))
}

/// Opens the log that the flags name; `None` if it is a data folder's and does not exist yet. With `writes`, also announces the schemas of
/// the records that this process writes.
pub(crate) async fn existing_log(
    location: &LogLocation,
    writes: bool,
) -> Result<Option<Arc<dyn Log>>, CommandError> {
    let config = Config::load(location, &[])?;
    if let Some(kafka) = connect(&config, writes).await? {
        return Ok(Some(kafka));
    }
    let Some(log) = DataFolder::find(config.data.as_deref())?.existing_log()? else { return Ok(None) };
    let log: Arc<dyn Log> = Arc::new(log);
    log.ensure(&streams::ALL).await?;
    if writes {
        announce(log.as_ref()).await?;
    }
    Ok(Some(log))
}

/// Opens the log that the flags name, as [`existing_log`] does; an error if it does not exist.
pub(crate) async fn known_log(location: &LogLocation, writes: bool) -> Result<Arc<dyn Log>, CommandError> {
    existing_log(location, writes).await?.ok_or_else(|| {
        CommandError::Call(
            "there is no log in this data folder; name it with --data, or a cluster with --brokers".into(),
        )
    })
}

/// Opens a data folder's log, and creates it if it does not exist.
pub(crate) async fn new_log(folder: &DataFolder) -> Result<Arc<dyn Log>, CommandError> {
    let log: Arc<dyn Log> = Arc::new(folder.new_log()?);
    log.ensure(&streams::ALL).await?;
    announce(log.as_ref()).await?;
    Ok(log)
}

/// Publishes records in one transaction.
pub(crate) async fn publish(log: &dyn Log, emits: Vec<Emit>) -> Result<(), LogError> {
    let records = emits.into_iter().map(Into::into).collect();
    log.commit(Transaction { records, ..Transaction::default() }).await
}
