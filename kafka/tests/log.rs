//! The log on a real broker does what a log must do: the same suite as the others.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../runtime/tests/conformance/mod.rs"]
mod conformance;

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use conformance::Backend;
use millrace_kafka::{Kafka, Settings};
use millrace_runtime::Log;

/// One broker for all; it ends with this process.
static BROKER: LazyLock<millrace_servers::Kafka> =
    LazyLock::new(|| millrace_servers::Kafka::start().unwrap());

/// Topics of its own for each test.
struct OnBroker(Settings);

#[async_trait]
impl Backend for OnBroker {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}.", NUMBER.fetch_add(1, Ordering::Relaxed));
        let application = format!("app-{prefix}");
        Self(Settings { topic_prefix: prefix, application, ..Settings::of(&BROKER.brokers()) })
    }

    async fn open(&self) -> Arc<dyn Log> {
        let settings = Settings { process: Settings::of("").process, ..self.0.clone() };
        Arc::new(Kafka::connect(settings).await.unwrap())
    }
}

conformance::conforms!(kafka, OnBroker, start_paused = false);
