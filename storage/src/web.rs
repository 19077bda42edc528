//! The backend for web servers, which are only read: a file is requested in ranges, each of the version that was pinned.
//!
//! The version is the strong ETag with its quotes, or the size and the time of Last-Modified if the server has none. Every request is
//! a GET, since many presigned URLs allow nothing else.

mod reply;
mod resolver;

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Instant,
};

use async_trait::async_trait;
use bytes::BytesMut;
use millrace_access::{Location, WebAddress};
use millrace_schemas::SourceRef;
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT_ENCODING, IF_MATCH, IF_UNMODIFIED_SINCE, RANGE},
    redirect::Policy,
};

use crate::{
    backend::{SourceEntry, check_version},
    error::{StorageError, messages},
    objects::bucket::{CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES, RETRY_TIMEOUT, install_cryptography},
    open_source::{ObjectSource, OpenSource},
    range_reader::{Ranges, pause},
    web::{
        reply::{Refused, Reply, Version},
        resolver::{GuardedResolver, METADATA, is_metadata},
    },
};

/// The client for all web servers, once it is needed.
#[derive(Clone, Default)]
pub(crate) struct WebClient(Arc<OnceLock<Result<Client, String>>>);

impl WebClient {
    fn get(&self) -> Result<&Client, String> {
        let client = || {
            install_cryptography();
            // A slow range is no hang, so the whole request has no timeout.
            let builder = Client::builder()
                .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .dns_resolver(GuardedResolver)
                .read_timeout(READ_TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT);
            builder.build().map_err(|error| messages(&error))
        };
        self.0.get_or_init(client).as_ref().map_err(Clone::clone)
    }
}

/// A file of a web server.
#[derive(Clone)]
pub(crate) struct WebEntry {
    client: WebClient,
    address: WebAddress,
}

impl std::fmt::Debug for WebEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

impl WebEntry {
    pub(crate) fn new(client: WebClient, address: WebAddress) -> Self {
        Self { client, address }
    }

    fn failed(&self, reason: String, passes: bool) -> StorageError {
        StorageError::Store { doing: "reading", path: self.display(), reason, passes }
    }

    /// Returns what became of a request, in an error's words.
    fn refused(&self, refused: Refused) -> StorageError {
        match refused {
            Refused::Missing => StorageError::Missing { path: self.display() },
            Refused::Changed => StorageError::Changed { path: self.display() },
            Refused::Busy(reason) => self.failed(reason, true),
            Refused::Other(reason) => self.failed(reason, false),
            Refused::NoRanges => {
                let host = self.address.host_and_port();
                let reason = format!(
                    "the server at {host} does not serve ranges; download the file first, or put it in a bucket"
                );
                self.failed(reason, false)
            }
        }
    }

    /// Requests a range, and again while the server is away or busy.
    async fn request(
        &self,
        range: &Range<u64>,
        version: Option<&Version>,
    ) -> Result<(Reply, Response), StorageError> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let error = match self.request_once(range, version).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            tries += 1;
            if !error.is_transient() || tries > RETRIES || begun.elapsed() > RETRY_TIMEOUT {
                return Err(error);
            }
            tracing::debug!(url = self.display(), %error, tries, "a request failed; trying it again");
            tokio::time::sleep(pause(tries)).await;
        }
    }

    async fn request_once(
        &self,
        range: &Range<u64>,
        version: Option<&Version>,
    ) -> Result<(Reply, Response), StorageError> {
        // The resolver does not see addresses.
        let host = self.address.host().trim_matches(['[', ']']);
        if host.parse().is_ok_and(is_metadata) {
            return Err(self.failed(format!("{host} is {METADATA}"), false));
        }
        let client = self.client.get().map_err(|reason| self.failed(reason, false))?;
        let request = client
            .get(self.address.url())
            .header(RANGE, format!("bytes={}-{}", range.start, range.end - 1))
            .header(ACCEPT_ENCODING, "identity");
        let request = match version {
            None => request,
            Some(Version::Tag(tag)) => request.header(IF_MATCH, tag),
            Some(Version::Date(date)) => request.header(IF_UNMODIFIED_SINCE, date),
        };
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let reply = Reply::read(response.status(), response.headers(), response.url());
        Ok((reply.map_err(|refused| self.refused(refused))?, response))
    }

    /// Returns the error of a connection. `reqwest` puts the URL into its errors, and the query may be a secret.
    fn lost(&self, error: reqwest::Error) -> StorageError {
        let said = messages(&error.without_url());
        let passes = !said.contains(METADATA) && !said.contains("invalid peer certificate");
        self.failed(said, passes)
    }
}

