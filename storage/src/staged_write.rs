//! Files and objects that are being written. They appear under their name complete, or never.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use crate::{
    backend::{Entry, EntryWrite},
    blocking::blocking,
    error::StorageError,
    marker::Marker,
    package::{Package, Place},
    record::StagedRecord,
    staged_output::StagedOutput,
    stores::Stores,
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
    stores: Stores,
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
        marker: Marker,
        stores: Stores,
    ) -> Result<Self, StorageError> {
        let write = entry.create_output(&marker.work_prefix)?;
        Ok(Self { write, output: Some(Output { entry, url, marker, stores }) })
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
        let Some(Output { entry: output, url, marker, stores }) = self.output else {
            return Err(StorageError::Unstaged { path: "a work object".into() });
        };
        let record = marker.begin(output.recorded_url(&url), bytes);
        let record = self.write.stage(record, marker.entry()?).await?;
        Ok(StagedOutput { output, marker, record, stores })
    }

    /// Makes the objects of a package of what was written, complete, durable and ready to be published: nothing names them yet.
    ///
    /// # Errors
    /// If the package is none that can be, the disk is full, or the folder or bucket can't be written. A work object can't be staged.
    pub async fn stage_package(self, package: &Package) -> Result<StagedOutput, StorageError> {
        let size = self.size()?;
        let Some(Output { entry: output, url, marker, stores }) = self.output else {
            return Err(StorageError::Unstaged { path: "a work object".into() });
        };
        let place = Place { stores: &stores, output: &output, url: &url, work_prefix: &marker.work_prefix };
        let main = package.parts.last().map_or(0, |main| main.bytes);
        let begun =
            StagedRecord { package: Some(package.record()), ..marker.begin(output.recorded_url(&url), main) };
        // First: objects without a record would stay for good.
        marker.write(&begun).await?;
        let staged = async {
            let bytes = place.put(package, self.write.file(), size).await?;
            let (entry, work_prefix) = (output.clone(), marker.work_prefix.clone());
            let write = blocking(move || {
                let write = entry.create_output(&work_prefix)?;
                let written = write.file().write_all_at(&bytes, 0);
                written.map_err(|source| StorageError::Io {
                    doing: "writing",
                    path: write.display(),
                    source,
                })?;
                Ok(write)
            });
            write.await?.stage(begun, marker.entry()?).await
        };
        match staged.await {
            Ok(record) => Ok(StagedOutput { output, marker, record, stores }),
            Err(error) => {
                // What can't be removed now is found by the marker.
                let _ = place.remove(&package.record()).await;
                Err(error)
            }
        }
    }
}
