//! The log on a cluster, where one is named.

use std::sync::Arc;

use millrace_kafka::Kafka;

use crate::{commands::CommandError, config::Config};

/// Connects to the cluster that the settings name; `None` where they name none. Whoever writes registers schemas, where
/// there is a registry.
pub(crate) async fn connect(config: &Config, writes: bool) -> Result<Option<Arc<Kafka>>, CommandError> {
    let Some(settings) = config.kafka() else { return Ok(None) };
    let kafka = Kafka::connect(settings).await?;
    kafka.register(writes).await?;
    Ok(Some(Arc::new(kafka)))
}
