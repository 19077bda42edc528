//! Where bytes lie: sources, work objects and outputs, by URL. Today local files; what a bucket does differently comes
//! with the buckets.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::UNIX_EPOCH,
};

use millrace_schemas::SourceRef;
use url::Url;

/// Why bytes could not be had or put.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The URL is of a kind that is not served.
    #[error("'{url}' is no file URL; other stores come with a later version")]
    Scheme {
        /// The URL.
        url: String,
    },
    /// The source is a folder, a socket, …
    #[error("{path} is not a file")]
    NotAFile {
        /// Where.
        path: String,
    },
    /// The source has no bytes.
    #[error("{path} is empty")]
    Empty {
        /// Where.
        path: String,
    },
    /// The source is another than the one that was accepted.
    #[error("{path} changed while it was being processed; run it again when it is complete")]
    Changed {
        /// Where.
        path: String,
    },
    /// Something is at an output's place, and it came from elsewhere.
    #[error(
        "{path} is there already and did not come from this source; choose another folder, or replace it with --overwrite"
    )]
    Occupied {
        /// Where.
        path: String,
    },
    /// The system said no.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StorageError {
    fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.display().to_string(), source }
    }

    /// Whether it may work later, without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        // What a mounted NAS says while it is away, and what passes when other work ends.
        matches!(source.raw_os_error(), Some(4 | 11 | 23 | 24 | 110 | 116))
    }
}

/// The file URL of a path, made absolute.
///
/// # Errors
/// Where the current folder is gone.
pub fn url_of(path: &Path) -> Result<String, StorageError> {
    let absolute = std::path::absolute(path).map_err(StorageError::io("finding", path))?;
    let normal = lexically_normal(&absolute);
    Url::from_file_path(&normal)
        .map(String::from)
        .map_err(|()| StorageError::Scheme { url: path.display().to_string() })
}

/// Takes `.` and `..` out of a path without asking the disk.
fn lexically_normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// The path of a file URL.
///
/// # Errors
/// Where it is of another kind.
pub fn path_of(url: &str) -> Result<PathBuf, StorageError> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "file");
    parsed
        .and_then(|parsed| parsed.to_file_path().ok())
        .ok_or_else(|| StorageError::Scheme { url: url.into() })
}

/// What is known of a file, as a source's version.
fn version(metadata: &fs::Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), modified.unwrap_or_default().as_nanos())
}

/// The source at this URL, as it is now.
///
/// # Errors
/// Where it is not there, is no file, or is empty.
pub fn pin(url: &str) -> Result<SourceRef, StorageError> {
    let path = path_of(url)?;
    let metadata = fs::metadata(&path).map_err(StorageError::io("opening", &path))?;
    let named = path.display().to_string();
    if !metadata.is_file() {
        return Err(StorageError::NotAFile { path: named });
    }
    if metadata.len() == 0 {
        return Err(StorageError::Empty { path: named });
    }
    Ok(SourceRef { url: url.into(), version: version(&metadata), bytes: metadata.len().cast_signed() })
}

/// Opens a source, which must be the one that was accepted.
///
/// # Errors
/// Where it is gone or changed.
pub fn open(source: &SourceRef) -> Result<File, StorageError> {
    let path = path_of(&source.url)?;
    let file = File::open(&path).map_err(StorageError::io("opening", &path))?;
    let metadata = file.metadata().map_err(StorageError::io("opening", &path))?;
    same(source, &metadata, &path)?;
    Ok(file)
}

/// Holds a source to be the one that was accepted still.
///
/// # Errors
/// Where it is gone or changed.
pub fn unchanged(source: &SourceRef) -> Result<(), StorageError> {
    let path = path_of(&source.url)?;
    let metadata = fs::metadata(&path).map_err(StorageError::io("reading", &path))?;
    same(source, &metadata, &path)
}

fn same(source: &SourceRef, metadata: &fs::Metadata, path: &Path) -> Result<(), StorageError> {
    if version(metadata) == source.version {
        return Ok(());
    }
    Err(StorageError::Changed { path: path.display().to_string() })
}

/// Tells apart the temporary files of one process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file that is being written, and is gone again if it is not published.
#[derive(Debug)]
pub struct Draft {
    file: File,
    at: PathBuf,
    published: bool,
}

impl Draft {
    fn create(at: PathBuf) -> Result<Self, StorageError> {
        let folder = at.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(StorageError::io("making the folder", folder))?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&at);
        Ok(Self { file: file.map_err(StorageError::io("writing", &at))?, at, published: false })
    }

    /// A copy of its descriptor.
    ///
    /// # Errors
    /// Where the process has no descriptors left.
    pub fn descriptor(&self) -> Result<File, StorageError> {
        self.file.try_clone().map_err(StorageError::io("writing", &self.at))
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// Where the system can't tell.
    pub fn size(&self) -> Result<u64, StorageError> {
        Ok(self.file.metadata().map_err(StorageError::io("writing", &self.at))?.len())
    }

    /// Makes it appear under its name at once and whole, and durable; `false` where something is there already and
    /// stays.
    ///
    /// # Errors
    /// Where the disk is full, or the folder can't be written.
    pub fn publish_new(self, path: &Path) -> Result<bool, StorageError> {
        self.file.sync_data().map_err(StorageError::io("writing", path))?;
        let fresh = match fs::hard_link(&self.at, path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            // A file system without links: look, then rename. Only two writers in the same instant could tell.
            Err(_) if !path.exists() => return self.publish_over(path).map(|()| true),
            Err(_) => false,
        };
        sync_folder(path);
        Ok(fresh)
    }

    /// Makes it appear under its name, in place of what is there, at once and whole, and durable.
    ///
    /// # Errors
    /// Where the disk is full, or the folder can't be written.
    pub fn publish_over(mut self, path: &Path) -> Result<(), StorageError> {
        self.file.sync_data().map_err(StorageError::io("writing", path))?;
        fs::rename(&self.at, path).map_err(StorageError::io("publishing", path))?;
        self.published = true;
        sync_folder(path);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // What can't be removed now is swept later.
            let _ = fs::remove_file(&self.at);
        }
    }
}

