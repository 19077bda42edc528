//! `millrace serve`: processors, until stopped.

use std::{sync::Arc, time::Duration};

use millrace_processors::topology;
use millrace_processors::{Principals, cleanup::RETRY_WINDOW_MS};
use millrace_runtime::{Log, announce};
use millrace_storage::{Location, Stores, Work as Objects};
use millrace_topology::streams;

use super::{CommandError, follow::Interrupts, run::cores};
use crate::{
    cli::Serve,
    config::{Config, Watch},
    shell::{
        DataFolder, Running, Work, connect_to_serve,
        http::{self, Listen},
        sandbox, watch,
    },
};

/// For how long what was begun may go on, in seconds, unless it is set otherwise.
const GRACE_SECONDS: f64 = 30.0;
/// Where HTTP is answered, unless it is set otherwise.
const LISTEN: &str = "127.0.0.1:8080";

pub(super) async fn serve(call: Serve) -> Result<u8, CommandError> {
    let config = merged(&call)?;
    let mut interrupts = Interrupts::new()?;
    let processors = config.processors.clone().unwrap_or_default();
    known(&processors)?;
    let grace = seconds("grace", config.grace_seconds, GRACE_SECONDS)?;
    let window = seconds("retry-window", config.retry_window_seconds, RETRY_WINDOW_MS as f64 / 1000.0)?;
    let media = call.decoding.over(&config)?;
    let access = Arc::new(config.access()?);
    let at = work_url(&config)?;
    let stores = Stores::default().within(access.sources(), access.outputs()).reserving(own(&config, &at)?);
    let (_, objects) = work(&config, &stores)?;
    let listen = config.listen.clone().unwrap_or_else(|| LISTEN.into());
    let tokens = config.tokens()?;
    if listen != "none" && !millrace_api::is_local(&listen) && tokens.is_empty() {
        return Err(CommandError::Call(format!(
            "--listen {listen}: others than this machine could call; name a file of tokens with --token-file, or listen at an \
             address of this machine, such as {LISTEN}"
        )));
    }
    let (store, rules, folders) = (config.default_store()?.to_owned(), config.rules()?, config.folders()?);
    if rules.is_empty() && processors.iter().any(|name| name == "trigger") {
        return Err(CommandError::Call(
            "trigger has nothing to watch; say what with --watch or [[watch]]".into(),
        ));
    }
    objects.check().await.map_err(|error| CommandError::Failed(format!("--work: {error}")))?;
    let collected = http::collect()?;
    let encoders = sandbox::check(media).await?;
    let kafka = connect_to_serve(&config).await?;
    let mut owned = None;
    let log: Arc<dyn Log> = match &kafka {
        Some(kafka) => {
            check(kafka).await?;
            kafka.warm_up().await?;
            kafka.wait_for_it();
            kafka.clone()
        }
        None => {
            let data = DataFolder::find(config.data.as_deref())?;
            owned = Some(data.own()?);
            let log = data.log()?;
            log.ensure(&streams::ALL).await?;
            announce(&log).await?;
            Arc::new(log)
        }
    };
    let how = Work {
        objects,
        stores: stores.clone(),
        jobs: config.jobs.map_or_else(cores, usize::from),
        processors,
        retry_window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX),
        store: store.clone(),
        rules,
        media,
        encoders,
        access: access.clone(),
        principals: Principals {
            of_log: config.access.kafka.clone(),
            trust_header: config.access.trust_header,
        },
    };
    let mut running = Running::start(&how, &log)?;
    let mut answering = None;
    if listen != "none" {
        let asked = Listen {
            address: listen,
            tokens,
            names: config.allowed_hosts.clone(),
            store,
            retry_window_ms: how.retry_window_ms,
            media,
            access,
        };
        let begun = http::listen(asked, log.clone(), &running, &stores, collected).await?;
        let address = &begun.address;
        tracing::info!(%address, "answering /healthz, /readyz, /metrics and /v1");
        answering = Some(begun);
    }
    let watches = how.processors.is_empty() || how.processors.iter().any(|name| name == "trigger");
    if watches && !folders.is_empty() {
        tokio::spawn(watch::folders(log.clone(), folders, how.rules.clone(), stores.clone()));
    }
    tracing::info!(
        brokers = config.brokers, work = at, jobs = how.jobs, processors = ?how.processors, "serving"
    );
    let broken = tokio::select! {
        error = running.broken() => Some(error),
        () = interrupts.next() => None,
    };
    match &broken {
        None => tracing::info!(?grace, "stopping: finishing what was begun; a second signal stops at once"),
        Some(error) => tracing::error!(%error, "stopping: a processor can't go on"),
    }
    running.stop(grace, interrupts.next()).await;
    if let Some(answering) = answering {
        answering.stop().await;
    }
    drop(running);
    if let Some(kafka) = kafka {
        kafka.leave().await;
    }
    drop(owned);
    broken.map_or(Ok(0), Err)
}

