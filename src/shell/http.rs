//! What `serve` answers over HTTP: whether it lives, whether it works, and metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millrace_runtime::{Level, Log, Stop, metrics};
use millrace_topology::topology;
use tokio::net::TcpListener;

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

/// Answers at this address, which must be one of this machine: nothing here asks who calls. Gives the address, with its port.
pub(crate) async fn listen(
    asked: &str,
    log: Arc<dyn Log>,
    stop: Stop,
    metrics: PrometheusHandle,
) -> Result<SocketAddr, CommandError> {
    let wrong = |error: &dyn std::fmt::Display| CommandError::Call(format!("--listen {asked}: {error}"));
    let listener = TcpListener::bind(asked).await.map_err(|error| wrong(&error))?;
    let address = listener.local_addr().map_err(|error| wrong(&error))?;
    let shared = Shared { log: log.clone(), stop, metrics: metrics.clone() };
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|State(shared): State<Shared>| async move { shared.metrics.render() }))
        .with_state(shared);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "HTTP is answered no more");
        }
    });
    tokio::spawn(watch_lag(log, metrics));
    Ok(address)
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
