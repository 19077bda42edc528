//! Where something lies: a path, or an object in a bucket.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use object_store::path::Path as Key;
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};
use url::Url;

use crate::StorageError;

/// The longest key that S3, GCS and Azure take, in bytes.
const LONGEST_KEY: usize = 1024;

/// The kind of an object store, by its URLs' scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Amazon S3, and what speaks it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// This process's memory: for tests.
    Memory,
}

impl Scheme {
    /// The scheme of this name.
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

    /// As it stands in a URL.
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

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A path of this machine: a disk, or a mounted NAS.
    File(PathBuf),
    /// An object, or a prefix of objects, in a bucket.
    Object {
        /// Which kind of store.
        scheme: Scheme,
        /// The bucket, or Azure's container.
        bucket: String,
        /// The key; empty for the bucket itself.
        key: Key,
    },
}

impl Location {
    /// The place that a URL names. A key's special characters are percent-encoded; what is not encoded is taken as it is.
    ///
    /// # Errors
    /// Where the URL is of a kind that is not served, or names what no store can hold.
    pub fn parse(url: &str) -> Result<Self, StorageError> {
        let wrong = |reason: &str| StorageError::Url { url: url.into(), reason: reason.into() };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong("a URL is wanted, such as s3://bucket/video.mov or file:///mnt/video.mov"));
        };
        if scheme == "file" {
            let path = Url::parse(url).ok().and_then(|parsed| parsed.to_file_path().ok());
            return path.map(Self::File).ok_or_else(|| wrong("a file URL is file:///path"));
        }
        let scheme = Scheme::named(scheme).ok_or_else(|| wrong("s3, gs, az and file URLs are served"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', '?', '#', ':', '%']) {
            return Err(wrong("it names no bucket"));
        }
        let key = percent_decode_str(key)
            .decode_utf8()
            .map_err(|_| wrong("its key is not UTF-8, as keys of object stores must be; rename it"))?;
        if key.len() > LONGEST_KEY {
            return Err(wrong("its key is longer than 1,024 bytes, which no store holds"));
        }
        let parsed = if key.starts_with('/') { None } else { Key::parse(key).ok() };
        let key = parsed.ok_or_else(|| {
            wrong("a key whose parts are empty, '.' or '..', or hold control characters, can't be reached by HTTP; rename the object")
        })?;
        Ok(Self::Object { scheme, bucket: bucket.into(), key })
    }
}

/// The URL of an object, by its bucket and its key as they are.
#[must_use]
pub fn object_url(scheme: Scheme, bucket: &str, key: &str) -> String {
    millrace_schemas::object_url(scheme.as_str(), bucket, key)
}

/// The URL that an argument is, if it begins with a scheme and `://`; any other argument is a path.
///
/// An argument need not be UTF-8: if it is not, its bytes that are not ASCII are percent-encoded.
#[must_use]
pub fn as_url(argument: &OsStr) -> Option<String> {
    /// No ASCII character: what stands there is as the person wrote it.
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

/// The file URL of a path, made absolute. The path's bytes are percent-encoded as they are, whether they are UTF-8 or not.
///
/// # Errors
/// Where the current folder is gone.
pub fn url_of(path: &Path) -> Result<String, StorageError> {
    let absolute = std::path::absolute(path).map_err(StorageError::io("finding", path))?;
    let normal = lexically_normal(&absolute);
    Url::from_file_path(&normal).map(String::from).map_err(|()| StorageError::Url {
        url: path.display().to_string(),
        reason: "it can't be made a URL".into(),
    })
}

/// Takes `.` and `..` out of a path without asking the disk.
fn lexically_normal(path: &Path) -> PathBuf {
    use std::path::Component;
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

/// The path of a file URL.
///
/// # Errors
/// Where it is of another kind.
pub fn path_of(url: &str) -> Result<PathBuf, StorageError> {
    match Location::parse(url)? {
        Location::File(path) => Ok(path),
        Location::Object { .. } => {
            Err(StorageError::Url { url: url.into(), reason: "a file URL is wanted here".into() })
        }
    }
}

/// The place as a person knows it: a path, or the URL that it is.
#[must_use]
pub fn shown(url: &str) -> String {
    path_of(url).map_or_else(|_| url.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str) -> String {
        match Location::parse(url).unwrap() {
            Location::Object { key, .. } => key.to_string(),
            Location::File(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn a_key_goes_into_a_url_and_comes_out_as_it_was() {
        for name in ["a b.mov", "1+1=2.mov", "50%2F50.mov", "a..b.mov", "映像/休日 #1?.mov", "x&y;z", "ü.mov"]
        {
            assert_eq!(key(&object_url(Scheme::S3, "videos", name)), name);
        }
        let long = "k".repeat(1000);
        assert_eq!(key(&object_url(Scheme::S3, "videos", &long)), long);
        assert_eq!(key("s3://videos/as it is+.mov"), "as it is+.mov");
        assert_eq!(key("gs://videos"), "");
    }

    #[test]
    fn what_no_store_can_hold_is_refused_with_a_reason() {
        for url in [
            "s3://b/a/../c",
            "s3://b/%2E%2E/c",
            "s3://b//c",
            "s3:///c",
            "s3://u:p@b/c",
            "http://h/c",
            "c",
            "s3://b/%01",
        ] {
            assert!(matches!(Location::parse(url), Err(StorageError::Url { .. })), "{url}");
        }
        assert!(Location::parse(&object_url(Scheme::S3, "b", &"k".repeat(1025))).is_err());
    }

    #[test]
    fn paths_are_made_absolute_without_dots() {
        let url = url_of(Path::new("/a/./b/../c d")).unwrap();
        assert_eq!(url, "file:///a/c%20d");
        assert_eq!(path_of(&url).unwrap(), Path::new("/a/c d"));
        assert!(path_of("s3://bucket/key").is_err());
    }
}
