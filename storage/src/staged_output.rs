//! StagedOutput outputs: complete, proven and not visible yet. On disk that is a hidden file beside the output's name; in an object
//! store it is a multipart upload whose parts are all there. The marker says which, so that any process can publish it.

use std::sync::Arc;

use crate::{backend::Entry, error::StorageError, marker::Marker, record::StagedRecord};

/// A staged output.
#[derive(Debug)]
pub struct StagedOutput {
    pub(crate) output: Arc<dyn Entry>,
    pub(crate) marker: Marker,
    pub(crate) record: StagedRecord,
}

impl StagedOutput {
    /// Returns the token by which [`WorkStore::staged`](crate::WorkStore::staged) finds it, in any process.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.marker.name
    }

    /// Returns `true` if it was published, also if the process that did so died before it could report it.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn is_published(&self) -> Result<bool, StorageError> {
        if self.record.is_published {
            return Ok(true);
        }
        self.output.is_published(&self.record, &self.marker.work_prefix).await
    }

    /// Gives it its name, in place of what has that name, atomically and durably. Does nothing if it was published already.
    ///
    /// # Errors
    /// If what was staged no longer exists, or the output can't be written.
    pub async fn publish(mut self) -> Result<(), StorageError> {
        if self.is_published().await? {
            return Ok(());
        }
        self.record.tag = self.output.publish(&self.record, &self.marker.work_prefix).await?;
        self.record.is_published = true;
        // If the marker can't be written, `is_published` looks at the output itself.
        let _ = self.marker.write(&self.record).await;
        Ok(())
    }

    /// Removes it, whether it was published or not, so that nobody can publish it any more. What others published under its name
    /// since stays.
    ///
    /// # Errors
    /// If it can't be removed.
    pub async fn withdraw(self) -> Result<(), StorageError> {
        self.output.withdraw(&self.record, &self.marker.work_prefix).await
    }
}
