//! What the handlers of requests share: the log, the storage, and who may do what.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use millrace_access::{Access, Location, Principal, Purpose, Right};
use millrace_processors::Pinning;
use millrace_runtime::{Log, NewRecord, Transaction};
use millrace_topology::{
    Emit,
    ports::{PortError, Storage},
};
use serde_json::Value;

use crate::{auth::Caller, light_work::LightWork, problem::Problem, view::View};

/// Reads media files for `/v1/probe`, without an execution.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Returns what a file holds, as `millrace probe --json` prints it.
    ///
    /// # Errors
    /// If it can't be read.
    async fn probe(&self, url: &str) -> Result<Value, PortError>;
}

/// What the handlers need of the process that serves them.
#[derive(Clone)]
pub struct Api {
    /// The log to which requests are published.
    pub log: Arc<dyn Log>,
    /// Where sources and outputs are, for checks before an upload is published.
    pub storage: Arc<dyn Storage>,
    /// Reads the headers of media files, for `POST /v1/probe`.
    pub prober: Arc<dyn Prober>,
    /// Makes pictures of media files, for `POST /v1/thumbnail` and `/v1/gif`.
    pub light: Arc<dyn LightWork>,
    /// The states of executions.
    pub view: View,
    /// The URL scheme of uploads that name only a bucket.
    pub store: String,
    /// How long the work objects of a failed execution are kept, in milliseconds.
    pub retry_window_ms: i64,
    /// What each principal may do, read and write.
    pub access: Arc<Access>,
    /// What pins uploads to profiles.
    pub pinning: Pinning,
}

impl Api {
    /// Returns the principal that calls, if it has the right.
    pub(crate) fn caller(&self, caller: &Caller, right: Right) -> Result<&Principal, Problem> {
        check_right(&self.access, caller, right)
    }

    /// Publishes records in one transaction.
    pub(crate) async fn publish(&self, emits: Vec<Emit>) -> Result<(), Problem> {
        let records = emits.into_iter().map(NewRecord::from).collect();
        Ok(self.log.commit(Transaction { records, ..Transaction::default() }).await?)
    }
}

/// Returns the principal that calls, if it has the right.
pub(crate) fn check_right<'a>(
    access: &'a Access,
    caller: &Caller,
    right: Right,
) -> Result<&'a Principal, Problem> {
    let forbidden = |detail: String| Problem::new(StatusCode::FORBIDDEN, &detail);
    let principal = access.principal(&caller.0).map_err(forbidden)?;
    if principal.may(right) {
        return Ok(principal);
    }
    let (name, right) = (&principal.name, right.as_str());
    Err(forbidden(format!("'{name}' may not do that; it needs the right '{right}' (in its settings: may)")))
}

/// Checks that a principal may read or write a URL.
pub(crate) fn check_reach(principal: &Principal, purpose: Purpose, url: &str) -> Result<(), Problem> {
    let location = Location::parse(url).map_err(|error| Problem::unprocessable(error.to_string()))?;
    let checked = principal.check(purpose, &location);
    checked.map_err(|detail| Problem::new(StatusCode::FORBIDDEN, &detail))
}
