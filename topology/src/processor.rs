//! The traits `Processor` and `Aggregation`, and the records that they publish.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use millrace_schemas::{RecordError, frame::Record};

use crate::graph::{Keyed, StreamSpec};

/// Why a record could not be processed, by the consequence.
#[derive(Debug, thiserror::Error)]
pub enum ProcessorError {
    /// A retry may succeed. The record is retried with backoff; after a deadline the error counts as
    /// permanent.
    #[error("{0}")]
    Transient(String),
    /// No retry can succeed. The record becomes a dead letter, and its execution fails with this reason.
    #[error("{0}")]
    Permanent(String),
    /// The process can't continue. It ends, and continues at the committed offsets after a restart.
    #[error("{0}")]
    Fatal(String),
    /// The process is stopping. The record is left as if it had not been consumed.
    #[error("the process is ending")]
    Stopped,
}

impl From<RecordError> for ProcessorError {
    fn from(error: RecordError) -> Self {
        Self::Permanent(error.to_string())
    }
}

/// The rule that selects the partition of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// By the hash of the key.
    ByKey,
    /// By the hash of the key plus this number, so that the segments of an execution are spread evenly.
    Dealt(u32),
    /// This partition: the one of the original record, if a record is published again.
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
    /// The rule that selects the partition.
    pub placement: Placement,
}

impl Emit {
    /// Returns a record for a stream that is partitioned by key.
    ///
    /// # Errors
    /// Fails if the record can't be encoded.
    pub fn new<R: Record>(stream: StreamSpec, key: &str, record: &R) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.keyed, Keyed::ByKey, "{} is dealt", stream.name);
        Self::by_key(stream, key, record)
    }

    /// Returns the `number`th record of this key, for a stream whose records are spread evenly over its
    /// partitions.
    ///
    /// # Errors
    /// Fails if the record can't be encoded.
    pub fn dealt<R: Record>(
        stream: StreamSpec,
        key: &str,
        number: u32,
        record: &R,
    ) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.keyed, Keyed::Dealt, "{} is keyed", stream.name);
        Ok(Self { placement: Placement::Dealt(number), ..Self::by_key(stream, key, record)? })
    }

    /// Returns a record that is placed by its key.
    fn by_key<R: Record>(stream: StreamSpec, key: &str, record: &R) -> Result<Self, RecordError> {
        debug_assert_eq!(stream.record, R::NAME, "{} holds other records", stream.name);
        Ok(Self {
            stream: stream.name,
            key: key.into(),
            value: Some(record.encode()?),
            placement: Placement::ByKey,
        })
    }
}

/// The context in which a record is processed.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// When the record was appended, in milliseconds since 1970.
    pub appended_ms: i64,
    /// The clock, for times in reports. No decision depends on it.
    pub clock: Clock,
}

impl Task {
    /// Returns the current time, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }
}

/// Returns the time in milliseconds since 1970. The simulation has a clock of its own.
pub type Clock = fn() -> i64;

/// A stateless step: one record in, records out. It is called again with the same record after a crash or a
/// rebalance, so its side effects must be idempotent.
#[async_trait]
pub trait Processor: Send + Sync + 'static {
    /// The type of the input records.
    type In: Send + Sync + 'static;

    /// Decodes a value of its stream.
    ///
    /// # Errors
    /// Fails if the value can't be decoded; the record becomes a dead letter.
    fn read(&self, value: &[u8]) -> Result<Self::In, RecordError>;

    /// Decodes a record with its headers, for processors that use them.
    ///
    /// # Errors
    /// The same errors as [`Processor::read`].
    fn read_record(&self, value: &[u8], _headers: &[(String, Vec<u8>)]) -> Result<Self::In, RecordError> {
        self.read(value)
    }

    /// Processes a record and returns the records to publish.
    ///
    /// # Errors
    /// See [`ProcessorError`].
    async fn handle(&self, record: &Self::In, task: Task) -> Result<Vec<Emit>, ProcessorError>;

    /// Returns the records to publish after the record was given up for this reason: they make its execution
    /// fail.
    fn given_up(&self, record: &Self::In, task: Task, reason: &str) -> Vec<Emit>;
}

/// The result of folding a record, or of a punctuation.
#[derive(Debug)]
pub struct Fold<S> {
    /// The new state; `None` removes the key.
    pub state: Option<S>,
    /// Records to publish.
    pub emits: Vec<Emit>,
    /// True if the state differs from the one before: it is then written to the changelog.
    pub changed: bool,
}

/// A keyed aggregation: a state and a record in, a state and records out. Pure: it has no clock, no I/O and
/// no randomness.
pub trait Aggregation: Send + Sync + 'static {
    /// The type of the input records.
    type In: Record;
    /// The type of the state of a key.
    type State: Record + Clone;

    /// Folds a record into the state of its key.
    ///
    /// # Errors
    /// Fails if a record to publish can't be encoded.
    fn fold(&self, state: Option<Self::State>, record: Self::In) -> Result<Fold<Self::State>, RecordError>;

    /// Changes the state of a key by time alone. It is called at or after the time that
    /// [`Aggregation::wakes_at`] returns.
    ///
    /// # Errors
    /// Fails if a record to publish can't be encoded.
    fn punctuate(&self, state: Self::State, now_ms: i64) -> Result<Fold<Self::State>, RecordError>;

    /// Returns when the state is next to be punctuated, in milliseconds since 1970.
    fn wakes_at(&self, state: &Self::State) -> Option<i64>;
}

/// The [`Clock`] of the system.
#[must_use]
pub fn millis_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
