//! Connections: so many at once, each bounded in time and memory, whatever comes through it.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, middleware};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_io_timeout::TimeoutStream;
use tower_http::timeout::TimeoutLayer;

use crate::auth::{self, Tokens};

/// So many connections are served at once; others wait to be accepted.
const CONNECTIONS: usize = 512;
/// For how long headers may take.
const HEADERS: Duration = Duration::from_secs(10);
/// For how long a request may take, with its body and its answer's making.
const REQUEST: Duration = Duration::from_secs(60);
/// For how long a peer may take nothing of what it is sent, or send nothing.
const STALLED: Duration = Duration::from_secs(75);
/// The longest headers, in bytes.
const LONGEST_HEADERS: usize = 64 * 1024;

/// Serves routes for good: `open` to everybody, `guarded` to those who show a token.
pub async fn serve(listener: TcpListener, open: Router, guarded: Router, tokens: Tokens) {
    let guarded = guarded.layer(middleware::from_fn_with_state(tokens, auth::guard));
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST);
    let service = TowerToHyperService::new(open.merge(guarded).layer(timeout));
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Of this connection, or no descriptors are left for now.
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let _place = place;
            // Small answers, at once.
            let _ = stream.set_nodelay(true);
            let mut stream = TimeoutStream::new(stream);
            stream.set_read_timeout(Some(STALLED));
            stream.set_write_timeout(Some(STALLED));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(LONGEST_HEADERS);
            let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}
