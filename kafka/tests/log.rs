//! Runs the conformance suite on a real broker.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../runtime/tests/conformance/mod.rs"]
mod conformance;

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use conformance::Backend;
use millrace_kafka::{Guarantee, Kafka, Settings};
use millrace_runtime::{Event, Log, LogError, Partition, Transaction};
use millrace_topology::{Emit, Placement, streams};

/// The broker of all tests; it ends with this process.
static BROKER: LazyLock<millrace_servers::Kafka> =
    LazyLock::new(|| millrace_servers::Kafka::start().unwrap());

/// A backend with topics of its own for each test.
struct OnBroker(Settings);

#[async_trait]
impl Backend for OnBroker {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}.", NUMBER.fetch_add(1, Ordering::Relaxed));
        let application = format!("app-{prefix}");
        Self(Settings { topic_prefix: prefix, application, ..Settings::new(&BROKER.brokers()) })
    }

    async fn open(&self) -> Arc<dyn Log> {
        let settings = Settings { process: Settings::new("").process, ..self.0.clone() };
        Arc::new(Kafka::connect(settings).await.unwrap())
    }
}

/// Without broker transactions, records are acknowledged before the offset, and a member that lost a
/// partition is fenced.
#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_publishes_before_it_commits_and_fences_too() {
    let settings = Settings { guarantee: Guarantee::AtLeastOnce, ..OnBroker::new().0 };
    let log = Kafka::connect(settings).await.unwrap();
    log.ensure(&streams::ALL).await.unwrap();
    let emit = |stream, value: &str| Emit {
        stream,
        key: b"k".to_vec(),
        value: Some(value.into()),
        placement: Placement::Exactly(1),
    };
    let records = vec![emit("merges", "1").into()];
    log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    let mut consumer = log.join("g", "merges").await.unwrap();
    let Event::Assigned(assignment) = consumer.next(0).await.unwrap() else { panic!("an assignment") };
    let Event::Records(found) = consumer.next(9).await.unwrap() else { panic!("the record") };
    let partition = found[0].partition.clone();
    let step = || Transaction {
        records: vec![emit("merged", "2").into(), emit("executions", "3").into()],
        offsets: vec![(partition.clone(), 1)],
        membership: Some(assignment.membership.clone()),
    };
    log.commit(step()).await.unwrap();
    assert_eq!(log.committed("g", &partition).await.unwrap(), 1);
    for stream in ["merged", "executions"] {
        let partition = Partition { stream: stream.into(), number: 1 };
        assert_eq!(log.read(&partition, 0, 9).await.unwrap().records.len(), 1);
    }
    drop(consumer);
    log.leave().await;
    assert!(matches!(log.commit(step()).await, Err(LogError::Fenced { .. })));
}

/// A backend without broker transactions.
struct AtLeastOnce(OnBroker);

#[async_trait]
impl Backend for AtLeastOnce {
    fn new() -> Self {
        Self(OnBroker(Settings { guarantee: Guarantee::AtLeastOnce, ..OnBroker::new().0 }))
    }

    async fn open(&self) -> Arc<dyn Log> {
        self.0.open().await
    }
}

conformance::conforms!(kafka, OnBroker, start_paused = false);
conformance::conforms!(kafka_at_least_once, AtLeastOnce, start_paused = false);
