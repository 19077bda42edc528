//! `millrace serve`: processors, until stopped.

use std::sync::Arc;

use millrace_processors::{Pinning, Principals, ProfileSource, request::Catalog, topology};
use millrace_runtime::Log;
use millrace_storage::Stores;
use millrace_worker::{Worker, WorkerSettings, check_sandbox};

use super::follow::Interrupts;
use crate::{
    cli::Serve,
    config::{Config, Watch, cores, keys, seconds},
    error::CommandError,
    shell::{
        connect::{connect_to_serve, new_log},
        data::DataFolder,
        http::{self, Listen},
        logs,
        profiles::ProfileFolder,
        watch,
    },
};

/// How long records that are begun may take after SIGTERM, in seconds, unless it is set otherwise.
const GRACE_SECONDS: f64 = 30.0;
/// The address of HTTP, unless it is set otherwise.
const LISTEN: &str = "127.0.0.1:8080";

pub(super) async fn serve(call: Serve) -> Result<u8, CommandError> {
    let config = settings(&call)?;
    let mut interrupts = Interrupts::new()?;
    let processors = config.processors.clone().unwrap_or_default();
    check_processors(&processors)?;
    let grace = seconds("grace", config.grace_seconds, GRACE_SECONDS)?;
    let retry_window_ms = config.retry_window_ms()?;
    let media = config.media_processes()?;
    let access = Arc::new(config.access()?);
    let keys = keys(&config.keys, &call.keys.key_files)?;
    let work_url = config.work_url()?;
    let stores =
        Stores::default().within(access.sources(), access.outputs()).reserving(config.reserved_locations()?);
    let objects = config.work_objects(&stores)?;
    let listen = config.listen.clone().unwrap_or_else(|| LISTEN.into());
    let tokens = config.tokens()?;
    if listen != "none" && !millrace_api::is_local(&listen) && tokens.is_empty() {
        return Err(CommandError::Call(format!(
            "--listen {listen}: others than this machine could call; name a file of tokens with --token-file, or listen at an \
             address of this machine, such as {LISTEN}"
        )));
    }
    let folder = config.profiles.clone().map(ProfileFolder::open).transpose()?;
    let profiles: Arc<dyn ProfileSource> = match &folder {
        Some(folder) => Arc::new(folder.clone()),
        None => Arc::new(Catalog::default()),
    };
    let pinning = Pinning::new(profiles.clone(), access.clone());
    let (store, rules, folders) = (config.default_store()?.to_owned(), config.rules()?, config.folders()?);
    if rules.is_empty() && processors.iter().any(|name| name == "trigger") {
        return Err(CommandError::Call(
            "trigger has nothing to watch; say what with --watch or [[watch]]".into(),
        ));
    }
    objects.check().await.map_err(|error| CommandError::Failed(format!("--work: {error}")))?;
    let collected = http::collect()?;
    let encoders = check_sandbox(media).await?;
    let kafka = connect_to_serve(&config).await?;
    let mut owned = None;
    let log: Arc<dyn Log> = match &kafka {
        Some(kafka) => {
            check_topics(kafka).await?;
            kafka.warm_up().await?;
            kafka.clone()
        }
        None => {
            let data = DataFolder::find(config.data.as_deref())?;
            owned = Some(data.own()?);
            new_log(&data).await?
        }
    };
    let settings = WorkerSettings {
        objects,
        stores: stores.clone(),
        jobs: cores(config.jobs),
        processors,
        retry_window_ms,
        default_store: store.clone(),
        rules,
        media,
        encoders,
        access: access.clone(),
        principals: Principals {
            of_log: config.access.kafka.clone(),
            trust_header: config.access.trust_header,
        },
        profiles,
        keys,
    };
    logs::publish_lines(&log);
    let mut worker = Worker::start(&settings, &log)?;
    let mut server = None;
    if listen != "none" {
        let listen = Listen {
            address: listen,
            tokens,
            names: config.allowed_hosts.clone(),
            store,
            retry_window_ms,
            media,
            access,
            pinning: pinning.clone(),
        };
        let started = http::listen(listen, log.clone(), &worker, &stores, collected).await?;
        let address = &started.address;
        tracing::info!(%address, "answering /healthz, /readyz, /metrics and /v1");
        server = Some(started);
    }
    let watches = settings.processors.is_empty() || settings.processors.iter().any(|name| name == "trigger");
    if watches && !folders.is_empty() {
        let making = watch::Making { rules: settings.rules.clone(), pinning, storage: worker.storage() };
        tokio::spawn(watch::folders(log.clone(), folders, making, stores.clone()));
    }
    if let Some(folder) = folder {
        tokio::spawn(folder.watch());
    }
    tracing::info!(
        brokers = config.brokers, work = work_url, jobs = settings.jobs, processors = ?settings.processors, "serving"
    );
    let failure = tokio::select! {
        error = worker.failure() => Some(error),
        () = interrupts.next() => None,
    };
    match &failure {
        None => tracing::info!(?grace, "stopping: finishing what was begun; a second signal stops at once"),
        Some(error) => tracing::error!(%error, "stopping: a processor can't go on"),
    }
    worker.stop(grace, interrupts.next()).await;
    logs::flush().await;
    if let Some(server) = server {
        server.stop().await;
    }
    drop(worker);
    if let Some(kafka) = kafka {
        kafka.leave().await;
    }
    drop(owned);
    failure.map_or(Ok(0), |error| Err(error.into()))
}

/// Returns the settings, overridden by the flags.
fn settings(call: &Serve) -> Result<Config, CommandError> {
    let mut config = Config::load(&call.log, &[call, &call.decoding])?.with_profiles(&call.own);
    // A path need not be UTF-8, as the values of layers are.
    config.token_file = call.token_file.clone().or(config.token_file);
    for watch in &call.watch {
        config.watch.push(Watch::parse(watch)?);
    }
    Ok(config)
}

/// Checks that there are processors of these names.
fn check_processors(names: &[String]) -> Result<(), CommandError> {
    let graph = topology();
    let all: Vec<&str> = graph.processors.iter().map(|spec| spec.name).collect();
    match names.iter().find(|name| !all.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(CommandError::Call(format!("there is no processor '{name}'; there are {}", all.join(", "))))
        }
    }
}

/// Checks that the topics of a cluster are as Millrace needs them; warns of further differences.
async fn check_topics(kafka: &millrace_kafka::Kafka) -> Result<(), CommandError> {
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
