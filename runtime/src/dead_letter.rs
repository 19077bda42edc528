//! Dead letters: records that can't be processed, with headers that say why.

use millrace_topology::{Emit, Placement, streams};

use crate::{
    metrics,
    record::{NewRecord, Partition, Record},
};

/// The kind of error of a record that can't be decoded.
pub(crate) const UNREADABLE: &str = "unreadable";
/// The kind of error of a record that could be decoded, but not processed.
pub(crate) const GIVEN_UP: &str = "given-up";
/// The longest reason in a dead letter, in characters.
const LONGEST_REASON: usize = 2000;

/// The header with the reason. This and the other `__streams.errors.*` headers are those that Kafka Streams
/// writes since KIP-1034.
pub const ERROR_MESSAGE: &str = "__streams.errors.message";
/// The header with the topic of the original record.
pub const ERROR_TOPIC: &str = "__streams.errors.topic";
/// The header with the partition of the original record.
pub const ERROR_PARTITION: &str = "__streams.errors.partition";
/// The header with the offset of the original record.
pub const ERROR_OFFSET: &str = "__streams.errors.offset";
/// The header with the kind of error.
pub const ERROR_EXCEPTION: &str = "__streams.errors.exception";
/// The prefix of all headers with errors.
pub const ERROR_HEADERS: &str = "__streams.errors.";

/// Returns the dead letter of a record: the same key, value and headers, with error headers added. Error
/// headers of an earlier dead letter are replaced.
fn dead_letter(record: &Record, kind: &str, message: &str) -> NewRecord {
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

/// Logs and counts that a record can't be processed, and returns its dead letter. The reason is truncated.
pub(crate) fn set_aside(record: &Record, kind: &str, reason: &str) -> NewRecord {
    let Partition { stream, number } = &record.partition;
    // A reason may quote the whole value.
    let reason: String = reason.chars().take(LONGEST_REASON).collect();
    tracing::warn!(stream, partition = number, offset = record.offset, reason, "dead letter");
    metrics::count_dead_letter(stream, kind);
    dead_letter(record, kind, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;

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
