//! Records that can't be processed are set aside as they were, with headers that say why.

use millrace_topology::{Emit, Placement, streams};

use crate::log::{NewRecord, Record};

/// The header that says why. This and the other `__streams.errors.*` are the family that Kafka Streams writes since
/// KIP-1034.
pub const ERROR_MESSAGE: &str = "__streams.errors.message";
/// The header that names the topic that the record came from.
pub const ERROR_TOPIC: &str = "__streams.errors.topic";
/// The header that says which partition of it.
pub const ERROR_PARTITION: &str = "__streams.errors.partition";
/// The header that says which offset in it.
pub const ERROR_OFFSET: &str = "__streams.errors.offset";
/// The header that names the kind of error.
pub const ERROR_EXCEPTION: &str = "__streams.errors.exception";
/// What all headers of the family begin with.
pub const ERROR_HEADERS: &str = "__streams.errors.";

/// The dead letter of a record: key, value and headers untouched, error headers added. Those that it had from an earlier
/// time are replaced.
pub(crate) fn dead_letter(record: &Record, kind: &str, message: &str) -> NewRecord {
    let mut headers = record.headers.clone();
    headers.retain(|(name, _)| !name.starts_with(ERROR_HEADERS));
    for (name, value) in [
        (ERROR_EXCEPTION, kind.to_owned()),
        (ERROR_MESSAGE, message.to_owned()),
        (ERROR_TOPIC, record.partition.stream.clone()),
        (ERROR_PARTITION, record.partition.number.to_string()),
        (ERROR_OFFSET, record.offset.to_string()),
    ] {
        headers.push((name.into(), value.into_bytes()));
    }
    NewRecord {
        emit: Emit {
            stream: streams::DEAD_LETTERS.name,
            key: record.key.clone(),
            value: record.value.clone(),
            placement: Placement::ByKey,
        },
        headers,
    }
}
