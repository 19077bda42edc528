//! The runner: order, retries, dead letters, drain, restored state.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use millrace_runtime::{
    Embedded, LARGEST_VALUE, Level, Log, Options, Partition, RunError, Stop, Stopper, Tail, Transaction,
    announce, read_partition_of_key, read_table, run_aggregation, run_processor,
};
use millrace_schemas::{Progress, RecordError, Upload, frame::Record as _};
use millrace_topology::{
    Aggregation, Emit, Fold, Kind, Placement, Processor, ProcessorError, ProcessorSpec, StreamSpec, Task,
    streams,
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// Streams of one partition, so that the order of records is visible.
const IN: StreamSpec = StreamSpec { name: "in", partitions: 1, ..streams::MERGED };
const OUT: StreamSpec = StreamSpec { name: "out", partitions: 1, ..streams::MERGED };
const DEAD: StreamSpec = StreamSpec { partitions: 1, ..streams::DEAD_LETTERS };
const TABLE: StreamSpec = StreamSpec { name: "table", kind: Kind::Table, record: "Progress", ..IN };

fn spec(state: Option<StreamSpec>) -> ProcessorSpec {
    ProcessorSpec { state, ..ProcessorSpec::new("test", "", IN, [OUT]) }
}

fn emit(stream: &'static str, value: &[u8]) -> Emit {
    Emit { stream, key: b"k".to_vec(), value: Some(value.to_vec()), placement: Placement::ByKey }
}

/// The version of uploads that is announced.
fn latest_upload() -> usize {
    Upload::VERSIONS.len()
}

struct Setup {
    log: Arc<dyn Log>,
    stopper: Stopper,
    stop: Stop,
    _folder: tempfile::TempDir,
}

async fn setup(values: &[&[u8]]) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.sqlite")).unwrap();
    log.ensure(&[IN, OUT, DEAD, TABLE, streams::CONTROLS]).await.unwrap();
    let (stopper, stop) = Stopper::new();
    let setup = Setup { log: Arc::new(log), stopper, stop, _folder: folder };
    setup.append(values).await;
    setup
}

impl Setup {
    async fn append(&self, values: &[&[u8]]) {
        let records = values.iter().map(|value| emit(IN.name, value).into()).collect();
        self.log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    }

    async fn values(&self, stream: &str) -> Vec<Vec<u8>> {
        let partition = Partition { stream: stream.into(), number: 0 };
        let fetched = self.log.read(&partition, 0, 1000).await.unwrap();
        fetched.records.into_iter().filter_map(|record| record.value).collect()
    }

    async fn committed(&self) -> u64 {
        let partition = Partition { stream: IN.name.into(), number: 0 };
        self.log.committed("millrace-test", &partition).await.unwrap()
    }

    /// Waits until the committed offset is at least this.
    async fn until(&self, offset: u64) {
        let mut changes = self.log.changes();
        loop {
            changes.mark_seen();
            if self.committed().await >= offset {
                return;
            }
            changes.changed().await;
        }
    }

    async fn run<P: Processor>(&self, processor: Arc<P>, until: u64) {
        let options = Options { backoff: Duration::from_millis(1), ..Options::default() };
        let running =
            tokio::spawn(run_processor(self.log.clone(), spec(None), processor, options, self.stop.clone()));
        self.until(until).await;
        self.stopper.raise(Level::Drain);
        running.await.unwrap().unwrap();
    }

    /// Starts the aggregation [`Sum`].
    fn start_sum(&self) -> (Stopper, JoinHandle<Result<(), RunError>>) {
        let (stopper, stop) = Stopper::new();
        let (log, options) = (self.log.clone(), Options::default());
        (stopper, tokio::spawn(run_aggregation(log, spec(Some(TABLE)), Arc::new(Sum), options, stop)))
    }
}

/// A processor whose behaviour depends on the value.
struct Scripted {
    gate: Semaphore,
    tries: AtomicU32,
}

