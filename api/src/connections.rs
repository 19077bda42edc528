//! Connections: so many at once, in all and of one peer, each bounded in time and memory, whatever comes through it.
//!
//! Where there is no room, a connection goes into the reserve: it is answered whether this process lives and works, and nothing
//! else, and it makes room for the next one. So nobody who opens connections keeps an orchestrator from looking.

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
    auth::{self, Tokens},
    border::{self, Border},
    listener::{Listener, Stream},
    problem::Problem,
};

/// So many connections are served at once.
const CONNECTIONS: usize = 512;
/// So many of them are of one address.
const OF_A_PEER: usize = 256;
/// So many more are in the reserve.
const RESERVE: usize = 64;
/// For how long headers may take.
const HEADERS: Duration = Duration::from_secs(10);
/// For how long a request may take, with its body and its answer's making.
const REQUEST: Duration = Duration::from_secs(60);
/// For how long a peer may take nothing of what it is sent, or send nothing.
const STALLED: Duration = Duration::from_secs(75);
/// The longest headers, in bytes.
const LONGEST_HEADERS: usize = 64 * 1024;

/// Serves routes for good: `open` to everybody, `guarded` to those who show a token; both only by this server's names.
pub async fn serve(listener: Listener, open: Router, guarded: Router, tokens: Tokens, border: Border) {
    let guarded = guarded.layer(middleware::from_fn_with_state(tokens, auth::guard));
    let by_name = middleware::from_fn_with_state(border, border::guard);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST);
    let busy =
        async || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections are open; try again");
    let reserve = open.clone().fallback(busy).layer(timeout).layer(by_name.clone());
    let all = open.merge(guarded).layer(timeout).layer(by_name);
    let (places, spare) = (Places::default(), Reserve::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of this connection, or no descriptors are left for now.
                tracing::debug!(%error, "a connection could not be accepted");
                spare.end_the_oldest();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match places.take(peer) {
            Some(place) => {
                let all = all.clone();
                tokio::spawn(async move {
                    let _place = place;
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

/// Who has how many connections.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<Taken>>);

/// A connection's place, until it is dropped.
#[derive(Debug)]
struct Place {
    of: Places,
    peer: Option<IpAddr>,
}

impl Places {
    fn locked(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of this peer, if there is room; by a Unix socket there are no peers.
    fn take(&self, peer: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.locked();
        let of_it = peer.map_or(0, |peer| taken.by_peer.get(&peer).copied().unwrap_or(0));
        if taken.all >= CONNECTIONS || of_it >= OF_A_PEER {
            return None;
        }
        taken.all += 1;
        if let Some(peer) = peer {
            taken.by_peer.insert(peer, of_it + 1);
        }
        Some(Place { of: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.locked();
        taken.all = taken.all.saturating_sub(1);
        if let Some(peer) = self.peer {
            let left = taken.by_peer.get(&peer).map_or(0, |count| count.saturating_sub(1));
            match left {
                0 => taken.by_peer.remove(&peer),
                left => taken.by_peer.insert(peer, left),
            };
        }
    }
}

/// Connections for which there was no room, the oldest first.
#[derive(Debug, Clone, Default)]
struct Reserve(Arc<Mutex<VecDeque<AbortHandle>>>);

impl Reserve {
    fn locked(&self) -> MutexGuard<'_, VecDeque<AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.locked().retain(|other| !other.is_finished());
        if self.locked().len() >= RESERVE {
            self.end_the_oldest();
        }
        let handle = tokio::spawn(connection).abort_handle();
        self.locked().push_back(handle);
    }

    fn end_the_oldest(&self) {
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
    fn one_peer_takes_half_of_the_places_and_gives_them_back() {
        let places = Places::default();
        let peer = |last| Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        let mut held: Vec<Place> = (0..OF_A_PEER).map(|_| places.take(peer(1)).unwrap()).collect();
        assert!(places.take(peer(1)).is_none());
        held.extend((0..CONNECTIONS - OF_A_PEER).map(|_| places.take(None).unwrap()));
        assert!(places.take(peer(2)).is_none(), "all are taken");
        drop(held.remove(0));
        assert!(places.take(peer(1)).is_some());
        drop(held);
        assert!(places.locked().by_peer.is_empty() && places.locked().all == 0);
    }
}
