//! What is recorded of an output between its staging and its publication, as JSON in a marker.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// How far the store's clock and this machine's may be apart, in milliseconds, when an upload and its record are matched.
pub(crate) const CLOCK_SKEW_MS: i64 = 60_000;

/// Returns the time, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The record of an output that is being staged, is staged, or was published.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct StagedRecord {
    /// The output's URL.
    pub(crate) url: String,
    /// The name of its hidden file, or the id of its multipart upload; `None` until it is known.
    pub(crate) id: Option<String>,
    /// The attempt at its execution.
    #[serde(default)]
    pub(crate) attempt: i32,
    /// When staging began, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The output's size.
    #[serde(default)]
    pub(crate) bytes: u64,
    /// The file, once it is staged; `None` for an object.
    #[serde(default)]
    pub(crate) file: Option<FileId>,
    /// The parts of the multipart upload, in order, once all are uploaded; none for a file.
    #[serde(default)]
    pub(crate) parts: Vec<String>,
    /// True once the output was published.
    #[serde(default)]
    pub(crate) is_published: bool,
    /// What else there is of a package; `None` for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) package: Option<PackageRecord>,
    /// The ETag of the published object, if the store returned it.
    #[serde(default)]
    pub(crate) tag: Option<String>,
}

/// What a marker says of a package beside its main manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageRecord {
    pub(crate) folder: String,
    /// The names of the other manifests.
    pub(crate) manifests: Vec<String>,
}

impl StagedRecord {
    /// Returns `true` if the output is complete, so that it can be published.
    pub(crate) fn is_staged(&self) -> bool {
        self.id.is_some() && (self.file.is_some() || !self.parts.is_empty())
    }

    /// Returns the record as markers hold it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Its maps have text for keys, and its numbers are whole: it always serializes.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The identity of a file whatever its name, so that no other file is published or removed in its place.
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

    /// Returns `true` if both identify one file. Some file systems (FUSE, SMB) change a file's inode number between two calls.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.bytes == other.bytes && (self.inode == other.inode || self.modified_ns == other.modified_ns)
    }
}