impl Scripted {
    fn new() -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(0), tries: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Processor for Scripted {
    type In = Vec<u8>;

    fn read(&self, value: &[u8]) -> Result<Vec<u8>, RecordError> {
        match value {
            b"garbage" => Err(RecordError::NotFramed),
            b"newer" => Err(RecordError::Claimed { record: "Upload", found: latest_upload(), known: 1 }),
            b"claimed" => Err(RecordError::Claimed { record: "Upload", found: 900, known: 1 }),
            _ => Ok(value.to_vec()),
        }
    }

    async fn handle(&self, value: &Vec<u8>, _: Task) -> Result<Vec<Emit>, ProcessorError> {
        match value.as_slice() {
            // Waits for a later record.
            b"slow" => self.gate.acquire().await.unwrap().forget(),
            b"opens" => self.gate.add_permits(1),
            b"flaky" if self.tries.fetch_add(1, Ordering::Relaxed) < 3 => {
                return Err(ProcessorError::Transient("not now".into()));
            }
            b"never" => return Err(ProcessorError::Permanent("it is broken".into())),
            b"floods" => return Ok(vec![emit(OUT.name, &vec![0; LARGEST_VALUE + 1])]),
            b"stops once" if self.tries.fetch_add(1, Ordering::Relaxed) == 0 => {
                return Err(ProcessorError::Stopped);
            }
            b"stopped" => return Err(ProcessorError::Stopped),
            _ => {}
        }
        Ok(vec![emit(OUT.name, value)])
    }

    fn given_up(&self, _: &Vec<u8>, _: Task, reason: &str) -> Vec<Emit> {
        vec![emit(OUT.name, format!("failed: {reason}").as_bytes())]
    }
}

#[tokio::test]
async fn work_ends_in_any_order_and_is_published_in_order() {
    let setup = setup(&[b"slow", b"b", b"opens"]).await;
    setup.run(Scripted::new(), 3).await;
    assert_eq!(setup.values("out").await, [b"slow".to_vec(), b"b".to_vec(), b"opens".to_vec()]);
}

#[tokio::test]
async fn what_is_transient_is_tried_again_in_place() {
    let setup = setup(&[b"flaky", b"b"]).await;
    let processor = Scripted::new();
    setup.run(processor.clone(), 2).await;
    assert_eq!(setup.values("out").await, [b"flaky".to_vec(), b"b".to_vec()]);
    assert_eq!(processor.tries.load(Ordering::Relaxed), 4);
    assert!(setup.values("dead-letters").await.is_empty());
}

#[tokio::test]
async fn what_is_permanent_is_a_dead_letter_as_it_was_and_the_partition_goes_on() {
    let setup = setup(&[b"garbage", b"never", b"b"]).await;
    setup.run(Scripted::new(), 3).await;
    assert_eq!(setup.values("out").await, [b"failed: it is broken".to_vec(), b"b".to_vec()]);
    let partition = Partition { stream: "dead-letters".into(), number: 0 };
    let dead = setup.log.read(&partition, 0, 10).await.unwrap().records;
    assert_eq!(
        dead.iter().map(|record| record.value.clone().unwrap()).collect::<Vec<_>>(),
        [b"garbage".to_vec(), b"never".to_vec()]
    );
    let header = |name: &str| dead[1].headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    assert_eq!(header("__streams.errors.message"), Some(b"it is broken".to_vec()));
    assert_eq!(header("__streams.errors.topic"), Some(b"in".to_vec()));
    assert_eq!(header("__streams.errors.offset"), Some(b"1".to_vec()));
}

#[tokio::test]
async fn what_the_end_interrupts_is_left_as_if_it_had_not_been_taken() {
    let setup = setup(&[b"a", b"stopped", b"c"]).await;
    setup.run(Scripted::new(), 1).await;
    assert_eq!(setup.committed().await, 1);
    assert_eq!(setup.values("out").await, [b"a".to_vec()]);
}

#[tokio::test]
async fn what_stops_in_a_process_that_goes_on_is_tried_again() {
    let setup = setup(&[b"stops once", b"b"]).await;
    setup.run(Scripted::new(), 2).await;
    assert_eq!(setup.values("out").await, [b"stops once".to_vec(), b"b".to_vec()]);
}

#[tokio::test]
async fn a_drain_finishes_what_was_begun() {
    let setup = setup(&[b"slow"]).await;
    let processor = Scripted::new();
    let (log, stop) = (setup.log.clone(), setup.stop.clone());
    let running = tokio::spawn(run_processor(log, spec(None), processor.clone(), Options::default(), stop));
    // The drain needs a record in flight: the runner holds one reference to the processor, and the record
    // another.
    while Arc::strong_count(&processor) < 3 {
        tokio::task::yield_now().await;
    }
    setup.stopper.raise(Level::Drain);
    processor.gate.add_permits(1);
    running.await.unwrap().unwrap();
    assert_eq!(setup.values("out").await, [b"slow".to_vec()]);
    assert_eq!(setup.committed().await, 1);
}

/// An aggregation that sums up `done`.
struct Sum;

impl Aggregation for Sum {
    type In = Progress;
    type State = Progress;

