//! A schema registry, by Confluent's REST API: subjects by TopicNameStrategy (`<topic>-value`).

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

use crate::settings::Settings;

/// How compatible a new schema must be with all before it: two versions of Millrace run side by side, in either order.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// How many ids are asked for at once.
const AT_ONCE: usize = 8;
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024;
/// How often an id is asked for over which the registry itself fails.
const BROKEN_TRIES: u32 = 3;

/// A registry.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    url: Arc<str>,
    agent: ureq::Agent,
    login: Option<String>,
}

/// Why a registry did not do what it was asked for.
#[derive(Debug)]
enum Refusal {
    /// It does not answer, or can't now.
    Away(String),
    /// It answers that it failed.
    Broken(String),
    /// It says no: the status and the text.
    No(u16, String),
}

impl Registry {
    /// At this URL; a user and a password in it are told by basic authentication.
    pub(crate) fn new(url: &str) -> Result<Self, LogError> {
        let wrong =
            |reason: String| LogError::Cluster { doing: format!("the schema registry {url}"), reason };
        let mut parsed = url::Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(wrong("an http or https URL is wanted".into()));
        }
        let login = (!parsed.username().is_empty()).then(|| {
            let told = format!("{}:{}", parsed.username(), parsed.password().unwrap_or_default());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(told))
        });
        // Neither can fail for an http URL.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build();
        let url = parsed.as_str().trim_end_matches('/').into();
        Ok(Self { url, agent: ureq::Agent::new_with_config(config), login })
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let url = format!("{}{path}", self.url);
        let mut request = ureq::http::Request::builder().method(method).uri(&url).header("Accept", CONTENT);
        if let Some(login) = &self.login {
            request = request.header("Authorization", login);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.header("Content-Type", CONTENT).body(text);
        let request = request.map_err(|error| Refusal::No(0, error.to_string()))?;
        let mut answer = self.agent.run(request).map_err(|error| Refusal::Away(error.to_string()))?;
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
            500 => Err(Refusal::Broken(format!("status {status}: {message}"))),
            408 | 429 | 501.. => Err(Refusal::Away(format!("status {status}: {message}"))),
            _ => Err(Refusal::No(status, message)),
        }
    }

    fn error(&self, doing: &str, refusal: Refusal) -> LogError {
        let doing = format!("{doing} at the schema registry {}", self.url);
        match refusal {
            Refusal::Away(reason) | Refusal::Broken(reason) => {
                LogError::Cluster { doing, reason: format!("it does not answer: {reason}") }
            }
            Refusal::No(401 | 403, reason) => LogError::Cluster {
                doing,
                reason: format!(
                    "it does not take these credentials ({reason}); write them into its URL, as http://USER:PASSWORD@…"
                ),
            },
            Refusal::No(409, reason) => LogError::Cluster {
                doing,
                reason: format!(
                    "the schema is incompatible with one that is registered there ({reason}); whoever registered that one must \
                     remove it, or use another topic_prefix"
                ),
            },
            Refusal::No(status, reason) => {
                LogError::Cluster { doing, reason: format!("status {status}: {reason}") }
            }
        }
    }

    /// Registers the schemas of all streams, or only looks them up; from then on records carry their ids.
    pub(crate) fn install(&self, settings: &Settings, registers: bool) -> Result<(), LogError> {
        let mut given = HashMap::new();
        for record in catalogue::all() {
            let Some(text) = record.versions.last() else { continue };
            let asked = json!({"schema": text, "schemaType": "AVRO"});
            let doing = format!("registering the schema of {}", record.name);
            for stream in streams::ALL.iter().filter(|spec| spec.record == record.name) {
                let subject = format!("{}-value", settings.topic(stream.name));
                let found = if registers {
                    self.compatible(&subject).map_err(|refusal| self.error(&doing, refusal))?;
                    self.ask("POST", &format!("/subjects/{subject}/versions"), Some(&asked))
                } else {
                    self.ask("POST", &format!("/subjects/{subject}"), Some(&asked))
                };
                let id = match found {
                    Ok(found) => found["id"].as_u64().and_then(|id| u32::try_from(id).ok()),
                    // Not registered yet: whoever only reads has nothing to write with it.
                    Err(Refusal::No(404, _)) if !registers => None,
                    Err(refusal) => return Err(self.error(&doing, refusal)),
                };
                // The same text has one id under all of its subjects.
                if let Some(id) = id {
                    given.entry(record.fixed_id).or_insert(id);
                }
            }
        }
        catalogue::install(given);
        Ok(())
    }

    /// Sets how compatible a subject's schemas must be, where nobody did; a weaker rule is told of.
    fn compatible(&self, subject: &str) -> Result<(), Refusal> {
        let path = format!("/config/{subject}");
        let level = match self.ask("GET", &path, None) {
            Ok(found) => found["compatibilityLevel"].as_str().map(str::to_owned),
            Err(Refusal::No(404, _)) => None,
            Err(refusal) => return Err(refusal),
        };
        match level.as_deref() {
            Some(COMPATIBILITY) => Ok(()),
            // What a registry says of a subject that nobody has set.
            None | Some("NONE" | "BACKWARD") => {
                self.ask("PUT", &path, Some(&json!({"compatibility": COMPATIBILITY}))).map(drop)
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

    /// Learns the schemas of what can't be read without: waits for a registry that does not answer. Each id is asked for
    /// once, some at a time: what is not known then is no record.
    pub(crate) async fn learn(&self, settings: &Settings, records: &[Record]) -> Result<(), LogError> {
        let ids: BTreeSet<u32> = records
            .iter()
            .filter_map(|record| record.value.as_deref().and_then(ids::unresolved_id))
            .collect();
        let mut asked = JoinSet::new();
        for id in ids {
            if asked.len() >= AT_ONCE
                && let Some(done) = asked.join_next().await
            {
                done.map_err(|_| LogError::Closed)??;
            }
            let (this, settings) = (self.clone(), settings.clone());
            asked.spawn(async move { this.learn_one(&settings, id).await });
        }
        while let Some(done) = asked.join_next().await {
            done.map_err(|_| LogError::Closed)??;
        }
        Ok(())
    }

    async fn learn_one(&self, settings: &Settings, id: u32) -> Result<(), LogError> {
        let mut backoff = Backoff::new(Duration::from_millis(200));
        let mut tries = 0;
        loop {
            let (this, settings) = (self.clone(), settings.clone());
            let asked = tokio::task::spawn_blocking(move || this.look_up(&settings, id));
            match asked.await.map_err(|_| LogError::Closed)? {
                Ok(()) => return Ok(()),
                // A registry that fails over this id alone: nobody can read what carries it.
                Err(Refusal::Broken(reason)) if tries >= BROKEN_TRIES => {
                    tracing::warn!(
                        id,
                        reason,
                        "the schema registry fails over a schema; what carries it is set aside"
                    );
                    let _ = ids::register(id, RegistryAnswer::Missing);
                    return Ok(());
                }
                Err(Refusal::Away(reason) | Refusal::Broken(reason)) => {
                    tries += 1;
                    let pause = backoff.pause();
                    tracing::warn!(
                        id,
                        reason,
                        ?pause,
                        "the schema registry does not answer; what needs it waits"
                    );
                    tokio::time::sleep(pause).await;
                }
                Err(refusal @ Refusal::No(401, _)) => return Err(self.error("reading a schema", refusal)),
                // None of that id, or none that this process may see.
                Err(Refusal::No(..)) => {
                    let _ = ids::register(id, RegistryAnswer::Missing);
                    return Ok(());
                }
            }
        }
    }

    /// Learns one schema.
    fn look_up(&self, settings: &Settings, id: u32) -> Result<(), Refusal> {
        let found = self.ask("GET", &format!("/schemas/ids/{id}"), None)?;
        let text = found["schema"].as_str().unwrap_or_default();
        let is_announced = match catalogue::newer_version_of(text) {
            Some(record) => self.is_registered_for(settings, record, text)?,
            None => false,
        };
        if let Err(error) = ids::register(id, RegistryAnswer::Schema { text, is_announced }) {
            tracing::warn!(id, %error, "a schema of the registry is not used; what carries it is set aside");
        }
        Ok(())
    }

    /// Whether this schema is a version of that record's own subject: whoever may register it there upgrades Millrace. What anybody may
    /// produce to has schemas of anybody: they announce nothing.
    fn is_registered_for(&self, settings: &Settings, record: &str, text: &str) -> Result<bool, Refusal> {
        let is_own = |spec: &&millrace_topology::StreamSpec| {
            spec.record == record && spec.name != streams::UPLOADS.name
        };
        let Some(stream) = streams::ALL.iter().find(is_own) else { return Ok(false) };
        let subject = format!("{}-value", settings.topic(stream.name));
        let asked = json!({"schema": text, "schemaType": "AVRO"});
        match self.ask("POST", &format!("/subjects/{subject}"), Some(&asked)) {
            Ok(_) => Ok(true),
            Err(Refusal::No(..)) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }
}
