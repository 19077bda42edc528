//! The backend for files on disk: of this machine, or of a mounted NAS.

pub(crate) mod folder;
pub(crate) mod hidden;
mod tree;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use async_trait::async_trait;
use millrace_schemas::SourceRef;

use crate::{
    backend::{Entry, EntryWrite, SourceEntry, WorkRoot, check_version},
    blocking::blocking,
    error::StorageError,
    files::{
        folder::{FilePath, Folder, is_absent},
        hidden::Hidden,
    },
    names::{is_work_object, is_work_prefix},
    open_source::OpenSource,
    record::{FileId, StagedRecord},
};

#[async_trait]
impl SourceEntry for FilePath {
    fn display(&self) -> String {
        self.path().display().to_string()
    }

    async fn version(&self) -> Result<(String, u64), StorageError> {
        let path = self.clone();
        let metadata = blocking(move || path.look()).await?;
        Ok((file_version(&metadata), metadata.len()))
    }

    async fn open(&self, source: &SourceRef) -> Result<OpenSource, StorageError> {
        let (path, accepted) = (self.clone(), source.version.clone());
        let open = move || {
            let (file, metadata) = path.read()?;
            check_version(&accepted, &file_version(&metadata), || path.display())?;
            Ok(OpenSource::File(file))
        };
        blocking(open).await
    }

    async fn size(&self) -> Result<Option<u64>, StorageError> {
        let path = self.clone();
        blocking(move || Ok(path.find()?.map(|metadata| metadata.len()))).await
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        Err(StorageError::Url {
            url: self.display(),
            reason: "an object URL is wanted here, such as s3://bucket/prefix/".into(),
        })
    }
}

#[async_trait]
impl Entry for FilePath {
    fn recorded_url(&self, requested: &str) -> String {
        requested.to_owned()
    }

    async fn open_uploads(&self) -> Result<usize, StorageError> {
        Ok(0)
    }

    async fn check_writable(&self) -> Result<(), StorageError> {
        let path = self.clone();
        let probe = move || {
            let hidden = hidden::create_locked(&path)?;
            // A name can be looked up only once its folder exists.
            let fits = check_name_length(&path, &hidden);
            hidden.remove();
            fits
        };
        blocking(probe).await
    }

    fn create_output(&self, _: &str) -> Result<Box<dyn EntryWrite>, StorageError> {
        hidden::remove_abandoned(self);
        Ok(Box::new(HiddenWrite::new(hidden::create_locked(self)?, self, false)))
    }

    fn create_work_object(&self, _: &str) -> Result<Box<dyn EntryWrite>, StorageError> {
        Ok(Box::new(HiddenWrite::new(hidden::create(self)?, self, true)))
    }

    async fn is_published(&self, record: &StagedRecord, _: &str) -> Result<bool, StorageError> {
        let (path, file) = (self.clone(), record.file);
        blocking(move || is_file(&path, file)).await
    }

    async fn publish(&self, record: &StagedRecord, _: &str) -> Result<Option<String>, StorageError> {
        let (path, hidden, file) = (self.clone(), record.id.clone().unwrap_or_default(), record.file);
        blocking(move || publish(&path, &hidden, file)).await?;
        Ok(None)
    }

    async fn withdraw(&self, record: &StagedRecord, _: &str) -> Result<(), StorageError> {
        let (path, hidden, file) = (self.clone(), record.id.clone().unwrap_or_default(), record.file);
        blocking(move || withdraw(&path, &hidden, file)).await
    }

    async fn remove_staged(&self, record: &StagedRecord) -> Result<bool, StorageError> {
        let name = record.id.clone().filter(|name| hidden::is_staged_for(name, self));
        let Some(name) = name else { return Ok(false) };
        let path = self.clone();
        // If it can't be removed, it was published or removed meanwhile.
        let removed = blocking(move || Ok(path.folder(false)?.remove(&name).is_ok()));
        Ok(removed.await.unwrap_or(false))
    }

