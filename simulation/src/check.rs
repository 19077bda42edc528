//! The invariants, held against all that a run has left.

use std::collections::{BTreeMap, BTreeSet};

use millrace_runtime::{
    ERROR_OFFSET, ERROR_PARTITION, ERROR_TOPIC, Log, LogError, Partition, Record, read_on,
    simulated::Appended,
};
use millrace_schemas::{
    Assembly, ExecutionEvent, Merge, MergeStep, Merged, Phase, Segment, Signal, SourceRef, Started, Upload,
    execution_id, frame::Record as _,
};
use millrace_topology::{
    invariants::{
        Held, Invariant, all_segments, all_there, as_many_samples, covers_once, held, merged_once,
        nothing_visible, same_frames, strictly_increase,
    },
    streams,
};

use crate::{
    ports::{UNPUBLISHABLE, comes_from},
    store::Store,
};

/// An attempt at an execution.
type Attempt = (String, i32);

/// What a run has left, read and sorted.
#[derive(Default)]
struct Facts {
    uploads: Vec<(Attempt, Record)>,
    accepted: Vec<(Attempt, Record)>,
    started: BTreeMap<Attempt, Vec<(u64, Started)>>,
    refused: BTreeMap<Attempt, usize>,
    segments: Vec<(u64, Segment)>,
    /// How often a segment was told to be made or not, and when first.
    outcomes: BTreeMap<(Attempt, i32), (usize, u64)>,
    merges: Vec<(u64, Merge)>,
    /// By output, round and step.
    merge_outcomes: BTreeSet<(Attempt, String, i32, MergeStep)>,
    merged: Vec<Merged>,
    ends: BTreeMap<Attempt, usize>,
    states: BTreeMap<String, Assembly>,
    unreadable: Vec<Record>,
    dead: BTreeSet<(String, String, String)>,
}

impl Facts {
    fn of(history: Vec<Appended>) -> Self {
        let mut facts = Self::default();
        for Appended { transaction, record } in history {
            facts.sort(transaction, record);
        }
        facts
    }

    fn sort(&mut self, transaction: u64, record: Record) {
        let stream = record.partition.stream.clone();
        let Some(value) = record.value.clone() else { return };
        if stream == streams::DEAD_LETTERS.name {
            let name = |name| record.header(name).unwrap_or_default();
            self.dead.insert((name(ERROR_TOPIC), name(ERROR_PARTITION), name(ERROR_OFFSET)));
        } else if [streams::UPLOADS.name, streams::ACCEPTED.name].contains(&stream.as_str()) {
            match Upload::read(&value) {
                Ok(upload) => {
                    let url = upload.source.clone().unwrap_or_default();
                    let source = SourceRef { url, version: "1".into(), bytes: 1 };
                    let attempt = (execution_id(&upload, &source), upload.attempt);
                    let is_accepted = stream == streams::ACCEPTED.name;
                    let all = if is_accepted { &mut self.accepted } else { &mut self.uploads };
                    all.push((attempt, record));
                }
                Err(_) => self.unreadable.push(record),
            }
        } else if stream == streams::SEGMENTS.name {
            match Segment::decode(&value) {
                Ok(segment) => self.segments.push((transaction, segment)),
                Err(_) => self.unreadable.push(record),
            }
        } else if stream == streams::TRANSCODED.name {
            match Signal::decode(&value) {
                Ok(signal) => self.signal(transaction, signal),
                Err(_) => self.unreadable.push(record),
            }
        } else if stream == streams::MERGES.name {
            match Merge::decode(&value) {
                Ok(merge) => self.merges.push((transaction, merge)),
                Err(_) => self.unreadable.push(record),
            }
        } else if stream == streams::MERGED.name {
            match Merged::decode(&value) {
                Ok(merged) => self.merged.push(merged),
                Err(_) => self.unreadable.push(record),
            }
        } else if stream == streams::ASSEMBLIES.name {
            if let Ok(state) = Assembly::decode(&value) {
                self.states.insert(state.execution.clone(), state);
            }
        } else if stream == streams::EXECUTIONS.name
            && let Ok(event) = ExecutionEvent::decode(&value)
            && event.processor == "assemble"
            && !matches!(event.event.as_str(), "merging" | "publishing" | "withdrawing" | "making-again")
        {
            *self.ends.entry((event.execution, event.attempt)).or_default() += 1;
        }
    }

