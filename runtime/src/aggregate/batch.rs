//! What some records cause together.

use std::collections::{BTreeMap, BTreeSet};

use millrace_schemas::{RecordError, frame::Record as _};
use millrace_topology::{Aggregation, Emit, Fold, Placement, ProcessorSpec, StreamSpec};

use super::{Part, Parts};
use crate::{
    announced::Claims,
    log::{LogError, NewRecord, Partition, Record, Transaction},
    runner::{checked, set_aside, too_large},
};

pub(super) struct Batch {
    reads: StreamSpec,
    table: StreamSpec,
    records: Vec<NewRecord>,
    /// Of every partition that is acted for, also by time alone: so one that was lost is not.
    offsets: BTreeMap<u32, u64>,
    changed: BTreeSet<(u32, Vec<u8>)>,
}

impl Batch {
    pub(super) fn new(reads: StreamSpec, table: StreamSpec) -> Self {
        Self { reads, table, records: Vec::new(), offsets: BTreeMap::new(), changed: BTreeSet::new() }
    }

    pub(super) async fn record<A: Aggregation>(
        &mut self,
        aggregation: &A,
        part: &mut Part<A::State>,
        record: Record,
        claims: &Claims,
    ) -> Result<(), LogError> {
        if part.waits {
            return Ok(());
        }
        let read = match &record.value {
            None => Ok(None),
            Some(value) => checked(value).and_then(|()| A::In::decode(value)).map(Some),
        };
        let number = record.partition.number;
        let signal = match read {
            Ok(signal) => Ok(signal),
            Err(error) => match claims.settle(error).await? {
                error @ RecordError::Newer { .. } => {
                    let Partition { stream, number } = &record.partition;
                    tracing::error!(stream, partition = number, offset = record.offset, %error, "waits for an upgrade of this process");
                    part.waits = true;
                    return Ok(());
                }
                error => Err(error),
            },
        };
        part.position = record.offset + 1;
        self.offsets.insert(number, part.position);
        match signal {
            Ok(None) => {}
            Err(error) => self.records.push(set_aside(&record, "unreadable", &error.to_string())),
            Ok(Some(signal)) => {
                let before = part.states.get(&record.key).cloned();
                match aggregation.fold(before, signal).map_err(|error| error.to_string()).and_then(fits) {
                    Ok(fold) => self.keep(part, number, record.key, fold),
                    Err(reason) => self.records.push(set_aside(&record, "given-up", &reason)),
                }
            }
        }
        Ok(())
    }

    /// Sets aside what lies in the changelog and is no state, and puts the state in its place: none, where there is none.
    pub(super) fn stray<S>(&mut self, part: &Part<S>, number: u32, record: Record, reason: &str) {
        if part.waits {
            return;
        }
        self.offsets.insert(number, part.position);
        self.records.push(set_aside(&record, "unreadable", reason));
        self.changed.insert((number, record.key));
    }

    pub(super) fn punctuate<A: Aggregation>(
        &mut self,
        aggregation: &A,
        part: &mut Part<A::State>,
        number: u32,
        spec: &ProcessorSpec,
        now_ms: i64,
    ) {
        if part.waits {
            return;
        }
        let due: Vec<_> = part
            .states
            .iter()
            .filter(|(_, state)| aggregation.wakes_at(state).is_some_and(|at| at <= now_ms))
            .map(|(key, state)| (key.clone(), state.clone()))
            .collect();
        for (key, before) in due {
            match aggregation.punctuate(before, now_ms) {
                Ok(fold) => {
                    self.offsets.insert(number, part.position);
                    self.keep(part, number, key, fold);
                }
                Err(error) => tracing::error!(processor = spec.name, %error, "punctuation"),
            }
        }
    }

    fn keep<S>(&mut self, part: &mut Part<S>, number: u32, key: Vec<u8>, fold: Fold<S>) {
        self.records.extend(fold.emits.into_iter().map(NewRecord::from));
        match fold.state {
            Some(state) => drop(part.states.insert(key.clone(), state)),
            None => drop(part.states.remove(&key)),
        }
        if fold.changed {
            self.changed.insert((number, key));
        }
    }

    /// Several updates of a key are one record of the changelog.
    pub(super) fn transaction<S: millrace_schemas::frame::Record>(
        self,
        parts: &Parts<S>,
    ) -> Result<Transaction, RecordError> {
        let mut records = self.records;
        for (number, key) in self.changed {
            let state = parts.get(&number).and_then(|part| part.states.get(&key));
            let value = state.map(millrace_schemas::frame::Record::encode).transpose()?;
            // Where its input came from: input and changelog have the same partitions.
            let emit = Emit { stream: self.table.name, key, value, placement: Placement::Exactly(number) };
            records.push(emit.into());
        }
        let partition = |number| Partition { stream: self.reads.name.into(), number };
        let offsets = self.offsets.into_iter().map(|(number, next)| (partition(number), next)).collect();
        Ok(Transaction { records, offsets, membership: None })
    }
}

fn fits<S>(fold: Fold<S>) -> Result<Fold<S>, String> {
    match fold.emits.iter().find_map(too_large) {
        Some(reason) => Err(reason),
        None => Ok(fold),
    }
}
