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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Partition;

    #[test]
    fn a_letter_is_the_record_as_it_was_and_says_once_where_it_came_from_and_why() {
        let partition = Partition { stream: "segments".into(), number: 7 };
        let own = ("traceparent".to_owned(), vec![0xff, 0]);
        let record = Record {
            partition,
            offset: 9,
            at_ms: 1,
            key: vec![0, 1],
            value: Some(vec![2, 3]),
            headers: vec![own.clone()],
        };
        let first = dead_letter(&record, "unreadable", "it is cut");
        assert_eq!((&first.emit.key, &first.emit.value), (&record.key, &record.value));
        assert_eq!(first.headers[0], own);
        // Published again with its headers, and set aside a second time.
        let again = Record { headers: first.headers, offset: 10, ..record };
        let second = dead_letter(&again, "given-up", "still");
        let found = |name: &str| -> Vec<&[u8]> {
            second.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
        };
        assert_eq!(found(ERROR_MESSAGE), [b"still"]);
        assert_eq!(found(ERROR_OFFSET), [b"10"]);
        assert_eq!(found(ERROR_PARTITION), [b"7"]);
        assert_eq!(found(ERROR_TOPIC), [b"segments"]);
        assert_eq!(found(ERROR_EXCEPTION), [b"given-up"]);
        assert_eq!(second.headers.len(), 6);
    }
}
