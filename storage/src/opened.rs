//! Open sources.

use std::{fs::File, os::fd::OwnedFd};

use crate::{
    objects::{bucket::Bucket, ranged::Ranged},
    range_server::{Fed, serve_ranges},
};

/// A source that is open for reading.
#[derive(Debug)]
pub enum Opened {
    /// A file of this machine.
    File(File),
    /// An object at one version.
    Object(ObjectSource),
}

/// An object at one version.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    pub(crate) bucket: Bucket,
    pub(crate) key: object_store::path::Path,
    /// The ETag that each read is held to; `None` if the store gives none.
    pub(crate) tag: Option<String>,
    /// The size in bytes.
    pub(crate) size: u64,
}

impl Opened {
    /// Returns a descriptor for one media process: of the file itself, or of a socket to a range server for the object.
    ///
    /// # Errors
    /// If this process has no descriptors left.
    pub fn descriptor(&self) -> std::io::Result<(OwnedFd, Fed)> {
        match self {
            Self::File(file) => Ok((file.try_clone()?.into(), Fed::default())),
            Self::Object(object) => serve_ranges(object.reader()),
        }
    }
}

impl ObjectSource {
    /// Returns a reader at the object's beginning.
    #[must_use]
    pub fn reader(&self) -> Ranged {
        Ranged::new(self.bucket.clone(), self.key.clone(), self.tag.clone(), self.size)
    }
}
