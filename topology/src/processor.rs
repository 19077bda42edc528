//! What a processor and an aggregation are.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use millrace_schemas::{RecordError, frame::Record};

use crate::graph::{Keyed, StreamSpec};

/// Why a record could not be processed, by what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum ProcessorError {
    /// It may work later: tried again with backoff, until a deadline makes it permanent.
    #[error("{0}")]
    Transient(String),
    /// It never will: the record becomes a dead letter, and its execution fails with this reason.
    #[error("{0}")]
    Permanent(String),
    /// The process can't go on: it ends, and a restart goes on where it was.
    #[error("{0}")]
    Fatal(String),
    /// The process takes no more work: the record is left as if it had not been taken.
    #[error("the process is ending")]
    Stopped,
}

impl From<RecordError> for ProcessorError {
    fn from(error: RecordError) -> Self {
        Self::Permanent(error.to_string())
    }
}

/// Where among the partitions a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// By its key.
    ByKey,
    /// By its key and its number, so that an execution's segments spread evenly.
    Dealt(u32),
    /// To this partition, as it was before: for what is published again.
    Exactly(u32),
}

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emit {
    /// The stream's name.
    pub stream: &'static str,
    /// The key.
    pub key: Vec<u8>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Which partition.
    pub placement: Placement,
}

impl Emit {
    /// A record for a stream that is partitioned by key.
    ///
    /// # Errors
    /// Where the record can't be encoded.
    pub fn new<R: Record>(stream: StreamSpec, key: &str, record: &R) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.keyed, Keyed::ByKey, "{} is dealt", stream.name);
        Self::plain(stream, key, record)
    }

    /// The `number`th record of this key, for a stream that is dealt evenly over its partitions.
    ///
    /// # Errors
    /// Where the record can't be encoded.
    pub fn dealt<R: Record>(
        stream: StreamSpec,
        key: &str,
        number: u32,
        record: &R,
    ) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.keyed, Keyed::Dealt, "{} is keyed", stream.name);
        Ok(Self { placement: Placement::Dealt(number), ..Self::plain(stream, key, record)? })
    }

    fn plain<R: Record>(stream: StreamSpec, key: &str, record: &R) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.record, R::NAME, "{} holds other records", stream.name);
        Ok(Self {
            stream: stream.name,
            key: key.into(),
            value: Some(record.encode()?),
            placement: Placement::ByKey,
        })
    }
}

/// What a processor is told about the record that it handles.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// When the record was appended, in milliseconds since 1970.
    pub appended_ms: i64,
    /// Tells the time, for what is said of it: no decision depends on it.
    pub clock: Clock,
}

impl Task {
    /// The time, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }
}

/// Milliseconds since 1970. Simulation has a clock of its own.
pub type Clock = fn() -> i64;

/// A stateless step: a record in, records out. Called again with the same record after a crash or a rebalance, so
/// whatever it does to the world must be harmless the second time.
#[async_trait]
pub trait Processor: Send + Sync + 'static {
    /// What it reads.
    type In: Send + Sync + 'static;

    /// Reads a value of its stream.
    ///
    /// # Errors
    /// Where the value is no such record; it becomes a dead letter.
    fn read(&self, value: &[u8]) -> Result<Self::In, RecordError>;

    /// Reads a record with its headers, for processors to which they say anything.
    ///
    /// # Errors
    /// As those of [`Processor::read`].
    fn read_record(&self, value: &[u8], _headers: &[(String, Vec<u8>)]) -> Result<Self::In, RecordError> {
        self.read(value)
    }

    /// Does the work, and says what follows from it.
    ///
    /// # Errors
    /// See [`ProcessorError`].
    async fn handle(&self, record: &Self::In, task: Task) -> Result<Vec<Emit>, ProcessorError>;

    /// What follows where the record was given up for this reason: the records that make its execution fail.
    fn given_up(&self, record: &Self::In, task: Task, reason: &str) -> Vec<Emit>;
}

/// What came of folding one record.
#[derive(Debug)]
pub struct Fold<S> {
    /// The new state; `None` forgets the key.
    pub state: Option<S>,
    /// Records to publish.
    pub emits: Vec<Emit>,
    /// Whether the state differs from what it was, and so goes to the changelog.
    pub changed: bool,
}

/// A keyed aggregation: state and a record in, state and records out. Pure: it has no clock, no I/O, no randomness.
pub trait Aggregation: Send + Sync + 'static {
    /// What it reads.
    type In: Record;
    /// What it keeps for each key.
    type State: Record + Clone;

    /// Folds a record into the state of its key.
    ///
    /// # Errors
    /// Where a record that it publishes can't be encoded.
    fn fold(&self, state: Option<Self::State>, record: Self::In) -> Result<Fold<Self::State>, RecordError>;

    /// What time alone brings: called now and then for each key that wants it.
    ///
    /// # Errors
    /// Where a record that it publishes can't be encoded.
    fn punctuate(&self, state: Self::State, now_ms: i64) -> Result<Fold<Self::State>, RecordError>;

    /// When time next brings something for this key, in milliseconds since 1970.
    fn wakes_at(&self, state: &Self::State) -> Option<i64>;
}

/// The [`Clock`] of the system.
#[must_use]
pub fn millis_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
