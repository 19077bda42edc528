//! The contents of the simulated log.

use std::collections::{BTreeMap, BTreeSet};

use millrace_topology::{Kind, StreamSpec};
use tokio::time::Instant;

use crate::{
    error::LogError,
    groups::Groups,
    log::{Fetched, Transaction},
    record::{NewRecord, Partition, Record},
};

/// The entry at one offset. It has no record if it is a transaction marker or was aborted.
struct LogEntry {
    record: Option<Record>,
    transaction: u64,
    /// The time from which it can be read.
    visible: Instant,
}

struct StoredStream {
    is_table: bool,
    partitions: Vec<Vec<LogEntry>>,
}

/// A committed record with its transaction. Records of one transaction were committed together; a larger
/// number was committed later.
#[derive(Debug, Clone)]
pub struct CommittedRecord {
    /// The number of the transaction.
    pub transaction: u64,
    /// The record.
    pub record: Record,
}

#[derive(Default)]
pub(super) struct State {
    streams: BTreeMap<String, StoredStream>,
    pub(super) groups: Groups,
    /// The members of all groups: process, group and member id.
    members: Vec<(u64, String, u64)>,
    /// The committed offset of a group in a partition, and the time from which it can be read.
    offsets: BTreeMap<(String, Partition), (u64, Instant)>,
    transactions: u64,
}

impl State {
    fn stream(&self, name: &str) -> Result<&StoredStream, LogError> {
        self.streams.get(name).ok_or_else(|| LogError::UnknownStream(name.into()))
    }

    fn entries(&self, partition: &Partition) -> Result<&[LogEntry], LogError> {
        let stream = self.stream(&partition.stream)?;
        Ok(stream.partitions.get(partition.number as usize).map_or(&[], Vec::as_slice))
    }

    /// Creates the streams that do not exist.
    pub(super) fn ensure(&mut self, specs: &[StreamSpec]) -> Result<(), LogError> {
        for spec in specs {
            let stream = self.streams.entry(spec.name.into()).or_insert_with(|| StoredStream {
                is_table: spec.kind == Kind::Table,
                partitions: (0..spec.partitions).map(|_| Vec::new()).collect(),
            });
            let found = u32::try_from(stream.partitions.len()).unwrap_or(u32::MAX);
            if found != spec.partitions {
                let stream = spec.name.to_owned();
                return Err(LogError::Partitions { stream, found, expected: spec.partitions });
            }
        }
        Ok(())
    }