#[async_trait]
impl SourceEntry for WebEntry {
    fn display(&self) -> String {
        Location::Web(self.address.clone()).to_string()
    }

    async fn version(&self) -> Result<(String, u64), StorageError> {
        let (reply, mut response) = self.request(&(0..1), None).await?;
        // One byte, after which the connection can be used again; whether it arrives does not matter.
        let _ = response.chunk().await;
        match reply {
            Reply::Empty => Ok((String::new(), 0)),
            Reply::Whole => Err(self.refused(Refused::NoRanges)),
            Reply::Range { total, tag, date, .. } => match Version::of(tag, date) {
                Some(version) => Ok((version.recorded(total), total)),
                None => {
                    let reason = "the server gives the file neither a strong ETag nor a time (Last-Modified), so that a change would \
                                  not be noticed; download the file first, or put it in a bucket";
                    Err(self.failed(reason.into(), false))
                }
            },
        }
    }

    /// Asks for nothing yet: each read requires the version.
    async fn open(&self, source: &SourceRef) -> Result<OpenSource, StorageError> {
        let size = source.bytes.unsigned_abs();
        let version = Version::parse(&source.version, size);
        let version = version.ok_or_else(|| StorageError::Changed { path: self.display() })?;
        check_version(&source.version, &version.recorded(size), || self.display())?;
        let ranges = Arc::new(WebRanges { file: self.clone(), version, size });
        Ok(OpenSource::Object(ObjectSource { ranges, size, is_eager: false }))
    }

    async fn size(&self) -> Result<Option<u64>, StorageError> {
        match self.version().await {
            Ok((_, size)) => Ok(Some(size)),
            Err(StorageError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        Err(StorageError::Url {
            url: self.display(),
            reason: "web servers have no lists of files; name each file by its URL".into(),
        })
    }
}

/// A file of a web server at one version.
#[derive(Debug)]
struct WebRanges {
    file: WebEntry,
    version: Version,
    size: u64,
}

#[async_trait]
impl Ranges for WebRanges {
    fn display(&self) -> String {
        self.file.display()
    }

    async fn append(&self, range: Range<u64>, to: &mut BytesMut) -> Result<(), StorageError> {
        let (reply, mut response) = self.file.request(&range, Some(&self.version)).await?;
        let Reply::Range { sent, total, tag, date } = reply else {
            let refused =
                if response.status() == StatusCode::OK { Refused::NoRanges } else { Refused::Changed };
            return Err(self.file.refused(refused));
        };
        // Not every server heeds the condition.
        if total != self.size || !self.version.is_of(tag.as_deref(), date.as_deref()) {
            return Err(self.file.refused(Refused::Changed));
        }
        if sent.start != range.start || sent.end > range.end {
            return Err(self.file.failed("the server sent another range than was requested".into(), false));
        }
        let mut left = usize::try_from(sent.end - sent.start).unwrap_or(usize::MAX);
        while left > 0 {
            let chunk = response.chunk().await.map_err(|error| self.file.lost(error))?;
            let Some(bytes) = chunk else { break };
            let bytes = bytes.get(..left).unwrap_or(&bytes);
            to.extend_from_slice(bytes);
            left -= bytes.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_of_the_connection_may_pass_and_does_not_hold_the_query() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{closed}/a.mov?s3cr3t");
        let Location::Web(address) = Location::parse(&url).unwrap() else { panic!("{url}") };
        let entry = WebEntry::new(WebClient::default(), address);
        let lost = entry.request_once(&(0..1), None).await.map(drop).unwrap_err();
        assert!(lost.is_transient() && !format!("{lost} {lost:?}").contains("s3cr3t"), "{lost:?}");
    }
}
