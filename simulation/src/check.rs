//! Checks the invariants on the records and outputs of a run.

use std::collections::{BTreeMap, BTreeSet};

use millrace_runtime::{
    ERROR_OFFSET, ERROR_PARTITION, ERROR_TOPIC, Log, LogError, Partition, Record, read_to_end,
    simulated::CommittedRecord,
};
use millrace_schemas::{
    Assembly, ExecutionEvent, Merge, MergeStep, Merged, Phase, Segment, Signal, SourceRef, Started, Upload,
    execution_id,
    frame::{self, Record as _},
};
use millrace_topology::{
    invariants::{
        CheckResult, Invariant, check_frames, check_increasing, check_merge_inputs, check_merged_once,
        check_plan, check_profile, check_ranges, check_renditions, check_samples, check_visible_output,
        ensure,
    },
    streams,
};

use crate::{
    ports::{UNPUBLISHABLE, is_mark},
    store::Store,
};

/// An attempt at an execution.
type Attempt = (String, i32);

/// The records of a run, decoded and sorted.
#[derive(Default)]
struct Facts {
    uploads: Vec<(Attempt, Record)>,
    accepted: Vec<(Attempt, Record)>,
    started: BTreeMap<Attempt, Vec<(u64, Started)>>,
    refused: BTreeMap<Attempt, usize>,
    segments: Vec<(u64, Segment)>,
    /// The number of outcomes of each segment, and the transaction of the first.
    outcomes: BTreeMap<(Attempt, i32), (usize, u64)>,
    merges: Vec<(u64, Merge)>,
    /// The outcomes of merges: attempt, URL of the output, round and step.
    merge_outcomes: BTreeSet<(Attempt, String, i32, MergeStep)>,
    merged: Vec<Merged>,
    /// The number of terminal events of each attempt.
    ends: BTreeMap<Attempt, usize>,
    states: BTreeMap<String, Assembly>,
    unreadable: Vec<Record>,
    /// The original topic, partition and offset of each dead letter.
    dead_letters: BTreeSet<(String, String, String)>,
}

impl Facts {
    fn new(history: Vec<CommittedRecord>) -> Self {
        let mut facts = Self::default();
        for CommittedRecord { transaction, record } in history {
            facts.add(transaction, record);
        }
        facts
    }