/// A name is durable once its folder is; a file system that can't do that has nothing to say.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

/// Begins an output. It appears under its name when it is published, and not before.
///
/// # Errors
/// Where the folder can't be made or written.
pub fn draft_output(url: &str, execution: &str) -> Result<(Draft, PathBuf), StorageError> {
    let path = path_of(url)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // One name for an execution: what a killed process left is written over by the next.
    let at = path.with_file_name(format!(".{name}.{execution}.part"));
    Ok((Draft::create(at)?, path))
}

/// The work folder: `<place>/<rendition>/<index>`; each execution has a place of its own.
#[derive(Debug, Clone)]
pub struct Work {
    root: PathBuf,
}

impl Work {
    /// The work folder at this path.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a work object lies.
    #[must_use]
    pub fn path(&self, place: &str, rendition: &str, index: i32) -> PathBuf {
        self.root.join(place).join(rendition).join(index.to_string())
    }

    /// Opens a work object; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and can't be read.
    pub fn open(&self, place: &str, rendition: &str, index: i32) -> Result<Option<File>, StorageError> {
        let path = self.path(place, rendition, index);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::io("opening", &path)(error)),
        }
    }

    /// Begins a work object.
    ///
    /// # Errors
    /// Where the folder can't be made or written.
    pub fn draft(&self, place: &str, rendition: &str, index: i32) -> Result<(Draft, PathBuf), StorageError> {
        let path = self.path(place, rendition, index);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let at = path.with_file_name(format!(".{index}.{}-{number}", std::process::id()));
        Ok((Draft::create(at)?, path))
    }

    /// Removes all work objects of a place.
    ///
    /// # Errors
    /// Where they are there and can't be removed.
    pub fn remove(&self, place: &str) -> Result<bool, StorageError> {
        let folder = self.root.join(place);
        match fs::remove_dir_all(&folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StorageError::io("removing", &folder)(error)),
        }
    }

    /// The places, and when something was last put there, in milliseconds since 1970.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn works(&self) -> Result<Vec<(String, i64)>, StorageError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StorageError::io("reading", &self.root)(error)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push((name, i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
        }
        Ok(found)
    }
}

/// Whether an output could be written: its folder is made, and a file in it.
///
/// # Errors
/// Where it can't, with the reason.
pub fn writable(url: &str) -> Result<(), StorageError> {
    let path = path_of(url)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    // Dropped at once, and with that gone.
    Draft::create(path.with_file_name(format!(".millrace-{}-{number}", std::process::id()))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(draft: &Draft, text: &str) {
        draft.descriptor().unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_first_put_of_a_work_object_wins() {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::new(folder.path().join("work"));
        for text in ["first", "second"] {
            let (draft, path) = work.draft("e", "v", 3).unwrap();
            write(&draft, text);
            assert_eq!(draft.publish_new(&path).unwrap(), text == "first");
        }
        assert_eq!(fs::read_to_string(work.path("e", "v", 3)).unwrap(), "first");
        assert_eq!(
            fs::read_dir(work.path("e", "v", 3).parent().unwrap()).unwrap().count(),
            1,
            "no drafts are left"
        );
        assert!(work.remove("e").unwrap());
        assert!(!work.remove("e").unwrap());
    }

    #[test]
    fn an_output_that_is_not_published_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let url = url_of(&folder.path().join("a.mp4")).unwrap();
        let (draft, _) = draft_output(&url, "e").unwrap();
        write(&draft, "half");
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_output_replaces_what_is_there_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let url = url_of(&folder.path().join("a.mp4")).unwrap();
        fs::write(folder.path().join("a.mp4"), "old").unwrap();
        let (draft, path) = draft_output(&url, "e").unwrap();
        write(&draft, "new");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        draft.publish_over(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_source_that_changed_is_not_the_one_that_was_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ein Film #1.mov");
        fs::write(&path, "one").unwrap();
        let source = pin(&url_of(&path).unwrap()).unwrap();
        assert!(open(&source).is_ok());
        fs::write(&path, "longer").unwrap();
        assert!(matches!(open(&source), Err(StorageError::Changed { .. })));
        fs::write(&path, "").unwrap();
        assert!(matches!(pin(&source.url), Err(StorageError::Empty { .. })));
    }

    #[test]
    fn paths_are_made_absolute_without_dots() {
        let url = url_of(Path::new("/a/./b/../c d")).unwrap();
        assert_eq!(url, "file:///a/c%20d");
        assert_eq!(path_of(&url).unwrap(), Path::new("/a/c d"));
        assert!(path_of("s3://bucket/key").is_err());
    }
}
