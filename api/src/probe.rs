//! `/v1/probe`.

use axum::{Extension, Json, extract::State};
use millrace_access::{Purpose, Right};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    auth::Caller,
    context::{Api, check_reach},
    problem::{self, Body, Problem},
};

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    /// The URL of a media file.
    source: String,
}

/// Returns what a media file holds, without an execution.
pub(crate) async fn probe(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<Json<Value>, Problem> {
    let principal = api.caller(&caller, Right::Submit)?;
    let request: Probe = problem::json(&body)?;
    check_reach(principal, Purpose::Source, &request.source)?;
    Ok(Json(api.prober.probe(&request.source).await?))
}
