//! What the examples share: the cluster that the environment names.

use std::{env, error::Error};

use millrace_kafka::{Kafka, Settings};

/// Connects to the cluster of `MILLRACE_BROKERS`, as `millrace` does.
pub(crate) async fn connect() -> Result<Kafka, Box<dyn Error>> {
    let brokers = env::var("MILLRACE_BROKERS").map_err(|_| "MILLRACE_BROKERS names no brokers")?;
    let defaults = Settings::new(&brokers);
    let settings = Settings {
        schema_registry: env::var("MILLRACE_SCHEMA_REGISTRY").ok(),
        topic_prefix: env::var("MILLRACE_TOPIC_PREFIX").unwrap_or_default(),
        application: env::var("MILLRACE_APPLICATION").unwrap_or(defaults.application.clone()),
        ..defaults
    };
    let kafka = Kafka::connect(settings).await?;
    // Looks up the ids of schemas. Millrace registers them, not its users.
    kafka.register(false).await?;
    Ok(kafka)
}
