//! Sources: what was uploaded, at the version that was accepted.

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    time::UNIX_EPOCH,
};

use millrace_schemas::SourceRef;
use object_store::ObjectMeta;

use crate::{
    StorageError, Stores,
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
        let (location, place) = self.source(url)?;
        pin(location.url(), place).await
    }

    /// Opens a source, which must be the one that was accepted. Of an object each read is held to that by the store.
    ///
    /// # Errors
    /// Where it is gone or changed.
    pub async fn open(&self, source: &SourceRef) -> Result<Opened, StorageError> {
        open(source, self.source(&source.url)?.1).await
    }

    /// The output that is there, open, with what is known of it; it may be read wherever outputs may be written.
    ///
    /// # Errors
    /// Where nothing is there, or what is there is no file or is empty.
    pub async fn open_output(&self, url: &str) -> Result<(SourceRef, Opened), StorageError> {
        let found = pin(url.to_owned(), self.output(url)?).await?;
        let opened = open(&found, self.output(url)?).await?;
        Ok((found, opened))
    }

    /// Holds a source to be the one that was accepted still.
    ///
    /// # Errors
    /// Where it is gone or changed.
    pub async fn unchanged(&self, source: &SourceRef) -> Result<(), StorageError> {
        let path = || crate::shown(&source.url);
        let now = match self.source(&source.url)?.1 {
            Place::File(place) => blocking(move || Ok(file_version(&place.look()?))).await?,
            Place::Object { bucket, key } => object_version(
                &bucket.head(&key).await?.ok_or_else(|| StorageError::Missing { path: path() })?,
            ),
        };
        same(&source.version, &now, path)
    }
}

/// What lies at a place now, under this URL, however it was written: the same file or object is the same source.
async fn pin(url: String, place: Place) -> Result<SourceRef, StorageError> {
    let (version, bytes) = match place {
        Place::File(place) => {
            let metadata = blocking(move || {
                let metadata = place.look()?;
                if metadata.len() == 0 {
                    return Err(StorageError::Empty { path: place.path().display().to_string() });
                }
                Ok(metadata)
            })
            .await?;
            (file_version(&metadata), metadata.len())
        }
        Place::Object { bucket, key } => {
            let meta = bucket.head(&key).await?.ok_or_else(|| StorageError::Missing { path: url.clone() })?;
            if meta.size == 0 {
                return Err(StorageError::Empty { path: url });
            }
            (object_version(&meta), meta.size)
        }
    };
    Ok(SourceRef { url, version, bytes: bytes.cast_signed() })
}

async fn open(source: &SourceRef, place: Place) -> Result<Opened, StorageError> {
    match place {
        Place::File(place) => {
            let version = source.version.clone();
            let file = blocking(move || {
                let (file, metadata) = place.read()?;
                same(&version, &file_version(&metadata), || place.path().display().to_string())?;
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
