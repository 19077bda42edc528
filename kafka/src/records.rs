//! Conversions between the log's records and librdkafka's messages.

use std::collections::HashMap;

use millrace_runtime::{Headers, NewRecord, Partition, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{BaseRecord, FutureRecord},
};

use crate::settings::Settings;

/// A record with its topic and its partition.
#[derive(Clone)]
pub(crate) struct Placed {
    topic: String,
    partition: i32,
    record: NewRecord,
}

impl Placed {
    pub(crate) fn new(settings: &Settings, record: NewRecord, partitions: u32) -> Self {
        let topic = settings.topic(record.emit.stream);
        Self { topic, partition: record.partition(partitions).cast_signed(), record }
    }

    fn headers(&self) -> Option<OwnedHeaders> {
        let headers = &self.record.headers;
        let insert = |all: OwnedHeaders, (name, value): &(String, Vec<u8>)| {
            all.insert(Header { key: name, value: Some(value) })
        };
        (!headers.is_empty())
            .then(|| headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), insert))
    }

    /// Returns the record for a [`BaseProducer`](rdkafka::producer::BaseProducer).
    pub(crate) fn to_base_record(&self) -> BaseRecord<'_, [u8], [u8]> {
        let mut record =
            BaseRecord::to(&self.topic).partition(self.partition).key(self.record.emit.key.as_slice());
        record.payload = self.record.emit.value.as_deref();
        record.headers = self.headers();
        record
    }

    /// Returns the record for a [`FutureProducer`](rdkafka::producer::FutureProducer).
    pub(crate) fn to_future_record(&self) -> FutureRecord<'_, [u8], [u8]> {
        let mut record =
            FutureRecord::to(&self.topic).partition(self.partition).key(self.record.emit.key.as_slice());
        record.payload = self.record.emit.value.as_deref();
        record.headers = self.headers();
        record
    }
}

/// Returns the record of a message.
pub(crate) fn record(stream: &str, message: &BorrowedMessage<'_>) -> Record {
    let header =
        |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.unwrap_or_default().to_vec());
    Record {
        partition: Partition {
            stream: stream.into(),
            number: u32::try_from(message.partition()).unwrap_or(0),
        },
        offset: u64::try_from(message.offset()).unwrap_or(0),
        at_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Headers::new, |all| all.iter().map(header).collect()),
    }
}

/// Returns an offset as a number; 0 if there is none.
pub(crate) fn offset(offset: Option<Offset>) -> u64 {
    match offset {
        Some(Offset::Offset(offset)) => u64::try_from(offset).unwrap_or(0),
        _ => 0,
    }
}

/// Returns the offsets in a list of one topic, by partition.
#[expect(clippy::needless_pass_by_value, reason = "the signature that map needs")]
pub(crate) fn offsets(list: TopicPartitionList) -> HashMap<i32, u64> {
    list.elements().iter().map(|element| (element.partition(), offset(Some(element.offset())))).collect()
}
