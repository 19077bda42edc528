//! What the log knows of executions.

use std::{collections::HashMap, sync::Arc};

use millrace_runtime::{Log, LogError, Partition};
use millrace_schemas::{Assembly, frame::Record};
use millrace_topology::{StreamSpec, streams};

/// Reads a stream from here on, without a group.
pub(crate) struct Tail<R> {
    log: Arc<dyn Log>,
    positions: Vec<(Partition, u64)>,
    record: std::marker::PhantomData<R>,
}

impl<R: Record> Tail<R> {
    /// From the start of the stream.
    pub(crate) async fn from_start(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let count = log.partitions(stream.name).await?;
        let partition = |number| Partition { stream: stream.name.into(), number };
        let positions = (0..count).map(|number| (partition(number), 0)).collect();
        Ok(Self { log, positions, record: std::marker::PhantomData })
    }

    /// From the end of the stream, as it is now.
    pub(crate) async fn from_end(log: Arc<dyn Log>, stream: StreamSpec) -> Result<Self, LogError> {
        let mut tail = Self::from_start(log, stream).await?;
        for (partition, position) in &mut tail.positions {
            *position = tail.log.end(partition).await?;
        }
        Ok(tail)
    }

    /// From where a group goes on.
    pub(crate) async fn from_committed(
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
    pub(crate) async fn take(&mut self) -> Result<Vec<R>, LogError> {
        let mut found = Vec::new();
        for (partition, position) in &mut self.positions {
            loop {
                let records = self.log.read(partition, *position, 1000).await?;
                let Some(last) = records.last() else { break };
                *position = last.offset + 1;
                found.extend(records.iter().filter_map(|record| R::decode(record.value.as_deref()?).ok()));
            }
        }
        Ok(found)
    }
}

/// The state of every execution.
pub(crate) async fn states(log: Arc<dyn Log>) -> Result<HashMap<String, Assembly>, LogError> {
    let mut tail = Tail::<Assembly>::from_start(log, streams::ASSEMBLIES).await?;
    Ok(tail.take().await?.into_iter().map(|state| (state.execution.clone(), state)).collect())
}
