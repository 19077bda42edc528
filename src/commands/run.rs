//! `millrace run`: the whole topology in this process, until the executions end.

pub(super) mod inputs;

use std::{collections::HashMap, sync::Arc};

use millrace_formats::{CONTAINERS, Container};
use millrace_processors::{cleanup, request};
use millrace_runtime::{Log, Tail, announce, table};
use millrace_schemas::{Assembly, Phase, Signal, Upload, execution_id};
use millrace_storage::Stores;
use millrace_topology::{Emit, millis_now, streams};

use super::{
    CommandError,
    follow::{Awaited, Ending, Results, follow},
};
use crate::{
    cli::Run,
    config::Config,
    shell::{DataFolder, Running, Work, publish, sandbox},
};
use inputs::Input;

pub(super) async fn run(call: Run) -> Result<u8, CommandError> {
    let formats = wanted(&call.formats)?;
    let seconds = request::segment_time(call.segment_time).map_err(CommandError::Call)?;
    let prefix = inputs::url(&call.output).map_err(CommandError::Call)?;
    let stores = Stores::default();
    let inputs = inputs::expand(&call.inputs, &stores).await;
    inputs::check(&inputs, &prefix, &formats)?;
    let media = call.decoding.over(&Config::default())?;
    sandbox::check(media).await?;
    let data = DataFolder::find(call.data.folder.as_deref())?;
    let _owned = data.own()?;
    let log: Arc<dyn Log> = Arc::new(data.log()?);
    log.ensure(&streams::ALL).await?;
    announce(log.as_ref()).await?;

    let mut results = Results::new(call.json);
    let known = table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?;
    // Outcomes that an earlier call published, and that were not counted before it died.
    let mut uncounted =
        Tail::<Signal>::from_committed(log.clone(), streams::TRANSCODED, "millrace-assemble").await?;
    let uncounted = uncounted.take().await?;
    let mut awaited = HashMap::new();
    let mut uploads = Vec::new();
    for input in &inputs {
        let pinned = match &input.source {
            Ok(url) => stores.pin(url).await.map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        let source = match pinned {
            Ok(source) => source,
            Err(reason) => {
                results.tell(&refused(input, &reason));
                continue;
            }
        };
        let mut upload = Upload {
            version: Some(source.version.clone()),
            segment_time_seconds: seconds,
            dst_formats: formats.iter().map(|format| format.name.to_owned()).collect(),
            overwrite: call.overwrite,
            strict: call.care.strict,
            keep_location: call.care.keep_location,
            ..Upload::of(&source.url, &prefix)
        };
        let execution = execution_id(&upload, &source);
        let before = known.get(&execution);
        match next(before, &stores).await {
            Next::Done(state) => {
                let outputs: Vec<_> =
                    state.outputs.iter().filter_map(|output| output.facts.clone()).collect();
                results.tell(&Ending {
                    execution: Some(&execution),
                    name: &input.name,
                    state: state.phase,
                    reason: None,
                    outputs: &outputs,
                    segments: state.video_segments,
                    reused: state.video_segments,
                    warnings: &state.warnings,
                });
                continue;
            }
            Next::Attempt => {
                if let Some(state) = before {
                    upload = again(state, upload);
                }
                uploads
                    .push(Emit::new(streams::ACCEPTED, &source.url, &upload).map_err(CommandError::failed)?);
            }
            Next::Follow(attempt) => upload.attempt = attempt,
        }
        let going_on = before.filter(|state| !state.is_terminal());
        let waiting = Awaited {
            name: input.name.clone(),
            attempt: upload.attempt,
            there_before: going_on.map_or(0, Assembly::video_done)
                + made_before(&uncounted, &execution, upload.attempt, going_on),
            found_before: going_on.map_or(0, |state| state.reused),
        };
        results.begin(&execution, &input.name, going_on);
        awaited.insert(execution, waiting);
    }
    if awaited.is_empty() {
        return Ok(results.status());
    }
    let work = Work { jobs: call.jobs.map_or_else(cores, usize::from), media, ..Work::of(&data) };
    let ended = Tail::from_end(log.clone(), streams::MERGED).await?;
    let running = Running::start(&work, &log)?;
    publish(log.as_ref(), uploads).await?;
    follow(log, Some(running), ended, awaited, results).await
}

/// An upload as the next attempt at an execution that has ended.
pub(super) fn again(state: &Assembly, upload: Upload) -> Upload {
    cleanup::next_attempt(state, upload, millis_now(), cleanup::RETRY_WINDOW_MS)
}

/// How many segments of the video were made by an earlier call that nobody has counted yet.
fn made_before(uncounted: &[Signal], execution: &str, attempt: i32, state: Option<&Assembly>) -> i32 {
    let mut found: Vec<i32> = uncounted
        .iter()
        .filter(|signal| signal.execution == execution && signal.attempt == attempt)
        .filter_map(|signal| signal.segment.as_ref())
        // What was reused is counted as such when it is folded.
        .filter(|outcome| !outcome.reused && outcome.made.iter().any(|made| made.rendition.starts_with("v-")))
        .map(|outcome| outcome.index)
        .filter(|index| state.is_none_or(|state| !state.has(*index)))
        .collect();
    found.sort_unstable();
    found.dedup();
    i32::try_from(found.len()).unwrap_or(i32::MAX)
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn wanted(names: &[String]) -> Result<Vec<&'static Container>, CommandError> {
    let mut found: Vec<&'static Container> = Vec::new();
    for name in names {
        let format = request::format(name).map_err(CommandError::Call)?;
        if !found.contains(&format) {
            found.push(format);
        }
    }
    if found.is_empty() {
        found.push(CONTAINERS[0]);
    }
    Ok(found)
}

/// What is to be done about an execution.
enum Next<'a> {
    /// Nothing: it succeeded, and its outputs are there.
    Done(&'a Assembly),
    /// It is at work, since an earlier call.
    Follow(i32),
    /// It begins, or begins again.
    Attempt,
}

async fn next<'a>(before: Option<&'a Assembly>, stores: &Stores) -> Next<'a> {
    match before {
        None => Next::Attempt,
        Some(state) if !state.is_terminal() => Next::Follow(state.attempt),
        Some(state) if state.phase == Phase::Succeeded && all_there(state, stores).await => Next::Done(state),
        Some(_) => Next::Attempt,
    }
}

/// Whether every output of a success is still there, as long as it was.
async fn all_there(state: &Assembly, stores: &Stores) -> bool {
    for output in &state.outputs {
        let size = stores.size(&output.plan.url).await.ok().flatten().map(u64::cast_signed);
        if size.is_none() || size != output.facts.as_ref().map(|facts| facts.bytes) {
            return false;
        }
    }
    true
}

fn refused<'a>(input: &'a Input, reason: &'a str) -> Ending<'a> {
    Ending {
        execution: None,
        name: &input.name,
        state: Phase::Failed,
        reason: Some(reason),
        outputs: &[],
        segments: 0,
        reused: 0,
        warnings: &[],
    }
}
