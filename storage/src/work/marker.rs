//! Markers of outputs on their way.

use std::{
    fs::Metadata,
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

use object_store::{ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};

use super::{LONGEST, Root, UPLOADS, Work, file, key};
use crate::{StorageError, folder::is_absent, source::blocking};

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Tells of an output that is being staged, or is, beside the work objects of its execution: so it goes with them, whoever died.
#[derive(Debug, Clone)]
pub struct Marker {
    pub(crate) work: Work,
    pub(crate) place: String,
    pub(crate) attempt: i32,
    pub(crate) name: String,
}

/// What a marker tells.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Where the output goes.
    pub(crate) url: String,
    /// Once it is known: the hidden name of its file, or the id of its upload in parts.
    pub(crate) id: Option<String>,
    /// The attempt at its execution.
    #[serde(default)]
    pub(crate) attempt: i32,
    /// When it was begun, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// How large it is.
    #[serde(default)]
    pub(crate) bytes: u64,
    /// Of a file that is staged: what it is known by.
    #[serde(default)]
    pub(crate) file: Option<FileId>,
    /// Of an upload that is whole: its parts, in order.
    #[serde(default)]
    pub(crate) parts: Vec<String>,
    /// Whether it was published.
    #[serde(default)]
    pub(crate) is_published: bool,
    /// The ETag of the object that was published, where the store told it.
    #[serde(default)]
    pub(crate) tag: Option<String>,
}

/// What a file is known by under whatever name, so that no other is published or removed in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    inode: u64,
    bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    modified_ns: i64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified_ns }
    }

    /// Whether both are of one file. Some file systems (FUSE, SMB) give a file another number each time that it is looked at.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.bytes == other.bytes && (self.inode == other.inode || self.modified_ns == other.modified_ns)
    }
}

impl Told {
    /// Whether it is whole.
    pub(crate) fn is_staged(&self) -> bool {
        self.id.is_some() && (self.file.is_some() || !self.parts.is_empty())
    }
}

impl Marker {
    /// What is told first.
    pub(crate) fn begin(&self, url: &str, bytes: u64) -> Told {
        Told { url: url.into(), attempt: self.attempt, at_ms: now_ms(), bytes, ..Told::default() }
    }

    /// What it tells; `None` where it is not there.
    pub(crate) async fn told(&self) -> Result<Option<Told>, StorageError> {
        let text = match &self.work.root {
            Root::Folder(root) => {
                let marker = file(root, &[&self.place, UPLOADS, &self.name])?;
                blocking(move || match marker.read() {
                    Ok((file, _)) => {
                        let mut text = Vec::new();
                        let read = file.take(LONGEST).read_to_end(&mut text);
                        read.map_err(marker.failed("reading")).map(|_| Some(text))
                    }
                    Err(StorageError::Missing { .. }) => Ok(None),
                    Err(StorageError::Io { source, .. }) if is_absent(&source) => Ok(None),
                    Err(error) => Err(error),
                })
                .await?
            }
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[&self.place, UPLOADS, &self.name])?;
                bucket.tail(&key, LONGEST).await?.map(|(_, text)| text)
            }
        };
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    pub(crate) async fn tell(&self, told: &Told) -> Result<(), StorageError> {
        let text = serde_json::to_vec(told).unwrap_or_default();
        match &self.work.root {
            Root::Folder(root) => {
                let marker = file(root, &[&self.place, UPLOADS, &self.name])?;
                blocking(move || {
                    let mut file =
                        marker.folder(true)?.overwrite(marker.name()).map_err(marker.failed("writing"))?;
                    file.write_all(&text).map_err(marker.failed("writing"))
                })
                .await
            }
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[&self.place, UPLOADS, &self.name])?;
                let put = bucket.store.put(&key, PutPayload::from(text)).await;
                put.map(drop).map_err(StorageError::store("writing", &bucket.url(&key)))
            }
        }
    }
}
