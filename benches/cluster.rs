//! What a real broker on this machine makes of Millrace: hops, many small executions, the fold, and restored state.
//!
//! Media are null: what is measured is the log and the processors.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use millrace_engine::{Ended, Engine};
use millrace_kafka::{Kafka, Settings};
use millrace_processors::assemble::Assemble;
use millrace_processors::topology;
use millrace_runtime::{Level, Log, Options, Stopper, Tail, Transaction, run_aggregation};
use millrace_schemas::{
    AssetKind, Encoders, Keyframe, Made, Merge, Merged, OutputFacts, OutputPlan, Phase, Picture, Ratio,
    Rendition, Seek, SeekBy, Segment, SegmentOutcome, Signal, SourceFacts, SourceRef, Started, TrackKind,
    TrackPlan, Upload, VideoSettings, VideoTrack,
};
use millrace_topology::{
    Emit,
    ports::{Controls, Joined, Media, PortError, Storage, Stored},
    streams,
};

/// Media and storage that do nothing, at once.
struct Null(Ended);

fn picture() -> Picture {
    Picture::plain((64, 64), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 })
}

fn made(rendition: &str, index: i32) -> Made {
    Made {
        rendition: rendition.into(),
        units: 25,
        packets: 25,
        bytes: 100_000,
        first: i64::from(index) * 1000,
        next: None,
        reorder: 2,
        digest: i64::from(index) * 77,
    }
}

#[async_trait]
impl Media for Null {
    fn encoders(&self) -> Encoders {
        Encoders::default()
    }

    async fn inspect(&self, _: &SourceRef, _: f64) -> Result<SourceFacts, PortError> {
        let keyframe =
            |i: i64| Keyframe { pts: i * 1000, seek: Seek { by: SeekBy::Time, at: i * 1000, state: 0 } };
        let keyframes = (0..2).map(keyframe).collect();
        let video = VideoTrack { keyframes, trusted: true, ..VideoTrack::new(0, picture(), (0, 2000)) };
        Ok(SourceFacts { video: Some(video), ..SourceFacts::default() })
    }

    async fn measure(&self, _: &SourceRef, _: AssetKind) -> Result<(i32, i32), PortError> {
        Ok((64, 64))
    }

    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError> {
        let stored =
            |rendition: &Rendition| Stored { made: made(&rendition.id, segment.index), warnings: Vec::new() };
        Ok(renditions.iter().map(stored).collect())
    }

    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError> {
        let (url, format) = (merge.output.url.clone(), merge.output.format.clone());
        let facts = OutputFacts { url, format, bytes: 1, duration_seconds: 2.0, ..OutputFacts::default() };
        Ok(Joined::Proven { facts: Box::new(facts), token: String::new(), warnings: Vec::new() })
    }

    async fn publish(&self, _: &Merge, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn withdraw(&self, _: &Merge) -> Result<(), PortError> {
        Ok(())
    }

    async fn comment(&self, _: &str) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

#[async_trait]
impl Storage for Null {
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
        Ok(SourceRef { url: url.into(), version: "1".into(), bytes: 1 })
    }

    async fn made(&self, _: &str, _: &str, _: i32) -> Result<Option<Stored>, PortError> {
        Ok(None)
    }

    async fn size(&self, _: &str) -> Result<Option<i64>, PortError> {
        Ok(None)
    }

    async fn writable(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
        Ok(Vec::new())
    }

    async fn remove_work(&self, _: &str) -> Result<bool, PortError> {
        Ok(true)
    }

    async fn remove_staged(&self, _: &str, _: i32) -> Result<bool, PortError> {
        Ok(false)
    }
}

#[async_trait]
impl Controls for Null {
    fn has_ended(&self, execution: &str, attempt: i32) -> bool {
        self.0.has(execution, attempt)
    }

