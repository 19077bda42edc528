//! Connections, limited in number, in all and of one peer, and each in time and memory.
//!
//! Above the limit a connection goes into the reserve: only health checks are served there, and a new connection there repermits the
//! oldest one. So a client that opens many connections does not make an orchestrator's health checks fail.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, http::StatusCode, middleware};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;
use tower_http::timeout::TimeoutLayer;

use crate::{
    allowed_hosts::{self, AllowedHosts},
    auth::{self, Tokens},
    listener::{Listener, Stream},
    problem::Problem,
};

/// How many connections are served at once.
const CONNECTIONS: usize = 512;
/// How many of them may be of one address.
const OF_A_PEER: usize = 256;
/// How many more are in the reserve.
const RESERVE: usize = 64;
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
/// How long a request may take, from its headers to its response.
const REQUEST: Duration = Duration::from_secs(60);
/// How long a peer may neither send nor receive anything.
const STALLED: Duration = Duration::from_secs(75);
/// The longest headers, in bytes.
const LONGEST_HEADERS: usize = 64 * 1024;

/// Serves requests and never returns: `open` for everybody, `guarded` for requests with a token, both only under the names that
/// `allowed_hosts` accepts.
pub async fn serve(
    listener: Listener,
    open: Router,
    guarded: Router,
    tokens: Tokens,
    allowed_hosts: AllowedHosts,
) {
    let guarded = guarded.layer(middleware::from_fn_with_state(tokens, auth::guard));
    let by_name = middleware::from_fn_with_state(allowed_hosts, allowed_hosts::guard);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST);
    let busy =
        async || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections are open; try again");
    let reserve = open.clone().fallback(busy).layer(timeout).layer(by_name.clone());
    let all = open.merge(guarded).layer(timeout).layer(by_name);
    let (permits, spare) = (Permits::default(), Reserve::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The connection was lost, or the process has no descriptors left.
                tracing::debug!(%error, "a connection could not be accepted");
                spare.close_oldest();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match permits.acquire(peer) {
            Some(permit) => {
                let all = all.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    connection(stream, all, true).await;
                });
            }
            None => spare.serve(connection(stream, reserve.clone(), false)),
        }
    }
}

async fn connection(stream: Box<dyn Stream>, routes: Router, keeps_alive: bool) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(STALLED));
    stream.set_write_timeout(Some(STALLED));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(LONGEST_HEADERS)
        .keep_alive(keeps_alive);
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(routes));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// How many connections are open.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

#[derive(Debug, Clone, Default)]
struct Permits(Arc<Mutex<Open>>);

/// The permit of one connection; dropping it frees it.
#[derive(Debug)]
struct Permit {
    permits: Permits,
    peer: Option<IpAddr>,
}

impl Permits {
    fn locked(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a permit for a connection of this peer, unless a limit is reached. A Unix socket has no peer addresses.
    fn acquire(&self, peer: Option<IpAddr>) -> Option<Permit> {
        let mut open = self.locked();
        let of_peer = peer.map_or(0, |peer| open.by_peer.get(&peer).copied().unwrap_or(0));
        if open.all >= CONNECTIONS || of_peer >= OF_A_PEER {
            return None;
        }
        open.all += 1;
        if let Some(peer) = peer {
            open.by_peer.insert(peer, of_peer + 1);
        }
        Some(Permit { permits: self.clone(), peer })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.permits.locked();
        open.all = open.all.saturating_sub(1);
        if let Some(peer) = self.peer {
            let left = open.by_peer.get(&peer).map_or(0, |count| count.saturating_sub(1));
            match left {
                0 => open.by_peer.remove(&peer),
                left => open.by_peer.insert(peer, left),
            };
        }
    }
}

/// Connections above the limit, the oldest first.
#[derive(Debug, Clone, Default)]
struct Reserve(Arc<Mutex<VecDeque<AbortHandle>>>);

impl Reserve {
    fn locked(&self) -> MutexGuard<'_, VecDeque<AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.locked().retain(|other| !other.is_finished());
        if self.locked().len() >= RESERVE {
            self.close_oldest();
        }
        let handle = tokio::spawn(connection).abort_handle();
        self.locked().push_back(handle);
    }

    fn close_oldest(&self) {
        if let Some(oldest) = self.locked().pop_front() {
            oldest.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_peer_gets_half_of_the_permits_and_returns_them() {
        let permits = Permits::default();
        let peer = |last| Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        let mut held: Vec<Permit> = (0..OF_A_PEER).map(|_| permits.acquire(peer(1)).unwrap()).collect();
        assert!(permits.acquire(peer(1)).is_none());
        held.extend((0..CONNECTIONS - OF_A_PEER).map(|_| permits.acquire(None).unwrap()));
        assert!(permits.acquire(peer(2)).is_none(), "all permits are taken");
        drop(held.remove(0));
        assert!(permits.acquire(peer(1)).is_some());
        drop(held);
        assert!(permits.locked().by_peer.is_empty() && permits.locked().all == 0);
    }
}
