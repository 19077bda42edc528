//! `accept`: gives each upload on `uploads`, to which other programs produce, its principal; refuses fields that only Millrace sets.
//!
//! Accepted uploads are on `accepted`, which has an ACL of its own. So a program that may write to `uploads` can't name work objects,
//! attempts, outputs or a principal of others.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{RecordError, Upload, source_url};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Task, faults::Fault, ports::Storage, streams,
};

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    pinning::Pinning,
    principals::Principals,
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
    let Dependencies { ports, principals, pinning, store, .. } = dependencies;
    let accept = Accept::new(ports.clone(), principals.clone(), pinning.clone(), store);
    starter.start_processor(spec(), accept);
}

/// An upload as another program produced it, with the principal in its record's header.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingUpload {
    upload: Upload,
    /// The value of the header; `None` without one, `Err` if it is not UTF-8.
    principal: Option<Result<String, ()>>,
}

/// The processor `accept`.
pub struct Accept<P> {
    ports: Arc<P>,
    principals: Principals,
    pinning: Pinning,
    /// The URL scheme of the default object store.
    store: String,
}

impl<P: Storage> Accept<P> {
    /// Returns the processor. `store` is the URL scheme of the default object store, for uploads that name a bucket.
    #[must_use]
    pub fn new(ports: Arc<P>, principals: Principals, pinning: Pinning, store: &str) -> Self {
        Self { ports, principals, pinning, store: store.into() }
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
        Ok(Upload { principal: principal.clone(), ..incoming.upload.clone() })
    }
}

#[async_trait]
impl<P: Storage> Processor for Accept<P> {
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
        let upload = if Fault::ProfilePinnedLate.is_planted() {
            upload
        } else {
            self.pinning.pin(self.ports.as_ref(), upload).await?
        };
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

    use std::sync::Mutex;

    use millrace_access::{Access, Location, Principal, Reach};
    use millrace_profiles::{Catalog, Profile};
    use millrace_schemas::{OutputFacts, SourceRef, frame::Record as _};
    use millrace_topology::{
        millis_now,
        ports::{PortError, Stored},
    };

    use super::*;
    use crate::{pinning::ProfileSource, request::unpinned_assets};

    /// A store whose files are all of this version, but for what is called `none`.
    struct Files(&'static str);

    #[async_trait]
    impl Storage for Files {
        async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
            if url.ends_with("none") {
                return Err(PortError::Refused(format!("{url} does not exist")));
            }
            Ok(SourceRef { url: url.into(), version: self.0.into(), bytes: 9 })
        }

        async fn made(&self, _: &str, _: &str, _: i32) -> Result<Option<Stored>, PortError> {
            Ok(None)
        }

        async fn size(&self, _: &str) -> Result<Option<i64>, PortError> {
            Ok(None)
        }

        async fn writable(&self, _: &str) -> Result<(), PortError> {
            Ok(())
        }

        async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
            Ok(Vec::new())
        }

        async fn remove_work(&self, _: &str) -> Result<bool, PortError> {
            Ok(false)
        }