    /// Adds a record.
    fn add(&mut self, transaction: u64, record: Record) {
        let stream = record.partition.stream.clone();
        let Some(value) = record.value.clone() else { return };
        if stream == streams::DEAD_LETTERS.name {
            let name = |name| record.header(name).unwrap_or_default();
            self.dead_letters.insert((name(ERROR_TOPIC), name(ERROR_PARTITION), name(ERROR_OFFSET)));
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
            if let Some(segment) = self.decode(&value, record) {
                self.segments.push((transaction, segment));
            }
        } else if stream == streams::TRANSCODED.name {
            if let Some(signal) = self.decode(&value, record) {
                self.add_signal(transaction, signal);
            }
        } else if stream == streams::MERGES.name {
            if let Some(merge) = self.decode(&value, record) {
                self.merges.push((transaction, merge));
            }
        } else if stream == streams::MERGED.name {
            if let Some(merged) = self.decode(&value, record) {
                self.merged.push(merged);
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

    /// Decodes a value; keeps the record as unreadable if that fails.
    fn decode<R: frame::Record>(&mut self, value: &[u8], record: Record) -> Option<R> {
        let decoded = R::decode(value).ok();
        if decoded.is_none() {
            self.unreadable.push(record);
        }
        decoded
    }

    fn add_signal(&mut self, transaction: u64, signal: Signal) {
        let attempt = (signal.execution, signal.attempt);
        if let Some(started) = signal.started {
            self.started.entry(attempt).or_default().push((transaction, started));
        } else if signal.refused.is_some() {
            *self.refused.entry(attempt).or_default() += 1;
        } else if let Some(outcome) = signal.segment {
            let (count, _) = self.outcomes.entry((attempt, outcome.index)).or_insert((0, transaction));
            *count += 1;
        } else if let Some(outcome) = signal.merge {
            self.merge_outcomes.insert((attempt, outcome.url, outcome.round, outcome.step));
        }
    }

    /// Returns `true` if this attempt or a later one has ended.
    fn has_ended(&self, attempt: &Attempt) -> bool {
        self.states.get(&attempt.0).is_some_and(|s| s.attempt > attempt.1 || s.is_terminal())
    }

    /// Checks SG-1: a plan and all of its segments are one transaction.
    fn check_plans(&self) -> CheckResult {
        let mut published: BTreeMap<(u64, Attempt), Vec<i32>> = BTreeMap::new();
        // Segments that replace others are not part of a plan.
        for (transaction, segment) in self.segments.iter().filter(|(_, segment)| segment.replaces.is_empty())
        {
            let attempt = (segment.execution.clone(), segment.attempt);
            published.entry((*transaction, attempt)).or_default().push(segment.index);
        }
        for (attempt, plans) in &self.started {
            for (transaction, plan) in plans {
                // Two uploads of one execution may be split in one transaction.
                let times = plans.iter().filter(|(other, _)| other == transaction).count();
                let mut indices = published.remove(&(*transaction, attempt.clone())).unwrap_or_default();
                if times > 1 {
                    let all = indices.clone();
                    indices.sort_unstable();
                    indices.dedup();
                    ensure(Invariant::Sg1, all.len() == times * indices.len(), || {
                        format!("{attempt:?}: {all:?}")
                    })?;
                    published.insert((*transaction, attempt.clone()), all);
                }
                check_plan(plan, indices)?;
            }
        }
        let planned = |key: &(u64, Attempt)| {
            self.started
                .get(&key.1)
                .is_some_and(|plans| plans.iter().any(|(transaction, _)| *transaction == key.0))
        };
        let unplanned = published.keys().find(|key| !planned(key));
        ensure(Invariant::Sg1, unplanned.is_none(), || format!("segments without their plan: {unplanned:?}"))
    }

    /// Checks MG-1 and FR-1: a merge has all of its segments, and they cover the source once. Checks LG-2:
    /// each output is merged once, and once more for each round of replaced segments.
    fn check_merges(&self) -> CheckResult {
        let range = |(_, s): &(u64, Segment)| (((s.execution.clone(), s.attempt), s.index), (s.start, s.end));
        let ranges: BTreeMap<(Attempt, i32), _> = self.segments.iter().map(range).collect();
        let mut requested = BTreeSet::new();
        for (transaction, merge) in &self.merges {
            let attempt = (merge.execution.clone(), merge.attempt);
            let plan = self.started.get(&attempt).and_then(|plans| plans.first());
            let tracks = plan.map_or(&[][..], |(_, plan)| &plan.tracks);
            let segments = tracks.iter().map(|t| t.first_segment + t.segments).max().unwrap_or(0);
            let exists = |index| {
                let outcome = self.outcomes.get(&(attempt.clone(), index));
                outcome.is_some_and(|(_, first)| first < transaction)
            };
            check_merge_inputs(&merge.execution, segments, exists)?;
            for track in &merge.tracks {
                let used = track.plan.indices();
                let missing = used.iter().find(|index| !exists(**index));
                ensure(Invariant::Mg1, missing.is_none(), || {
                    format!("{attempt:?} is merged without {missing:?}")
                })?;
                let ranges = used.iter().filter_map(|index| ranges.get(&(attempt.clone(), *index)).copied());
                check_ranges(ranges)?;
            }
            let is_first = requested.insert((attempt.clone(), &merge.output.url, merge.round, merge.step));
            ensure(Invariant::Lg2, is_first, || {
                format!("{attempt:?}: {} is merged twice", merge.output.url)
            })?;
        }
        Ok(())
    }

    /// Checks PR-1: each plan is by a profile that was accepted for its attempt, and each merge joins renditions of the plan that was
    /// taken, which is the first one.
    fn check_profiles(&self) -> CheckResult {
        let mut accepted: BTreeMap<&Attempt, Vec<Option<String>>> = BTreeMap::new();
        for (attempt, record) in &self.accepted {
            let upload = record.value.as_deref().and_then(|value| Upload::read(value).ok());
            let profiles = accepted.entry(attempt).or_default();
            profiles.extend(upload.map(|upload| upload.profile));
        }
        for (attempt, plans) in &self.started {
            for upload in plans.iter().filter_map(|(_, plan)| plan.upload.as_ref()) {
                let profiles = accepted.get(attempt).into_iter().flatten().map(Option::as_deref);
                check_profile(&attempt.0, profiles, upload.profile.as_deref())?;
            }
        }
        for (_, merge) in &self.merges {
            let attempt = (merge.execution.clone(), merge.attempt);
            let Some((_, plan)) = self.started.get(&attempt).and_then(|plans| plans.first()) else {
                continue;
            };
            let used = merge.tracks.iter().map(|track| track.plan.rendition.as_str());
            check_renditions(&merge.execution, used, |rendition| {
                plan.tracks.iter().any(|track| track.rendition == rendition)
            })?;
        }
        Ok(())
    }

    /// Checks LG-2: a segment is replaced once.
    fn check_replacements(&self) -> CheckResult {
        let mut requested = BTreeSet::new();
        let replacements =
            self.segments.iter().map(|(_, segment)| segment).filter(|s| !s.replaces.is_empty());
        for segment in replacements {
            let is_first = requested.insert((&segment.execution, segment.attempt, segment.index));
            ensure(Invariant::Lg2, is_first, || {
                format!("segment {} of {} is replaced twice", segment.index, segment.execution)
            })?;
        }
        Ok(())
    }

    /// Checks MG-2 and EX-1: each attempt has one end, and the state agrees with it.
    fn check_ends(&self) -> CheckResult {
        check_merged_once(&self.merged)?;
        let twice = self.ends.iter().find(|(_, times)| **times > 1);
        ensure(Invariant::Ex1, twice.is_none(), || format!("an attempt ends twice: {twice:?}"))?;
        for state in self.states.values().filter(|state| state.is_terminal()) {
            let last =
                self.merged.iter().rfind(|m| m.execution == state.execution && m.attempt == state.attempt);
            ensure(Invariant::Ex1, last.is_some_and(|merged| merged.state == state.phase), || {
                format!("{} ended as {:?}, and its record says {last:?}", state.execution, state.phase)
            })?;
        }
        Ok(())
    }

    /// Checks LG-2 and GC-1: an execution fails only because of its source, its deadline or its destination,
    /// and never because work objects are missing or differ from the counted ones.
    fn check_reasons(&self) -> CheckResult {
        for merged in self.merged.iter().filter(|merged| merged.state == Phase::Failed) {
            let reason = merged.reason.as_deref().unwrap_or_default();
            let allowed = ["can't be decoded", "is no media file", "its deadline passed", UNPUBLISHABLE];
            ensure(Invariant::Lg2, allowed.iter().any(|text| reason.contains(text)), || {
                format!("attempt {} at {} failed: {reason}", merged.attempt, merged.execution)
            })?;
        }
        Ok(())
    }

    /// Checks FR-1, TS-1, AU-1, MG-2 and MG-3: every output is whole, and exactly the successful executions
    /// have all of their outputs.
    fn check_outputs(&self, store: &Store) -> CheckResult {
        for (url, output) in &store.outputs {
            let Some(source) = store.sources.get(&output.source) else { continue };
            ensure(Invariant::Mg2, is_mark(&output.mark), || {
                format!("{url} has the mark '{}'", output.mark)
            })?;
            check_frames(&source.pictures, &output.pictures)?;
            check_increasing(output.pictures.iter().copied())?;
            check_samples(source.samples, output.samples, 1024)?;
        }
        for (url, output) in &store.outputs {
            let end = self.merged.iter().find(|m| (&m.execution, m.attempt) == (&output.by.0, output.by.1));
            check_visible_output(url, end)?;
        }
        for merged in self.merged.iter().filter(|merged| merged.state == Phase::Succeeded) {
            let plan = self.started.get(&(merged.execution.clone(), merged.attempt)).and_then(|p| p.first());
            let planned = plan.map_or(0, |(_, plan)| plan.outputs.len());
            let visible = merged.outputs.iter().filter(|o| store.outputs.contains_key(&o.url)).count();
            ensure(Invariant::Mg2, visible == planned, || {
                format!("{}: {visible} of {planned} outputs are visible", merged.execution)
            })?;
        }
        Ok(())
    }

    /// Checks LG-1: every consumed record has its results.
    fn check_nothing_lost(&self) -> CheckResult {
        let accepted: BTreeSet<&Attempt> = self.accepted.iter().map(|(attempt, _)| attempt).collect();
        for (attempt, record) in &self.uploads {
            let is_done = accepted.contains(attempt) || self.has_dead_letter(record);
            ensure(Invariant::Lg1, is_done, || format!("an upload was never accepted: {attempt:?}"))?;
        }
        for (attempt, record) in &self.accepted {
            let is_done = self.started.contains_key(attempt)
                || self.refused.contains_key(attempt)
                || self.has_dead_letter(record);
            ensure(Invariant::Lg1, is_done, || format!("an upload was lost: {attempt:?}"))?;
        }
        for (_, segment) in &self.segments {
            let attempt = (segment.execution.clone(), segment.attempt);
            let is_done =
                self.outcomes.contains_key(&(attempt.clone(), segment.index)) || self.has_ended(&attempt);
            ensure(Invariant::Lg1, is_done, || format!("segment {} of {attempt:?} was lost", segment.index))?;
        }
        for (_, merge) in &self.merges {
            let attempt = (merge.execution.clone(), merge.attempt);
            let url = &merge.output.url;
            let is_done =
                self.merge_outcomes.contains(&(attempt.clone(), url.clone(), merge.round, merge.step))
                    || self.has_ended(&attempt);
            ensure(Invariant::Lg1, is_done, || format!("the merge of {url} was lost"))?;
        }
        for record in &self.unreadable {
            ensure(Invariant::Lg1, self.has_dead_letter(record), || {
                format!("{:?}:{} can't be decoded and has no dead letter", record.partition, record.offset)
            })?;
        }
        Ok(())
    }

    /// Returns `true` if a record has a dead letter.
    fn has_dead_letter(&self, record: &Record) -> bool {
        let partition = &record.partition;
        let origin = (partition.stream.clone(), partition.number.to_string(), record.offset.to_string());
        self.dead_letters.contains(&origin)
    }

    /// Checks LG-2: each record is processed once, however often it is delivered. It holds only if no offset
    /// was reset.
    fn check_exactly_once<'a>(&'a self) -> CheckResult {
        let count = |all: &'a [(Attempt, Record)]| {
            let mut counts: BTreeMap<&Attempt, usize> = BTreeMap::new();
            all.iter().for_each(|(attempt, _)| *counts.entry(attempt).or_default() += 1);
            counts
        };
        let (uploaded, accepted) = (count(&self.uploads), count(&self.accepted));
        for (attempt, uploads) in uploaded {
            let accepted = accepted.get(attempt).copied().unwrap_or(0);
            ensure(Invariant::Lg2, accepted <= uploads, || {
                format!("{attempt:?}: of {uploads} uploads {accepted} were accepted")
            })?;
        }
        for (attempt, uploads) in accepted {
            let plans = self.started.get(attempt).map_or(0, Vec::len);
            let answers = plans + self.refused.get(attempt).copied().unwrap_or(0);
            ensure(Invariant::Lg2, answers <= uploads, || {
                format!("{attempt:?}: {uploads} uploads have {answers} answers")
            })?;
        }
        let mut published: BTreeMap<(Attempt, i32), usize> = BTreeMap::new();
        for (_, segment) in &self.segments {
            let attempt = (segment.execution.clone(), segment.attempt);
            *published.entry((attempt, segment.index)).or_default() += 1;
        }
        for (segment, (outcomes, _)) in &self.outcomes {
            let times = published.get(segment).copied().unwrap_or(0);
            ensure(Invariant::Lg2, *outcomes <= times, || {
                format!("{segment:?} was published {times} times and has {outcomes} outcomes")
            })?;
        }
        Ok(())
    }

    /// Checks the invariants that records alone show.
    fn check_records(&self, expected: &[String], offsets_reset: bool) -> CheckResult {
        self.check_plans()?;
        self.check_merges()?;
        self.check_profiles()?;
        self.check_replacements()?;
        self.check_ends()?;
        self.check_all_ended(expected)?;
        self.check_nothing_lost()?;
        if offsets_reset { Ok(()) } else { self.check_exactly_once() }
    }

    /// Checks LG-1: every expected execution has ended.
    fn check_all_ended(&self, expected: &[String]) -> CheckResult {
        for execution in expected {
            let state = self.states.get(execution);
            ensure(Invariant::Lg1, state.is_some_and(Assembly::is_terminal), || {
                format!("{execution} never ended: {state:?}")
            })?;
        }
        Ok(())
    }
}

/// Checks the invariants on any log, such as a real broker's, without those that only simulated media show.
/// `expected` are the executions that must have ended; uploads must have names, from which their ids follow.
/// With `offsets_reset` it does not require that records are processed exactly once.
///
/// # Errors
/// Fails if the log can't be read.
pub async fn check_log(
    log: &dyn Log,
    expected: &[String],
    offsets_reset: bool,
) -> Result<CheckResult, LogError> {
    let mut history = Vec::new();
    for stream in streams::ALL {
        for number in 0..log.partitions(stream.name).await? {
            let partition = Partition { stream: stream.name.into(), number };
            // A log does not return transactions. But a merge is requested after the outcomes of its
            // segments.
            let transaction = u64::from(stream == streams::MERGES);
            read_to_end(log, &partition, 0, |record| history.push(CommittedRecord { transaction, record }))
                .await?;
        }
    }
    let facts = Facts::new(history);
    Ok(facts.check_records(expected, offsets_reset))
}

/// Checks all invariants on the records and the store of a run. `offsets_reset` states that committed offsets
/// were reset.
pub(crate) fn check(
    history: Vec<CommittedRecord>,
    store: &Store,
    expected: &[String],
    offsets_reset: bool,
) -> CheckResult {
    let facts = Facts::new(history);
    facts.check_reasons()?;
    facts.check_outputs(store)?;
    facts.check_records(expected, offsets_reset)
}
