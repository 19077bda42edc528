//! `millrace replay`: processes again what was processed. It publishes records anew; what was published stays as it is.

use std::{collections::HashMap, sync::Arc};

use millrace_processors::topology;
use millrace_runtime::{Log, NewRecord, Partition, Record, Tail, Transaction, read_table, read_to_end};
use millrace_schemas::{Assembly, ExecutionEvent, OutputFacts, Phase, Segment, Signal, Upload, source_url};
use millrace_topology::{Emit, ProcessorSpec, millis_now, streams};

use super::executions::find::find_execution;
use crate::{
    cli::{LogLocation, Replay},
    config::Config,
    error::CommandError,
    shell::connect::{known_log, publish},
    terminal::print,
};

/// The header of what a replay published, which names the replay: later ones leave it out.
const REPLAY: &str = "millrace.replay";
/// So many uploads are published in one transaction.
const TOGETHER: usize = 200;

pub(super) async fn replay(call: Replay) -> Result<u8, CommandError> {
    match call {
        Replay::Uploads { since, execution, offset, log: location } => {
            let log = known_log(&location, true).await?;
            let from = match (since, execution, offset) {
                (Some(since), ..) => From::Time(time(&since)?),
                (_, Some(id), _) => From::Execution(Box::new(find_execution(Some(log.as_ref()), &id).await?)),
                (.., Some(offset)) => From::offset(&offset)?,
                (None, None, None) => return Err(CommandError::Call("say from when: --since TIME".into())),
            };
            uploads(&log, &from, Config::load(&location, &[])?.default_store()?).await
        }
        Replay::Segments { execution, log } => segments(&execution, &log).await,
    }
}

/// Which uploads are meant.
enum From {
    /// Those that were published then, or later.
    Time(i64),
    /// Those of a partition from an offset on.
    Offset(u32, u64),
    /// That of an execution.
    Execution(Box<Assembly>),
}

impl From {
    fn offset(text: &str) -> Result<Self, CommandError> {
        let parts = text.split_once(':').and_then(|(partition, offset)| {
            Some(Self::Offset(partition.parse().ok()?, offset.parse().ok()?))
        });
        parts.ok_or_else(|| {
            CommandError::Call(format!("--offset {text}: PARTITION:OFFSET is wanted, such as 2:1400"))
        })
    }

    fn means(&self, record: &Record) -> bool {
        match self {
            Self::Time(since) => record.at_ms >= *since,
            Self::Offset(partition, offset) => {
                record.partition.number == *partition && record.offset >= *offset
            }
            Self::Execution(_) => false,
        }
    }
}

/// A time as RFC 3339 has it; seconds may be left out, and a date alone is its beginning, in UTC.
fn time(text: &str) -> Result<i64, CommandError> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => match text.strip_suffix('Z') {
            Some(minutes) if minutes.matches(':').count() == 1 => format!("{minutes}:00Z"),
            _ => text.to_owned(),
        },
    };
    let wrong = |_| {
        CommandError::Call(format!(
            "--since {text}: a time in UTC is wanted, such as 2026-11-20, 2026-11-20T08:30Z or 2026-11-20T08:30:00Z"
        ))
    };
    let parsed = humantime::parse_rfc3339_weak(whole.trim_end_matches('Z')).map_err(wrong)?;
    let since = parsed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

async fn uploads(log: &Arc<dyn Log>, from: &From, store: &str) -> Result<u8, CommandError> {
    let states = read_table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?;
    let mut chosen = Vec::new();
    if let From::Execution(state) = from {
        chosen.push(state.upload.clone().ok_or_else(|| {
            CommandError::Call(format!(
                "{} is from an older version, which kept too little of it",
                state.execution
            ))
        })?);
    } else {
        let take = |record: &Record| {
            let own = record.header(REPLAY).is_none() && from.means(record);
            let upload =
                own.then(|| record.value.as_deref().and_then(|value| Upload::read(value).ok())).flatten();
            // A later attempt repeats an upload that is here itself.
            upload.filter(|upload| upload.attempt == 1)
        };
        for number in 0..log.partitions(streams::ACCEPTED.name).await? {
            let partition = Partition { stream: streams::ACCEPTED.name.into(), number };
            read_to_end(log.as_ref(), &partition, 0, |record| chosen.extend(take(&record))).await?;
        }
        if matches!(from, From::Time(_)) {
            chosen.extend(before_accepted(log, take).await?);
        }
    }
    if chosen.is_empty() {
        return Err(CommandError::Call("no upload was published then; nothing is replayed".into()));
    }
    let id = format!("{:x}", millis_now());
    let made = made(&states);
    let mut count = 0;
    for some in chosen.chunks(TOGETHER) {
        let records =
            some.iter().map(|upload| again(upload, store, &id, &made)).collect::<Result<Vec<_>, _>>()?;
        count += records.len();
        log.commit(Transaction { records, ..Transaction::default() }).await?;
    }
    print(&format!(
        "{count} uploads published again as replay {id}; 'millrace executions list' shows what becomes of them"
    ));
    Ok(0)
}

/// The uploads that were consumed before there was the stream `accepted`. They are the default principal's, whatever they say.
async fn before_accepted(
    log: &Arc<dyn Log>,
    take: impl Fn(&Record) -> Option<Upload>,
) -> Result<Vec<Upload>, CommandError> {
    let mut found = Vec::new();
    let graph = topology();
    let Some(group) = graph.processor("accept").and_then(ProcessorSpec::succeeded_group) else {
        return Ok(found);
    };
    for number in 0..log.partitions(streams::UPLOADS.name).await? {
        let partition = Partition { stream: streams::UPLOADS.name.into(), number };
        let end = log.committed(&group, &partition).await?;
        if end == 0 {
            continue;
        }
        let old = |record: Record| {
            let upload = take(&record).filter(|_| record.offset < end);
            found.extend(upload.map(|upload| Upload { principal: String::new(), ..upload }));
        };
        read_to_end(log.as_ref(), &partition, 0, old).await?;
    }
    Ok(found)
}

