//! `/v1/thumbnail` and `/v1/gif`: small files that are made at once, without an execution.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use millrace_access::{Purpose, Right, UploadUsage};
use millrace_profiles::{Seconds, Size};
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::Caller,
    context::{Api, check_reach},
    light_work::{Bounds, LightError, LightFile, LightTask},
    problem::{self, Body, Problem},
};

/// The longest body of a response, in bytes.
const LONGEST_RESPONSE: u64 = 16 << 20;
/// The longest file that is written, in bytes.
const LONGEST_OUTPUT: u64 = 256 << 20;
/// The longest that a file may take, its wait for a free process included: the server ends requests after 60 s.
const LONGEST: Duration = Duration::from_secs(50);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thumbnail {
    source: String,
    at: Option<Seconds>,
    best: Option<u32>,
    width: Option<u16>,
    height: Option<u16>,
    size: Option<Size>,
    format: Option<String>,
    output: Option<String>,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gif {
    source: String,
    from: Option<Seconds>,
    to: Option<Seconds>,
    duration: Option<Seconds>,
    width: Option<u16>,
    height: Option<u16>,
    fps: Option<f64>,
    #[serde(default, rename = "loop")]
    plays: u32,
    format: Option<String>,
    output: Option<String>,
    #[serde(default)]
    overwrite: bool,
}

/// Where a file is made of, and goes to.
struct Ends {
    source: String,
    format: Option<String>,
    output: Option<String>,
    overwrite: bool,
}

/// Returns one picture of a media file, or writes it.
pub(crate) async fn thumbnail(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let Thumbnail { source, at, best, width, height, size, format, output, overwrite } =
        problem::json(&body)?;
    let size = bounds(width, height, size)?;
    let task = LightTask::Thumbnail { at: at.map(|at| at.0), best, size };
    make(&api, &caller, task, Ends { source, format, output, overwrite }).await
}

/// Returns some seconds of a media file as an animation, or writes it.
pub(crate) async fn gif(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let Gif { source, from, to, duration, width, height, fps, plays, format, output, overwrite } =
        problem::json(&body)?;
    let from = from.map_or(0.0, |from| from.0);
    let to = match (to, duration) {
        (Some(_), Some(_)) => {
            return Err(Problem::unprocessable("'to' and 'duration' say the same; give one"));
        }
        (to, duration) => to.map(|to| to.0).or(duration.map(|duration| from + duration.0)),
    };
    let task = LightTask::Gif { from, to, size: bounds(width, height, None)?, fps, plays };
    make(&api, &caller, task, Ends { source, format, output, overwrite }).await
}

fn bounds(width: Option<u16>, height: Option<u16>, size: Option<Size>) -> Result<Option<Bounds>, Problem> {
    let side = |side: Option<u16>| side.map_or(0, i32::from);
    match size {
        Some(_) if width.is_some() || height.is_some() => {
            Err(Problem::unprocessable("'size' is both width and height; give one of them"))
        }
        Some(size) => Ok(Some((size.width, size.height))),
        None => Ok((width.is_some() || height.is_some()).then_some((side(width), side(height)))),
    }
}

async fn make(api: &Api, caller: &Caller, task: LightTask, ends: Ends) -> Result<Response, Problem> {
    let Ends { source, format, output, overwrite } = ends;
    let principal = api.caller(caller, Right::Submit)?;
    check_reach(principal, Purpose::Source, &source)?;
    if let Some(output) = &output {
        check_reach(principal, Purpose::Output, output)?;
        api.light.check_free(output, overwrite).await?;
    }
    let bytes = api.storage.pin(&source).await?.bytes.unsigned_abs();
    principal
        .limits
        .check(&UploadUsage { bytes, ..UploadUsage::default() })
        .map_err(Problem::unprocessable)?;
    let most = if output.is_some() { LONGEST_OUTPUT } else { LONGEST_RESPONSE };
    let named = format.as_deref().or(output.as_deref());
    let made = tokio::time::timeout(LONGEST, api.light.make(&source, &task, named, most)).await;
    let LightFile { bytes, media_type, facts } = made.map_err(|_| {
        let detail = format!(
            "it took longer than {} s; try again later, or 'millrace' on the command line",
            LONGEST.as_secs()
        );
        Problem::new(StatusCode::GATEWAY_TIMEOUT, &detail)
    })??;
    if let Some(output) = output {
        let length = bytes.len();
        api.light.write(&output, bytes, overwrite).await?;
        return Ok(Json(json!({"output": output, "bytes": length, "facts": facts})).into_response());
    }
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // It comes out of a process that reads media of strangers.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

impl From<LightError> for Problem {
    fn from(error: LightError) -> Self {
        match error {
            LightError::Exists(detail) => {
                let detail = format!("{detail}; send \"overwrite\": true to replace it");
                Self::new(StatusCode::CONFLICT, &detail)
            }
            LightError::Port(error) => error.into(),
        }
    }
}
