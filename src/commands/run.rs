//! `millrace run`: the whole topology in this process, until the executions end.

use std::collections::HashMap;

use millrace_processors::{assemble, cleanup, request};
use millrace_profiles::Wanted;
use millrace_runtime::{Tail, read_table};
use millrace_schemas::{
    Assembly, Made, Phase, RenditionId, RenditionKind, Signal, SourceRef, Upload, execution_id,
};
use millrace_storage::Stores;
use millrace_topology::{Emit, millis_now, streams};
use millrace_worker::{Worker, WorkerSettings, check_sandbox};

use super::follow::{Awaited, Ending, Results, follow};
use crate::{
    cli::Run,
    config::{Config, cores, keys},
    error::CommandError,
    inputs::{Input, check_outputs, expand, parse_output},
    shell::{
        connect::{new_log, publish},
        data::DataFolder,
        logs,
    },
};

pub(super) async fn run(call: Run) -> Result<u8, CommandError> {
    let template = call.order.upload("", call.own.profiles.as_deref())?;
    let prefix = parse_output(&call.output).map_err(CommandError::Call)?;
    let template = Upload { output_prefix: prefix.clone(), ..template };
    let stores = Stores::default();
    let inputs = expand(&call.inputs, &stores).await;
    let template = pin_assets(template, &stores).await.map_err(CommandError::Call)?;
    let wanted = request::wanted(&template).map_err(CommandError::Call)?;
    check_outputs(&inputs, &prefix, &wanted.outputs)?;
    let config = Config::of_flags(&call.decoding)?;
    let media = config.media_processes()?;
    let keys = keys(&config.keys, &call.keys.key_files)?;
    let protections = wanted.outputs.iter().filter_map(Wanted::protection);
    if let Some(missing) = protections.filter_map(|protection| keys.missing(protection)).next() {
        return Err(CommandError::Call(missing));
    }
    let data = DataFolder::find(call.data.folder.as_deref())?;
    let _owned = data.own()?;
    // Side by side: each takes about as long as a small file.
    let (encoders, log) = tokio::join!(check_sandbox(media), new_log(&data));
    let (encoders, log) = (encoders?, log?);

    let mut results = Results::new(call.json);
    let known = read_table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?;
    // Outcomes that an earlier call published, and that were not counted before it died.
    let mut uncounted =
        Tail::<Signal>::from_committed(log.clone(), streams::TRANSCODED, &assemble::spec().group()).await?;
    let uncounted = uncounted.read_new().await?;
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
                results.report(&refused(input, &reason));
                continue;
            }
        };
        let mut upload = Upload {
            source: Some(source.url.clone()),
            version: Some(source.version.clone()),
            ..template.clone()
        };
        let execution = execution_id(&upload, &source);
        let before = known.get(&execution);
        match next(before, &stores).await {
            Next::Done(state) => {
                let outputs: Vec<_> =
                    state.outputs.iter().filter_map(|output| output.facts.clone()).collect();
                results.report(&Ending {
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
                    upload = next_attempt(state, upload);
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
    let settings = WorkerSettings { jobs: cores(call.jobs), media, encoders, keys, ..data.worker_settings() };
    let ended = Tail::from_end(log.clone(), streams::MERGED).await?;
    logs::publish_lines(&log);
    let worker = Worker::start(&settings, &log)?;
    publish(log.as_ref(), uploads).await?;
    follow(log, Some(worker), ended, awaited, results).await
}

/// Returns an upload whose profile's assets are pinned to their present versions.
///
/// # Errors
/// If one can't be read.
pub(super) async fn pin_assets(upload: Upload, stores: &Stores) -> Result<Upload, String> {
    let mut pinned = Vec::new();
    for url in request::unpinned_assets(&upload) {
        let source = stores.pin(&url).await.map_err(|error| format!("profile: {error}"))?;
        pinned.push(SourceRef { url, ..source });
    }
    Ok(request::pin_assets(upload, &pinned))
}

/// Returns an upload as the next attempt at an execution that has ended.
pub(super) fn next_attempt(state: &Assembly, upload: Upload) -> Upload {
    cleanup::next_attempt(state, upload, millis_now(), cleanup::RETRY_WINDOW_MS)
}

/// How many segments of the video were made by an earlier call that nobody has counted yet.
fn made_before(uncounted: &[Signal], execution: &str, attempt: i32, state: Option<&Assembly>) -> i32 {
    let mut found: Vec<i32> = uncounted
        .iter()
        .filter(|signal| signal.execution == execution && signal.attempt == attempt)
        .filter_map(|signal| signal.segment.as_ref())
        // What was reused is counted as such when it is folded.
        .filter(|outcome| !outcome.reused && outcome.made.iter().any(is_video))
        .map(|outcome| outcome.index)
        .filter(|index| state.is_none_or(|state| !state.has(*index)))
        .collect();
    found.sort_unstable();
    found.dedup();
    i32::try_from(found.len()).unwrap_or(i32::MAX)
}

fn is_video(made: &Made) -> bool {
    made.rendition.parse().is_ok_and(|id: RenditionId| id.kind() == RenditionKind::Video)
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
