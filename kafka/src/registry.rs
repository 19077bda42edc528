//! A schema registry with Confluent's REST API. Subjects follow TopicNameStrategy (`<topic>-value`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use base64::Engine as _;
use millrace_runtime::{Backoff, LogError, Record};
use millrace_schemas::{
    catalogue,
    ids::{self, RegistryAnswer},
};
use millrace_topology::streams;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{client::rejected, settings::Settings};

/// The compatibility level of all subjects: two versions of Millrace can run at the same time, and either may
/// be upgraded first.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";
/// The media type of requests and answers.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The most ids that are looked up concurrently.
const AT_ONCE: usize = 8;
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024;
/// The most lookups of one id that the registry answers with an internal error.
const MOST_FAILURES: u32 = 3;

/// A client of a schema registry.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    url: Arc<str>,
    agent: ureq::Agent,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

/// Why a request failed.
#[derive(Debug)]
enum RequestError {
    /// The registry does not answer, or asks to retry later.
    Unavailable(String),
    /// The registry answered with an internal error.
    Internal(String),
    /// The registry rejected the request: the status and the text of its answer.
    Rejected(u16, String),
}

impl Registry {
    /// Returns a client of the registry at this URL. A user and a password in the URL become basic
    /// authentication.
    pub(crate) fn new(url: &str) -> Result<Self, LogError> {
        let invalid = |reason: String| rejected(format!("the schema registry {url}"), reason);
        let mut parsed = url::Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(invalid("an http or https URL is wanted".into()));
        }
        let authorization = (!parsed.username().is_empty()).then(|| {
            let credentials = format!("{}:{}", parsed.username(), parsed.password().unwrap_or_default());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
        });
        // Neither fails for an http URL.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build();
        let url = parsed.as_str().trim_end_matches('/').into();
        Ok(Self { url, agent: ureq::Agent::new_with_config(config), authorization })
    }

    /// Sends a request and returns the JSON of the answer.
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, RequestError> {
        let url = format!("{}{path}", self.url);
        let mut request =
            ureq::http::Request::builder().method(method).uri(&url).header("Accept", MEDIA_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.header("Content-Type", MEDIA_TYPE).body(text);
        let request = request.map_err(|error| RequestError::Rejected(0, error.to_string()))?;
        let mut answer =
            self.agent.run(request).map_err(|error| RequestError::Unavailable(error.to_string()))?;
        let (status, text) = (
            answer.status().as_u16(),
            answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string(),
        );
        let text = text.unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let message =
            value["message"].as_str().map_or_else(|| text.chars().take(300).collect(), str::to_owned);
        match status {
            200..300 => Ok(value),
            500 => Err(RequestError::Internal(format!("status {status}: {message}"))),
            408 | 429 | 501.. => Err(RequestError::Unavailable(format!("status {status}: {message}"))),
            _ => Err(RequestError::Rejected(status, message)),
        }
    }

    /// Returns the log's error for a failed request.
    fn log_error(&self, doing: &str, error: RequestError) -> LogError {
        let doing = format!("{doing} at the schema registry {}", self.url);
        match error {
            RequestError::Unavailable(reason) | RequestError::Internal(reason) => {
                rejected(doing, format!("it does not answer: {reason}"))
            }
            RequestError::Rejected(401 | 403, reason) => rejected(
                doing,
                format!(
                    "it does not take these credentials ({reason}); write them into its URL, as http://USER:PASSWORD@…"
                ),
            ),
            RequestError::Rejected(409, reason) => rejected(
                doing,
                format!(
                    "the schema is incompatible with one that is registered there ({reason}); whoever registered that one must \
                     remove it, or use another topic_prefix"
                ),
            ),
            RequestError::Rejected(status, reason) => rejected(doing, format!("status {status}: {reason}")),
        }
    }

    /// Looks up the ids of the schemas of all streams, and with `may_register` registers schemas that are
    /// missing. From then on frames carry these ids.
    pub(crate) fn install(&self, settings: &Settings, may_register: bool) -> Result<(), LogError> {
        let mut registered = HashMap::new();
        for record in catalogue::all() {
            let Some(text) = record.versions.last() else { continue };
            let body = json!({"schema": text, "schemaType": "AVRO"});
            let doing = format!("registering the schema of {}", record.name);
            for stream in streams::ALL.iter().filter(|spec| spec.record == record.name) {
                let subject = format!("{}-value", settings.topic(stream.name));
                let found = if may_register {
                    self.set_compatibility(&subject).map_err(|error| self.log_error(&doing, error))?;
                    self.send("POST", &format!("/subjects/{subject}/versions"), Some(&body))
                } else {
                    self.send("POST", &format!("/subjects/{subject}"), Some(&body))
                };
                let id = match found {
                    Ok(found) => found["id"].as_u64().and_then(|id| u32::try_from(id).ok()),
                    // Not registered yet: a process that only reads writes no such record.
                    Err(RequestError::Rejected(404, _)) if !may_register => None,
                    Err(error) => return Err(self.log_error(&doing, error)),
                };
                // The same text has one id under all of its subjects.
                if let Some(id) = id {
                    registered.entry(record.fixed_id).or_insert(id);
                }
            }
        }
        catalogue::install(registered);
        Ok(())
    }

    /// Sets the compatibility level of a subject, unless an administrator has set one; logs one that differs.
    fn set_compatibility(&self, subject: &str) -> Result<(), RequestError> {
        let path = format!("/config/{subject}");
        let level = match self.send("GET", &path, None) {
            Ok(found) => found["compatibilityLevel"].as_str().map(str::to_owned),
            Err(RequestError::Rejected(404, _)) => None,
            Err(error) => return Err(error),
        };
        match level.as_deref() {
            Some(COMPATIBILITY) => Ok(()),
            // The default levels of registries.
            None | Some("NONE" | "BACKWARD") => {
                self.send("PUT", &path, Some(&json!({"compatibility": COMPATIBILITY}))).map(drop)
            }
            Some(other) => {
                tracing::warn!(
                    subject,
                    level = other,
                    wanted = COMPATIBILITY,
                    "the subject's compatibility differs"
                );
                Ok(())
            }
        }
    }

    /// Looks up the schemas with unknown ids that these records carry, each id once and some concurrently.
    /// Waits for a registry that does not answer. Records whose schema is not found can't be decoded.
    pub(crate) async fn resolve_schemas(
        &self,
        settings: &Settings,
        records: &[Record],
    ) -> Result<(), LogError> {
        let ids: BTreeSet<u32> = records
            .iter()
            .filter_map(|record| record.value.as_deref().and_then(ids::unresolved_id))
            .collect();
        let mut lookups = JoinSet::new();
        for id in ids {
            if lookups.len() >= AT_ONCE
                && let Some(done) = lookups.join_next().await
            {
                done.map_err(|_| LogError::Closed)??;
            }
            let (this, settings) = (self.clone(), settings.clone());
            lookups.spawn(async move { this.resolve_schema(&settings, id).await });
        }
        while let Some(done) = lookups.join_next().await {
            done.map_err(|_| LogError::Closed)??;
        }
        Ok(())
    }

    /// Looks up the schema of one id until the registry answers.
    async fn resolve_schema(&self, settings: &Settings, id: u32) -> Result<(), LogError> {
        let mut backoff = Backoff::new(Duration::from_millis(200));
        let mut failures = 0;
        loop {
            let (this, settings) = (self.clone(), settings.clone());
            let lookup = tokio::task::spawn_blocking(move || this.look_up(&settings, id));
            match lookup.await.map_err(|_| LogError::Closed)? {
                Ok(()) => return Ok(()),
                // An internal error for this id alone: no process can decode the records that carry it.
                Err(RequestError::Internal(reason)) if failures >= MOST_FAILURES => {
                    tracing::warn!(
                        id,
                        reason,
                        "the schema registry fails to return a schema; records that carry it become dead letters"
                    );
                    let _ = ids::register(id, RegistryAnswer::Missing);
                    return Ok(());
                }
                Err(RequestError::Unavailable(reason) | RequestError::Internal(reason)) => {
                    failures += 1;
                    let pause = backoff.pause();
                    tracing::warn!(
                        id,
                        reason,
                        ?pause,
                        "the schema registry does not answer; records that need it wait"
                    );
                    tokio::time::sleep(pause).await;
                }
                Err(error @ RequestError::Rejected(401, _)) => {
                    return Err(self.log_error("reading a schema", error));
                }
                // The id does not exist, or this process may not read it.
                Err(RequestError::Rejected(..)) => {
                    let _ = ids::register(id, RegistryAnswer::Missing);
                    return Ok(());
                }
            }
        }
    }

    /// Looks up one schema and registers it in this process.
    fn look_up(&self, settings: &Settings, id: u32) -> Result<(), RequestError> {
        let found = self.send("GET", &format!("/schemas/ids/{id}"), None)?;
        let text = found["schema"].as_str().unwrap_or_default();
        let is_announced = match catalogue::newer_version_of(text) {
            Some(record) => self.is_registered_for(settings, record, text)?,
            None => false,
        };
        if let Err(error) = ids::register(id, RegistryAnswer::Schema { text, is_announced }) {
            tracing::warn!(id, %error, "a schema of the registry is invalid; records that carry it become dead letters");
        }
        Ok(())
    }

    /// Returns `true` if this schema is registered for the record's own subject: whoever may register there
    /// upgrades Millrace. The subject of `uploads` does not count, as any producer may register schemas
    /// there.
    fn is_registered_for(&self, settings: &Settings, record: &str, text: &str) -> Result<bool, RequestError> {
        let is_internal = |spec: &&millrace_topology::StreamSpec| {
            spec.record == record && spec.name != streams::UPLOADS.name
        };
        let Some(stream) = streams::ALL.iter().find(is_internal) else { return Ok(false) };
        let subject = format!("{}-value", settings.topic(stream.name));
        let body = json!({"schema": text, "schemaType": "AVRO"});
        match self.send("POST", &format!("/subjects/{subject}"), Some(&body)) {
            Ok(_) => Ok(true),
            Err(RequestError::Rejected(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
