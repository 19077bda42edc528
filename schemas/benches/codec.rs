//! Encoding and decoding of records, which every record on the log costs.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millrace_schemas::{
    Made, SegmentOutcome, Signal, SourceRef, TrackKind, Upload,
    frame::{Record, schema_id},
};

/// Returns the outcome of a segment, which is the most frequent record on a log.
fn outcome() -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 1, 1_700_000_000_000);
    let made = Made {
        rendition: "v-0123456789abcdef".into(),
        units: 125,
        packets: 125,
        bytes: 1 << 20,
        first: 0,
        next: Some(1 << 30),
        reorder: 2,
        digest: 0x0123_4567_89ab_cdef,
    };
    signal.segment = Some(SegmentOutcome {
        index: 77,
        made: vec![made],
        reused: false,
        failure: None,
        warnings: Vec::new(),
        replaced: Vec::new(),
    });
    signal
}

fn segment() -> millrace_schemas::Segment {
    millrace_schemas::Segment {
        execution: "0123456789abcdef".into(),
        attempt: 1,
        index: 77,
        video_segments: 100,
        source: SourceRef { url: "file:///in/a.mov".into(), version: "1-2".into(), bytes: 1 << 32 },
        stream: 0,
        kind: TrackKind::Video,
        start: Some(1 << 20),
        end: Some(1 << 21),
        seeks: Vec::new(),
        renditions: Vec::new(),
        expected_units: 125,
        work: "0123456789abcdef-1".into(),
        jumps: Vec::new(),
        longest_gap: 0,
        last_time: 0,
        also: Vec::new(),
        shape: None,
        states: Vec::new(),
        replaces: Vec::new(),
        trim: None,
    }
}

fn both<R: Record>(criterion: &mut Criterion, name: &str, record: &R) {
    let bytes = record.encode().unwrap();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode", |bencher| bencher.iter(|| record.encode().unwrap()));
    group.bench_function("decode", |bencher| bencher.iter(|| R::decode(&bytes).unwrap()));
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    both(criterion, "signal", &outcome());
    both(criterion, "segment", &segment());
    both(criterion, "upload", &Upload::of("file:///in/a.mov", "file:///out"));
    // The bytes of an older version: later fields get their defaults.
    let mut old = outcome().encode().unwrap();
    old[1..5].copy_from_slice(&schema_id(Signal::NUMBER, 1).to_be_bytes());
    criterion.bench_function("signal of version 1/decode", |b| b.iter(|| Signal::decode(&old).unwrap()));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = codec
}
criterion_main!(benches);
