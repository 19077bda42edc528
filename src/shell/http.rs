//! HTTP of `serve`: health, readiness, metrics, and the API.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millrace_access::Access;
use millrace_api::{AllowedHosts, Api, LightError, LightFile, LightTask, Listener, Prober, Tokens, View};
use millrace_processors::{Pinning, topology};
use millrace_runtime::{Backoff, Level, Log, Stop, metrics};
use millrace_storage::{StorageError, Stores};
use millrace_topology::ports::PortError;
use millrace_worker::{LightWork, MediaProcessSettings, Probes, Worker, describe_metrics};
use tokio::task::JoinHandle;

use crate::{
    error::CommandError,
    light::{DrawTask, facts},
};

/// How often the lag of processors is measured.
const LAG_EVERY: Duration = Duration::from_secs(10);
/// How long the log may take to respond until the process is not ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// The buckets of latencies, in seconds: from reading a work object to an hour of transcoding.
const BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

#[derive(Clone)]
struct Shared {
    log: Arc<dyn Log>,
    stop: Stop,
    metrics: PrometheusHandle,
}

/// Installs the recorder of metrics, and returns what renders them for Prometheus.
pub(crate) fn collect() -> Result<PrometheusHandle, CommandError> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS);
    let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(CommandError::failed)?;
    metrics::describe();
    describe_metrics();
    Ok(handle)
}

/// How HTTP is served.
pub(crate) struct Listen {
    /// The address: `HOST:PORT`, or `unix:/PATH`.
    pub(crate) address: String,
    /// The tokens of callers.
    pub(crate) tokens: Tokens,
    /// The host names that are accepted on loopback, besides this machine's own.
    pub(crate) names: Vec<String>,
    /// The scheme of the store for uploads that name only a bucket.
    pub(crate) store: String,
    /// For how long a failed execution's work objects are kept, in milliseconds.
    pub(crate) retry_window_ms: i64,
    /// How media processes run.
    pub(crate) media: MediaProcessSettings,
    /// What each principal may reach and do.
    pub(crate) access: Arc<Access>,
    /// What pins uploads to profiles.
    pub(crate) pinning: Pinning,
}

/// A server that is listening.
pub(crate) struct Server {
    /// The address, with the port that was bound.
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Stops listening. The file of a Unix socket is removed.
    pub(crate) async fn stop(self) {
        self.task.abort();
        // An aborted task returns an error.
        let _ = self.task.await;
    }
}

/// Starts listening.
pub(crate) async fn listen(
    settings: Listen,
    log: Arc<dyn Log>,
    worker: &Worker,
    stores: &Stores,
    metrics: PrometheusHandle,
) -> Result<Server, CommandError> {
    let wrong =
        |error: &dyn std::fmt::Display| CommandError::Call(format!("--listen {}: {error}", settings.address));
    let listener = Listener::bind(&settings.address).await.map_err(|error| wrong(&error))?;
    let address = listener.address().to_owned();
    // Callers from other machines are known by their tokens.
    let border =
        if listener.is_loopback() { AllowedHosts::loopback(&settings.names) } else { AllowedHosts::any() };
    let shared = Shared { log: log.clone(), stop: worker.stop_signal(), metrics: metrics.clone() };
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared.clone());
    let view = View::default();
    tokio::spawn(follow(view.clone(), log.clone()));
    let api = Api {
        log: log.clone(),
        storage: worker.storage(),
        prober: Arc::new(HttpProber(Probes::new(stores.clone(), settings.media)?)),
        light: Arc::new(HttpLight(LightWork::new(stores.clone(), settings.media)?)),
        view,
        store: settings.store,
        retry_window_ms: settings.retry_window_ms,
        access: settings.access,
        pinning: settings.pinning,
    };
    let metrics_of = get(|State(shared): State<Shared>| async move { shared.metrics.render() });
    let guarded = Router::new()
        .route("/metrics", api.for_administrators(metrics_of))
        .with_state(shared)
        .merge(api.routes());
    let task = tokio::spawn(millrace_api::serve(listener, open, guarded, settings.tokens, border));
    tokio::spawn(watch_lag(log, metrics));
    Ok(Server { address, task })
}

/// Keeps the API's view of executions up to date; starts over if the log fails.
async fn follow(view: View, log: Arc<dyn Log>) {
    let mut backoff = Backoff::new(Duration::from_millis(100));
    loop {
        if let Err(error) = view.follow(log.clone()).await {
            tracing::warn!(%error, "executions are shown as they were");
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Probes for callers of the API.
struct HttpProber(Probes);

#[async_trait]
impl Prober for HttpProber {
    async fn probe(&self, url: &str) -> Result<serde_json::Value, PortError> {
        self.0.probe(url).await
    }
}

/// Pictures for callers of the API.
struct HttpLight(LightWork);

#[async_trait]
impl millrace_api::LightWork for HttpLight {
    async fn make(
        &self,
        source: &str,
        task: &LightTask,
        format: Option<&str>,
        most: u64,
    ) -> Result<LightFile, LightError> {
        let refused = |reason| LightError::Port(PortError::Refused(reason));
        let (task, format) = DrawTask::new(task, format).map_err(refused)?;
        let made = task.run(&self.0, source, most).await.map_err(LightError::Port)?;
        Ok(LightFile { facts: facts(&made.drawn), bytes: made.bytes, media_type: format.media_type })
    }

    async fn check_free(&self, url: &str, replaces: bool) -> Result<(), LightError> {
        self.0.check_free(url, replaces).await.map_err(|error| light_error(&error))
    }

    async fn write(&self, url: &str, bytes: Vec<u8>, replaces: bool) -> Result<(), LightError> {
        self.0.write(url, bytes, replaces).await.map_err(|error| light_error(&error))
    }
}

fn light_error(error: &StorageError) -> LightError {
    match error {
        StorageError::Exists { .. } => LightError::Exists(error.to_string()),
        _ if error.is_transient() => LightError::Port(PortError::Transient(error.to_string())),
        _ => LightError::Port(PortError::Refused(error.to_string())),
    }
}

/// Returns 200 if this process takes work and its log responds.
async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    if shared.stop.level() > Level::Run {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    let stream = millrace_topology::streams::UPLOADS.name;
    let partition = millrace_runtime::Partition { stream: stream.into(), number: 0 };
    match tokio::time::timeout(PATIENCE, shared.log.end(&partition)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n".into()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, format!("the log has not answered for {PATIENCE:?}\n")),
    }
}

async fn watch_lag(log: Arc<dyn Log>, collected: PrometheusHandle) {
    let graph = topology();
    loop {
        for spec in &graph.processors {
            if let Ok(lag) = millrace_engine::lag(log.as_ref(), spec).await {
                metrics::set_lag(spec.name, lag);
            }
        }
        collected.run_upkeep();
        tokio::time::sleep(LAG_EVERY).await;
    }
}
