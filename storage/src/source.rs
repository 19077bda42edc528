//! Sources: what was uploaded, at the version that was accepted.

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    path::Path,
    time::UNIX_EPOCH,
};

use millrace_schemas::SourceRef;
use object_store::ObjectMeta;

use crate::{
    Location, StorageError, Stores,
    feed::{Fed, feed},
    ranged::Ranged,
    stores::{Bucket, Place},
};

/// A source that is open: media processes read it where it is.
#[derive(Debug)]
pub enum Opened {
    /// A file of this machine.
    File(File),
    /// An object, which a media process reads over a socket.
    Object(ObjectSource),
}

/// An object at one version.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    bucket: Bucket,
    key: object_store::path::Path,
    tag: Option<String>,
    size: u64,
}

impl Opened {
    /// A descriptor for one media process; each reads on its own.
    ///
    /// # Errors
    /// Where the process has no descriptors left.
    pub fn descriptor(&self) -> std::io::Result<(OwnedFd, Fed)> {
        match self {
            Self::File(file) => Ok((file.try_clone()?.into(), Fed::default())),
            Self::Object(object) => feed(object.reader()),
        }
    }
}

impl ObjectSource {
    /// Reads it from its beginning.
    #[must_use]
    pub fn reader(&self) -> Ranged {
        Ranged::new(self.bucket.clone(), self.key.clone(), self.tag.clone(), self.size)
    }
}

/// What is known of a file, as a source's version.
fn file_version(metadata: &fs::Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), modified.unwrap_or_default().as_nanos())
}

/// The same of an object: its ETag as stores tell it in events, without quotes; where there is none, size and time.
fn object_version(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => tag.trim_matches('"').to_owned(),
        None => format!("{:x}-{:x}", meta.size, meta.last_modified.timestamp_millis()),
    }
}

impl Stores {
    /// The source at this URL, as it is now.
    ///
    /// # Errors
    /// Where it is not there, is no file, or is empty.
    pub async fn pin(&self, url: &str) -> Result<SourceRef, StorageError> {
        let location = Location::parse(url)?;
        let (url, version, bytes) = match self.place(&location)? {
            Place::File(path) => {
                let (version, bytes) = blocking(move || pin_file(&path)).await?;
                // However it was written: the same file is the same source.
                (location.url(), version, bytes)
            }
            Place::Object { bucket, key } => {
                let meta =
                    bucket.head(&key).await?.ok_or_else(|| StorageError::Missing { path: url.into() })?;
                if meta.size == 0 {
                    return Err(StorageError::Empty { path: url.into() });
                }
                (location.url(), object_version(&meta), meta.size)
            }
        };
        Ok(SourceRef { url, version, bytes: bytes.cast_signed() })
    }

    /// Opens a source, which must be the one that was accepted. Of an object each read is held to that by the store.
    ///
    /// # Errors
    /// Where it is gone or changed.
    pub async fn open(&self, source: &SourceRef) -> Result<Opened, StorageError> {
        match self.place(&Location::parse(&source.url)?)? {
            Place::File(path) => {
                let version = source.version.clone();
                let file = blocking(move || {
                    let file = File::open(&path).map_err(StorageError::io("opening", &path))?;
                    let metadata = file.metadata().map_err(StorageError::io("opening", &path))?;
                    same(&version, &file_version(&metadata), || path.display().to_string())?;
                    Ok(file)
                });
                Ok(Opened::File(file.await?))
            }
            Place::Object { bucket, key } => {
                // A version that is no ETag is size and time, which no request can be held to.
                let is_tag = !source.version.starts_with(&format!("{:x}-", source.bytes));
                let weak = source.version.starts_with("W/");
                let tag = (is_tag && !weak).then(|| format!("\"{}\"", source.version));
                Ok(Opened::Object(ObjectSource { bucket, key, tag, size: source.bytes.unsigned_abs() }))
            }
        }
    }

    /// Holds a source to be the one that was accepted still.
    ///
    /// # Errors
    /// Where it is gone or changed.
    pub async fn unchanged(&self, source: &SourceRef) -> Result<(), StorageError> {
        let path = || crate::shown(&source.url);
        let now = match self.place(&Location::parse(&source.url)?)? {
            Place::File(path) => {
                let found = blocking(move || {
                    let metadata = fs::metadata(&path).map_err(StorageError::io("reading", &path))?;
                    Ok(file_version(&metadata))
                });
                found.await?
            }
            Place::Object { bucket, key } => {
                let found = bucket.head(&key).await?;
                object_version(&found.ok_or_else(|| StorageError::Missing { path: path() })?)
            }
        };
        same(&source.version, &now, path)
    }
}

fn pin_file(path: &Path) -> Result<(String, u64), StorageError> {
    let metadata = fs::metadata(path).map_err(StorageError::io("opening", path))?;
    let named = path.display().to_string();
    if !metadata.is_file() {
        return Err(StorageError::NotAFile { path: named });
    }
    if metadata.len() == 0 {
        return Err(StorageError::Empty { path: named });
    }
    Ok((file_version(&metadata), metadata.len()))
}

fn same(accepted: &str, now: &str, path: impl FnOnce() -> String) -> Result<(), StorageError> {
    if accepted == now { Ok(()) } else { Err(StorageError::Changed { path: path() }) }
}

/// Work on files, off the threads that run tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StorageError::Io {
            doing: "working on",
            path: "files".into(),
            source: std::io::Error::other(error),
        }),
    }
}
