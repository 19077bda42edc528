//! Reads streams and tables without a consumer group.

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use millrace_schemas::frame;
use millrace_topology::StreamSpec;

use crate::{
    error::LogError,
    log::{Log, read_to_end},
    record::{Partition, Record},
};

/// A reader of all partitions of a stream that remembers its position in each.
pub struct Tail<R> {
    log: Arc<dyn Log>,
    positions: Vec<(Partition, u64)>,
    record: PhantomData<R>,
}

impl<R: frame::Record> Tail<R> {
    /// Returns a reader at the start of the stream.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    pub async fn from_start(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let positions = partitions(log.as_ref(), stream).await?.map(|partition| (partition, 0)).collect();
        Ok(Self { log, positions, record: PhantomData })
    }

    /// Returns a reader at the current end of the stream.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    pub async fn from_end(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let mut tail = Self::from_start(log, stream).await?;
        for (partition, position) in &mut tail.positions {
            *position = tail.log.end(partition).await?;
        }
        Ok(tail)
    }

    /// Returns a reader at the offsets that a group has committed.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    pub async fn from_committed(
        log: Arc<dyn Log>,
        stream: StreamSpec,
        group: &str,
    ) -> Result<Self, LogError> {
        let mut tail = Self::from_start(log, stream).await?;
        for (partition, position) in &mut tail.positions {
            *position = tail.log.committed(group, partition).await?;
        }
        Ok(tail)
    }

    /// Returns the records since the last call, and moves the position behind them. Records that can't be decoded are
    /// skipped: the processor that consumes the stream makes dead letters of them.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    pub async fn read_new(&mut self) -> Result<Vec<R>, LogError> {
        let mut found = Vec::new();
        for (partition, position) in &mut self.positions {
            let visit = |record| found.extend(decode(record));
            *position = read_to_end(self.log.as_ref(), partition, *position, visit).await?;
        }
        Ok(found)
    }
}

/// Returns the partitions of a stream.
async fn partitions(log: &dyn Log, stream: StreamSpec) -> Result<impl Iterator<Item = Partition>, LogError> {
    let count = log.partitions(stream.name).await?;
    Ok((0..count).map(move |number| Partition { stream: stream.name.into(), number }))
}

fn decode<R: frame::Record>(record: Record) -> Option<R> {
    record.value.and_then(|value| R::decode(&value).ok())
}

/// Returns all records of the partition that holds this key, those of other keys too. Records that can't be decoded are
/// skipped. Only for streams that are partitioned by key.
///
/// # Errors
/// Fails if the log can't be read.
pub async fn read_partition_of_key<R: frame::Record>(
    log: &dyn Log,
    stream: StreamSpec,
    key: &str,
) -> Result<Vec<R>, LogError> {
    let count = log.partitions(stream.name).await?.max(1);
    let partition = Partition { stream: stream.name.into(), number: crate::murmur2(key.as_bytes()) % count };
    let mut found = Vec::new();
    read_to_end(log, &partition, 0, |record| found.extend(decode(record))).await?;
    Ok(found)
}

/// Returns the latest record of each key of a table. A record that can't be decoded is skipped, so its key keeps the
/// record before it.
///
/// # Errors
/// Fails if the log can't be read.
pub async fn read_table<R: frame::Record>(
    log: &dyn Log,
    stream: StreamSpec,
) -> Result<HashMap<String, R>, LogError> {
    let mut found = HashMap::new();
    for partition in partitions(log, stream).await? {
        let visit = |record: Record| {
            let key = String::from_utf8_lossy(&record.key).into_owned();
            match record.value.map(|value| R::decode(&value)) {
                Some(Ok(state)) => drop(found.insert(key, state)),
                None => drop(found.remove(&key)),
                // Written by a newer Millrace, or by another program.
                Some(Err(_)) => {}
            }
        };
        read_to_end(log, &partition, 0, visit).await?;
    }
    Ok(found)
}
