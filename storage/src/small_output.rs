//! Outputs that are made at once, without an execution.

use std::{
    fs::File,
    io::{self, Write as _},
};

use crate::{backend::EntryWrite, blocking::blocking, error::StorageError, stores::Stores};

/// Stands for the work prefix in the metadata of objects that no execution made.
const NO_WORK: &str = "";

impl Stores {
    /// Checks that a small output could be written: the URL may be written, and nothing has it unless `replaces` is true.
    ///
    /// # Errors
    /// If it may not be written, or [`StorageError::Exists`].
    pub async fn check_free(&self, url: &str, replaces: bool) -> Result<(), StorageError> {
        let entry = self.output(url)?;
        match entry.size().await? {
            Some(_) if !replaces => Err(StorageError::Exists { path: entry.display() }),
            _ => Ok(()),
        }
    }

    /// Writes an output that is complete in memory. It appears whole, by one rename or one put, or not at all; in place of what has
    /// the URL if `replaces` is true.
    ///
    /// # Errors
    /// If it can't be written, or [`StorageError::Exists`].
    pub async fn write_output(&self, url: &str, bytes: Vec<u8>, replaces: bool) -> Result<(), StorageError> {
        let output = self.begin_small_output(url).await?;
        let output = blocking(move || {
            output.0.file().as_ref().write_all(&bytes).map_err(|error| output.failed(error))?;
            Ok(output)
        });
        output.await?.publish(replaces).await
    }
}

/// An output that is being written, without an execution. If it is dropped before it is published, nothing of it stays.
#[derive(Debug)]
pub struct SmallOutput(Box<dyn EntryWrite>);

impl Stores {
    /// Begins an output. It has its name once it is published.
    ///
    /// # Errors
    /// If the URL may not be written, or its folder can't be made or written.
    pub async fn begin_small_output(&self, url: &str) -> Result<SmallOutput, StorageError> {
        let entry = self.output(url)?;
        Ok(SmallOutput(blocking(move || entry.create_output(NO_WORK)).await?))
    }
}

impl SmallOutput {
    /// Returns a copy of the descriptor to write to.
    ///
    /// # Errors
    /// If this process has no descriptors left.
    pub fn descriptor(&self) -> Result<File, StorageError> {
        self.0.file().try_clone().map_err(|error| self.failed(error))
    }

    /// Returns how many bytes were written.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn size(&self) -> Result<u64, StorageError> {
        Ok(self.0.file().metadata().map_err(|error| self.failed(error))?.len())
    }

    fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Io { doing: "writing", path: self.0.display(), source }
    }

    /// Publishes it, whole; in place of what has its name if `replaces` is true.
    ///
    /// # Errors
    /// As [`Stores::write_output`].
    pub async fn publish(self, replaces: bool) -> Result<(), StorageError> {
        let path = self.0.display();
        if replaces {
            return self.0.publish_over().await;
        }
        if self.0.publish_new().await? { Ok(()) } else { Err(StorageError::Exists { path }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_of;

    #[tokio::test]
    async fn an_output_appears_whole_and_replaces_another_only_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.jpg");
        let url = url_of(&path).unwrap();
        let stores = Stores::default();
        stores.check_free(&url, false).await.unwrap();
        stores.write_output(&url, b"one".to_vec(), false).await.unwrap();
        let exists = stores.write_output(&url, b"two".to_vec(), false).await.unwrap_err();
        assert!(matches!(exists, StorageError::Exists { .. }), "{exists}");
        assert!(matches!(stores.check_free(&url, false).await, Err(StorageError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        stores.write_output(&url, b"two".to_vec(), true).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing beside it");
    }

    #[tokio::test]
    async fn an_object_appears_whole_and_replaces_another_only_if_asked() {
        let stores = Stores::default().with_memory();
        let url = "memory://b/a.jpg";
        stores.write_output(url, b"one".to_vec(), false).await.unwrap();
        assert!(stores.write_output(url, b"two".to_vec(), false).await.is_err());
        stores.write_output(url, b"three".to_vec(), true).await.unwrap();
        assert_eq!(stores.size(url).await.unwrap(), Some(5));
    }
}
