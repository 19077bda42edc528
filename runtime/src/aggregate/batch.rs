//! A batch of folds: the records, offsets and states that one transaction commits.

use std::collections::{BTreeMap, BTreeSet};

use millrace_schemas::{
    RecordError,
    frame::{self, Record as _},
};
use millrace_topology::{Aggregation, Emit, Fold, Placement, ProcessorSpec, StreamSpec};

use super::partition::{PartitionState, PartitionStates};
use crate::{
    announcements::VersionCheck,
    dead_letter::{GIVEN_UP, UNREADABLE, set_aside},
    error::LogError,
    log::Transaction,
    record::{NewRecord, Partition, Record, check_size, oversize_reason},
};

/// The results of folding some records.
pub(super) struct Batch {
    reads: StreamSpec,
    table: StreamSpec,
    records: Vec<NewRecord>,
    /// One offset per partition this transaction acts for, punctuated ones too, so that the log rejects it if any was
    /// lost.
    offsets: BTreeMap<u32, u64>,
    /// The keys whose state changed, with their partition.
    changed: BTreeSet<(u32, Vec<u8>)>,
}

impl Batch {
    pub(super) fn new(reads: StreamSpec, table: StreamSpec) -> Self {
        Self { reads, table, records: Vec::new(), offsets: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Folds a record into the state of its key. A record that can't be decoded or folded becomes a dead letter. A record of a
    /// newer Millrace stops its partition.
    pub(super) async fn fold_record<A: Aggregation>(
        &mut self,
        aggregation: &A,
        partition: &mut PartitionState<A::State>,
        record: Record,
        check: &VersionCheck,
    ) -> Result<(), LogError> {
        if partition.waits {
            return Ok(());
        }
        let decoded = match &record.value {
            None => Ok(None),
            Some(value) => check_size(value).and_then(|()| A::In::decode(value)).map(Some),
        };
        let number = record.partition.number;
        let input = match decoded {
            Ok(input) => Ok(input),
            Err(error) => match check.resolve_claim(error).await? {
                error @ RecordError::Newer { .. } => {
                    let Partition { stream, number } = &record.partition;
                    tracing::error!(stream, partition = number, offset = record.offset, %error, "waits for an upgrade of this process");
                    partition.waits = true;
                    return Ok(());
                }
                error => Err(error),
            },
        };
        partition.position = record.offset + 1;
        self.offsets.insert(number, partition.position);
        match input {
            Ok(None) => {}
            Err(error) => self.records.push(set_aside(&record, UNREADABLE, &error.to_string())),
            Ok(Some(input)) => {
                let before = partition.states.get(&record.key).cloned();
                let fold = aggregation.fold(before, input).map_err(|error| error.to_string());
                match fold.and_then(check_emits) {
                    Ok(fold) => self.apply(partition, number, record.key, fold),
                    Err(reason) => self.records.push(set_aside(&record, GIVEN_UP, &reason)),
                }
            }
        }
        Ok(())
    }

    /// Makes a dead letter of a record in the changelog that is no state, and writes the key's state in its place, or a tombstone
    /// if it has none.
    pub(super) fn replace_invalid_state<S>(
        &mut self,
        partition: &PartitionState<S>,
        number: u32,
        record: Record,
        reason: &str,
    ) {
        if partition.waits {
            return;
        }
        self.offsets.insert(number, partition.position);
        self.records.push(set_aside(&record, UNREADABLE, reason));
        self.changed.insert((number, record.key));
    }

    /// Punctuates the states of a partition that are due.
    pub(super) fn punctuate<A: Aggregation>(
        &mut self,
        aggregation: &A,
        partition: &mut PartitionState<A::State>,
        number: u32,
        spec: &ProcessorSpec,
        now_ms: i64,
    ) {
        if partition.waits {
            return;
        }
        let due: Vec<_> = partition
            .states
            .iter()
            .filter(|(_, state)| aggregation.wakes_at(state).is_some_and(|at| at <= now_ms))
            .map(|(key, state)| (key.clone(), state.clone()))
            .collect();
        for (key, before) in due {
            match aggregation.punctuate(before, now_ms) {
                Ok(fold) => {
                    self.offsets.insert(number, partition.position);
                    self.apply(partition, number, key, fold);
                }
                Err(error) => tracing::error!(processor = spec.name, %error, "punctuation failed"),
            }
        }
    }

    fn apply<S>(&mut self, partition: &mut PartitionState<S>, number: u32, key: Vec<u8>, fold: Fold<S>) {
        self.records.extend(fold.emits.into_iter().map(NewRecord::from));
        match fold.state {
            Some(state) => drop(partition.states.insert(key.clone(), state)),
            None => drop(partition.states.remove(&key)),
        }
        if fold.changed {
            self.changed.insert((number, key));
        }
    }

    /// Returns the transaction of this batch, without a membership. Several updates of a key are one record of the changelog.
    pub(super) fn into_transaction<S: frame::Record>(
        self,
        partitions: &PartitionStates<S>,
    ) -> Result<Transaction, RecordError> {
        let mut records = self.records;
        for (number, key) in self.changed {
            let state = partitions.get(&number).and_then(|partition| partition.states.get(&key));
            let value = state.map(S::encode).transpose()?;
            // The same partition number as the input: input and changelog have the same number of partitions.
            let emit = Emit { stream: self.table.name, key, value, placement: Placement::Exactly(number) };
            records.push(emit.into());
        }
        let partition = |number| Partition { stream: self.reads.name.into(), number };
        let offsets = self.offsets.into_iter().map(|(number, next)| (partition(number), next)).collect();
        Ok(Transaction { records, offsets, membership: None })
    }
}

/// Fails with the reason if a record to publish is too large.
fn check_emits<S>(fold: Fold<S>) -> Result<Fold<S>, String> {
    match fold.emits.iter().find_map(oversize_reason) {
        Some(reason) => Err(reason),
        None => Ok(fold),
    }
}
