//! Locations: paths of this machine, objects in buckets, and files on web servers.

mod web;

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use millrace_schemas::masked_url;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use url::Url;
pub use web::WebAddress;
use web::{ENCODED_SLASH, parts_below};

/// The longest key that S3, GCS and Azure take, in bytes.
const LONGEST_KEY: usize = 1024;
/// The longest name of a bucket or container that any of the stores takes, in bytes.
const LONGEST_BUCKET: usize = 255;

/// Why a URL or a path is not a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{url}' can't be used: {reason}")]
pub struct LocationError {
    /// The URL or path, for messages ([`display_url`]).
    pub url: String,
    /// What is wrong with it, and what to write instead.
    pub reason: String,
}

/// The kind of an object store, by its URLs' scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Amazon S3, and stores with its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// The memory of this process, for tests.
    Memory,
}

impl Scheme {
    /// Returns the scheme of this name, as in URLs.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Gs),
            "az" => Some(Self::Az),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }

    /// Returns the scheme's name, as in URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
            Self::Memory => "memory",
        }
    }
}

/// A file, an object, or a folder, prefix or bucket that holds some.
///
/// Two locations are equal if they are the same path or the same key, however their URLs were written. Only this module creates
/// them, in their canonical form: absolute, without `.`, `..` and empty components.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A path of this machine: a disk, or a mounted NAS.
    #[non_exhaustive]
    File {
        /// The path, absolute.
        path: PathBuf,
    },
    /// An object, or a prefix of objects, in a bucket.
    #[non_exhaustive]
    Object {
        /// The kind of store.
        scheme: Scheme,
        /// The bucket, or Azure's container.
        bucket: String,
        /// The key, not percent-encoded; empty for the bucket itself.
        key: String,
    },
    /// A file on a web server, which is only read, or a folder of it.
    Web(WebAddress),
}