    fn fold(&self, state: Option<Progress>, record: Progress) -> Result<Fold<Progress>, RecordError> {
        let done = state.map_or(0, |state| state.done) + record.done;
        let sum = Progress { done, ..record };
        let emits = vec![emit(OUT.name, done.to_string().as_bytes())];
        Ok(Fold { state: Some(sum), emits, changed: true })
    }

    fn punctuate(&self, state: Progress, _: i64) -> Result<Fold<Progress>, RecordError> {
        Ok(Fold { state: Some(state), emits: Vec::new(), changed: false })
    }

    fn wakes_at(&self, _: &Progress) -> Option<i64> {
        None
    }
}

fn progress(done: i64) -> Vec<u8> {
    Progress { execution: "k".into(), index: 0, done, expected: 0 }.encode().unwrap()
}

#[tokio::test]
async fn keyed_state_is_restored_before_its_partition_is_consumed() {
    let setup = setup(&[&progress(1), &progress(2), b"garbage"]).await;
    for (offset, more) in [(3, 10), (4, 100)] {
        let (stopper, running) = setup.start_sum();
        setup.until(offset).await;
        stopper.raise(Level::Drain);
        running.await.unwrap().unwrap();
        setup.append(&[&progress(more)]).await;
    }
    let out = setup.values("out").await;
    assert_eq!(out, [b"1".to_vec(), b"3".to_vec(), b"13".to_vec()]);
    assert_eq!(setup.values("table").await.len(), 1, "several updates of a key are one record of the table");
    assert_eq!(setup.values("dead-letters").await, [b"garbage".to_vec()]);
}

#[tokio::test]
async fn a_record_of_an_announced_version_waits_with_its_partition_and_is_no_dead_letter() {
    let setup = setup(&[b"a", b"newer", b"b"]).await;
    announce(setup.log.as_ref()).await.unwrap();
    setup.run(Scripted::new(), 1).await;
    assert_eq!(setup.committed().await, 1);
    assert_eq!(setup.values("out").await, [b"a".to_vec()]);
    assert!(setup.values("dead-letters").await.is_empty());
}

#[tokio::test]
async fn a_version_is_announced_by_a_millrace_that_comes_while_this_one_works() {
    let setup = setup(&[b"claimed", b"a"]).await;
    let (log, stop) = (setup.log.clone(), setup.stop.clone());
    let running =
        tokio::spawn(run_processor(log, spec(None), Scripted::new(), Options::default(), stop.clone()));
    setup.until(2).await;
    announce(setup.log.as_ref()).await.unwrap();
    setup.append(&[b"b", b"newer", b"c"]).await;
    setup.until(3).await;
    setup.stopper.raise(Level::Drain);
    running.await.unwrap().unwrap();
    assert_eq!(setup.committed().await, 3);
    assert_eq!(setup.values("dead-letters").await, [b"claimed".to_vec()]);
}

#[tokio::test]
async fn a_claim_that_nobody_announced_is_a_dead_letter_with_the_reason_and_what_is_behind_it_is_done() {
    let setup = setup(&[b"a", b"claimed", b"b", b"claimed", b"c"]).await;
    announce(setup.log.as_ref()).await.unwrap();
    let begun = std::time::Instant::now();
    setup.run(Scripted::new(), 5).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(setup.values("out").await, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
    let partition = Partition { stream: "dead-letters".into(), number: 0 };
    let dead = setup.log.read(&partition, 0, 10).await.unwrap().records;
    assert_eq!(dead.len(), 2);
    let reason = dead[0].header("__streams.errors.message").unwrap();
    assert!(reason.contains("version 900, which no Millrace has announced here"), "{reason}");
}

/// Returns a record whose frame claims version 1000.
fn claimed(mut value: Vec<u8>, number: u32) -> Vec<u8> {
    value[1..5].copy_from_slice(&millrace_schemas::frame::schema_id(number, 1000).to_be_bytes());
    value
}

#[tokio::test]
async fn a_signal_that_claims_a_version_is_a_dead_letter_and_one_that_is_announced_waits() {
    let newer = claimed(progress(7), Progress::NUMBER);
    let setup = setup(&[&progress(1), &newer, &progress(2)]).await;
    let (stopper, running) = setup.start_sum();
    setup.until(3).await;
    assert_eq!(setup.values("out").await, [b"1".to_vec(), b"3".to_vec()]);
    assert_eq!(setup.values("dead-letters").await, std::slice::from_ref(&newer));
    // The announcement of a Millrace that writes version 1000.
    let key = format!("millrace.version/{}/1000", Progress::NAME);
    let announced = Emit { key: key.into_bytes(), ..emit(streams::CONTROLS.name, b"") };
    setup
        .log
        .commit(Transaction { records: vec![announced.into()], ..Transaction::default() })
        .await
        .unwrap();
    setup.append(&[&progress(4), &newer, &progress(8)]).await;
    setup.until(4).await;
    stopper.raise(Level::Drain);
    running.await.unwrap().unwrap();
    assert_eq!(setup.committed().await, 4);
    assert_eq!(setup.values("out").await.last().unwrap(), b"7");
    assert_eq!(setup.values("dead-letters").await.len(), 1);
}

#[tokio::test]
async fn a_state_that_claims_a_version_is_a_dead_letter_and_the_partition_goes_on() {
    let newer = claimed(progress(7), Progress::NUMBER);
    let setup = setup(&[&progress(1)]).await;
    let foreign = Emit { key: b"foreign".to_vec(), ..emit(TABLE.name, &newer) };
    setup.log.commit(Transaction { records: vec![foreign.into()], ..Transaction::default() }).await.unwrap();
    let (stopper, running) = setup.start_sum();
    setup.until(1).await;
    stopper.raise(Level::Drain);
    running.await.unwrap().unwrap();
    assert_eq!(setup.values("out").await, [b"1".to_vec()]);
    assert_eq!(setup.values("dead-letters").await, [newer]);
}

#[tokio::test]
async fn readers_of_streams_and_tables_skip_records_that_cannot_be_decoded() {
    let hostile: Vec<Vec<u8>> = [
        claimed(progress(7), Progress::NUMBER),
        [&progress(7)[..5], &[0xff; 200]].concat(),
        [&progress(7)[..5], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat(),
        b"{".repeat(100_000),
        Vec::new(),
    ]
    .into();
    let setup = setup(&[]).await;
    let in_table = |value: &[u8]| Emit { ..emit(TABLE.name, value) }.into();
    let mut records = vec![in_table(&progress(1))];
    records.extend(hostile.iter().map(|value| in_table(value)));
    setup.log.commit(Transaction { records, ..Transaction::default() }).await.unwrap();
    setup.append(&hostile.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    setup.append(&[&progress(3)]).await;
    let mut tail = Tail::<Progress>::from_start(setup.log.clone(), IN).await.unwrap();
    assert_eq!(tail.read_new().await.unwrap().len(), 1);
    assert_eq!(read_partition_of_key::<Progress>(setup.log.as_ref(), IN, "k").await.unwrap().len(), 1);
    read_table::<Progress>(setup.log.as_ref(), TABLE).await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_a_dead_letter_coming_in_and_going_out() {
    let large = vec![b'x'; LARGEST_VALUE + 1];
    let setup = setup(&[&large, b"floods", b"b"]).await;
    setup.run(Scripted::new(), 3).await;
    assert_eq!(setup.values("dead-letters").await, [large, b"floods".to_vec()]);
    let out = setup.values("out").await;
    assert!(String::from_utf8_lossy(&out[0]).starts_with("failed: its result is a record of 1000001 bytes"));
    assert_eq!(out[1..], [b"b".to_vec()]);
}

#[tokio::test]
async fn a_foreign_record_in_the_table_is_a_dead_letter_once_and_the_partition_goes_on() {
    let setup = setup(&[&progress(1)]).await;
    let foreign = Emit { key: b"foreign".to_vec(), ..emit(TABLE.name, b"no state") };
    setup.log.commit(Transaction { records: vec![foreign.into()], ..Transaction::default() }).await.unwrap();
    for (offset, more) in [(1, 10), (2, 100)] {
        let (stopper, running) = setup.start_sum();
        setup.until(offset).await;
        stopper.raise(Level::Drain);
        running.await.unwrap().unwrap();
        setup.append(&[&progress(more)]).await;
    }
    assert_eq!(setup.values("out").await, [b"1".to_vec(), b"11".to_vec()]);
    assert_eq!(setup.values("dead-letters").await, [b"no state".to_vec()]);
    assert_eq!(setup.values("table").await.len(), 1, "a tombstone took its place");
}
