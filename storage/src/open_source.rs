//! Open sources.

use std::{fs::File, os::fd::OwnedFd, sync::Arc};

use crate::{
    range_reader::{RangeReader, Ranges},
    range_server::{RangeServer, serve_ranges},
};

/// A source that is open for reading.
#[derive(Debug)]
pub enum OpenSource {
    /// A file of this machine.
    File(File),
    /// An object at one version, or a file on a web server.
    Object(ObjectSource),
}

/// An object at one version, or a file on a web server.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    pub(crate) ranges: Arc<dyn Ranges>,
    /// The size in bytes.
    pub(crate) size: u64,
    /// True if few requests count for more than few bytes.
    pub(crate) is_eager: bool,
}

impl OpenSource {
    /// Returns a descriptor for one media process: of the file itself, or of a socket to a range server for the object.
    ///
    /// # Errors
    /// If this process has no descriptors left.
    pub fn descriptor(&self) -> std::io::Result<(OwnedFd, RangeServer)> {
        match self {
            Self::File(file) => Ok((file.try_clone()?.into(), RangeServer::default())),
            Self::Object(object) => serve_ranges(object.reader()),
        }
    }

    /// Requests longer ranges from here on: for a task that reads little, and takes as long as its requests.
    #[must_use]
    pub fn eager(mut self) -> Self {
        if let Self::Object(object) = &mut self {
            object.is_eager = true;
        }
        self
    }
}

impl ObjectSource {
    /// Returns a reader at the object's beginning.
    #[must_use]
    pub fn reader(&self) -> RangeReader {
        RangeReader::new(self.ranges.clone(), self.size, self.is_eager)
    }
}