impl Location {
    /// Parses a URL: `file:///path`, or `s3://`, `gs://`, `az://` with a bucket and a key, or `http://`, `https://`.
    ///
    /// Percent-encoded characters are decoded, and others taken literally. Empty components of a path, and a slash at the end, are
    /// dropped. What different programs read in different ways is refused: components `.` and `..` (also encoded), an encoded slash,
    /// NUL, control characters in keys, in a file URL a host, a backslash, and a `?` or `#` that is not encoded, and in the URL of a web
    /// server a user, a fragment and a backslash.
    ///
    /// # Errors
    /// If the URL's scheme is not supported, or no store can have such a key or bucket.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        let wrong = |reason: &str| LocationError { url: masked_url(url), reason: reason.into() };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong("a URL is wanted, such as s3://bucket/video.mov or file:///mnt/video.mov"));
        };
        if scheme == "http" || scheme == "https" {
            return WebAddress::parse(url).map(Self::Web).map_err(wrong);
        }
        if rest.to_ascii_lowercase().contains("%2f") {
            return Err(wrong(ENCODED_SLASH));
        }
        if scheme == "file" {
            return parse_path(rest).map(|path| Self::File { path }).map_err(wrong);
        }
        let scheme = Scheme::named(scheme)
            .ok_or_else(|| wrong("s3, gs, az, http, https and file URLs are supported"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = percent_decode(key.as_bytes())
            .decode_utf8()
            .map_err(|_| wrong("its key is not UTF-8, as keys of object stores must be; rename it"))?;
        Self::object(scheme, bucket, &key).map_err(|error| wrong(&error.reason))
    }

    /// Returns the location of an object, by its key, which is not percent-encoded. A slash at the key's end is dropped.
    ///
    /// # Errors
    /// If no bucket can have this name, or the key can't be sent in an HTTP request.
    pub fn object(scheme: Scheme, bucket: &str, key: &str) -> Result<Self, LocationError> {
        let wrong =
            |reason: &str| LocationError { url: object_url(scheme, bucket, key), reason: reason.into() };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte);
        if bucket.is_empty()
            || bucket.len() > LONGEST_BUCKET
            || !bucket.bytes().all(is_name)
            || bucket.bytes().all(|byte| byte == b'.')
        {
            return Err(wrong("it names no bucket"));
        }
        if key.len() > LONGEST_KEY {
            return Err(wrong("its key is longer than 1,024 bytes, which no store holds"));
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        let is_part =
            |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_ascii_control());
        if !key.is_empty() && !key.split('/').all(is_part) {
            return Err(wrong(
                "a key whose parts are empty, '.' or '..', or hold control characters, can't be reached by HTTP; rename the object",
            ));
        }
        Ok(Self::Object { scheme, bucket: bucket.into(), key: key.into() })
    }

    /// Returns the location of a path, which may be relative to the current folder. `.` and `..` are resolved without reading the disk.
    ///
    /// # Errors
    /// If the current folder does not exist, or the path contains NUL.
    pub fn of_path(path: &Path) -> Result<Self, LocationError> {
        let wrong = |reason: String| LocationError { url: path.display().to_string(), reason };
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(wrong("no path can hold NUL".into()));
        }
        let absolute = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
        Ok(Self::File { path: lexically_normal(&absolute) })
    }

    /// Returns the location of a command-line argument: a URL, or a path.
    ///
    /// # Errors
    /// Those of [`Location::parse`] and [`Location::of_path`].
    pub fn of_argument(argument: &OsStr) -> Result<Self, LocationError> {
        match as_url(argument) {
            Some(url) => Self::parse(&url),
            None if argument.is_empty() => Err(LocationError {
                url: String::new(),
                reason: "a folder or a URL is wanted, such as /mnt/videos or s3://videos/in/".into(),
            }),
            None => Self::of_path(Path::new(argument)),
        }
    }

    /// Returns the canonical URL, which [`Location::parse`] turns into the same location.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            // An absolute path always has a URL.
            Self::File { path } => Url::from_file_path(path).map(String::from).unwrap_or_default(),
            Self::Object { scheme, bucket, key } => object_url(*scheme, bucket, key),
            Self::Web(address) => address.url().to_owned(),
        }
    }

    /// Returns the canonical URL with a slash at its end, as a folder or prefix. A URL with a query names no folder, and is returned
    /// as it is.
    #[must_use]
    pub fn folder_url(&self) -> String {
        let mut url = self.url();
        if self.has_query() {
            return url;
        }
        if !url.ends_with('/') {
            url.push('/');
        }
        url
    }

    /// Returns the URL of these components below this location, as [`Location::parts_below`] returns them.
    ///
    /// [`Location::parse`] may refuse it: a file's name that is not UTF-8 can't be part of a key.
    #[must_use]
    pub fn url_below(&self, parts: &[&OsStr]) -> String {
        let mut url = match self {
            Self::Web(address) => address.without_query(),
            _ => self.url(),
        };
        for part in parts {
            if !url.ends_with('/') {
                url.push('/');
            }
            url.push_str(&encode_part(part));
        }
        url
    }

    /// Returns `true` if this is `root`, or lies below it, by whole components: `s3://videos/inner` is not beneath
    /// `s3://videos/in`.
    #[must_use]
    pub fn is_beneath(&self, root: &Self) -> bool {
        self.parts_below(root).is_some()
    }

    /// Returns the components of this location below `root`, or `None` if it is neither `root` nor beneath it.
    #[must_use]
    pub fn parts_below(&self, root: &Self) -> Option<Vec<&OsStr>> {
        match (self, root) {
            (Self::File { path }, Self::File { path: root }) => {
                let below = path.strip_prefix(root).ok()?;
                Some(below.components().map(Component::as_os_str).collect())
            }
            (
                Self::Object { scheme, bucket, key },
                Self::Object { scheme: of, bucket: within, key: root },
            ) if scheme == of && bucket == within => parts_below(key, root),
            (Self::Web(address), Self::Web(root)) => address.parts_below(root),
            _ => None,
        }
    }

    /// Returns `true` if a component below `root` begins with a dot. The root's own name may.
    #[must_use]
    pub fn is_hidden_below(&self, root: &Self) -> bool {
        let parts = self.parts_below(root).unwrap_or_default();
        parts.iter().any(|part| part.as_encoded_bytes().starts_with(b"."))
    }

    /// Returns the name of its URL's scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match self {
            Self::File { .. } => "file",
            Self::Object { scheme, .. } => scheme.as_str(),
            Self::Web(address) => address.scheme(),
        }
    }

    /// Returns `true` if its URL has a query, as only those of web servers have.
    #[must_use]
    pub fn has_query(&self) -> bool {
        matches!(self, Self::Web(address) if address.has_query())
    }

    /// Returns the last component, or `None` for the file system's root, a bucket and a web server.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        match self {
            Self::File { path } => path.file_name(),
            Self::Object { key, .. } => {
                key.rsplit('/').next().filter(|name| !name.is_empty()).map(OsStr::new)
            }
            Self::Web(address) => address.name(),
        }
    }

    /// Returns the folder or prefix that holds it, or `None` for the file system's root, a bucket and a web server.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::File { path } => path.parent().map(|parent| Self::File { path: parent.to_owned() }),
            Self::Object { key, .. } if key.is_empty() => None,
            Self::Object { scheme, bucket, key } => {
                let key = key.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
                Some(Self::Object { scheme: *scheme, bucket: bucket.clone(), key })
            }
            Self::Web(address) => address.parent().map(Self::Web),
        }
    }
}

