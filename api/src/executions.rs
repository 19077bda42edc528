//! `/v1/executions`.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use millrace_access::{Principal, Purpose, Right, UploadUsage};
use millrace_processors::{cleanup, request};
use millrace_runtime::read_partition_of_key;
use millrace_schemas::{
    Assembly, Cancelled, ExecutionEvent, Phase, Signal, SourceRef, Upload, execution_id, masked_url,
    output_prefix, source_url,
};
use millrace_topology::{
    Emit,
    invariants::{check_principal, debug_check},
    millis_now, streams,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth::Caller,
    context::{Api, check_reach},
    problem::{self, Body, Problem},
};

/// How many executions a list has by default.
const LISTED: usize = 100;
/// How many executions a list has at most.
const MOST_LISTED: usize = 1000;
/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

/// Returns a time as RFC 3339, with whole seconds.
fn time(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// Returns an execution as the API and `--json` show it.
#[must_use]
pub fn execution_json(state: &Assembly) -> Value {
    let outputs: Vec<Value> = state
        .outputs
        .iter()
        .map(|output| json!({"url": output.plan.url, "format": output.plan.format, "facts": output.facts}))
        .collect();
    json!({
        "execution": state.execution, "attempt": state.attempt, "state": state.phase.as_str(), "reason": state.reason,
        "source": masked_url(&state.source.url), "segments": state.video_segments, "segments_done": state.video_done(),
        "started": time(state.started_ms), "ended": state.ended_ms.map(time), "outputs": outputs, "labels": state.labels,
        "warnings": state.warnings, "principal": state.principal(), "profile": profile_json(state),
    })
}

/// Returns the name and the version of an execution's profile; null without one.
fn profile_json(state: &Assembly) -> Value {
    let profile = state.upload.as_ref().and_then(request::profile_and_version);
    profile.map_or(
        Value::Null,
        |(name, version)| json!({"name": name, "version": version.map(|version| version.to_string())}),
    )
}

/// Publishes an upload. Responds 202 once it is on the log, or 200 if its execution exists already.
pub(crate) async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let principal = api.caller(&caller, Right::Submit)?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body must be an upload: a JSON object"));
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
    let mut upload = api.pinning.pin_profile(upload).await.map_err(Problem::unprocessable)?;
    let wanted = request::wanted(&upload).map_err(Problem::unprocessable)?;
    let url = source_url(&upload, &api.store).map_err(Problem::unprocessable)?;
    let prefix = output_prefix(&upload, &url).map_err(Problem::unprocessable)?;
    // First of all: a principal learns nothing about what it may not read or write.
    check_reach(principal, Purpose::Source, &url)?;
    for output in wanted.outputs.iter().flat_map(|output| output.output_urls(&prefix, &url)) {
        check_reach(principal, Purpose::Output, &output)?;
    }
    let assets = request::unpinned_assets(&upload);
    for asset in &assets {
        check_reach(principal, Purpose::Source, asset)?;
    }
    for key in request::key_urls(&upload) {
        check_reach(principal, Purpose::Source, &key)?;
    }
    let source = api.storage.pin(&url).await?;
    let usage = UploadUsage { bytes: source.bytes.unsigned_abs(), ..UploadUsage::default() };
    principal.limits.check(&usage).map_err(Problem::unprocessable)?;
    // The upload is of this version: what is written there later is another execution.
    if let Some(version) = upload.version.as_ref().filter(|version| **version != source.version) {
        return Err(Problem::unprocessable(format!(
            "{} no longer has version '{version}'",
            masked_url(&url)
        )));
    }
    upload.version = Some(source.version.clone());
    let mut pinned = Vec::new();
    for url in assets {
        let asset = api.storage.pin(&url).await?;
        pinned.push(SourceRef { url, ..asset });
    }
    let upload = request::pin_assets(upload, &pinned);
    // Their sizes are known only now.
    request::wanted(&upload).map_err(Problem::unprocessable)?;
    let execution = execution_id(&upload, &source);
    if let Some(state) = api.view.get(&execution) {
        return Ok((StatusCode::OK, Json(execution_json(&state))));
    }
    check_open_executions(&api, principal)?;
    api.publish(vec![Emit::new(streams::ACCEPTED, &url, &upload)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": execution, "source": url, "state": "submitted"}))))
}

/// Checks how many executions of a principal run at once.
fn check_open_executions(api: &Api, principal: &Principal) -> Result<(), Problem> {
    let Some(most) = principal.limits.at_once else { return Ok(()) };
    let is_open = |state: &Assembly| state.principal() == principal.name && !state.is_terminal();
    if api.view.count(is_open) < most {
        return Ok(());
    }
    let detail = format!(
        "at most {most} executions of '{}' may run at once; try again when one has ended",
        principal.name
    );
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, &detail))
}

