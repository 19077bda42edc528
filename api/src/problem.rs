//! Problem details of failed requests (RFC 9457), and the body of a request.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use millrace_runtime::LogError;
use millrace_schemas::RecordError;
use millrace_topology::ports::PortError;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The longest body that is read, in bytes: an upload may have 100,000.
pub(crate) const LONGEST_BODY: usize = 256 * 1024;

/// The response to a request that failed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail});
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "a request could not be published");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: format!("the log is not available: {error}") }
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Refused(reason) => Self::unprocessable(reason),
            PortError::Transient(reason) => Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: reason },
            PortError::Stopped => {
                Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: "this process is ending".into() }
            }
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: error.to_string() }
    }
}

/// A body of JSON. A web page of another origin can't send this content type: browsers ask first (CORS), and are refused.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        // SNS sends JSON as text/plain. A web page of another origin can't send its header either.
        let is_sns = request.headers().contains_key("x-amz-sns-message-type");
        let is_json = kind.is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
        });
        if !is_json && !is_sns {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON, and its Content-Type application/json",
            ));
        }
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(error) => {
                let detail = format!("the body can't be read; the limit is {LONGEST_BODY} bytes");
                Problem::new(error.status(), &detail)
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, "the body can't be read"),
        })
    }
}

/// Parses a request's body as JSON.
///
/// # Errors
/// 400 Bad Request with serde's reason: what is wrong, and at which line and column.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, &error.to_string()))
}