/// A path as it is typed, or the canonical URL of an object or on a web server, there without its query.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => path.display().fmt(f),
            Self::Object { .. } => f.write_str(&self.url()),
            Self::Web(address) => f.write_str(&masked_url(address.url())),
        }
    }
}

/// Parses the part of a file URL after `file://`.
fn parse_path(rest: &str) -> Result<PathBuf, &'static str> {
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file URL is file:///path, without a host: mount the share, and name the path here");
    }
    if path.contains(['?', '#', '\\']) {
        return Err("a file URL has no ?, # or \\; in the name of a file they are %3F, %23 and %5C");
    }
    if path.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("it holds a control character; in the name of a file it is encoded, such as %0A");
    }
    let mut parsed = PathBuf::from("/");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part: Vec<u8> = percent_decode(part.as_bytes()).collect();
        if part == b"." || part == b".." {
            return Err("a part of its path is '.' or '..'; write the path without it");
        }
        if part.contains(&0) {
            return Err("no path can hold NUL");
        }
        parsed.push(std::ffi::OsString::from_vec(part));
    }
    Ok(parsed)
}

/// Percent-encodes one component for the URL of a file or an object.
#[must_use]
pub fn encode_part(part: &OsStr) -> String {
    /// The characters that are special in some part of a URL, or not allowed in any.
    const SPECIAL: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'/')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encode(part.as_encoded_bytes(), SPECIAL).to_string()
}

/// Returns the URL of an object. Bucket and key are not percent-encoded yet.
#[must_use]
pub fn object_url(scheme: Scheme, bucket: &str, key: &str) -> String {
    millrace_schemas::object_url(scheme.as_str(), bucket, key)
}

/// Returns a command-line argument as a URL, or `None` if it is a path: only a URL begins with a scheme and `://`.
///
/// An argument need not be UTF-8: if it is not, bytes that are not ASCII are percent-encoded.
#[must_use]
pub fn as_url(argument: &OsStr) -> Option<String> {
    /// No ASCII character: those stay as they were typed.
    const BYTES: &AsciiSet = &AsciiSet::EMPTY;
    let bytes = argument.as_encoded_bytes();
    let end = bytes.windows(3).position(|three| three == b"://")?;
    // RFC 3986, 3.1.
    let is_scheme = bytes[..end].first().is_some_and(u8::is_ascii_alphabetic)
        && bytes[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    is_scheme.then(|| match argument.to_str() {
        Some(text) => text.to_owned(),
        None => percent_encode(bytes, BYTES).to_string(),
    })
}

/// Returns the file URL of a path, made absolute. The path need not be UTF-8.
///
/// # Errors
/// If the current folder does not exist, or the path contains NUL.
pub fn url_of(path: &Path) -> Result<String, LocationError> {
    Location::of_path(path).map(|location| location.url())
}

/// Resolves `.` and `..` in a path without reading the disk.
fn lexically_normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Returns the path of a file URL.
///
/// # Errors
/// If the URL is malformed or has another scheme.
pub fn path_of(url: &str) -> Result<PathBuf, LocationError> {
    match Location::parse(url)? {
        Location::File { path } => Ok(path),
        Location::Object { .. } | Location::Web(_) => {
            Err(LocationError { url: masked_url(url), reason: "a file:// URL is expected here".into() })
        }
    }
}

/// Returns a URL for messages: the path of a file URL, the URL of a web server with `?…` in place of its query, which may be a
/// secret, and any other as it is. A text that is no URL is treated as what it looks like.
#[must_use]
pub fn display_url(url: &str) -> String {
    path_of(url).map_or_else(|_| masked_url(url), |path| path.display().to_string())
}

#[cfg(test)]
#[path = "location/tests.rs"]
mod tests;
