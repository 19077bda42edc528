//! What `serve` answers over HTTP: whether it lives, whether it works, metrics, and the API.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millrace_access::Access;
use millrace_api::{Api, Border, Listener, Prober, Tokens, View};
use millrace_processors::topology;
use millrace_runtime::{Backoff, Level, Log, Stop, metrics};
use millrace_storage::Stores;
use millrace_topology::ports::PortError;
use tokio::task::JoinHandle;

use super::{engine::Running, probe::Probes, sandbox::MediaProcesses};
use crate::commands::CommandError;

/// How often lag is looked up.
const LAG_EVERY: Duration = Duration::from_secs(10);
/// For how long the log may not answer until the process counts as not ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// The buckets of latencies, in seconds: from a look at a work object to an hour of transcoding.
const BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];

#[derive(Clone)]
struct Shared {
    log: Arc<dyn Log>,
    stop: Stop,
    metrics: PrometheusHandle,
}

/// Collects metrics from now on.
pub(crate) fn collect() -> Result<PrometheusHandle, CommandError> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS);
    let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(CommandError::failed)?;
    metrics::describe();
    Ok(handle)
}

/// How HTTP is answered.
pub(crate) struct Listen {
    /// Where.
    pub(crate) address: String,
    /// Who may call.
    pub(crate) tokens: Tokens,
    /// By which names, beside this machine's own, it is called on loopback.
    pub(crate) names: Vec<String>,
    /// The scheme of the store that is meant where only a bucket is named.
    pub(crate) store: String,
    /// For how long a failed execution's work objects are kept, in milliseconds.
    pub(crate) retry_window_ms: i64,
    /// How media processes run.
    pub(crate) media: MediaProcesses,
    /// What each principal may reach and do.
    pub(crate) access: Arc<Access>,
}

/// A server that answers until it is stopped.
pub(crate) struct Answering {
    /// Where, with its port.
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Answering {
    /// Answers nobody any more; a socket's file is gone then.
    pub(crate) async fn stop(self) {
        self.task.abort();
        // It ends as it was told to.
        let _ = self.task.await;
    }
}

/// Answers at this address.
pub(crate) async fn listen(
    asked: Listen,
    log: Arc<dyn Log>,
    running: &Running,
    stores: &Stores,
    metrics: PrometheusHandle,
) -> Result<Answering, CommandError> {
    let wrong =
        |error: &dyn std::fmt::Display| CommandError::Call(format!("--listen {}: {error}", asked.address));
    let listener = Listener::bind(&asked.address).await.map_err(|error| wrong(&error))?;
    let address = listener.address().to_owned();
    // Elsewhere a token says who calls.
    let border = if listener.is_loopback() { Border::loopback(&asked.names) } else { Border::open() };
    let shared = Shared { log: log.clone(), stop: running.engine.stop(), metrics: metrics.clone() };
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared.clone());
    let view = View::default();
    tokio::spawn(follow(view.clone(), log.clone()));
    let api = Api {
        log: log.clone(),
        storage: running.ports(),
        prober: Arc::new(OverHttp(Probes::new(stores.clone(), asked.media)?)),
        view,
        store: asked.store,
        retry_window_ms: asked.retry_window_ms,
        access: asked.access,
    };
    let metrics_of = get(|State(shared): State<Shared>| async move { shared.metrics.render() });
    let guarded = Router::new()
        .route("/metrics", api.for_administrators(metrics_of))
        .with_state(shared)
        .merge(api.routes());
    let task = tokio::spawn(millrace_api::serve(listener, open, guarded, asked.tokens, border));
    tokio::spawn(watch_lag(log, metrics));
    Ok(Answering { address, task })
}

/// Keeps what is known of executions; where the log fails, from the start.
async fn follow(view: View, log: Arc<dyn Log>) {
    let mut backoff = Backoff::new(Duration::from_millis(100));
    loop {
        if let Err(error) = view.follow(log.clone()).await {
            tracing::warn!(%error, "executions are shown as they were");
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Probes for whoever calls.
struct OverHttp(Probes);

#[async_trait]
impl Prober for OverHttp {
    async fn probe(&self, url: &str) -> Result<serde_json::Value, PortError> {
        self.0.probe(url).await
    }
}

/// Ready is who takes work, and whose log answers.
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
                metrics::lag(spec.name, lag);
            }
        }
        collected.run_upkeep();
        tokio::time::sleep(LAG_EVERY).await;
    }
}