    fn signal(&mut self, transaction: u64, signal: Signal) {
        let attempt = (signal.execution, signal.attempt);
        if let Some(started) = signal.started {
            self.started.entry(attempt).or_default().push((transaction, started));
        } else if signal.refused.is_some() {
            *self.refused.entry(attempt).or_default() += 1;
        } else if let Some(outcome) = signal.segment {
            let told = self.outcomes.entry((attempt, outcome.index)).or_insert((0, transaction));
            told.0 += 1;
        } else if let Some(outcome) = signal.merge {
            self.merge_outcomes.insert((attempt, outcome.url, outcome.round, outcome.step));
        }
    }

    fn ended(&self, attempt: &Attempt) -> bool {
        self.states.get(&attempt.0).is_some_and(|s| s.attempt > attempt.1 || s.is_terminal())
    }

    /// SG-1: a plan and all of its segments are one transaction.
    fn plans(&self) -> Held {
        let mut published: BTreeMap<(u64, Attempt), Vec<i32>> = BTreeMap::new();
        // Those that are made again in place of others are no part of a plan.
        for (transaction, segment) in self.segments.iter().filter(|(_, segment)| segment.replaces.is_empty())
        {
            let attempt = (segment.execution.clone(), segment.attempt);
            published.entry((*transaction, attempt)).or_default().push(segment.index);
        }
        for (attempt, plans) in &self.started {
            for (transaction, plan) in plans {
                // Two uploads of one execution may be split in one transaction.
                let same = plans.iter().filter(|(other, _)| other == transaction).count();
                let mut indices = published.remove(&(*transaction, attempt.clone())).unwrap_or_default();
                if same > 1 {
                    let more = indices.clone();
                    indices.sort_unstable();
                    indices.dedup();
                    held(Invariant::Sg1, more.len() == same * indices.len(), || {
                        format!("{attempt:?}: {more:?}")
                    })?;
                    published.insert((*transaction, attempt.clone()), more);
                }
                all_segments(plan, indices)?;
            }
        }
        let planned = |key: &(u64, Attempt)| {
            self.started
                .get(&key.1)
                .is_some_and(|plans| plans.iter().any(|(transaction, _)| *transaction == key.0))
        };
        let without = published.keys().find(|key| !planned(key));
        held(Invariant::Sg1, without.is_none(), || format!("segments without their plan: {without:?}"))
    }

    /// MG-1, FR-1: a merge has all of its segments, and they cover all of the source once. LG-2: each output is asked for once,
    /// and once more for each round of segments that were made again.
    fn merges(&self) -> Held {
        let range = |(_, s): &(u64, Segment)| (((s.execution.clone(), s.attempt), s.index), (s.start, s.end));
        let ranges: BTreeMap<(Attempt, i32), _> = self.segments.iter().map(range).collect();
        let mut asked = BTreeSet::new();
        for (transaction, merge) in &self.merges {
            let attempt = (merge.execution.clone(), merge.attempt);
            let plan = self.started.get(&attempt).and_then(|plans| plans.first());
            let tracks = plan.map_or(&[][..], |(_, plan)| &plan.tracks);
            let segments = tracks.iter().map(|t| t.first_segment + t.segments).max().unwrap_or(0);
            let there = |index| {
                let outcome = self.outcomes.get(&(attempt.clone(), index));
                outcome.is_some_and(|(_, first)| first < transaction)
            };
            all_there(&merge.execution, segments, there)?;
            for track in &merge.tracks {
                let used = track.plan.indices();
                let missing = used.iter().find(|index| !there(**index));
                held(Invariant::Mg1, missing.is_none(), || {
                    format!("{attempt:?} is merged without {missing:?}")
                })?;
                let ranges = used.iter().filter_map(|index| ranges.get(&(attempt.clone(), *index)).copied());
                covers_once(ranges)?;
            }
            let first = asked.insert((attempt.clone(), &merge.output.url, merge.round, merge.step));
            held(Invariant::Lg2, first, || format!("{attempt:?}: {} is asked for twice", merge.output.url))?;
        }
        Ok(())
    }

