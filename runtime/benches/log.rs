//! Benchmark of the embedded log: records a second, appended and consumed in batches and one by one.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace_runtime::{Embedded, Event, Log, Transaction};
use millrace_topology::{Emit, Placement, streams};
use tokio::runtime::Runtime;

fn batch(count: usize) -> Transaction {
    let emit = |number: usize| Emit {
        stream: "segments",
        key: b"0123456789abcdef".to_vec(),
        value: Some(vec![7; 400]),
        placement: Placement::Dealt(u32::try_from(number).unwrap()),
    };
    Transaction { records: (0..count).map(|number| emit(number).into()).collect(), ..Transaction::default() }
}

/// Appends a batch and consumes it.
async fn through(log: &Arc<Embedded>, consumer: &mut Box<dyn millrace_runtime::Consumer>, count: usize) {
    log.commit(batch(count)).await.unwrap();
    let mut left = count;
    while left > 0 {
        let Event::Records(records) = consumer.next(1000).await.unwrap() else { continue };
        left -= records.len().min(left);
    }
}

fn throughput(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("embedded log");
    for count in [1, 100, 1000] {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Embedded::open(&folder.path().join("log.sqlite")).unwrap());
        let mut consumer = runtime.block_on(async {
            log.ensure(&streams::ALL).await.unwrap();
            log.join("g", "segments").await.unwrap()
        });
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("append and consume, a batch of", count), |bencher| {
            bencher.iter(|| runtime.block_on(through(&log, &mut consumer, count)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = throughput
}
criterion_main!(benches);