    /// Does not leave the thread: that would cost more than reading the end of a file.
    async fn read_end(&self, most: u64) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        let (mut file, metadata) = match self.read() {
            Ok(found) => found,
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let start = metadata.len().saturating_sub(most);
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(most).read_to_end(&mut bytes));
        read.map_err(self.failed("reading"))?;
        // A marker may be overwritten meanwhile.
        Ok(Some((start + bytes.len() as u64, bytes)))
    }

    async fn copy_to(&self, pipe: &File) -> Result<(), StorageError> {
        let path = self.clone();
        let mut pipe = pipe.try_clone().map_err(path.failed("streaming"))?;
        blocking(move || {
            let (file, _) = path.read()?;
            io::copy(&mut &file, &mut pipe).map(drop).map_err(path.failed("streaming"))
        })
        .await
    }

    async fn put_range(&self, file: &Arc<File>, range: Range<u64>, _: &str) -> Result<(), StorageError> {
        let (path, file) = (self.clone(), file.clone());
        blocking(move || tree::put_range(&path, &file, range)).await
    }

    async fn settle(&self) -> Result<(), StorageError> {
        let path = self.clone();
        blocking(move || path.folder(false)?.sync_all().map_err(path.failed("writing"))).await
    }

    async fn replace(&self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let path = self.clone();
        blocking(move || hidden::create(&path)?.replace(&path, &bytes)).await
    }

    async fn remove_tree(&self) -> Result<(), StorageError> {
        let path = self.clone();
        blocking(move || tree::remove(&path)).await
    }

    async fn sizes_below(&self) -> Result<HashMap<String, u64>, StorageError> {
        let path = self.clone();
        blocking(move || tree::sizes(&path)).await
    }

    async fn folders_beside(&self) -> Result<Vec<String>, StorageError> {
        let path = self.clone();
        blocking(move || tree::packages_beside(&path)).await
    }

    async fn remove_empty_folder(&self) {
        let Some(parent) = self.parent() else { return };
        let removed = move || Ok(parent.folder(false)?.remove_folder(parent.name()).is_ok());
        // If it holds anything, it stays.
        let _ = blocking(removed).await;
    }

    async fn overwrite(&self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let path = self.clone();
        blocking(move || {
            let mut file = path.folder(true)?.overwrite(path.name()).map_err(path.failed("writing"))?;
            file.write_all(&bytes).map_err(path.failed("writing"))
        })
        .await
    }

    async fn remove(&self) -> Result<(), StorageError> {
        self.folder(false)?.remove(self.name()).map_err(self.failed("removing"))
    }
}

/// Returns the version of a file: its size and the time of its last change.
fn file_version(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), modified.unwrap_or_default().as_nanos())
}

/// Asks the file system whether it takes a file of this name. The hidden file has another name, which is shorter.
fn check_name_length(path: &FilePath, hidden: &Hidden) -> Result<(), StorageError> {
    match hidden.folder.find(path.name()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            Err(StorageError::LongName { path: path.display() })
        }
        // Creating the hidden file has found every other error.
        _ => Ok(()),
    }
}

/// Returns `true` if the file that has this name is the one that was staged.
fn is_file(path: &FilePath, staged: Option<FileId>) -> Result<bool, StorageError> {
    Ok(path.find()?.zip(staged).is_some_and(|(found, staged)| staged.is_of(&FileId::of(&found))))
}

/// Renames the hidden file, if it is the one that was staged.
fn publish(path: &FilePath, hidden: &str, staged: Option<FileId>) -> Result<(), StorageError> {
    let unstaged = || StorageError::Unstaged { path: path.display() };
    let folder = path.folder(false)?;
    // The name comes from a file that others may be able to write.
    if !hidden::is_staged_for(hidden, path) {
        return Err(unstaged());
    }
    let found = folder.read(hidden.as_ref()).and_then(|found| found.metadata()).map_err(|_| unstaged())?;
    if !staged.is_some_and(|staged| staged.is_of(&FileId::of(&found))) {
        return Err(StorageError::Displaced { path: path.display() });
    }
    folder.rename(hidden, path.name()).map_err(path.failed("publishing"))?;
    folder.sync();
    // The media process of a process that was killed may have lived, and kept its hidden file locked, until now.
    hidden::remove_abandoned(path);
    Ok(())
}

/// Removes the hidden file first: a process that publishes it now either did so before, or fails.
fn withdraw(path: &FilePath, hidden: &str, staged: Option<FileId>) -> Result<(), StorageError> {
    let folder = match path.folder(false) {
        Ok(folder) => folder,
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(()),
        Err(error) => return Err(error),
    };
    if hidden::is_staged_for(hidden, path) {
        match folder.remove(hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(path.failed("removing")(error));
            }
            _ => {}
        }
    }
    if is_file(path, staged)? {
        folder.remove(path.name()).map_err(path.failed("removing"))?;
        folder.sync();
    }
    Ok(())
}

/// A hidden file beside the name that it will have.
#[derive(Debug)]
struct HiddenWrite {
    hidden: Hidden,
    path: FilePath,
    /// True once the file is to stay when this is dropped.
    is_staged: bool,
    /// True for a work object: its folders are removed too if it is dropped and they are empty.
    owns_folders: bool,
}

impl HiddenWrite {
    fn new(hidden: Hidden, path: &FilePath, owns_folders: bool) -> Self {
        Self { hidden, path: path.clone(), is_staged: false, owns_folders }
    }
}

#[async_trait]
impl EntryWrite for HiddenWrite {
    fn file(&self) -> &Arc<File> {
        &self.hidden.file
    }

    fn display(&self) -> String {
        self.path.display()
    }

