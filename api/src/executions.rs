//! `/v1/executions`.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use millrace_access::{Asked, Principal, Purpose, Right};
use millrace_processors::{cleanup, request};
use millrace_runtime::of_key;
use millrace_schemas::{
    Assembly, Cancelled, ExecutionEvent, Phase, Signal, Upload, execution_id, output_prefix, output_url,
    source_url,
};
use millrace_topology::{
    Emit,
    invariants::{debug_hold, its_principals},
    millis_now, streams,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Api,
    auth::Caller,
    problem::{self, Body, Problem},
    reached,
};

/// How many executions a list has where nobody asks for more, and at most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 1000;
/// The longest idempotency key.
const LONGEST_KEY: usize = 200;

fn time(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// An execution as programs read it.
#[must_use]
pub fn shown(state: &Assembly) -> Value {
    let outputs: Vec<Value> = state
        .outputs
        .iter()
        .map(|output| json!({"url": output.plan.url, "format": output.plan.format, "facts": output.facts}))
        .collect();
    json!({
        "execution": state.execution, "attempt": state.attempt, "state": state.phase.as_str(), "reason": state.reason,
        "source": state.source.url, "segments": state.video_segments, "segments_done": state.video_done(),
        "started": time(state.started_ms), "ended": state.ended_ms.map(time), "outputs": outputs, "labels": state.labels,
        "warnings": state.warnings, "principal": state.principal(),
    })
}

/// Takes an upload: 202 once it is on the log; 200 where the execution is known already.
pub(crate) async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let principal = api.caller(&caller, Right::Submit)?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "an upload is a JSON object"));
    }
    let mut upload = Upload::read(&body)?;
    upload.check_by_others().map_err(Problem::unprocessable)?;
    upload.principal.clone_from(&principal.name);
    if let Some(key) = headers.get("idempotency-key") {
        let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
        let key = key.ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "an Idempotency-Key has 1 to 200 characters of ASCII")
        })?;
        upload.name.get_or_insert_with(|| format!("idempotency-key {key}"));
    }
    request::segment_time(upload.segment_time_seconds).map_err(Problem::unprocessable)?;
    request::deadline(upload.deadline_seconds).map_err(Problem::unprocessable)?;
    if upload.dst_formats.is_empty() {
        return Err(Problem::unprocessable("no format is asked for"));
    }
    for format in &upload.dst_formats {
        request::format(format).map_err(Problem::unprocessable)?;
    }
    let url = source_url(&upload, &api.store).map_err(Problem::unprocessable)?;
    let prefix = output_prefix(&upload, &url).map_err(Problem::unprocessable)?;
    // Before anything is looked at.
    reached(principal, Purpose::Source, &url)?;
    for format in &upload.dst_formats {
        reached(principal, Purpose::Output, &output_url(&prefix, &url, format))?;
    }
    let source = api.storage.pin(&url).await?;
    let asked = Asked { bytes: source.bytes.unsigned_abs(), ..Asked::default() };
    principal.limits.check(&asked).map_err(Problem::unprocessable)?;
    // Whatever is uploaded there from now on is another version.
    if let Some(version) = upload.version.as_ref().filter(|version| **version != source.version) {
        return Err(Problem::unprocessable(format!("{url} is not at version '{version}' any more")));
    }
    upload.version = Some(source.version.clone());
    let execution = execution_id(&upload, &source);
    if let Some(state) = api.view.get(&execution) {
        return Ok((StatusCode::OK, Json(shown(&state))));
    }
    at_once(&api, principal)?;
    api.publish(vec![Emit::new(streams::ACCEPTED, &url, &upload)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": execution, "source": url, "state": "submitted"}))))
}

/// Holds a principal to how many executions of its own may be at work.
fn at_once(api: &Api, principal: &Principal) -> Result<(), Problem> {
    let Some(most) = principal.limits.at_once else { return Ok(()) };
    let is_open = |state: &Assembly| state.principal() == principal.name && !state.is_terminal();
    if api.view.count(is_open) < most {
        return Ok(());
    }
    let detail = format!("at most {most} executions of '{}' may be at work at once", principal.name);
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, &detail))
}

/// What a list is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    state: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    asked: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let principal = api.caller(&caller, Right::Read)?;
    let Query(asked) = asked.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, &error.body_text()))?;
    let states = ["transcoding", "merging", "succeeded", "failed", "cancelled"];
    if asked.state.as_ref().is_some_and(|state| !states.contains(&state.as_str())) {
        let detail = format!("'state' is one of {}", states.join(", "));
        return Err(Problem::new(StatusCode::BAD_REQUEST, &detail));
    }
    let most = asked.limit.unwrap_or(LISTED).min(MOST_LISTED);
    let all: Vec<Value> = api
        .view
        .latest(asked.state.as_deref(), most, |owner| principal.sees(owner))
        .iter()
        .map(shown)
        .collect();
    Ok(Json(json!({"executions": all})))
}

/// An execution that the caller may see, if it may do that. Those of others are not told from those that there are none of.
fn known(api: &Api, caller: &Caller, right: Right, id: &str) -> Result<Assembly, Problem> {
    let principal = api.caller(caller, right)?;
    let found = api.view.get(id).filter(|state| principal.sees(state.principal()));
    if let Some(state) = &found {
        let administers = principal.may.contains(&Right::Admin);
        debug_hold(|| its_principals(id, state.principal(), &principal.name, administers));
    }
    found.ok_or_else(|| {
        let detail = format!("no execution '{id}' is known; one that was just submitted is within a second");
        Problem::new(StatusCode::NOT_FOUND, &detail)
    })
}

pub(crate) async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&known(&api, &caller, Right::Read, &id)?)))
}

pub(crate) async fn events(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    known(&api, &caller, Right::Read, &id)?;
    let mut all = of_key::<ExecutionEvent>(api.log.as_ref(), streams::EXECUTIONS, &id).await?;
    all.retain(|event| event.execution == id);
    all.sort_by_key(|event| event.at_ms);
    Ok(Json(json!({"events": all})))
}

/// Why an execution is cancelled.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Why {
    reason: Option<String>,
}

pub(crate) async fn cancel(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let why: Why = if body.is_empty() { Why::default() } else { problem::json(&body)? };
    let state = known(&api, &caller, Right::Cancel, &id)?;
    if state.is_terminal() {
        let detail = format!("it has ended already ({})", state.phase.as_str());
        return Err(Problem::new(StatusCode::CONFLICT, &detail));
    }
    let mut signal = Signal::new(&state.execution, state.attempt, millis_now());
    signal.cancelled = Some(Cancelled { reason: why.reason.unwrap_or_else(|| "cancelled over HTTP".into()) });
    api.publish(vec![Emit::new(streams::TRANSCODED, &state.execution, &signal)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": id, "state": "cancelling"}))))
}

pub(crate) async fn retry(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(_): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let state = known(&api, &caller, Right::Cancel, &id)?;
    let conflict = |detail: &str| Problem::new(StatusCode::CONFLICT, detail);
    if !state.is_terminal() {
        return Err(conflict("it is at work"));
    }
    if state.phase == Phase::Succeeded {
        return Err(conflict("it has succeeded; there is nothing to try again"));
    }
    let upload = state.upload.clone();
    let upload =
        upload.ok_or_else(|| conflict("it is from an older version, which kept too little of it"))?;
    let upload = cleanup::next_attempt(&state, upload, millis_now(), api.retry_window_ms);
    let attempt = upload.attempt;
    api.publish(vec![Emit::new(streams::ACCEPTED, &state.source.url, &upload)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": id, "attempt": attempt, "state": "submitted"}))))
}
