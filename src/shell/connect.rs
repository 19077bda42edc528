//! The log on a cluster, where one is named.

use std::{sync::Arc, time::Duration};

use millrace_kafka::{Kafka, Settings};
use millrace_runtime::{LogError, announce};

use crate::{commands::CommandError, config::Config};

/// Connects to the cluster that the settings name; `None` where they name none. Whoever writes registers schemas, where
/// there is a registry.
pub(crate) async fn connect(config: &Config, writes: bool) -> Result<Option<Arc<Kafka>>, CommandError> {
    let Some(settings) = config.kafka() else { return Ok(None) };
    reach(settings, writes).await.map(Some)
}

/// The same for whoever serves: brokers that restart while it starts are waited for.
pub(crate) async fn connect_to_serve(config: &Config) -> Result<Option<Arc<Kafka>>, CommandError> {
    let Some(settings) = config.kafka() else { return Ok(None) };
    reach(Settings { patience: Duration::from_secs(20), ..settings }, true).await.map(Some)
}

async fn reach(settings: Settings, writes: bool) -> Result<Arc<Kafka>, CommandError> {
    let kafka = Kafka::connect(settings).await?;
    kafka.register(writes).await?;
    // A registry announces what is registered there.
    if writes && kafka.settings().schema_registry.is_none() {
        match announce(&kafka).await {
            // The topics are made later, and whoever makes them announces.
            Ok(()) | Err(LogError::UnknownStream(_)) => {}
            Err(error @ LogError::Unreachable { .. }) => return Err(error.into()),
            // Whoever may not write 'controls' leaves it to the processes that do.
            Err(error) => tracing::debug!(%error, "the versions that this process writes are not announced"),
        }
    }
    Ok(Arc::new(kafka))
}
