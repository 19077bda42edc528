//! What a backend does. There are three: files on disk ([`files`](crate::files)), object stores ([`objects`](crate::objects)), and
//! web servers ([`web`](crate::web)), which are only read and so are no more than [`SourceEntry`]. A further one is a file that
//! implements these traits, a line in [`Stores`](crate::stores::Stores), and a line in the conformance suite
//! (`storage/tests/stores.rs`).

use std::{collections::HashMap, fmt::Debug, fs::File, ops::Range, sync::Arc};

use async_trait::async_trait;
use millrace_schemas::SourceRef;

use crate::{error::StorageError, open_source::OpenSource, record::StagedRecord};

/// One file or object that can be a source, by its name: whether it exists or not.
#[async_trait]
pub(crate) trait SourceEntry: Debug + Send + Sync {
    /// Returns the path or URL, as messages name it.
    fn display(&self) -> String;

    /// Returns the version of the source, which changes whenever its bytes do, and its size in bytes.
    ///
    /// # Errors
    /// If it does not exist, or is not a regular file.
    async fn version(&self) -> Result<(String, u64), StorageError>;

    /// Opens the source at this version.
    ///
    /// # Errors
    /// If it does not exist, or its version is another.
    async fn open(&self, source: &SourceRef) -> Result<OpenSource, StorageError>;

    /// Returns its size in bytes, or `None` if nothing has this name. A link counts as what it is, not as what it leads to.
    async fn size(&self) -> Result<Option<u64>, StorageError>;

    /// Returns the URLs of all objects below this prefix.
    ///
    /// # Errors
    /// If this is a folder on disk or of a web server, or can't be listed.
    async fn list(&self) -> Result<Vec<String>, StorageError>;
}

/// One file or object that can also be written, by its name: whether it exists or not.
#[async_trait]
pub(crate) trait Entry: SourceEntry {
    /// Returns the URL that the record of a staged output has, which was requested as `requested`.
    fn recorded_url(&self, requested: &str) -> String;

    /// Returns how many multipart uploads to this name are open; 0 if the store can't list them.
    async fn open_uploads(&self) -> Result<usize, StorageError>;

    /// Checks that an output of this name could be written, and makes the folders that it needs.
    async fn check_writable(&self) -> Result<(), StorageError>;

    /// Begins an output, and removes what killed processes left of earlier ones of this name. Blocks.
    ///
    /// `work_prefix` names the execution's attempt, which an object's metadata records.
    fn create_output(&self, work_prefix: &str) -> Result<Box<dyn EntryWrite>, StorageError>;

    /// Begins a work object.
    fn create_work_object(&self, work_prefix: &str) -> Result<Box<dyn EntryWrite>, StorageError>;

    /// Returns `true` if what has this name now is the output that was staged.
    async fn is_published(&self, record: &StagedRecord, work_prefix: &str) -> Result<bool, StorageError>;

    /// Gives a staged output this name, in place of what has it, atomically and durably; returns its ETag, if it has one.
    ///
    /// # Errors
    /// If what was staged no longer exists.
    async fn publish(&self, record: &StagedRecord, work_prefix: &str)
    -> Result<Option<String>, StorageError>;

    /// Removes an output, staged or published, so that nobody can publish it any more. What has this name and is not that output
    /// stays.
    async fn withdraw(&self, record: &StagedRecord, work_prefix: &str) -> Result<(), StorageError>;

    /// Removes what was staged and not published; returns `true` if there may have been something.
    async fn remove_staged(&self, record: &StagedRecord) -> Result<bool, StorageError>;

    /// Returns the size in bytes and the last bytes, at most `most`, or `None` if nothing has this name.
    async fn read_end(&self, most: u64) -> Result<Option<(u64, Vec<u8>)>, StorageError>;

    /// Writes all bytes into a pipe.
    ///
    /// # Errors
    /// If it does not exist, or the pipe's reader is gone.
    async fn copy_to(&self, pipe: &File) -> Result<(), StorageError>;

    /// Writes a range of a file's bytes under this name, in place of what has it. On disk they are durable once what lies beside them
    /// is [settled](Self::settle).
    async fn put_range(
        &self,
        file: &Arc<File>,
        range: Range<u64>,
        work_prefix: &str,
    ) -> Result<(), StorageError>;

    /// Makes durable what was put below the folder of this name.
    async fn settle(&self) -> Result<(), StorageError>;

    /// Writes these bytes, in place of what has this name, atomically and durably.
    async fn replace(&self, bytes: Vec<u8>) -> Result<(), StorageError>;

    /// Removes everything below the folder or prefix of this name, and the folder.
    async fn remove_tree(&self) -> Result<(), StorageError>;

    /// Returns the sizes in bytes of everything below the folder or prefix of this name, by their names relative to it.
    async fn sizes_below(&self) -> Result<HashMap<String, u64>, StorageError>;

    /// Returns the folders of packages beside this name.
    async fn folders_beside(&self) -> Result<Vec<String>, StorageError>;

    /// Removes the folder that this name is in, if it is empty.
    async fn remove_empty_folder(&self);

    /// Writes these bytes, in place of what has this name.
    async fn overwrite(&self, bytes: Vec<u8>) -> Result<(), StorageError>;

    /// Removes it.
    async fn remove(&self) -> Result<(), StorageError>;
}

/// A file or object that is being written. It has its name once it is published, and dropping it removes what was written.
#[async_trait]
pub(crate) trait EntryWrite: Debug + Send + Sync {
    /// Returns the file of this machine that the bytes are written to.
    fn file(&self) -> &Arc<File>;

    /// Returns the path or URL that it will have, as messages name it.
    fn display(&self) -> String;

    /// Publishes it, unless something has its name: returns `false` then.
    async fn publish_new(self: Box<Self>) -> Result<bool, StorageError>;

    /// Publishes it, in place of what has its name.
    async fn publish_over(self: Box<Self>) -> Result<(), StorageError>;

    /// Makes it complete, durable and invisible, so that any process can publish it by the record that is returned.
    ///
    /// The record is written to the marker before there is something to remove, and again when it changes.
    async fn stage(
        self: Box<Self>,
        record: StagedRecord,
        marker: Arc<dyn Entry>,
    ) -> Result<StagedRecord, StorageError>;
}

/// The folder or prefix that holds all work objects.
#[async_trait]
pub(crate) trait WorkRoot: Debug + Send + Sync {
    /// Returns the entry at these components below the root.
    fn entry(&self, names: &[&str]) -> Arc<dyn Entry>;

    /// Returns the content of each file in the folder `<work prefix>/<folder>`, at most `most` bytes of each.
    async fn read_all(
        &self,
        work_prefix: &str,
        folder: &str,
        most: u64,
    ) -> Result<Vec<Vec<u8>>, StorageError>;

    /// Removes all work objects and markers of a work prefix; returns `true` if there were any.
    async fn remove_prefix(&self, work_prefix: &str) -> Result<bool, StorageError>;

    /// Returns the work prefixes, and when each last changed, in milliseconds since 1970.
    async fn prefixes(&self) -> Result<Vec<(String, i64)>, StorageError>;

    /// Checks that work objects can be listed.
    async fn check(&self) -> Result<(), StorageError>;
}

/// Refuses a source whose version is not the accepted one.
pub(crate) fn check_version(
    accepted: &str,
    found: &str,
    display: impl FnOnce() -> String,
) -> Result<(), StorageError> {
    if accepted == found { Ok(()) } else { Err(StorageError::Changed { path: display() }) }
}
