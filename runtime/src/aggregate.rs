//! Runs a keyed aggregation: state restored before its partition is consumed; records, state and offsets in one
//! transaction.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use millrace_schemas::frame::Record as _;
use millrace_topology::{Aggregation, Emit, Fold, Placement, ProcessorSpec, StreamSpec, millis_now};

use crate::{
    dead_letter::dead_letter,
    log::{Assignment, Event, Log, LogError, NewRecord, Partition, Record, Transaction},
    runner::RunError,
    stop::{Level, Stop},
};

/// How many records are folded into one transaction.
const BATCH: usize = 1000;

/// The states of the keys of one partition.
type States<S> = HashMap<Vec<u8>, S>;

/// Runs an aggregation until it is told to stop.
///
/// # Errors
/// Where the log fails, or the changelog holds what this Millrace can't read.
pub async fn run_aggregation<A: Aggregation>(
    log: Arc<dyn Log>,
    spec: ProcessorSpec,
    aggregation: Arc<A>,
    stop: Stop,
) -> Result<(), RunError> {
    let failed = |source| RunError::Log { processor: spec.name, source };
    let fatal = |reason: String| RunError::Fatal { processor: spec.name, reason };
    let table = spec.state.ok_or_else(|| fatal("an aggregation needs a table for its state".into()))?;
    let mut consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
    let mut states: HashMap<u32, States<A::State>> = HashMap::new();
    let mut assignment: Option<Assignment> = None;

    while stop.level() == Level::Run {
        let due = next_wake(aggregation.as_ref(), &states);
        let event = tokio::select! {
            () = stop.reaches(Level::Drain) => return Ok(()),
            event = consumer.next(BATCH) => Some(event.map_err(failed)?),
            () = until(due) => None,
        };
        let mut batch = Batch::new(table);
        match event {
            Some(Event::Assigned(new)) => {
                states.retain(|number, _| new.partitions.iter().any(|p| p.number == *number));
                for partition in &new.partitions {
                    if let Entry::Vacant(place) = states.entry(partition.number) {
                        let restored =
                            restore(log.as_ref(), table, partition.number).await.map_err(failed)?;
                        place.insert(restored.map_err(|error| fatal(error.to_string()))?);
                    }
                }
                assignment = Some(new);
                continue;
            }
            Some(Event::Records(records)) => {
                for record in records {
                    let states = states.entry(record.partition.number).or_default();
                    batch.record(aggregation.as_ref(), states, record);
                }
            }
            None => {
                for (number, states) in &mut states {
                    batch.punctuate(aggregation.as_ref(), states, *number, &spec, millis_now());
                }
            }
        }
        let Some(owned) = &assignment else { continue };
        let mut transaction = batch.transaction(&states).map_err(|error| fatal(error.to_string()))?;
        transaction.membership = Some(owned.membership.clone());
        match log.commit(transaction).await {
            // The partitions moved: what was folded here counts for nothing. Begin again from what is committed.
            Err(LogError::Fenced { .. }) => {
                states.clear();
                assignment = None;
                drop(consumer);
                consumer = log.join(&spec.group(), spec.reads.name).await.map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
    }
    Ok(())
}

fn next_wake<A: Aggregation>(aggregation: &A, states: &HashMap<u32, States<A::State>>) -> Option<i64> {
    states.values().flat_map(HashMap::values).filter_map(|state| aggregation.wakes_at(state)).min()
}

async fn until(due_ms: Option<i64>) {
    match due_ms {
        Some(due) => {
            let wait = u64::try_from(due - millis_now()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => std::future::pending().await,
    }
}

async fn restore<S: millrace_schemas::frame::Record>(
    log: &dyn Log,
    table: StreamSpec,
    number: u32,
) -> Result<Result<States<S>, millrace_schemas::RecordError>, LogError> {
    let partition = Partition { stream: table.name.into(), number };
    let end = log.end(&partition).await?;
    let mut states = States::new();
    let mut from = 0;
    while from < end {
        let records = log.read(&partition, from, BATCH).await?;
        let Some(last) = records.last() else { break };
        from = last.offset + 1;
        for record in records {
            match record.value.map(|value| S::decode(&value)) {
                Some(Ok(state)) => states.insert(record.key, state),
                Some(Err(error)) => return Ok(Err(error)),
                None => states.remove(&record.key),
            };
        }
    }
    Ok(Ok(states))
}

/// What some records cause together.
struct Batch {
    table: StreamSpec,
    records: Vec<NewRecord>,
    offsets: HashMap<Partition, u64>,
    changed: HashSet<(u32, Vec<u8>)>,
}

impl Batch {
    fn new(table: StreamSpec) -> Self {
        Self { table, records: Vec::new(), offsets: HashMap::new(), changed: HashSet::new() }
    }

    fn record<A: Aggregation>(&mut self, aggregation: &A, states: &mut States<A::State>, record: Record) {
        self.offsets.insert(record.partition.clone(), record.offset + 1);
        let Some(value) = &record.value else { return };
        let signal = match A::In::decode(value) {
            Ok(signal) => signal,
            Err(error) => return self.records.push(dead_letter(&record, &error.to_string())),
        };
        let before = states.remove(&record.key);
        match aggregation.fold(before, signal) {
            Ok(fold) => self.keep(states, record.partition.number, record.key, fold),
            Err(error) => self.records.push(dead_letter(&record, &error.to_string())),
        }
    }

    fn punctuate<A: Aggregation>(
        &mut self,
        aggregation: &A,
        states: &mut States<A::State>,
        number: u32,
        spec: &ProcessorSpec,
        now_ms: i64,
    ) {
        let due: Vec<_> = states
            .iter()
            .filter(|(_, state)| aggregation.wakes_at(state).is_some_and(|at| at <= now_ms))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let Some(before) = states.remove(&key) else { continue };
            match aggregation.punctuate(before, now_ms) {
                Ok(fold) => self.keep(states, number, key, fold),
                Err(error) => tracing::error!(processor = spec.name, %error, "punctuation"),
            }
        }
    }

    fn keep<S>(&mut self, states: &mut States<S>, number: u32, key: Vec<u8>, fold: Fold<S>) {
        self.records.extend(fold.emits.into_iter().map(NewRecord::from));
        if let Some(state) = fold.state {
            states.insert(key.clone(), state);
        }
        if fold.changed {
            self.changed.insert((number, key));
        }
    }

    /// Several updates of a key are one record of the changelog.
    fn transaction<S: millrace_schemas::frame::Record>(
        self,
        states: &HashMap<u32, States<S>>,
    ) -> Result<Transaction, millrace_schemas::RecordError> {
        let mut records = self.records;
        for (number, key) in self.changed {
            let state = states.get(&number).and_then(|states| states.get(&key));
            let value = state.map(millrace_schemas::frame::Record::encode).transpose()?;
            let emit = Emit { stream: self.table.name, key, value, placement: Placement::ByKey };
            records.push(emit.into());
        }
        Ok(Transaction { records, offsets: self.offsets.into_iter().collect(), membership: None })
    }
}
