//! `millrace executions cancel|retry`: what changes executions.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use millrace_engine::caught_up;
use millrace_processors::request;
use millrace_runtime::{Log, Tail};
use millrace_schemas::{Assembly, Cancelled, Phase, Signal};
use millrace_topology::{Emit, millis_now, streams};
use millrace_worker::{Worker, WorkerSettings, check_sandbox};

use super::find::find_execution;
use crate::{
    cli::{Decoding, LogLocation, OwnProfiles},
    commands::{
        follow::{Awaited, Results, follow},
        run::next_attempt,
    },
    config::{Config, cores, keys},
    error::CommandError,
    inputs::display_name,
    shell::{
        connect::{existing_log, publish},
        data::DataFolder,
        logs,
    },
    terminal::print,
};

/// How long a cancel waits for the process that works on the data folder.
const PATIENCE: Duration = Duration::from_secs(15);

/// Returns the executions with these ids, and their log.
async fn chosen(
    ids: &[String],
    location: &LogLocation,
) -> Result<(Arc<dyn Log>, Vec<Assembly>), CommandError> {
    let log = existing_log(location, true).await?;
    let mut states = Vec::new();
    for id in ids {
        states.push(find_execution(log.as_deref(), id).await?);
    }
    // Without a log no execution is found, which is an error above.
    let log = log.ok_or_else(|| CommandError::Call("there is no log in this data folder".into()))?;
    Ok((log, states))
}

pub(super) async fn cancel(ids: &[String], reason: &str, location: &LogLocation) -> Result<u8, CommandError> {
    let (log, states) = chosen(ids, location).await?;
    if let Some(over) = states.iter().find(|state| state.is_terminal()) {
        let (id, how) = (&over.execution, over.phase.as_str());
        return Err(CommandError::Call(format!("{id} has ended already ({how}); nothing was cancelled")));
    }
    let mut emits = Vec::new();
    for state in &states {
        let mut signal = Signal::new(&state.execution, state.attempt, millis_now());
        signal.cancelled = Some(Cancelled { reason: reason.into() });
        emits.push(Emit::new(streams::TRANSCODED, &state.execution, &signal).map_err(CommandError::failed)?);
    }
    publish(log.as_ref(), emits).await?;
    // If no process works on the data folder, this one cancels, and removes the work objects. On a cluster others do.
    let (owned, mut deciding) = match Config::load(location, &[])? {
        config if config.brokers.is_some() => (Err("the cluster".to_owned()), None),
        config => {
            let folder = DataFolder::find(config.data.as_deref())?;
            let owned = folder.try_own()?.map_err(|holder| format!("process {holder}"));
            let deciding = owned.is_ok().then(|| {
                logs::publish_lines(&log);
                Worker::start_deciding(&folder.worker_settings(), &log)
            });
            (owned, deciding.transpose()?)
        }
    };
    let failure = async {
        match &mut deciding {
            Some(worker) => worker.failure().await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(PATIENCE, until_ended(&log, &states)) => ended,
        error = failure => return Err(error.into()),
    };
    if let Some(worker) = &mut deciding {
        let cleanup = millrace_processors::cleanup::spec();
        tokio::select! {
            result = caught_up(log.as_ref(), &cleanup) => result?,
            error = worker.failure() => return Err(error.into()),
        }
        worker.drain().await;
        logs::flush().await;
        worker.sweep().await;
    }
    let Ok(ended) = ended else {
        let who = owned.err().unwrap_or_else(|| "the log".to_owned());
        return Err(CommandError::Failed(format!(
            "{who} has not answered within {PATIENCE:?}; the cancel is on the log, and whoever serves next obeys it"
        )));
    };
    for state in ended? {
        print(&format!("{}  {}", state.execution, state.phase.as_str()));
    }
    Ok(0)
}

/// Waits until executions have ended, or have begun another attempt; returns their states then.
async fn until_ended(log: &Arc<dyn Log>, before: &[Assembly]) -> Result<Vec<Assembly>, CommandError> {
    let mut changes = log.changes();
    let mut tail = Tail::<Assembly>::from_start(log.clone(), streams::ASSEMBLIES).await?;
    let mut now: Vec<Assembly> = before.to_vec();
    loop {
        changes.mark_seen();
        for state in tail.read_new().await? {
            now.iter_mut().filter(|s| s.execution == state.execution).for_each(|s| s.clone_from(&state));
        }
        if now.iter().zip(before).all(|(now, before)| now.is_terminal() || now.attempt > before.attempt) {
            return Ok(now);
        }
        changes.changed().await;
    }
}

pub(super) async fn retry(
    ids: &[String],
    jobs: Option<NonZeroUsize>,
    decoding: Decoding,
    (location, own): (&LogLocation, &OwnProfiles),
    json: bool,
) -> Result<u8, CommandError> {
    let (log, states) = chosen(ids, location).await?;
    let config = Config::load(location, &[&decoding])?.with_profiles(own);
    let catalog = config.catalog()?;
    let mut uploads = Vec::new();
    let mut awaited = HashMap::new();
    let mut results = Results::new(json);
    for state in &states {
        let id = &state.execution;
        if !state.is_terminal() {
            return Err(CommandError::Call(format!(
                "{id} is at work; 'millrace executions cancel {id}' stops it"
            )));
        }
        if state.phase == Phase::Succeeded {
            return Err(CommandError::Call(format!("{id} has succeeded; there is nothing to try again")));
        }
        let upload = state.upload.clone().ok_or_else(|| {
            CommandError::Call(format!(
                "{id} is from an older version, which kept too little of it; upload it again"
            ))
        })?;
        let upload = request::pin_again(upload, &catalog)
            .map_err(|reason| CommandError::Call(format!("{id}: {reason}")))?;
        let upload = next_attempt(state, upload);
        let name = display_name(&state.source.url);
        let waiting =
            Awaited { name: name.clone(), attempt: upload.attempt, there_before: 0, found_before: 0 };
        awaited.insert(id.clone(), waiting);
        results.begin(id, &name, None);
        let emit = Emit::new(streams::ACCEPTED, &state.source.url, &upload).map_err(CommandError::failed)?;
        uploads.push((id.clone(), upload.attempt, emit));
    }
    let emits = uploads.iter().map(|(.., emit)| emit.clone()).collect();
    let holder = if config.brokers.is_some() {
        "whoever serves".to_owned()
    } else {
        let folder = DataFolder::find(config.data.as_deref())?;
        match folder.try_own()? {
            Ok(_owned) => {
                let ended = Tail::from_end(log.clone(), streams::MERGED).await?;
                let media = config.media_processes()?;
                let encoders = check_sandbox(media).await?;
                let access = Arc::new(config.operator_access()?);
                let settings = WorkerSettings {
                    jobs: cores(jobs),
                    media,
                    encoders,
                    access,
                    keys: keys(&config.keys, &[])?,
                    ..folder.worker_settings()
                };
                logs::publish_lines(&log);
                let worker = Worker::start(&settings, &log)?;
                publish(log.as_ref(), emits).await?;
                return follow(log, Some(worker), ended, awaited, results).await;
            }
            Err(holder) => format!("process {holder}"),
        }
    };
    publish(log.as_ref(), emits).await?;
    for (id, attempt, _) in uploads {
        print(&format!("{id}  attempt {attempt}, by {holder}"));
    }
    Ok(0)
}
