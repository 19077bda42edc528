//! Outputs.

use std::fs::File;

use crate::{
    blocking::blocking,
    error::StorageError,
    marker::Marker,
    package::{FoundPackage, Place},
    staged_write::StagedWrite,
    stores::Stores,
};

impl Stores {
    /// Begins an output of the execution's attempt that the marker is of. It has its name once it is staged and published.
    ///
    /// # Errors
    /// If the URL may not be written, or its folder can't be made or written.
    pub async fn begin_output(&self, url: &str, marker: Marker) -> Result<StagedWrite, StorageError> {
        let (entry, url, stores) = (self.output(url)?, url.to_owned(), self.clone());
        blocking(move || StagedWrite::of_output(entry, url, marker, stores)).await
    }

    /// Returns the size in bytes of what is at a URL, or `None` if nothing is.
    ///
    /// # Errors
    /// If the URL may be neither read nor written, or the store can't be read.
    pub async fn size(&self, url: &str) -> Result<Option<u64>, StorageError> {
        self.output_or_source(url)?.size().await
    }

    /// Returns the size in bytes of all objects of the package whose main manifest is at a URL, or `None` if some are missing, or there
    /// is none.
    ///
    /// # Errors
    /// If the URL may not be written, or the store can't be read.
    pub async fn package_size(&self, url: &str) -> Result<Option<u64>, StorageError> {
        let output = self.output(url)?;
        Place { stores: self, output: &output, url, work_prefix: "" }.size().await
    }

    /// Returns what is there of the package whose main manifest is at a URL; `None` if there is none, or its list is missing.
    ///
    /// # Errors
    /// If the URL may not be written, or the store can't be read.
    pub async fn find_package(&self, url: &str) -> Result<Option<FoundPackage>, StorageError> {
        let output = self.output(url)?;
        Place { stores: self, output: &output, url, work_prefix: "" }.find().await
    }

    /// Writes an object of the package whose main manifest is at a URL into a file, behind what was written before. `name` is relative to
    /// the package's top.
    ///
    /// # Errors
    /// If the URL may not be written, the object can't be read, or the file can't be written.
    pub async fn copy_package_object(&self, url: &str, name: &str, into: &File) -> Result<(), StorageError> {
        let output = self.output(url)?;
        Place { stores: self, output: &output, url, work_prefix: "" }.entry(name)?.copy_to(into).await
    }

    /// Returns the last bytes of what is at a URL, at most `most`, or `None` if nothing is.
    ///
    /// # Errors
    /// If the URL may not be written, or the store can't be read.
    pub async fn end_of_output(&self, url: &str, most: u64) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.output(url)?.read_end(most).await?.map(|(_, bytes)| bytes))
    }

    /// Returns the URLs of all objects below a prefix, in order.
    ///
    /// # Errors
    /// If the URL is a file's, or may not be read, or the prefix can't be listed.
    pub async fn list(&self, url: &str) -> Result<Vec<String>, StorageError> {
        let mut found = self.source(url)?.1.list().await?;
        found.sort();
        Ok(found)
    }

    /// Returns how many multipart uploads to this URL are open; 0 if the store can't list them.
    ///
    /// # Errors
    /// If the URL may not be written, or the store can't be read.
    pub async fn open_uploads(&self, url: &str) -> Result<usize, StorageError> {
        self.output(url)?.open_uploads().await
    }

    /// Checks that an output could be written: on disk its folders are made, and a file in the last one; in an object store the
    /// bucket is looked up.
    ///
    /// # Errors
    /// If it can't be written.
    pub async fn check_writable(&self, url: &str) -> Result<(), StorageError> {
        self.output(url)?.check_writable().await
    }
}
