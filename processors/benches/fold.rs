//! The fold of `assemble`: outcomes per second on one core, for executions of 10 to 10,000 segments.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace_processors::assemble::fold;
use millrace_schemas::{Assembly, Made, SegmentOutcome, Signal, SourceRef, Started, TrackKind, TrackPlan};

fn started(segments: i32) -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 1, 0);
    let track = |rendition: &str, kind, first_segment, segments| TrackPlan {
        rendition: rendition.into(),
        kind,
        first_segment,
        segments,
        video: None,
        tags: None,
        audio: None,
        source: None,
        order: Vec::new(),
    };
    signal.started = Some(Started {
        source: SourceRef { url: "file:///in/a.mov".into(), version: "1".into(), bytes: 1 },
        tracks: vec![track("v", TrackKind::Video, 0, segments), track("a", TrackKind::Audio, segments, 1)],
        outputs: Vec::new(),
        labels: std::collections::HashMap::new(),
        deadline_ms: None,
        work: String::new(),
        upload: None,
        kept: Vec::new(),
        warnings: Vec::new(),
    });
    signal
}

fn outcome(index: i32) -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 1, 1);
    let made = Made {
        rendition: "v".into(),
        units: 125,
        packets: 125,
        bytes: 1 << 20,
        first: 0,
        next: Some(1),
        reorder: 2,
        digest: 0x0123_4567_89ab_cdef,
    };
    signal.segment = Some(SegmentOutcome {
        index,
        made: vec![made],
        reused: false,
        failure: None,
        warnings: Vec::new(),
        replaced: Vec::new(),
    });
    signal
}

fn folds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    for segments in [10, 100, 1000, 10_000] {
        group.throughput(Throughput::Elements(u64::try_from(segments).unwrap()));
        let begin = fold(None, started(segments)).unwrap().state;
        let outcomes: Vec<Signal> = (0..segments).map(outcome).collect();
        group.bench_function(BenchmarkId::from_parameter(segments), |bencher| {
            bencher.iter_batched(
                || (begin.clone(), outcomes.clone()),
                |(begin, outcomes)| -> Option<Assembly> {
                    outcomes.into_iter().fold(begin, |state, outcome| fold(state, outcome).unwrap().state)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = folds
}
criterion_main!(benches);
