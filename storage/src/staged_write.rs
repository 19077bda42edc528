//! Files and objects that are being written. They appear under their name complete, or never.

use std::{fs::File, io, sync::Arc};

use crate::{
    backend::{Entry, EntryWrite},
    error::StorageError,
    marker::Marker,
    staged_output::StagedOutput,
};

/// A file or an object that is being written. If it is dropped before it is published or staged, nothing of it stays.
#[derive(Debug)]
pub struct StagedWrite {
    write: Box<dyn EntryWrite>,
    /// The output that it will be; `None` for a work object.
    output: Option<Output>,
}

#[derive(Debug)]
struct Output {
    entry: Arc<dyn Entry>,
    /// The URL, as the request has it.
    url: String,
    marker: Marker,
}

impl StagedWrite {
    /// Begins a work object.
    pub(crate) fn of_work_object(entry: &dyn Entry, work_prefix: &str) -> Result<Self, StorageError> {
        Ok(Self { write: entry.create_work_object(work_prefix)?, output: None })
    }

    /// Begins an output. Blocks.
    pub(crate) fn of_output(
        entry: Arc<dyn Entry>,
        url: String,
        work_prefix: &str,
        marker: Marker,
    ) -> Result<Self, StorageError> {
        Ok(Self { write: entry.create_output(work_prefix)?, output: Some(Output { entry, url, marker }) })
    }

    /// Returns a copy of the descriptor to write to.
    ///
    /// # Errors
    /// If this process has no descriptors left.
    pub fn descriptor(&self) -> Result<File, StorageError> {
        self.write.file().try_clone().map_err(|error| self.failed(error))
    }

    /// Returns how many bytes were written.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn size(&self) -> Result<u64, StorageError> {
        Ok(self.write.file().metadata().map_err(|error| self.failed(error))?.len())
    }

    fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Io { doing: "writing", path: self.write.display(), source }
    }

    /// Publishes a work object, atomically and durably, unless one of its name exists: that one stays, and `false` is returned.
    ///
    /// # Errors
    /// If the disk is full, or the folder or bucket can't be written.
    pub async fn publish_new(self) -> Result<bool, StorageError> {
        self.write.publish_new().await
    }

    /// Makes an output complete, durable and ready to be published.
    ///
    /// # Errors
    /// If the disk is full, or the folder or bucket can't be written. A work object can't be staged.
    pub async fn stage(self) -> Result<StagedOutput, StorageError> {
        let bytes = self.size()?;
        let Some(Output { entry: output, url, marker }) = self.output else {
            return Err(StorageError::Unstaged { path: "a work object".into() });
        };
        let record = marker.begin(output.recorded_url(&url), bytes);
        let record = self.write.stage(record, marker.entry()?).await?;
        Ok(StagedOutput { output, marker, record })
    }
}
