//! Records as Kafka has them.

use std::collections::HashMap;

use millrace_runtime::{Headers, NewRecord, Partition, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{BaseRecord, FutureRecord},
};

use crate::settings::Settings;

/// A record with the topic and the partition that it goes to.
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

    pub(crate) fn for_base(&self) -> BaseRecord<'_, [u8], [u8]> {
        let mut record =
            BaseRecord::to(&self.topic).partition(self.partition).key(self.record.emit.key.as_slice());
        record.payload = self.record.emit.value.as_deref();
        record.headers = self.headers();
        record
    }

    pub(crate) fn for_future(&self) -> FutureRecord<'_, [u8], [u8]> {
        let mut record =
            FutureRecord::to(&self.topic).partition(self.partition).key(self.record.emit.key.as_slice());
        record.payload = self.record.emit.value.as_deref();
        record.headers = self.headers();
        record
    }
}

/// A record that was read.
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

/// An offset; nothing committed is the beginning.
pub(crate) fn offset(offset: Option<Offset>) -> u64 {
    match offset {
        Some(Offset::Offset(offset)) => u64::try_from(offset).unwrap_or(0),
        _ => 0,
    }
}

/// The offsets of a topic's partitions.
#[expect(clippy::needless_pass_by_value, reason = "it is what map takes")]
pub(crate) fn offsets(list: TopicPartitionList) -> HashMap<i32, u64> {
    list.elements().iter().map(|element| (element.partition(), offset(Some(element.offset())))).collect()
}