        async fn remove_staged(&self, _: &str, _: i32) -> Result<bool, PortError> {
            Ok(false)
        }
    }

    fn accept(trust_header: bool) -> Accept<Files> {
        let principals = Principals { of_log: "log".into(), trust_header };
        let pinning = Pinning::new(Arc::new(Catalog::default()), Arc::new(access()));
        Accept::new(Arc::new(Files("one")), principals, pinning, "s3")
    }

    /// Profiles of a folder that changes: `ours` makes this format.
    #[derive(Debug)]
    struct Changing(Mutex<&'static str>);

    #[async_trait]
    impl ProfileSource for Changing {
        async fn catalog(&self) -> Arc<Catalog> {
            let text = format!("[[output]]\nformat = \"{}\"", self.0.lock().unwrap());
            let own = [("ours".parse().unwrap(), Profile::from_toml(&text).unwrap())].into();
            Arc::new(Catalog::of(own, [].into()))
        }
    }

    #[tokio::test]
    async fn an_upload_is_pinned_to_what_its_profile_is_when_it_is_accepted() {
        let profiles = Arc::new(Changing(Mutex::new("mp4")));
        let pinning = Pinning::new(profiles.clone(), Arc::new(access()));
        let accept = Accept::new(Arc::new(Files("one")), Principals::default(), pinning.clone(), "s3");
        let ours = Upload { profile: Some("ours".into()), ..upload() }.encode().unwrap();
        let before = accepted(&accept, &ours, &[]).await.unwrap();
        assert!(before.profile.as_ref().unwrap().contains(r#""format":"mp4""#));
        *profiles.0.lock().unwrap() = "flv";
        // What is on `accepted` is read again after a crash, by a retry and by a replay: it has the profile itself.
        assert_eq!(pinning.pin_profile(before.clone()).await.unwrap(), before);
        assert_eq!(pinning.check_pinned(&before).await, Ok(()));
        let after = accepted(&accept, &ours, &[]).await.unwrap();
        assert!(after.profile.unwrap().contains(r#""format":"flv""#));
    }

    #[tokio::test]
    async fn a_profile_that_is_not_found_is_left_to_split_which_takes_none_that_comes_later() {
        let profiles = Arc::new(Changing(Mutex::new("mp4")));
        let pinning = Pinning::new(profiles, Arc::new(access()));
        let accept = Accept::new(Arc::new(Files("one")), Principals::default(), pinning.clone(), "s3");
        let named = |name: &str| Upload { profile: Some(name.into()), ..upload() };
        let theirs = accepted(&accept, &named("theirs").encode().unwrap(), &[]).await.unwrap();
        assert_eq!(theirs.profile.as_deref(), Some("theirs"));
        let said = pinning.check_pinned(&theirs).await.unwrap_err();
        assert!(
            said.starts_with("profile: there is no profile 'theirs'; known profiles: ours, web"),
            "{said}"
        );
        let said = pinning.check_pinned(&named("ours@0123456789ab")).await.unwrap_err();
        assert!(said.contains("known versions: "), "{said}");
        assert!(pinning.check_pinned(&named("ours")).await.unwrap_err().contains("retry the execution"));
        assert_eq!(pinning.check_pinned(&named("web")).await, Ok(()), "of an earlier version of Millrace");
    }

    /// The principal of the log may read what is in the bucket `brand`.
    fn access() -> Access {
        let brand = Reach::Only(vec![Location::parse("s3://brand").unwrap()]);
        let principal = Principal::default_of(brand.clone(), brand);
        Access::of(principal.clone(), vec![Principal { name: "log".into(), ..principal }]).unwrap()
    }

    fn marked(image: &str) -> Vec<u8> {
        let mark = format!(r#"{{"codec": "h264", "watermark": {{"image": "{image}"}}}}"#);
        let profile = format!(r#"{{"output": [{{"format": "mp4"}}], "video": {{"main": {mark}}}}}"#);
        format!(r#"{{"source": "s3://in/a.mov", "output_prefix": "s3://out", "profile": {profile}}}"#).into()
    }

    #[tokio::test]
    async fn assets_are_pinned_if_the_principal_may_read_them_and_else_left_to_split() {
        let pinned = accepted(&accept(false), &marked("s3://brand/l.png"), &[]).await.unwrap();
        assert!(pinned.profile.unwrap().contains(r#""version":"one""#));
        for other in ["s3://secrets/l.png", "s3://brand/none", "file:///etc/passwd"] {
            let left = accepted(&accept(false), &marked(other), &[]).await.unwrap();
            assert_eq!(unpinned_assets(&left), [other]);
        }
    }

    fn upload() -> Upload {
        Upload::of("s3://in/a.mov", "s3://out")
    }

    /// Returns the accepted upload, from a record with this value and these headers.
    async fn accepted(
        accept: &Accept<Files>,
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Upload, String> {
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
            more_video: Vec::new(),
            objects: 0,
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