    async fn ended(&self, execution: &str, attempt: i32) {
        self.0.until(execution, attempt).await;
    }
}

async fn log(brokers: &str, prefix: &str) -> Arc<dyn Log> {
    let settings = Settings {
        topic_prefix: prefix.into(),
        application: prefix.trim_end_matches('.').into(),
        ..Settings::new(brokers)
    };
    let kafka = Kafka::connect(settings).await.unwrap();
    kafka.ensure(&streams::ALL).await.unwrap();
    kafka.warm_up().await.unwrap();
    Arc::new(kafka)
}

async fn publish(log: &dyn Log, emits: Vec<Emit>) {
    let records = emits.into_iter().map(Into::into).collect();
    log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
}

fn upload(number: usize) -> Emit {
    let url = format!("file:///in/{number}.mov");
    Emit::new(
        streams::UPLOADS,
        &url,
        &Upload { segment_time_seconds: 1.0, ..Upload::of(&url, "file:///out") },
    )
    .unwrap()
}

/// Waits until so many executions have ended.
async fn ended(log: &Arc<dyn Log>, tail: &mut Tail<Merged>, count: usize) {
    let mut changes = log.changes();
    let mut found = 0;
    loop {
        changes.mark_seen();
        for merged in tail.read_new().await.unwrap() {
            assert_eq!(merged.state, Phase::Succeeded, "{:?}", merged.reason);
            found += 1;
        }
        if found >= count {
            return;
        }
        changes.changed().await;
    }
}

fn engine(log: &Arc<dyn Log>) -> Engine {
    let mut engine = Engine::new(
        log.clone(),
        millrace_engine::Settings::new(Options { window: 64, ..Options::default() }),
    );
    let ports = Arc::new(Null(engine.ended()));
    engine.start(&ports, 8, &[]);
    engine
}

/// Five hops of one execution at a time, then many executions at once.
async fn hops(brokers: &str) {
    let log = log(brokers, "hops.").await;
    let mut tail = Tail::<Merged>::from_end(log.clone(), streams::MERGED).await.unwrap();
    let mut engine = engine(&log);
    publish(log.as_ref(), vec![upload(0)]).await;
    ended(&log, &mut tail, 1).await;
    let mut times = Vec::new();
    for number in 1..21 {
        let begun = Instant::now();
        publish(log.as_ref(), vec![upload(number)]).await;
        ended(&log, &mut tail, 1).await;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    times.sort_unstable();
    println!(
        "five hops, exactly-once: median {:?}, slowest of 20 {:?} (asked: 600 ms)",
        times[10], times[19]
    );
    const MANY: usize = 1000;
    let begun = Instant::now();
    for some in (100..100 + MANY).collect::<Vec<_>>().chunks(100) {
        publish(log.as_ref(), some.iter().map(|number| upload(*number)).collect()).await;
    }
    ended(&log, &mut tail, MANY).await;
    let rate = MANY as f64 / begun.elapsed().as_secs_f64();
    println!("{MANY} tiny uploads at once: {rate:.0} executions/s (asked: 20)");
    engine.raise(Level::Drain);
    while engine.next_end().await.is_some() {}
}

const SEGMENTS: i32 = 40;

fn started(execution: &str) -> Signal {
    let source = SourceRef {
        url: format!("file:///in/{execution}.mov"),
        version: "4c49-17".into(),
        bytes: 4_000_000_000,
    };
    let mut signal = Signal::new(execution, 1, 1);
    let output = OutputPlan {
        url: format!("file:///out/{execution}.mp4"),
        format: "mp4".into(),
        renditions: vec!["v-0123456789abcdef".into()],
        keep: false,
        mark: "millrace 0123456789abcdef 0123456789abcdef".into(),
        overwrite: false,
        extras: None,
        remarks: Vec::new(),
        package: None,
        pictures: None,
        waveform: None,
    };
    signal.started = Some(Started {
        upload: Some(Upload::of(&source.url, "file:///out")),
        source,
        tracks: vec![TrackPlan {
            rendition: "v-0123456789abcdef".into(),
            kind: TrackKind::Video,
            first_segment: 0,
            segments: SEGMENTS,
            video: Some(VideoSettings::of("h264", &picture())),
            tags: None,
            audio: None,
            source: None,
            order: Vec::new(),
        }],
        outputs: vec![output],
        labels: std::collections::HashMap::new(),
        deadline_ms: None,
        work: format!("{execution}-1"),
        kept: Vec::new(),
        warnings: Vec::new(),
    });
    signal
}

fn outcome(execution: &str, index: i32) -> Signal {
    let mut signal = Signal::new(execution, 1, 2);
    let made = vec![made("v-0123456789abcdef", index)];
    signal.segment = Some(SegmentOutcome {
        index,
        made,
        reused: false,
        failure: None,
        warnings: Vec::new(),
        replaced: Vec::new(),
    });
    signal
}

fn signal(signal: &Signal) -> Emit {
    Emit::new(streams::TRANSCODED, &signal.execution, signal).unwrap()
}

/// Runs `assemble` alone until it has consumed everything.
async fn assemble(log: &Arc<dyn Log>) -> Duration {
    let graph = topology();
    let spec = graph.processor("assemble").unwrap().clone();
    let (stopper, stop) = Stopper::new();
    let begun = Instant::now();
    let running =
        tokio::spawn(run_aggregation(log.clone(), spec, Arc::new(Assemble), Options::default(), stop));
    millrace_engine::caught_up(log.as_ref(), &millrace_processors::assemble::spec()).await.unwrap();
    let took = begun.elapsed();
    stopper.raise(Level::Drain);
    running.await.unwrap().unwrap();
    took
}

/// The fold over outcomes that come mixed, as from many workers, and then the same state restored.
async fn fold(brokers: &str) {
    const AT_ONCE: usize = 500;
    const ROUNDS: usize = 10;
    let log = log(brokers, "fold.").await;
    for round in 0..ROUNDS {
        let ids: Vec<String> = (0..AT_ONCE).map(|n| format!("{:016x}", round * AT_ONCE + n)).collect();
        publish(log.as_ref(), ids.iter().map(|id| signal(&started(id))).collect()).await;
        for index in 0..SEGMENTS {
            publish(log.as_ref(), ids.iter().map(|id| signal(&outcome(id, index))).collect()).await;
        }
    }
    let took = assemble(&log).await;
    let outcomes = AT_ONCE * ROUNDS * usize::try_from(SEGMENTS).unwrap();
    println!(
        "assemble: {outcomes} outcomes of {AT_ONCE} executions at a time in {took:?}, {:.0}/s (asked: 20000)",
        outcomes as f64 / took.as_secs_f64()
    );
}

async fn restore(brokers: &str) {
    const EXECUTIONS: usize = 100_000;
    let log = log(brokers, "restore.").await;
    for some in (0..EXECUTIONS).collect::<Vec<_>>().chunks(1000) {
        let mut emits = Vec::new();
        for number in some {
            let id = format!("{number:016x}");
            let fold = millrace_processors::assemble::fold(None, started(&id)).unwrap();
            let mut state = fold.state;
            for index in 0..SEGMENTS - 1 {
                state = millrace_processors::assemble::fold(state, outcome(&id, index)).unwrap().state;
            }
            emits.push(Emit::new(streams::ASSEMBLIES, &id, &state.unwrap()).unwrap());
        }
        publish(log.as_ref(), emits).await;
    }
    // The last outcome of one of them: it ends only on state that is restored.
    let last = "0000000000000007";
    publish(log.as_ref(), vec![signal(&outcome(last, SEGMENTS - 1))]).await;
    let took = assemble(&log).await;
    let mut merges = Tail::<Merge>::from_start(log.clone(), streams::MERGES).await.unwrap();
    assert_eq!(merges.read_new().await.unwrap().len(), 1, "the merge that its state makes possible");
    println!("restore: {EXECUTIONS} executions of {SEGMENTS} segments in {took:?} (asked: 10 s)");
}

fn main() {
    let broker = millrace_servers::Kafka::start().unwrap();
    let brokers = broker.brokers();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    if wanted("hops") {
        runtime.block_on(hops(&brokers));
    }
    if wanted("fold") {
        runtime.block_on(fold(&brokers));
    }
    if wanted("restore") {
        runtime.block_on(restore(&brokers));
    }
}
