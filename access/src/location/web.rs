//! Addresses of files on web servers.

use std::{ffi::OsStr, fmt};

use millrace_schemas::masked_url;
use percent_encoding::percent_decode_str;
use url::Url;

/// Why an encoded slash is refused.
pub(super) const ENCODED_SLASH: &str = "it holds an encoded slash (%2F); write / between the parts of a path";
/// The longest URL of a web server, in bytes: servers are asked to take 8,000 (RFC 9110, 4.1), and few take more.
const LONGEST: usize = 8000;

/// The address of a file on a web server, or of a folder of it: `http://` or `https://`, a host, a path, and maybe a query.
///
/// The URL is kept as the server gets it, since a signature may cover its encoding. Two addresses are equal if those URLs are; what
/// lies beneath what is decided by scheme, host, port and the decoded components of the path, and never by the query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebAddress {
    /// The URL: no user, no fragment, and no slash at its path's end except for the server itself.
    url: Box<Url>,
    /// The path, decoded, without slashes at its ends.
    path: String,
}

/// The query may be a secret.
impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_url(self.url.as_str()))
    }
}

impl WebAddress {
    /// Parses a URL whose scheme is `http` or `https`.
    ///
    /// What `Url` would silently drop or resolve is refused before, so that the URL that is compared is the one that is requested.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('\\') || text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(
                "it holds a space, a backslash or a control character; in a URL they are encoded, such as %20",
            );
        }
        if text.contains('#') {
            return Err("it has a fragment (#), which no server gets; in the name of a file # is %23");
        }
        // Behind the scheme and before the path: `Url` reads more slashes there than two.
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (host, raw_path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(
                "it holds a user or a password, which would be seen wherever the URL is; make a presigned URL",
            );
        }
        if host.is_empty() {
            return Err("it names no host");
        }
        if raw_path.to_ascii_lowercase().contains("%2f") {
            return Err(ENCODED_SLASH);
        }
        let trimmed = raw_path.strip_suffix('/').unwrap_or(raw_path);
        if query.is_some() && (trimmed.is_empty() || trimmed != raw_path) {
            return Err("it has a query, and its path names no file");
        }
        let path = percent_decode_str(trimmed)
            .decode_utf8()
            .map_err(|_| "its path is not UTF-8; rename the file")?
            .into_owned();
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains('\\') && !part.chars().any(char::is_control)
        };
        if !path.is_empty() && !path.split('/').all(is_part) {
            return Err(
                "a path whose parts are empty, '.' or '..', or hold backslashes or control characters, is read in different ways by \
                 different servers; rename the file",
            );
        }
        let mut url = Url::parse(text).map_err(|_| "it is no URL of a web server")?;
        if trimmed != raw_path {
            let canonical = url.path().trim_end_matches('/').to_owned();
            url.set_path(&canonical);
        }
        if query == Some("") {
            url.set_query(None);
        }
        let is_same = percent_decode_str(url.path().trim_matches('/')).decode_utf8().is_ok_and(|p| p == path);
        if !is_same || !url.username().is_empty() || url.password().is_some() {
            return Err("it is no URL of a web server");
        }
        if url.as_str().len() > LONGEST {
            return Err("it is longer than 8,000 bytes, which few web servers take");
        }
        Ok(Self { url: Box::new(url), path })
    }

    /// Returns the URL that is requested. Its query may be a secret.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the scheme's name, `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// Returns the host's name or its address, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns the host, and the port if it is not the scheme's own.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// Returns `true` if the URL has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.url.query().is_some()
    }

    pub(super) fn without_query(&self) -> String {
        let mut url = (*self.url).clone();
        url.set_query(None);
        url.into()
    }

    pub(super) fn parts_below(&self, root: &Self) -> Option<Vec<&OsStr>> {
        let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
        if origin(&self.url) != origin(&root.url) {
            return None;
        }
        parts_below(&self.path, &root.path)
    }

    pub(super) fn name(&self) -> Option<&OsStr> {
        self.path.rsplit('/').next().filter(|name| !name.is_empty()).map(OsStr::new)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        if self.path.is_empty() {
            return None;
        }
        let path = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut url = self.url.clone();
        url.set_query(None);
        // Of the URL's own text, whose encoding stays as it is.
        let above = self.url.path().rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        url.set_path(&above);
        Some(Self { url, path: path.to_owned() })
    }
}

/// Returns the components of a decoded path below another, or `None` if it is neither the same nor beneath it.
pub(super) fn parts_below<'a>(path: &'a str, root: &str) -> Option<Vec<&'a OsStr>> {
    let below = match path.strip_prefix(root)? {
        below if root.is_empty() || below.is_empty() => below,
        below => below.strip_prefix('/')?,
    };
    Some(below.split('/').filter(|part| !part.is_empty()).map(OsStr::new).collect())
}
