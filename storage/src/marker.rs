//! Markers of staged outputs. A marker lies among the work objects of its execution, and so is removed with them, whatever
//! becomes of the process that wrote it.

use std::sync::Arc;

use crate::{
    backend::{Entry, WorkRoot},
    error::StorageError,
    files::folder::is_absent,
    names::{MARKERS, check_names},
    record::{StagedRecord, now_ms},
};

/// The most bytes of a marker that are read: it lists up to 10,000 parts.
pub(crate) const LONGEST_MARKER: u64 = 2 << 20;

/// The marker of one output.
#[derive(Debug, Clone)]
pub struct Marker {
    pub(crate) root: Arc<dyn WorkRoot>,
    pub(crate) work_prefix: String,
    pub(crate) attempt: i32,
    /// Its file's name.
    pub(crate) name: String,
}

impl Marker {
    /// Returns the token of the output, by which it is found once it is staged.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.name
    }

    /// Returns the file or object that the marker is.
    ///
    /// # Errors
    /// If the work prefix or the name is none that Millrace gives.
    pub(crate) fn entry(&self) -> Result<Arc<dyn Entry>, StorageError> {
        let names = [self.work_prefix.as_str(), MARKERS, &self.name];
        check_names(&names)?;
        Ok(self.root.entry(&names))
    }

    /// Returns the record of an output whose staging begins now.
    pub(crate) fn begin(&self, url: String, bytes: u64) -> StagedRecord {
        StagedRecord { url, attempt: self.attempt, at_ms: now_ms(), bytes, ..StagedRecord::default() }
    }

    /// Returns the record in the marker, or `None` if there is no marker or it is no record.
    pub(crate) async fn read(&self) -> Result<Option<StagedRecord>, StorageError> {
        match self.entry()?.read_end(LONGEST_MARKER).await {
            Ok(found) => Ok(found.and_then(|(_, json)| serde_json::from_slice(&json).ok())),
            Err(StorageError::Missing { .. }) => Ok(None),
            Err(StorageError::Io { source, .. }) if is_absent(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a record into the marker, in place of the one before.
    pub(crate) async fn write(&self, record: &StagedRecord) -> Result<(), StorageError> {
        self.entry()?.overwrite(record.to_json()).await
    }
}