/// What was made of each source.
fn made(states: &HashMap<String, Assembly>) -> HashMap<&str, Vec<&OutputFacts>> {
    let mut found: HashMap<&str, Vec<&OutputFacts>> = HashMap::new();
    let mut ended: Vec<&Assembly> = states.values().filter(|state| state.phase == Phase::Succeeded).collect();
    ended.sort_by_key(|state| std::cmp::Reverse(state.ended_ms));
    for state in ended {
        let all = found.entry(state.source.url.as_str()).or_default();
        for facts in state.outputs.iter().filter_map(|output| output.facts.as_ref()) {
            if !all.iter().any(|known| known.url == facts.url) {
                all.push(facts);
            }
        }
    }
    found
}

fn again(
    upload: &Upload,
    store: &str,
    id: &str,
    made: &HashMap<&str, Vec<&OutputFacts>>,
) -> Result<NewRecord, CommandError> {
    let source = source_url(upload, store).unwrap_or_default();
    let known = made.get(source.as_str()).map(|all| all.iter().map(|facts| (*facts).clone()).collect());
    let upload = Upload {
        replay: Some(id.to_owned()),
        made: known.unwrap_or_default(),
        // The source as it is now.
        version: None,
        attempt: 1,
        work: None,
        ..upload.clone()
    };
    let emit = Emit::new(streams::ACCEPTED, &source, &upload).map_err(CommandError::failed)?;
    Ok(NewRecord { emit, headers: vec![(REPLAY.into(), id.as_bytes().to_vec())] })
}

async fn segments(id: &str, location: &LogLocation) -> Result<u8, CommandError> {
    let log = known_log(location, true).await?;
    let state = find_execution(Some(log.as_ref()), id).await?;
    let execution = state.execution.clone();
    if !state.is_terminal() {
        return Err(CommandError::Call(format!(
            "{execution} is at work; 'millrace executions cancel {execution}' stops it"
        )));
    }
    let gone = || {
        CommandError::Call(format!(
            "the plan of {execution} is not kept any more; 'millrace replay uploads --execution {execution}' makes another"
        ))
    };
    let of_it = |found: &str, attempt: i32| found == execution && attempt == state.attempt;
    let mut tail = Tail::<Signal>::from_start(log.clone(), streams::TRANSCODED).await?;
    let mut signals = tail.read_new().await?.into_iter().filter(|s| of_it(&s.execution, s.attempt));
    let plan = signals.find_map(|signal| signal.started).ok_or_else(gone)?;
    let mut tail = Tail::<Segment>::from_start(log.clone(), streams::SEGMENTS).await?;
    let mut planned: Vec<Segment> = tail.read_new().await?;
    planned.retain(|segment| of_it(&segment.execution, segment.attempt));
    planned.sort_by_key(|segment| segment.index);
    // A redelivered upload has published them twice.
    planned.dedup_by_key(|segment| segment.index);
    let expected = plan.tracks.iter().map(|track| track.first_segment + track.segments).max().unwrap_or(0);
    if planned.is_empty() || i32::try_from(planned.len()) != Ok(expected) {
        return Err(gone());
    }
    let (attempt, now) = (state.attempt + 1, millis_now());
    let work = format!("{execution}-{attempt}");
    let mut signal = Signal::new(&execution, attempt, now);
    let mut started = plan;
    started.work.clone_from(&work);
    started.kept.clear();
    started.outputs.iter_mut().for_each(|output| output.keep = false);
    started.upload = started.upload.map(|upload| Upload { attempt, ..upload });
    let deadline = started.upload.as_ref().and_then(|upload| upload.deadline_seconds);
    started.deadline_ms = deadline.map(|seconds| now.saturating_add((seconds * 1000.0) as i64));
    signal.started = Some(started);
    let event = ExecutionEvent {
        execution: execution.clone(),
        attempt,
        at_ms: now,
        processor: "replay".into(),
        event: "started".into(),
        detail: format!("{} segments, by the plan of attempt {}", planned.len(), state.attempt),
        elapsed_ms: None,
    };
    let failed = CommandError::failed;
    let mut emits = vec![
        Emit::new(streams::TRANSCODED, &execution, &signal).map_err(failed)?,
        Emit::new(streams::EXECUTIONS, &execution, &event).map_err(failed)?,
    ];
    for segment in planned {
        let again = Segment { attempt, work: work.clone(), ..segment };
        let number = again.index.unsigned_abs();
        emits.push(Emit::dealt(streams::SEGMENTS, &execution, number, &again).map_err(failed)?);
    }
    // SG-1: the plan and all segments, or nothing.
    publish(log.as_ref(), emits).await?;
    print(&format!("{execution}  attempt {attempt}, by the plan that it has"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_may_be_short() {
        let day = 1_795_132_800_000; // 2026-11-20
        assert_eq!(time("2026-11-20").unwrap(), day);
        assert_eq!(time("2026-11-20T00:00Z").unwrap(), day);
        assert_eq!(time("2026-11-20T08:30:15Z").unwrap(), day + ((8 * 60 + 30) * 60 + 15) * 1000);
        assert!(time("yesterday").is_err() && time("").is_err());
    }
}