    /// LG-2: a segment is made again once.
    fn made_again(&self) -> Held {
        let mut asked = BTreeSet::new();
        let again = self.segments.iter().map(|(_, segment)| segment).filter(|s| !s.replaces.is_empty());
        for segment in again {
            let first = asked.insert((&segment.execution, segment.attempt, segment.index));
            held(Invariant::Lg2, first, || {
                format!("segment {} of {} is made again twice", segment.index, segment.execution)
            })?;
        }
        Ok(())
    }

    /// MG-2, EX-1: one end of each attempt, and the state agrees with it.
    fn ends(&self) -> Held {
        merged_once(&self.merged)?;
        let twice = self.ends.iter().find(|(_, times)| **times > 1);
        held(Invariant::Ex1, twice.is_none(), || format!("the end is told twice: {twice:?}"))?;
        for state in self.states.values().filter(|state| state.is_terminal()) {
            let last =
                self.merged.iter().rfind(|m| m.execution == state.execution && m.attempt == state.attempt);
            held(Invariant::Ex1, last.is_some_and(|merged| merged.state == state.phase), || {
                format!("{} ended as {:?}, and its record says {last:?}", state.execution, state.phase)
            })?;
        }
        Ok(())
    }

    /// LG-2, GC-1: an execution fails for what is wrong with its source, or late, and for nothing else: not for work
    /// objects that are missing, or other ones than those that were counted.
    fn reasons(&self) -> Held {
        for merged in self.merged.iter().filter(|merged| merged.state == Phase::Failed) {
            let reason = merged.reason.as_deref().unwrap_or_default();
            let known = ["can't be decoded", "is no media file", "its deadline passed", UNPUBLISHABLE];
            held(Invariant::Lg2, known.iter().any(|known| reason.contains(known)), || {
                format!("attempt {} at {} failed: {reason}", merged.attempt, merged.execution)
            })?;
        }
        Ok(())
    }

    /// FR-1, TS-1, AU-1, MG-2: every output is whole, and what succeeded has all of its outputs.
    fn outputs(&self, store: &Store) -> Held {
        for (url, output) in &store.outputs {
            let Some(source) = store.sources.get(&output.source) else { continue };
            held(Invariant::Mg2, comes_from(&output.mark), || {
                format!("{url} has the mark '{}'", output.mark)
            })?;
            same_frames(&source.pictures, &output.pictures)?;
            strictly_increase(output.pictures.iter().copied())?;
            as_many_samples(source.samples, output.samples, 1024)?;
        }
        for (url, output) in &store.outputs {
            let end = self.merged.iter().find(|m| (&m.execution, m.attempt) == (&output.by.0, output.by.1));
            nothing_visible(url, end)?;
        }
        for merged in self.merged.iter().filter(|merged| merged.state == Phase::Succeeded) {
            let plan = self.started.get(&(merged.execution.clone(), merged.attempt)).and_then(|p| p.first());
            let planned = plan.map_or(0, |(_, plan)| plan.outputs.len());
            let there = merged.outputs.iter().filter(|o| store.outputs.contains_key(&o.url)).count();
            held(Invariant::Mg2, there == planned, || {
                format!("{}: {there} of {planned} outputs are there", merged.execution)
            })?;
        }
        Ok(())
    }

    /// LG-1: nothing that was taken is lost.
    fn nothing_lost(&self) -> Held {
        let accepted: BTreeSet<&Attempt> = self.accepted.iter().map(|(attempt, _)| attempt).collect();
        for (attempt, record) in &self.uploads {
            let told = accepted.contains(attempt) || self.is_dead(record);
            held(Invariant::Lg1, told, || format!("an upload was never accepted: {attempt:?}"))?;
        }
        for (attempt, record) in &self.accepted {
            let told = self.started.contains_key(attempt)
                || self.refused.contains_key(attempt)
                || self.is_dead(record);
            held(Invariant::Lg1, told, || format!("an upload was lost: {attempt:?}"))?;
        }
        for (_, segment) in &self.segments {
            let attempt = (segment.execution.clone(), segment.attempt);
            let told = self.outcomes.contains_key(&(attempt.clone(), segment.index)) || self.ended(&attempt);
            held(Invariant::Lg1, told, || format!("segment {} of {attempt:?} was lost", segment.index))?;
        }
        for (_, merge) in &self.merges {
            let attempt = (merge.execution.clone(), merge.attempt);
            let url = &merge.output.url;
            let told = self.merge_outcomes.contains(&(attempt.clone(), url.clone(), merge.round, merge.step))
                || self.ended(&attempt);
            held(Invariant::Lg1, told, || format!("the merge of {url} was lost"))?;
        }
        for record in &self.unreadable {
            held(Invariant::Lg1, self.is_dead(record), || {
                format!("{:?}:{} is no record, and no dead letter", record.partition, record.offset)
            })?;
        }
        Ok(())
    }

