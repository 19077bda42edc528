//! Records that can't be processed are set aside as they were, with headers that say why.

use millrace_topology::{Emit, Placement, streams};

use crate::log::{NewRecord, Record};

/// The dead letter of a record: key, value and headers untouched, error headers added (the family that Kafka Streams
/// writes since KIP-1034).
pub(crate) fn dead_letter(record: &Record, message: &str) -> NewRecord {
    let mut headers = record.headers.clone();
    for (name, value) in [
        ("__streams.errors.message", message.to_owned()),
        ("__streams.errors.topic", record.partition.stream.clone()),
        ("__streams.errors.partition", record.partition.number.to_string()),
        ("__streams.errors.offset", record.offset.to_string()),
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
