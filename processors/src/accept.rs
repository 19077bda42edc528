//! `accept`: what anybody may produce to `uploads` becomes an upload on behalf of a principal, or a dead letter.
//!
//! What only Millrace itself says comes on `accepted`, which has an ACL of its own. So whoever may write to `uploads` can name no
//! other's work objects, attempts, outputs or principal.

use async_trait::async_trait;
use millrace_schemas::{RecordError, Upload, source_url};
use millrace_topology::{Emit, Processor, ProcessorError, ProcessorSpec, Task, streams};

use crate::{Given, Ports, Runner};

/// The header that names the principal of a record.
pub const PRINCIPAL: &str = "millrace-principal";

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "takes what others may ask for";
    ProcessorSpec {
        // Before there was `accept`, `split` read what others produce.
        succeeds: Some("split"),
        ..ProcessorSpec::new("accept", does, streams::UPLOADS, [streams::ACCEPTED])
    }
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    runner.processor(spec(), Accept::new(given.principals.clone(), &given.store));
}

/// Whose uploads those of the log are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principals {
    /// The principal of what comes on the log; empty is the default one.
    pub of_log: String,
    /// Whether the header `millrace-principal` names another: for logs to which only trusted programs produce.
    pub trust_header: bool,
}

/// An upload as it came, and the principal that its record names.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    upload: Upload,
    /// The value of the header; `None` without one, an error if it is no text.
    principal: Option<Result<String, ()>>,
}

/// The processor.
pub struct Accept {
    principals: Principals,
    /// The scheme of the store that an upload's bucket is in.
    store: String,
}

impl Accept {
    /// Uploads that name a bucket mean one of the store of this scheme.
    #[must_use]
    pub fn new(principals: Principals, store: &str) -> Self {
        Self { principals, store: store.into() }
    }

    /// The upload as it is accepted.
    fn accepted(&self, incoming: &Incoming) -> Result<Upload, String> {
        incoming.upload.check_by_others()?;
        let of_log = &self.principals.of_log;
        let principal = match &incoming.principal {
            Some(named) if self.principals.trust_header => {
                named.as_ref().map_err(|()| format!("the header '{PRINCIPAL}' is no text"))?
            }
            Some(_) | None => of_log,
        };
        Ok(Upload { principal: principal.clone(), ..incoming.upload.clone() })
    }
}

#[async_trait]
impl Processor for Accept {
    type In = Incoming;

    fn read(&self, value: &[u8]) -> Result<Incoming, RecordError> {
        Ok(Incoming { upload: Upload::read(value)?, principal: None })
    }

    fn read_record(&self, value: &[u8], headers: &[(String, Vec<u8>)]) -> Result<Incoming, RecordError> {
        // Of several the last one: producers that sit before others append.
        let named = headers.iter().rfind(|(name, _)| name == PRINCIPAL);
        let principal = named.map(|(_, value)| String::from_utf8(value.clone()).map_err(|_| ()));
        Ok(Incoming { principal, ..self.read(value)? })
    }

    async fn handle(&self, incoming: &Incoming, _: Task) -> Result<Vec<Emit>, ProcessorError> {
        let upload = self.accepted(incoming).map_err(ProcessorError::Permanent)?;
        // What names no source, or two, is refused by `split`, as an execution that fails with the reason.
        let key = source_url(&upload, &self.store).unwrap_or_default();
        Ok(vec![Emit::new(streams::ACCEPTED, &key, &upload)?])
    }

    fn given_up(&self, _: &Incoming, _: Task, _: &str) -> Vec<Emit> {
        // No execution has begun. Failing the one that a forged record names would be what its writer wants.
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use millrace_schemas::{OutputFacts, frame::Record as _};
    use millrace_topology::millis_now;

    use super::*;

    fn accept(trust_header: bool) -> Accept {
        Accept::new(Principals { of_log: "log".into(), trust_header }, "s3")
    }

    fn upload() -> Upload {
        Upload::of("s3://in/a.mov", "s3://out")
    }

    /// What follows from a record with this value and these headers.
    async fn follows(accept: &Accept, value: &[u8], headers: &[(&str, &[u8])]) -> Result<Upload, String> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let incoming = accept.read_record(value, &headers).map_err(|error| error.to_string())?;
        let task = Task { appended_ms: 0, clock: millis_now };
        let emits = accept.handle(&incoming, task).await.map_err(|error| error.to_string())?;
        assert_eq!(emits.len(), 1);
        assert_eq!(emits[0].stream, "accepted");
        assert!(accept.given_up(&incoming, task, "why").is_empty());
        Ok(Upload::read(emits[0].value.as_ref().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn an_upload_gets_the_principal_of_the_log_whatever_its_headers_say() {
        let json = br#"{"source": "s3://in/a.mov", "output_prefix": "s3://out"}"#;
        for value in [json.to_vec(), upload().encode().unwrap()] {
            for headers in [&[][..], &[(PRINCIPAL, &b"press"[..])]] {
                let accepted = follows(&accept(false), &value, headers).await.unwrap();
                assert_eq!(accepted, Upload { principal: "log".into(), ..upload() });
            }
        }
    }

    #[tokio::test]
    async fn a_header_names_the_principal_where_the_settings_trust_it() {
        let value = upload().encode().unwrap();
        let of = async |headers: &[(&str, &[u8])]| follows(&accept(true), &value, headers).await;
        assert_eq!(of(&[(PRINCIPAL, b"press")]).await.unwrap().principal, "press");
        assert_eq!(of(&[]).await.unwrap().principal, "log");
        assert_eq!(of(&[("Millrace-Principal", b"press")]).await.unwrap().principal, "log");
        assert_eq!(of(&[(PRINCIPAL, b"sport"), (PRINCIPAL, b"press")]).await.unwrap().principal, "press");
        assert!(of(&[(PRINCIPAL, b"\xff")]).await.is_err());
    }

    #[tokio::test]
    async fn what_only_millrace_says_is_refused_from_others() {
        let facts = OutputFacts {
            url: "s3://out/a.mp4".into(),
            format: "mp4".into(),
            bytes: 1,
            duration_seconds: 1.0,
            video: None,
            audio: None,
            more_audio: Vec::new(),
            text: Vec::new(),
            chapters: 0,
        };
        let forged = [
            ("principal", Upload { principal: "press".into(), ..upload() }),
            ("work", Upload { work: Some("0123456789abcdef-1".into()), ..upload() }),
            ("attempt", Upload { attempt: 2, ..upload() }),
            ("made", Upload { made: vec![facts], ..upload() }),
            ("replay", Upload { replay: Some("1".into()), ..upload() }),
            (
                "millrace.",
                Upload { labels: HashMap::from([("millrace.watch".into(), "x".into())]), ..upload() },
            ),
        ];
        for (field, forged) in forged {
            let json = serde_json::to_vec(&forged).unwrap();
            for value in [forged.encode().unwrap(), json] {
                for trust_header in [false, true] {
                    let refused = follows(&accept(trust_header), &value, &[]).await.unwrap_err();
                    assert!(refused.contains(field) && refused.contains("leave"), "{field}: {refused}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_names_no_source_is_left_to_split_which_says_so_in_an_execution() {
        let none = Upload { source: None, ..upload() };
        assert!(follows(&accept(false), &none.encode().unwrap(), &[]).await.is_ok());
    }
}
