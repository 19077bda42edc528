//! Millrace over HTTP: uploads, executions, probes and notifications, for programs.
//!
//! Responses are JSON; errors are problem details (RFC 9457). An upload is accepted (202) only once it is on the log.

mod allowed_hosts;
mod auth;
mod connections;
mod context;
mod executions;
mod light;
mod light_work;
mod listener;
mod notifications;
mod probe;
mod problem;
mod profiles;
mod view;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{self, Next},
    routing::{MethodRouter, get, post},
};
use millrace_access::Right;

pub use allowed_hosts::AllowedHosts;
pub use auth::Tokens;
pub use connections::serve;
pub use context::{Api, Prober};
pub use executions::execution_json;
pub use light_work::{Bounds, LightError, LightFile, LightTask, LightWork};
pub use listener::{Listener, is_local};
pub use view::View;

use auth::Caller;
use context::check_right;
use problem::{LONGEST_BODY, Problem};

impl Api {
    /// Returns the routes of `/v1`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/executions", post(executions::submit).get(executions::list))
            .route("/v1/executions/{id}", get(executions::show))
            .route("/v1/executions/{id}/events", get(executions::events))
            .route("/v1/executions/{id}/cancel", post(executions::cancel))
            .route("/v1/executions/{id}/retry", post(executions::retry))
            .route("/v1/profiles", get(profiles::list))
            .route("/v1/probe", post(probe::probe))
            .route("/v1/thumbnail", post(light::thumbnail))
            .route("/v1/gif", post(light::gif))
            .route("/v1/notifications", post(notifications::notify))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
            })
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(self)
    }

    /// Limits a route to principals with the right `admin`.
    pub fn for_administrators<S: Clone + Send + Sync + 'static>(
        &self,
        route: MethodRouter<S>,
    ) -> MethodRouter<S> {
        let access = self.access.clone();
        route.layer(middleware::from_fn(
            move |Extension(caller): Extension<Caller>, request: Request, next: Next| {
                let allowed = check_right(&access, &caller, Right::Admin).map(drop);
                async move {
                    allowed?;
                    Ok::<_, Problem>(next.run(request).await)
                }
            },
        ))
    }
}