    async fn publish_new(self: Box<Self>) -> Result<bool, StorageError> {
        // The hidden name is removed when `self` is dropped, on that thread.
        blocking(move || {
            self.hidden.file.sync_data().map_err(StorageError::io("writing", self.path.path()))?;
            let is_new = self.hidden.publish_new(&self.path)?;
            self.hidden.folder.sync();
            Ok(is_new)
        })
        .await
    }

    async fn publish_over(self: Box<Self>) -> Result<(), StorageError> {
        blocking(move || {
            self.hidden.file.sync_data().map_err(StorageError::io("writing", self.path.path()))?;
            self.hidden.publish_over(&self.path)?;
            self.hidden.folder.sync();
            Ok(())
        })
        .await
    }

    async fn stage(
        mut self: Box<Self>,
        record: StagedRecord,
        marker: Arc<dyn Entry>,
    ) -> Result<StagedRecord, StorageError> {
        let (file, display) = (self.hidden.file.clone(), self.display());
        let metadata = blocking(move || {
            let synced = file.sync_data().and_then(|()| file.metadata());
            synced.map_err(|source| StorageError::Io { doing: "writing", path: display, source })
        });
        let file = Some(FileId::of(&metadata.await?));
        let record = StagedRecord { id: Some(self.hidden.staged_name()), file, ..record };
        // First: a staged file without a record would stay for good.
        marker.overwrite(record.to_json()).await?;
        blocking(move || {
            self.hidden.stage(&self.path)?;
            self.is_staged = true;
            self.hidden.folder.sync();
            Ok(record)
        })
        .await
    }
}

impl Drop for HiddenWrite {
    fn drop(&mut self) {
        if self.is_staged {
            return;
        }
        self.hidden.remove();
        if self.owns_folders {
            self.path.remove_empty_folders();
        }
    }
}

/// The folder that holds all work objects.
#[derive(Debug)]
pub(crate) struct WorkFolder(pub(crate) PathBuf);

impl WorkFolder {
    fn path(&self, names: &[&str]) -> FilePath {
        FilePath::beneath(self.0.clone(), names.iter().map(Into::into).collect())
    }
}

#[async_trait]
impl WorkRoot for WorkFolder {
    fn entry(&self, names: &[&str]) -> Arc<dyn Entry> {
        Arc::new(self.path(names))
    }

    async fn read_all(
        &self,
        work_prefix: &str,
        folder: &str,
        most: u64,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        let any = self.path(&[work_prefix, folder, "0"]);
        blocking(move || {
            let folder = match any.folder(false) {
                Ok(folder) => folder,
                Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(Vec::new()),
                // Millrace makes no links.
                Err(StorageError::Link { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let names = folder.names().map_err(any.failed("reading"))?;
            Ok(names.iter().filter_map(|name| read_start(&folder, name, most)).collect())
        })
        .await
    }

    async fn remove_prefix(&self, work_prefix: &str) -> Result<bool, StorageError> {
        let (whole, work_prefix) = (self.path(&[work_prefix]), work_prefix.to_owned());
        blocking(move || remove_prefix(&whole, &work_prefix)).await
    }

    async fn prefixes(&self) -> Result<Vec<(String, i64)>, StorageError> {
        let root = self.0.clone();
        blocking(move || prefixes(&root)).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn read_start(folder: &Folder, name: &OsStr, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    folder.read(name).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn prefixes(root: &Path) -> Result<Vec<(String, i64)>, StorageError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StorageError::io("reading", root)(error)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_work_prefix(&name) {
            continue;
        }
        let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        found.push((name, i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    }
    Ok(found)
}

/// Removes the work objects of a work prefix, and its folder if nothing else is in it. Follows no link.
fn remove_prefix(whole: &FilePath, work_prefix: &str) -> Result<bool, StorageError> {
    let opened = whole.folder(false).and_then(|root| {
        let folder = root.sub(work_prefix).map_err(whole.failed("reading"))?;
        Ok((root, folder))
    });
    let (root, folder) = match opened {
        Ok(opened) => opened,
        // Millrace makes no links.
        Err(StorageError::Link { .. }) => return Ok(false),
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut any = false;
    for sub in folder.names().map_err(whole.failed("reading"))? {
        // Millrace makes nothing but folders there.
        let (Ok(within), Some(name)) = (folder.sub(&sub), sub.to_str()) else { continue };
        loop {
            let mut found = false;
            for entry in within.names().map_err(whole.failed("reading"))? {
                if is_work_object(name, &entry.to_string_lossy()) {
                    match within.remove(&entry) {
                        Ok(()) => found = true,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(whole.failed("removing")(error)),
                    }
                }
            }
            any |= found;
            // If it is not empty, it holds foreign files, which stay, or a work object that was finished meanwhile.
            if folder.remove_folder(&sub).is_ok() || !found {
                break;
            }
        }
    }
    any |= root.remove_folder(work_prefix).is_ok();
    Ok(any)
}
