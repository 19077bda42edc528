//! Sources, at the version that was accepted.

use millrace_access::display_url;
use millrace_schemas::SourceRef;

use crate::{
    backend::{SourceEntry, check_version},
    error::StorageError,
    open_source::OpenSource,
    stores::Stores,
};

impl Stores {
    /// Returns the source at this URL, with its present version and size.
    ///
    /// # Errors
    /// If it may not be read, does not exist, is not a regular file, or is empty.
    pub async fn pin(&self, url: &str) -> Result<SourceRef, StorageError> {
        let (location, entry) = self.source(url)?;
        pin(location.url(), entry.as_ref()).await
    }

    /// Opens a source, which must have the version that was accepted. An object store refuses each read of another version.
    ///
    /// # Errors
    /// If it may not be read, does not exist, or has changed.
    pub async fn open(&self, source: &SourceRef) -> Result<OpenSource, StorageError> {
        self.source(&source.url)?.1.open(source).await
    }

    /// Opens an existing output, and returns it with its version and size. It may be read wherever outputs may be written.
    ///
    /// # Errors
    /// If it does not exist, is not a regular file, or is empty.
    pub async fn open_output(&self, url: &str) -> Result<(SourceRef, OpenSource), StorageError> {
        let entry = self.output(url)?;
        let found = pin(url.to_owned(), entry.as_ref()).await?;
        let opened = entry.open(&found).await?;
        Ok((found, opened))
    }

    /// Checks that a source still has the version that was accepted.
    ///
    /// # Errors
    /// If it may not be read, does not exist, or has changed.
    pub async fn check_unchanged(&self, source: &SourceRef) -> Result<(), StorageError> {
        let (version, _) = self.source(&source.url)?.1.version().await?;
        check_version(&source.version, &version, || display_url(&source.url))
    }
}

async fn pin(url: String, entry: &dyn SourceEntry) -> Result<SourceRef, StorageError> {
    let (version, bytes) = entry.version().await?;
    if bytes == 0 {
        return Err(StorageError::Empty { path: entry.display() });
    }
    Ok(SourceRef { url, version, bytes: bytes.cast_signed() })
}
