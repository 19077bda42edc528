//! Work objects: the encoded segments of executions, between `transcode` and `merge`.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use crate::{
    backend::{Entry, WorkRoot},
    error::StorageError,
    files::WorkFolder,
    marker::{LONGEST_MARKER, Marker},
    names::{MARKERS, check_names, is_work_prefix},
    package,
    record::StagedRecord,
    staged_output::StagedOutput,
    staged_write::StagedWrite,
    stores::Stores,
};

/// How much of a work object's end is read for its facts, in bytes.
const TAIL: u64 = 4096;

/// All work objects of a folder or a prefix of a bucket: `<work prefix>/<rendition>/<index>`. Each attempt at an execution has its
/// own work prefix, `<execution>-<attempt>`.
#[derive(Debug, Clone)]
pub struct WorkStore {
    root: Arc<dyn WorkRoot>,
    stores: Stores,
}

/// The last bytes of a work object.
#[derive(Debug)]
pub struct WorkObjectTail {
    /// The size of the whole object, in bytes.
    pub size: u64,
    bytes: Vec<u8>,
}

impl WorkObjectTail {
    /// Reads bytes of the object, from this offset.
    ///
    /// # Errors
    /// If they are not among the last bytes.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let start = self.size - self.bytes.len() as u64;
        let from = at.checked_sub(start).and_then(|from| usize::try_from(from).ok());
        let found = from.and_then(|from| self.bytes.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl WorkStore {
    /// Returns the work objects at this URL. No bounds of `stores` apply to them.
    ///
    /// # Errors
    /// If the URL is no location, or its store can't be used.
    pub fn at(url: &str, stores: &Stores) -> Result<Self, StorageError> {
        Ok(Self { root: stores.work_root(url)?, stores: stores.clone() })
    }

    /// Returns the work objects in this folder.
    #[must_use]
    pub fn in_folder(path: PathBuf, stores: &Stores) -> Self {
        Self { root: Arc::new(WorkFolder(path)), stores: stores.clone() }
    }

    fn entry(&self, work_prefix: &str, rendition: &str, index: i32) -> Result<Arc<dyn Entry>, StorageError> {
        let index = index.to_string();
        let names = [work_prefix, rendition, &index];
        check_names(&names)?;
        Ok(self.root.entry(&names))
    }

    /// Begins a work object.
    ///
    /// # Errors
    /// If a name is none that Millrace gives, or the folder can't be made or written.
    pub fn begin_object(
        &self,
        work_prefix: &str,
        rendition: &str,
        index: i32,
    ) -> Result<StagedWrite, StorageError> {
        StagedWrite::of_work_object(self.entry(work_prefix, rendition, index)?.as_ref(), work_prefix)
    }

    /// Returns the last 4096 bytes of a work object, which hold its facts, or `None` if there is no such object.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn tail(
        &self,
        work_prefix: &str,
        rendition: &str,
        index: i32,
    ) -> Result<Option<WorkObjectTail>, StorageError> {
        let found = self.entry(work_prefix, rendition, index)?.read_end(TAIL).await?;
        Ok(found.map(|(size, bytes)| WorkObjectTail { size, bytes }))
    }

    /// Removes a damaged work object, if that is possible.
    pub async fn discard(&self, work_prefix: &str, rendition: &str, index: i32) {
        if let Ok(entry) = self.entry(work_prefix, rendition, index) {
            // If it can't be removed, the next write of it fails, and says why.
            let _ = entry.remove().await;
        }
    }

    /// Writes a work object into a pipe.
    ///
    /// # Errors
    /// If it does not exist, can't be read, or the pipe's reader is gone.
    pub async fn stream(
        &self,
        work_prefix: &str,
        rendition: &str,
        index: i32,
        into: &File,
    ) -> Result<(), StorageError> {
        self.entry(work_prefix, rendition, index)?.copy_to(into).await
    }

    /// Returns a new marker for an output of an attempt.
    #[must_use]
    pub fn marker(&self, work_prefix: &str, attempt: i32) -> Marker {
        // Its name need not be secret: only Millrace writes there.
        let name = format!("{:016x}", fastrand::u64(..));
        Marker { root: self.root.clone(), work_prefix: work_prefix.into(), attempt, name }
    }

    /// Returns the output that was staged with this token, by any process.
    ///
    /// # Errors
    /// If it no longer exists, or is not the output at `url`.
    pub async fn staged(
        &self,
        work_prefix: &str,
        token: &str,
        url: &str,
    ) -> Result<StagedOutput, StorageError> {
        let root = self.root.clone();
        let marker = Marker { root, work_prefix: work_prefix.into(), attempt: 0, name: token.into() };
        let output = self.stores.output(url)?;
        let url = output.recorded_url(url);
        match marker.read().await?.filter(|record| record.url == url && record.is_staged()) {
            Some(record) => Ok(StagedOutput { output, marker, record, stores: self.stores.clone() }),
            None => Err(StorageError::Unstaged { path: millrace_access::display_url(&url) }),
        }
    }

    /// Removes all work objects of a work prefix, and its staged outputs; returns `true` if there were any.
    ///
    /// # Errors
    /// If some can't be removed.
    pub async fn remove(&self, work_prefix: &str) -> Result<bool, StorageError> {
        if !is_work_prefix(work_prefix) {
            return Ok(false);
        }
        let had_staged = self.remove_staged(work_prefix, i32::MAX).await?;
        Ok(self.root.remove_prefix(work_prefix).await? || had_staged)
    }

    /// Removes the staged outputs of a work prefix that this attempt or an earlier one began and did not publish. A later attempt may
    /// be at work already.
    ///
    /// # Errors
    /// If some can't be removed.
    pub async fn remove_staged(&self, work_prefix: &str, attempt: i32) -> Result<bool, StorageError> {
        if !is_work_prefix(work_prefix) {
            return Ok(false);
        }
        let markers = self.root.read_all(work_prefix, MARKERS, LONGEST_MARKER).await?;
        let records = markers.iter().filter_map(|json| serde_json::from_slice::<StagedRecord>(json).ok());
        let mut any = false;
        for record in records.filter(|record| !record.is_published && record.attempt <= attempt) {
            // Others may be able to write markers: nothing is removed that could not be written as an output.
            match self.stores.output(&record.url) {
                Ok(output) => {
                    any |= output.remove_staged(&record).await?;
                    package::remove_staged(&self.stores, &output, &record, work_prefix).await?;
                }
                Err(error) => {
                    tracing::warn!(url = record.url, %error, "a staged output is not removed");
                }
            }
        }
        Ok(any)
    }

    /// Returns the work prefixes, and when each last changed, in milliseconds since 1970.
    ///
    /// # Errors
    /// If the folder can't be read, or the prefix not listed.
    pub async fn list_prefixes(&self) -> Result<Vec<(String, i64)>, StorageError> {
        self.root.prefixes().await
    }

    /// Checks that work objects can be listed, which every process needs.
    ///
    /// # Errors
    /// If they can't be listed.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.root.check().await
    }
}
