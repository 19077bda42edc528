//! The implementation of [`Log`] on a Kafka cluster.

use async_trait::async_trait;
use millrace_runtime::{Consumer, Fetched, Log, LogError, NewRecord, Partition, Transaction, Watcher};
use millrace_topology::StreamSpec;

use crate::{cluster::Kafka, member::Member};

#[async_trait]
impl Log for Kafka {
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError> {
        self.apply(streams).await.map(drop)
    }

    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError> {
        self.count_partitions(stream).await?;
        let number = self.with_members(|members| {
            members.latest += 1;
            members.latest
        });
        let member = Member::start(self, group, stream, number)?;
        self.with_members(|members| members.handles.insert(number, member.handle().clone()));
        Ok(Box::new(member))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), LogError> {
        if transaction.records.is_empty() && transaction.offsets.is_empty() {
            return Ok(());
        }
        let prepared = self.prepare(transaction).await?;
        // A single record is atomic without a transaction.
        let result = if prepared.owner.is_none() && prepared.records.len() == 1 {
            self.append(prepared.records).await
        } else {
            self.shared.committer.commit(prepared).await
        };
        if result.is_ok() {
            self.shared.changes.modify(|()| {});
        }
        result
    }

    async fn advise(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let placed = self.place(records).await?;
        self.append(placed).await
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError> {
        self.count_partitions(&partition.stream).await?;
        let mut reader = self.shared.readers.open(partition, from)?;
        if !reader.is_caught_up() {
            // Without this the result could be empty although records can be read.
            let end = self.watermarks(partition, &self.shared.committed).await?.1;
            reader.read_up_to(end).await?;
        }
        let fetched = reader.fetch(most);
        self.shared.readers.put_back(reader);
        self.resolve_schemas(&fetched.records).await?;
        Ok(fetched)
    }

    async fn partitions(&self, stream: &str) -> Result<u32, LogError> {
        self.count_partitions(stream).await
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.watermarks(partition, &self.shared.uncommitted).await?.1)
    }

    async fn depth(&self, partition: &Partition) -> Result<u64, LogError> {
        let (low, high) = self.watermarks(partition, &self.shared.committed).await?;
        Ok(high.saturating_sub(low))
    }

    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        self.committed_offset(group, partition).await
    }

    async fn lag(&self, group: &str, stream: &str) -> Result<u64, LogError> {
        self.count_lag(group, stream).await
    }

    fn changes(&self) -> Watcher<()> {
        self.shared.changes.watch()
    }
}
