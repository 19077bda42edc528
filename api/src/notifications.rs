//! `/v1/notifications`.

use axum::{Extension, Json, extract::State, http::StatusCode};
use millrace_access::Right;
use millrace_processors::trigger::notification;
use millrace_topology::{Emit, Placement, streams};
use serde_json::{Value, json};

use crate::{
    auth::Caller,
    context::Api,
    problem::{Body, Problem},
};

/// Publishes a store's notification to the stream that `trigger` reads.
pub(crate) async fn notify(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    // A notification causes uploads of the default principal.
    let principal = api.caller(&caller, Right::Submit)?;
    if !principal.sees("") {
        let detail = format!(
            "'{}' may not send notifications: they cause uploads of the default principal",
            principal.name
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, &detail));
    }
    let notification =
        notification::read(&body).map_err(|reason| Problem::new(StatusCode::BAD_REQUEST, &reason))?;
    if let Some(url) = confirmation(&body) {
        tracing::warn!(url, "SNS wants its subscription confirmed; open the URL to do so");
    }
    if notification.events.is_empty() {
        // A test message or a removal: there is nothing to do.
        return Ok((StatusCode::OK, Json(json!({"objects": 0}))));
    }
    let emit = Emit {
        stream: streams::NOTIFICATIONS.name,
        key: Vec::new(),
        value: Some(body.to_vec()),
        placement: Placement::ByKey,
    };
    api.publish(vec![emit]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"objects": notification.events.len()}))))
}

/// Returns the URL that confirms a subscription of SNS. Millrace itself does not open it: anybody could send one.
fn confirmation(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let is_confirmation = json.get("Type").and_then(Value::as_str) == Some("SubscriptionConfirmation");
    is_confirmation.then(|| json.get("SubscribeURL").and_then(Value::as_str).unwrap_or("missing").to_owned())
}