/// The query of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    state: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let principal = api.caller(&caller, Right::Read)?;
    let Query(filter) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, &error.body_text()))?;
    let states = ["transcoding", "merging", "succeeded", "failed", "cancelled"];
    if filter.state.as_ref().is_some_and(|state| !states.contains(&state.as_str())) {
        let detail = format!("'state' is one of {}", states.join(", "));
        return Err(Problem::new(StatusCode::BAD_REQUEST, &detail));
    }
    let most = filter.limit.unwrap_or(LISTED).min(MOST_LISTED);
    let all: Vec<Value> = api
        .view
        .latest(filter.state.as_deref(), most, |owner| principal.sees(owner))
        .iter()
        .map(execution_json)
        .collect();
    Ok(Json(json!({"executions": all})))
}

/// Returns an execution that the caller may see, if it has the right. The response to one that belongs to another principal is the
/// same as to one that does not exist.
fn find(api: &Api, caller: &Caller, right: Right, id: &str) -> Result<Assembly, Problem> {
    let principal = api.caller(caller, right)?;
    let found = api.view.get(id).filter(|state| principal.sees(state.principal()));
    if let Some(state) = &found {
        let administers = principal.may.contains(&Right::Admin);
        debug_check(|| check_principal(id, state.principal(), &principal.name, administers));
    }
    found.ok_or_else(|| {
        let detail =
            format!("there is no execution '{id}'; one that was just submitted appears within a second");
        Problem::new(StatusCode::NOT_FOUND, &detail)
    })
}

pub(crate) async fn show(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(execution_json(&find(&api, &caller, Right::Read, &id)?)))
}

pub(crate) async fn events(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    find(&api, &caller, Right::Read, &id)?;
    let mut all = read_partition_of_key::<ExecutionEvent>(api.log.as_ref(), streams::EXECUTIONS, &id).await?;
    all.retain(|event| event.execution == id);
    all.sort_by_key(|event| event.at_ms);
    Ok(Json(json!({"events": all})))
}

/// The body of a request to cancel.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cancellation {
    reason: Option<String>,
}

pub(crate) async fn cancel(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let cancellation: Cancellation =
        if body.is_empty() { Cancellation::default() } else { problem::json(&body)? };
    let state = find(&api, &caller, Right::Cancel, &id)?;
    if state.is_terminal() {
        let detail = format!("the execution has ended already ({})", state.phase.as_str());
        return Err(Problem::new(StatusCode::CONFLICT, &detail));
    }
    let mut signal = Signal::new(&state.execution, state.attempt, millis_now());
    signal.cancelled =
        Some(Cancelled { reason: cancellation.reason.unwrap_or_else(|| "cancelled over HTTP".into()) });
    api.publish(vec![Emit::new(streams::TRANSCODED, &state.execution, &signal)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": id, "state": "cancelling"}))))
}

pub(crate) async fn retry(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(_): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let state = find(&api, &caller, Right::Cancel, &id)?;
    let conflict = |detail: &str| Problem::new(StatusCode::CONFLICT, detail);
    if !state.is_terminal() {
        return Err(conflict("the execution is running; cancel it first, or wait for its end"));
    }
    if state.phase == Phase::Succeeded {
        return Err(conflict("the execution succeeded; there is nothing to retry"));
    }
    let upload = state.upload.clone();
    let upload = upload.ok_or_else(|| {
        conflict("the execution was made by an older version, which did not keep its upload; submit it again")
    })?;
    let catalog = api.pinning.catalog().await;
    let upload = request::pin_again(upload, &catalog).map_err(|reason| conflict(&reason))?;
    let upload = cleanup::next_attempt(&state, upload, millis_now(), api.retry_window_ms);
    let attempt = upload.attempt;
    api.publish(vec![Emit::new(streams::ACCEPTED, &state.source.url, &upload)?]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"execution": id, "attempt": attempt, "state": "submitted"}))))
}
