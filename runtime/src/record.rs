//! Records and partitions of a log.

use millrace_schemas::RecordError;
use millrace_topology::{Emit, Placement};

/// The headers of a record, in order. A name may occur several times.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The largest value of a record, in bytes: Kafka's default `message.max.bytes` less room for key, headers and batch.
/// Dead letters may be larger: they keep the value of the original record.
pub const LARGEST_VALUE: usize = 1_000_000;

/// A partition of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The stream's name.
    pub stream: String,
    /// The number of the partition in the stream, from 0.
    pub number: u32,
}

/// A record read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition that the record was read from.
    pub partition: Partition,
    /// The record's offset in its partition.
    pub offset: u64,
    /// The time of the append, in milliseconds since 1970.
    pub at_ms: i64,
    /// The key; it selects the partition.
    pub key: Vec<u8>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl Record {
    /// Returns the first header of this name as text. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The stream, the key, the value and the rule that selects the partition.
    pub emit: Emit,
    /// The headers.
    pub headers: Headers,
}

impl From<Emit> for NewRecord {
    fn from(emit: Emit) -> Self {
        Self { emit, headers: Headers::new() }
    }
}

impl NewRecord {
    /// Returns the number of the partition for this record in a stream of `partitions` partitions.
    #[must_use]
    pub fn partition(&self, partitions: u32) -> u32 {
        let hash = crate::murmur2(&self.emit.key);
        let number = match self.emit.placement {
            Placement::ByKey => hash,
            Placement::Dealt(number) => hash.wrapping_add(number),
            Placement::Exactly(number) => number,
        };
        number % partitions.max(1)
    }
}

/// Fails with [`RecordError::LargeValue`] if a value is larger than [`LARGEST_VALUE`].
pub(crate) fn check_size(value: &[u8]) -> Result<(), RecordError> {
    match value.len() {
        ..=LARGEST_VALUE => Ok(()),
        bytes => Err(RecordError::LargeValue { bytes, most: LARGEST_VALUE }),
    }
}

/// Returns the reason if a record to publish is larger than [`LARGEST_VALUE`].
pub(crate) fn oversize_reason(emit: &Emit) -> Option<String> {
    let bytes = emit.value.as_ref().map_or(0, Vec::len);
    (bytes > LARGEST_VALUE).then(|| {
        format!(
            "its result is a record of {bytes} bytes for '{}', and at most {LARGEST_VALUE} are allowed",
            emit.stream
        )
    })
}
