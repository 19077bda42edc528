//! Millrace over HTTP: uploads, executions, probes and notifications, for programs.
//!
//! Answers are JSON; what is wrong is a problem (RFC 9457). An upload is answered 202 once it is on the log, and not before.

mod auth;
mod border;
mod connections;
mod executions;
mod listener;
mod problem;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    routing::{MethodRouter, get, post},
};
use millrace_access::{Access, Location, Principal, Purpose, Right};
use millrace_runtime::{Log, NewRecord, Transaction};
use millrace_topology::{
    Emit, Placement,
    ports::{PortError, Storage},
    streams,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub use auth::Tokens;
pub use border::Border;
pub use connections::serve;
pub use executions::shown;
pub use listener::{Listener, is_local};
pub use view::View;

use auth::Caller;
use problem::{Body, Problem};

/// The longest body that is read, in bytes: an upload may have 100,000.
const LONGEST_BODY: usize = 256 * 1024;

/// Looks at a media file at once, without a workflow.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// What a file holds, as `millrace probe --json` says it.
    ///
    /// # Errors
    /// Where it can't be read.
    async fn probe(&self, url: &str) -> Result<Value, PortError>;
}

/// What the API needs of the process that serves it.
#[derive(Clone)]
pub struct Api {
    /// Where uploads go, and what is known comes from.
    pub log: Arc<dyn Log>,
    /// Where sources are looked at.
    pub storage: Arc<dyn Storage>,
    /// Looks at media.
    pub prober: Arc<dyn Prober>,
    /// What is known of executions.
    pub view: View,
    /// The scheme of the store that is meant where only a bucket is named.
    pub store: String,
    /// For how long a failed execution's work objects are kept, in milliseconds.
    pub retry_window_ms: i64,
    /// What each principal may reach and do.
    pub access: Arc<Access>,
}

impl Api {
    /// The routes.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/executions", post(executions::submit).get(executions::list))
            .route("/v1/executions/{id}", get(executions::show))
            .route("/v1/executions/{id}/events", get(executions::events))
            .route("/v1/executions/{id}/cancel", post(executions::cancel))
            .route("/v1/executions/{id}/retry", post(executions::retry))
            .route("/v1/probe", post(probe))
            .route("/v1/notifications", post(notify))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
            })
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(self)
    }

    /// A route for those alone who may administer.
    pub fn for_administrators<S: Clone + Send + Sync + 'static>(
        &self,
        route: MethodRouter<S>,
    ) -> MethodRouter<S> {
        let access = self.access.clone();
        route.layer(middleware::from_fn(
            move |Extension(caller): Extension<Caller>, request: Request, next: Next| {
                let allowed = allowed(&access, &caller, Right::Admin).map(drop);
                async move {
                    allowed?;
                    Ok::<_, Problem>(next.run(request).await)
                }
            },
        ))
    }

    /// The principal that calls, if it may do that.
    fn caller(&self, caller: &Caller, right: Right) -> Result<&Principal, Problem> {
        allowed(&self.access, caller, right)
    }

    async fn publish(&self, emits: Vec<Emit>) -> Result<(), Problem> {
        let records = emits.into_iter().map(NewRecord::from).collect();
        Ok(self.log.commit(Transaction { records, ..Transaction::default() }).await?)
    }
}

fn allowed<'a>(access: &'a Access, caller: &Caller, right: Right) -> Result<&'a Principal, Problem> {
    let forbidden = |detail: String| Problem::new(StatusCode::FORBIDDEN, &detail);
    let principal = access.principal(&caller.0).map_err(forbidden)?;
    if principal.may(right) {
        return Ok(principal);
    }
    let (name, right) = (&principal.name, right.as_str());
    Err(forbidden(format!("'{name}' may not do that; it needs '{right}' (in its settings: may)")))
}

/// Holds a URL to what a principal may read or write.
fn reached(principal: &Principal, purpose: Purpose, url: &str) -> Result<(), Problem> {
    let location = Location::parse(url).map_err(|error| Problem::unprocessable(error.to_string()))?;
    let checked = principal.check(purpose, &location);
    checked.map_err(|detail| Problem::new(StatusCode::FORBIDDEN, &detail))
}

/// What is asked to be probed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    source: String,
}

async fn probe(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<axum::Json<Value>, Problem> {
    let principal = api.caller(&caller, Right::Submit)?;
    let asked: Probe = problem::json(&body)?;
    reached(principal, Purpose::Source, &asked.source)?;
    Ok(axum::Json(api.prober.probe(&asked.source).await?))
}

/// A notification of a store; what it means is for `trigger` to say.
async fn notify(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<(StatusCode, axum::Json<Value>), Problem> {
    // What is watched is the default principal's: whoever notifies uploads on its behalf.
    let principal = api.caller(&caller, Right::Submit)?;
    if !principal.sees("") {
        let detail = format!("'{}' may not notify: what is watched is not its own", principal.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, &detail));
    }
    let read = millrace_processors::trigger::notification::read(&body);
    let notification = read.map_err(|reason| Problem::new(StatusCode::BAD_REQUEST, &reason))?;
    if let Some(url) = confirmation(&body) {
        tracing::warn!(url, "SNS asks whether it may send notifications; open the URL to confirm");
    }
    if notification.events.is_empty() {
        // A test, a removal: nothing to do, and nothing to keep.
        return Ok((StatusCode::OK, axum::Json(json!({"objects": 0}))));
    }
    let emit = Emit {
        stream: streams::NOTIFICATIONS.name,
        key: Vec::new(),
        value: Some(body.to_vec()),
        placement: Placement::ByKey,
    };
    api.publish(vec![emit]).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"objects": notification.events.len()}))))
}

/// Where SNS wants to be told that its notifications are wanted. Nothing here calls an address that a stranger names.
fn confirmation(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let is_asked = json.get("Type").and_then(Value::as_str) == Some("SubscriptionConfirmation");
    is_asked.then(|| json.get("SubscribeURL").and_then(Value::as_str).unwrap_or("not told").to_owned())
}