/// The settings, with the flags over them.
fn merged(call: &Serve) -> Result<Config, CommandError> {
    let mut config = Config::of(&call.place)?;
    if !call.processors.is_empty() {
        config.processors = Some(call.processors.clone());
    }
    config.work = call.work.clone().or(config.work);
    config.listen = call.listen.clone().or(config.listen);
    config.token_file = call.token_file.clone().or(config.token_file);
    for watch in &call.watch {
        config.watch.push(Watch::of(watch)?);
    }
    config.source_roots.extend(call.source_roots.iter().cloned());
    config.output_roots.extend(call.output_roots.iter().cloned());
    config.allowed_hosts.extend(call.allowed_hosts.iter().cloned());
    config.jobs = call.jobs.or(config.jobs);
    config.instance = call.instance.clone().or(config.instance);
    config.grace_seconds = call.grace.or(config.grace_seconds);
    config.retry_window_seconds = call.retry_window.or(config.retry_window_seconds);
    Ok(config)
}

fn known(names: &[String]) -> Result<(), CommandError> {
    let graph = topology();
    let all: Vec<&str> = graph.processors.iter().map(|spec| spec.name).collect();
    match names.iter().find(|name| !all.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(CommandError::Call(format!("there is no processor '{name}'; there are {}", all.join(", "))))
        }
    }
}

pub(super) fn seconds(flag: &str, asked: Option<f64>, otherwise: f64) -> Result<Duration, CommandError> {
    Duration::try_from_secs_f64(asked.unwrap_or(otherwise))
        .map_err(|_| CommandError::Call(format!("--{flag} takes seconds, 0 or more")))
}

/// Work objects, and where they lie.
pub(super) fn work(config: &Config, stores: &Stores) -> Result<(String, Objects), CommandError> {
    let url = work_url(config)?;
    let objects =
        Objects::at(&url, stores).map_err(|error| CommandError::Call(format!("--work: {error}")))?;
    Ok((url, objects))
}

/// Where work objects lie: what every process of a cluster sees, or a folder of the data folder.
fn work_url(config: &Config) -> Result<String, CommandError> {
    match (&config.work, &config.brokers) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(_)) => Err(CommandError::Call(
            "with --brokers, --work is needed: a URL that every process sees, such as s3://bucket/work or file:///mnt/work".into(),
        )),
        (None, None) => millrace_storage::url_of(&DataFolder::find(config.data.as_deref())?.work())
            .map_err(CommandError::failed),
    }
}

/// Where the log and the work objects are: what no upload reads or writes.
fn own(config: &Config, work: &str) -> Result<Vec<Location>, CommandError> {
    let mut own =
        vec![Location::parse(work).map_err(|error| CommandError::Call(format!("--work: {error}")))?];
    if config.brokers.is_none() {
        own.extend(DataFolder::find(config.data.as_deref())?.location());
    }
    Ok(own)
}

/// Refuses a cluster on which Millrace can't work; warns of what is odd.
async fn check(kafka: &millrace_kafka::Kafka) -> Result<(), CommandError> {
    let mut wrong = Vec::new();
    for difference in kafka.check(&topology()).await? {
        if difference.is_fatal {
            wrong.push(difference.text);
        } else {
            tracing::warn!("{}", difference.text);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(wrong.join("\nmillrace: ")))
}
