//! StagedOutput outputs: complete, proven and not visible yet. On disk that is a hidden file beside the output's name; in an object
//! store it is a multipart upload whose parts are all there. The marker says which, so that any process can publish it.

use std::sync::Arc;

use millrace_topology::packages::{PublicationStep, RemovalStep, publication, removal};

use crate::{
    backend::Entry, error::StorageError, marker::Marker, package::Place, record::StagedRecord, stores::Stores,
};

/// A staged output.
#[derive(Debug)]
pub struct StagedOutput {
    pub(crate) output: Arc<dyn Entry>,
    pub(crate) marker: Marker,
    pub(crate) record: StagedRecord,
    pub(crate) stores: Stores,
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
        match &self.record.package {
            Some(package) => self.place().is_shown(package).await,
            None => self.output.is_published(&self.record, &self.marker.work_prefix).await,
        }
    }

    /// Gives it its name, in place of what has that name, atomically and durably. Does nothing if it was published already.
    ///
    /// # Errors
    /// If what was staged no longer exists, or the output can't be written.
    pub async fn publish(mut self) -> Result<(), StorageError> {
        if self.is_published().await? {
            self.remove_replaced().await;
            return Ok(());
        }
        let Some(package) = self.record.package.clone() else { return self.show().await };
        for step in publication() {
            match step {
                PublicationStep::ShowManifests => self.place().show_manifests(&package).await?,
                PublicationStep::ShowMain => self.show().await?,
                PublicationStep::RemoveReplaced => self.remove_replaced().await,
            }
        }
        Ok(())
    }

    /// Gives what was staged its name: the output, or the main manifest of a package.
    async fn show(&mut self) -> Result<(), StorageError> {
        self.record.tag = self.output.publish(&self.record, &self.marker.work_prefix).await?;
        self.record.is_published = true;
        // If the marker can't be written, `is_published` looks at the output itself.
        let _ = self.marker.write(&self.record).await;
        Ok(())
    }

    /// Removes the objects of the package that it replaced.
    async fn remove_replaced(&self) {
        let Some(package) = &self.record.package else { return };
        if let Err(error) = self.place().remove_others(package).await {
            tracing::warn!(output = self.output.display(), %error, "objects of a replaced package stay");
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            stores: &self.stores,
            output: &self.output,
            url: &self.record.url,
            work_prefix: &self.marker.work_prefix,
        }
    }

    /// Removes it, whether it was published or not, so that nobody can publish it any more. What others published under its name
    /// since stays.
    ///
    /// # Errors
    /// If it can't be removed.
    pub async fn withdraw(self) -> Result<(), StorageError> {
        let Some(package) = &self.record.package else {
            return self.output.withdraw(&self.record, &self.marker.work_prefix).await;
        };
        for step in removal() {
            match step {
                RemovalStep::HideMain if self.place().is_shown(package).await? => {
                    self.output.withdraw(&self.record, &self.marker.work_prefix).await?;
                }
                RemovalStep::HideMain => {
                    self.output.remove_staged(&self.record).await?;
                }
                RemovalStep::HideManifests => self.place().hide_manifests(package).await?,
                RemovalStep::RemoveObjects => self.place().remove_objects(package).await?,
            }
        }
        Ok(())
    }
}