    pub(super) fn partitions(&self, stream: &str) -> Result<u32, LogError> {
        Ok(u32::try_from(self.stream(stream)?.partitions.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn join(&mut self, process: u64, group: &str, stream: &str) -> Result<u64, LogError> {
        let partitions = self.partitions(stream)?;
        let member = self.groups.join(group, partitions);
        self.members.push((process, group.into(), member));
        Ok(member)
    }

    /// Removes all members of a process from their groups.
    pub(super) fn expire_sessions(&mut self, process: u64) {
        self.remove_members(|(owner, ..)| *owner == process);
    }

    /// Removes all members of a group.
    pub(super) fn expire_group(&mut self, group: &str) {
        self.remove_members(|(_, name, _)| name == group);
    }

    fn remove_members(&mut self, is_removed: impl Fn(&(u64, String, u64)) -> bool) {
        let (removed, kept): (Vec<_>, _) =
            std::mem::take(&mut self.members).into_iter().partition(is_removed);
        self.members = kept;
        for (_, group, member) in removed {
            self.groups.leave(&group, member);
        }
    }

    /// Commits or aborts a transaction. `visible` gives the time from which a partition of it can be read. Returns the latest
    /// of these times.
    pub(super) fn commit(
        &mut self,
        transaction: &Transaction,
        aborts: bool,
        now_ms: i64,
        mut visible: impl FnMut() -> Instant,
    ) -> Result<Instant, LogError> {
        if let Some(m) = &transaction.membership
            && !self.groups.may_commit(m, &transaction.offsets)
        {
            return Err(LogError::Fenced { group: m.group.clone(), epoch: m.epoch });
        }
        for record in &transaction.records {
            self.stream(record.emit.stream)?;
        }
        self.transactions += 1;
        let number = self.transactions;
        let mut latest = Instant::now();
        // One time for each partition of the transaction.
        let mut times: BTreeMap<Partition, Instant> = BTreeMap::new();
        let mut time = |partition: &Partition| {
            let time = *times.entry(partition.clone()).or_insert_with(&mut visible);
            latest = latest.max(time);
            time
        };
        let mut touched = BTreeSet::new();
        for new in &transaction.records {
            let partition = self.partition_of(new)?;
            let visible = time(&partition);
            let stream = self.streams.get_mut(new.emit.stream);
            let Some(entries) = stream.and_then(|s| s.partitions.get_mut(partition.number as usize)) else {
                continue;
            };
            touched.insert(partition.clone());
            let record = Record {
                offset: entries.len() as u64,
                partition,
                at_ms: now_ms,
                key: new.emit.key.clone(),
                value: new.emit.value.clone(),
                headers: new.headers.clone(),
            };
            entries.push(LogEntry { record: (!aborts).then_some(record), transaction: number, visible });
        }
        // The marker behind the records of a transaction.
        for partition in touched {
            let visible = time(&partition);
            let stream = self.streams.get_mut(&partition.stream);
            if let Some(entries) = stream.and_then(|s| s.partitions.get_mut(partition.number as usize)) {
                entries.push(LogEntry { record: None, transaction: number, visible });
            }
        }
        if let Some(membership) = transaction.membership.as_ref().filter(|_| !aborts) {
            for (partition, next) in &transaction.offsets {
                let visible = visible();
                latest = latest.max(visible);
                self.offsets.insert((membership.group.clone(), partition.clone()), (*next, visible));
            }
        }
        Ok(latest)
    }

    /// Returns the partition that a record is appended to.
    fn partition_of(&self, new: &NewRecord) -> Result<Partition, LogError> {
        let number = new.partition(self.partitions(new.emit.stream)?);
        Ok(Partition { stream: new.emit.stream.into(), number })
    }

    /// Returns the records before the first one of an open transaction. Of a table without lazy compaction it
    /// returns only the latest record of each key.
    pub(super) fn read(
        &self,
        partition: &Partition,
        from: u64,
        most: usize,
        lazy_compaction: bool,
    ) -> Result<Fetched, LogError> {
        let entries = self.entries(partition)?;
        let now = Instant::now();
        let stable = entries.iter().position(|entry| entry.visible > now).unwrap_or(entries.len());
        let stable = entries.get(..stable).unwrap_or_default();
        let compacted = self.stream(&partition.stream)?.is_table && !lazy_compaction;
        let mut latest: BTreeMap<&[u8], u64> = BTreeMap::new();
        if compacted {
            let records = stable.iter().filter_map(|entry| entry.record.as_ref());
            latest.extend(records.map(|record| (record.key.as_slice(), record.offset)));
        }
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let mut fetched = Fetched { records: Vec::new(), next: from };
        for entry in stable.iter().skip(start) {
            if fetched.records.len() >= most {
                return Ok(fetched);
            }
            fetched.next += 1;
            let Some(record) = &entry.record else { continue };
            let kept = !compacted
                || (latest.get(record.key.as_slice()) == Some(&record.offset) && record.value.is_some());
            if kept {
                fetched.records.push(record.clone());
            }
        }
        Ok(fetched)
    }

    /// Returns the offset of the next entry.
    pub(super) fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.entries(partition)?.len() as u64)
    }

    /// Returns the committed offset of a group, and the time from which it can be read.
    pub(super) fn committed(&self, group: &str, partition: &Partition) -> (u64, Instant) {
        let key = (group.to_owned(), partition.clone());
        self.offsets.get(&key).copied().unwrap_or((0, Instant::now()))
    }

    /// Sets the committed offset of a group.
    pub(super) fn set_offset(&mut self, group: &str, partition: &Partition, to: u64) {
        self.offsets.insert((group.to_owned(), partition.clone()), (to, Instant::now()));
    }

    /// Appends a record with arbitrary bytes in a transaction of its own, and returns its offset.
    pub(super) fn append_foreign(
        &mut self,
        partition: &Partition,
        key: Vec<u8>,
        value: Vec<u8>,
        at_ms: i64,
    ) -> u64 {
        self.transactions += 1;
        let transaction = self.transactions;
        let stream = self.streams.get_mut(&partition.stream);
        let Some(entries) = stream.and_then(|s| s.partitions.get_mut(partition.number as usize)) else {
            return 0;
        };
        let offset = entries.len() as u64;
        let record = Record {
            partition: partition.clone(),
            offset,
            at_ms,
            key,
            value: Some(value),
            headers: Vec::new(),
        };
        entries.push(LogEntry { record: Some(record), transaction, visible: Instant::now() });
        offset
    }

    /// Returns all committed records, in the order of their transactions.
    pub(super) fn history(&self) -> Vec<CommittedRecord> {
        let entries = self.streams.values().flat_map(|stream| stream.partitions.iter().flatten());
        let mut all: Vec<CommittedRecord> = entries
            .filter_map(|entry| {
                Some(CommittedRecord { transaction: entry.transaction, record: entry.record.clone()? })
            })
            .collect();
        all.sort_by_key(|appended| appended.transaction);
        all
    }
}
