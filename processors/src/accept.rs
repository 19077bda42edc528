//! `accept`: gives each upload on `uploads`, to which other programs produce, its principal; refuses fields that only Millrace sets.
//!
//! Accepted uploads are on `accepted`, which has an ACL of its own. So a program that may write to `uploads` can't name work objects,
//! attempts, outputs or a principal of others.

use async_trait::async_trait;
use millrace_schemas::{RecordError, Upload, source_url};
use millrace_topology::{Emit, Processor, ProcessorError, ProcessorSpec, Task, streams};

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    principals::Principals,
    request::pin_profile,
};

/// The name of the header with the principal of a record.
pub const PRINCIPAL_HEADER: &str = "millrace-principal";

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "takes what others may ask for";
    ProcessorSpec {
        // Before there was `accept`, `split` read what others produce.
        succeeds: Some("split"),
        ..ProcessorSpec::new("accept", does, streams::UPLOADS, [streams::ACCEPTED])
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_processor(spec(), Accept::new(dependencies.principals.clone(), &dependencies.store));
}

/// An upload as another program produced it, with the principal in its record's header.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingUpload {
    upload: Upload,
    /// The value of the header; `None` without one, `Err` if it is not UTF-8.
    principal: Option<Result<String, ()>>,
}

/// The processor `accept`.
pub struct Accept {
    principals: Principals,
    /// The URL scheme of the default object store.
    store: String,
}

impl Accept {
    /// Returns the processor. `store` is the URL scheme of the default object store, for uploads that name a bucket.
    #[must_use]
    pub fn new(principals: Principals, store: &str) -> Self {
        Self { principals, store: store.into() }
    }

    /// Returns the upload with its principal.
    ///
    /// # Errors
    /// If it has a field that only Millrace sets, or if the header is not UTF-8.
    fn accept(&self, incoming: &IncomingUpload) -> Result<Upload, String> {
        incoming.upload.check_by_others()?;
        let of_log = &self.principals.of_log;
        let principal = match &incoming.principal {
            Some(named) if self.principals.trust_header => {
                named.as_ref().map_err(|()| format!("the header '{PRINCIPAL_HEADER}' is not UTF-8 text"))?
            }
            Some(_) | None => of_log,
        };
        let upload = Upload { principal: principal.clone(), ..incoming.upload.clone() };
        // `split` refuses a profile that is none: its execution fails with the reason.
        Ok(pin_profile(upload.clone()).unwrap_or(upload))
    }
}

#[async_trait]
impl Processor for Accept {
    type In = IncomingUpload;

    fn read(&self, value: &[u8]) -> Result<IncomingUpload, RecordError> {
        Ok(IncomingUpload { upload: Upload::read(value)?, principal: None })
    }

    fn read_record(
        &self,
        value: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<IncomingUpload, RecordError> {
        // The last of several, since proxies append theirs.
        let named = headers.iter().rfind(|(name, _)| name == PRINCIPAL_HEADER);
        let principal = named.map(|(_, value)| String::from_utf8(value.clone()).map_err(|_| ()));
        Ok(IncomingUpload { principal, ..self.read(value)? })
    }

    async fn handle(&self, incoming: &IncomingUpload, _: Task) -> Result<Vec<Emit>, ProcessorError> {
        let upload = self.accept(incoming).map_err(ProcessorError::Permanent)?;
        // `split` refuses an upload that names no source, or two: its execution fails with the reason.
        let key = source_url(&upload, &self.store).unwrap_or_default();
        Ok(vec![Emit::new(streams::ACCEPTED, &key, &upload)?])
    }

    fn given_up(&self, _: &IncomingUpload, _: Task, _: &str) -> Vec<Emit> {
        // No execution has begun. Failing the execution that a forged record names would let its producer end it.
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

    /// Returns the accepted upload, from a record with this value and these headers.
    async fn accepted(accept: &Accept, value: &[u8], headers: &[(&str, &[u8])]) -> Result<Upload, String> {
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
            for headers in [&[][..], &[(PRINCIPAL_HEADER, &b"press"[..])]] {
                let accepted = accepted(&accept(false), &value, headers).await.unwrap();
                assert_eq!(accepted, Upload { principal: "log".into(), ..upload() });
            }
        }
    }

    #[tokio::test]
    async fn a_header_names_the_principal_where_the_settings_trust_it() {
        let value = upload().encode().unwrap();
        let of = async |headers: &[(&str, &[u8])]| accepted(&accept(true), &value, headers).await;
        assert_eq!(of(&[(PRINCIPAL_HEADER, b"press")]).await.unwrap().principal, "press");
        assert_eq!(of(&[]).await.unwrap().principal, "log");
        assert_eq!(of(&[("Millrace-Principal", b"press")]).await.unwrap().principal, "log");
        assert_eq!(
            of(&[(PRINCIPAL_HEADER, b"sport"), (PRINCIPAL_HEADER, b"press")]).await.unwrap().principal,
            "press"
        );
        assert!(of(&[(PRINCIPAL_HEADER, b"\xff")]).await.is_err());
    }

    #[tokio::test]
    async fn fields_that_only_millrace_sets_are_refused_from_others() {
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
                    let refused = accepted(&accept(trust_header), &value, &[]).await.unwrap_err();
                    assert!(refused.contains(field) && refused.contains("leave"), "{field}: {refused}");
                }
            }
        }
    }

    #[tokio::test]
    async fn an_upload_without_a_source_is_left_to_split_which_fails_its_execution() {
        let none = Upload { source: None, ..upload() };
        assert!(accepted(&accept(false), &none.encode().unwrap(), &[]).await.is_ok());
    }
}
