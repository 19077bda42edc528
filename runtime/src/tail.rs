//! Reading streams and tables without a group.

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use millrace_schemas::frame;
use millrace_topology::StreamSpec;

use crate::log::{Log, LogError, Partition, Record};

/// How many records are read at once.
const BATCH: usize = 1000;

/// Reads what a partition holds from an offset on, up to what can be read now; gives where to go on.
///
/// # Errors
/// Where the log can't be read.
pub async fn read_on<L: Log + ?Sized>(
    log: &L,
    partition: &Partition,
    from: u64,
    mut take: impl FnMut(Record),
) -> Result<u64, LogError> {
    let mut next = from;
    loop {
        let fetched = log.read(partition, next, BATCH).await?;
        if fetched.next == next {
            return Ok(next);
        }
        next = fetched.next;
        fetched.records.into_iter().for_each(&mut take);
    }
}

/// Reads a stream from here on, without a group.
pub struct Tail<R> {
    log: Arc<dyn Log>,
    positions: Vec<(Partition, u64)>,
    record: PhantomData<R>,
}

impl<R: frame::Record> Tail<R> {
    /// From the start of the stream.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn from_start(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let count = log.partitions(stream.name).await?;
        let partition = |number| Partition { stream: stream.name.into(), number };
        let positions = (0..count).map(|number| (partition(number), 0)).collect();
        Ok(Self { log, positions, record: PhantomData })
    }

    /// From the end of the stream, as it is now.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn from_end(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let mut tail = Self::from_start(log, stream).await?;
        for (partition, position) in &mut tail.positions {
            *position = tail.log.end(partition).await?;
        }
        Ok(tail)
    }

    /// From where a group goes on.
    ///
    /// # Errors
    /// Where the log can't be read.
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

    /// What came since. Records that can't be read are left out: they are dead letters of somebody else.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub async fn take(&mut self) -> Result<Vec<R>, LogError> {
        let mut found = Vec::new();
        for (partition, position) in &mut self.positions {
            let take = |record: Record| {
                found.extend(record.value.and_then(|value| R::decode(&value).ok()));
            };
            *position = read_on(self.log.as_ref(), partition, *position, take).await?;
        }
        Ok(found)
    }
}

/// The records of a stream that lie where those of this key do: of its partition alone. Those that can't be read are left out.
///
/// # Errors
/// Where the log can't be read.
pub async fn of_key<R: frame::Record>(
    log: &dyn Log,
    stream: StreamSpec,
    key: &str,
) -> Result<Vec<R>, LogError> {
    let count = log.partitions(stream.name).await?.max(1);
    let partition = Partition { stream: stream.name.into(), number: crate::murmur2(key.as_bytes()) % count };
    let mut found = Vec::new();
    let take = |record: Record| found.extend(record.value.and_then(|value| R::decode(&value).ok()));
    read_on(log, &partition, 0, take).await?;
    Ok(found)
}

/// A table: the latest record of each key.
///
/// # Errors
/// Where the log can't be read.
pub async fn table<R: frame::Record>(
    log: &dyn Log,
    stream: StreamSpec,
) -> Result<HashMap<String, R>, LogError> {
    let mut found = HashMap::new();
    for number in 0..log.partitions(stream.name).await? {
        let partition = Partition { stream: stream.name.into(), number };
        let take = |record: Record| {
            let key = String::from_utf8_lossy(&record.key).into_owned();
            match record.value.map(|value| R::decode(&value)) {
                Some(Ok(state)) => drop(found.insert(key, state)),
                None => drop(found.remove(&key)),
                // A newer Millrace's, or a stranger's: what came before is known.
                Some(Err(_)) => {}
            }
        };
        read_on(log, &partition, 0, take).await?;
    }
    Ok(found)
}