    fn is_dead(&self, record: &Record) -> bool {
        let partition = &record.partition;
        let place = (partition.stream.clone(), partition.number.to_string(), record.offset.to_string());
        self.dead.contains(&place)
    }

    /// LG-2: each record is processed once, however often it is delivered; where nobody sets offsets back.
    fn exactly_once<'a>(&'a self) -> Held {
        let count = |all: &'a [(Attempt, Record)]| {
            let mut counts: BTreeMap<&Attempt, usize> = BTreeMap::new();
            all.iter().for_each(|(attempt, _)| *counts.entry(attempt).or_default() += 1);
            counts
        };
        let (asked, told) = (count(&self.uploads), count(&self.accepted));
        for (attempt, uploads) in asked {
            let accepted = told.get(attempt).copied().unwrap_or(0);
            held(Invariant::Lg2, accepted <= uploads, || {
                format!("{attempt:?}: of {uploads} uploads {accepted} were accepted")
            })?;
        }
        for (attempt, uploads) in told {
            let plans = self.started.get(attempt).map_or(0, Vec::len);
            let answers = plans + self.refused.get(attempt).copied().unwrap_or(0);
            held(Invariant::Lg2, answers <= uploads, || {
                format!("{attempt:?}: {uploads} uploads have {answers} answers")
            })?;
        }
        let mut asked: BTreeMap<(Attempt, i32), usize> = BTreeMap::new();
        for (_, segment) in &self.segments {
            let attempt = (segment.execution.clone(), segment.attempt);
            *asked.entry((attempt, segment.index)).or_default() += 1;
        }
        for (segment, (outcomes, _)) in &self.outcomes {
            let times = asked.get(segment).copied().unwrap_or(0);
            held(Invariant::Lg2, *outcomes <= times, || {
                format!("{segment:?} was asked for {times} times and told of {outcomes} times")
            })?;
        }
        Ok(())
    }

    /// All that records tell.
    fn log(&self, expected: &[String], set_back: bool) -> Held {
        self.plans()?;
        self.merges()?;
        self.made_again()?;
        self.ends()?;
        self.all_ended(expected)?;
        self.nothing_lost()?;
        if set_back { Ok(()) } else { self.exactly_once() }
    }

    /// What was uploaded ends.
    fn all_ended(&self, expected: &[String]) -> Held {
        for execution in expected {
            let state = self.states.get(execution);
            held(Invariant::Lg1, state.is_some_and(Assembly::is_terminal), || {
                format!("{execution} never ended: {state:?}")
            })?;
        }
        Ok(())
    }
}

/// Holds the same invariants against what lies on any log, a real broker's too: all but what only simulated media tell. Uploads
/// must have names, by which `expected` knows their executions.
///
/// # Errors
/// Where the log can't be read.
pub async fn check_log(log: &dyn Log, expected: &[String], set_back: bool) -> Result<Held, LogError> {
    let mut history = Vec::new();
    for stream in streams::ALL {
        for number in 0..log.partitions(stream.name).await? {
            let partition = Partition { stream: stream.name.into(), number };
            // A log tells no transactions; but a merge is asked for after the outcomes that it rests on.
            let transaction = u64::from(stream == streams::MERGES);
            read_on(log, &partition, 0, |record| history.push(Appended { transaction, record })).await?;
        }
    }
    let facts = Facts::of(history);
    Ok(facts.log(expected, set_back))
}

/// Holds the invariants against what a run has left. `set_back` says that offsets were set back.
pub(crate) fn check(history: Vec<Appended>, store: &Store, expected: &[String], set_back: bool) -> Held {
    let facts = Facts::of(history);
    facts.reasons()?;
    facts.outputs(store)?;
    facts.log(expected, set_back)
}
