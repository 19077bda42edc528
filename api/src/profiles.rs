//! `/v1/profiles`.

use axum::{Extension, Json, extract::State};
use millrace_access::Right;
use serde_json::{Value, json};

use crate::{auth::Caller, context::Api, problem::Problem};

/// Lists the profiles that uploads may name now, and what is wrong with files of others.
pub(crate) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Problem> {
    api.caller(&caller, Right::Read)?;
    let catalog = api.pinning.catalog().await;
    let profiles: Vec<Value> = catalog
        .entries()
        .iter()
        .map(|entry| {
            let (name, description) = (&entry.profile.name, &entry.profile.description);
            let (version, origin) = (entry.version.to_string(), entry.origin.as_str());
            json!({"name": name, "version": version, "origin": origin, "description": description})
        })
        .collect();
    Ok(Json(json!({"profiles": profiles, "faults": catalog.faults()})))
}
