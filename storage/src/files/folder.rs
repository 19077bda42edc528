//! Folders by their descriptors, and files beneath a root without following a link.
//!
//! Between two system calls on a path, anybody who may write there can replace a part of it by a link, a FIFO or another folder. So
//! a path below a root is resolved only once: its folder is opened, and every later call uses the folder's descriptor.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use millrace_access::{Location, Refusal};
use rustix::{
    fs::{self as sys, AtFlags, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::error::StorageError;

/// Opens a folder without permission to list it.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Opens a file; a FIFO does not block that, and a terminal does not become this process's.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
const READ_WRITE: OFlags = OFlags::RDWR.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
/// How often opening is tried while a part of the path is being renamed.
const TRIES: u32 = 16;

/// Opens a path beneath a folder. Follows no link, and reaches nothing above the folder.
fn open_beneath(folder: &OwnedFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        tries += 1;
        match sys::openat2(folder, path, flags, mode, resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if tries < TRIES => {}
            opened => return Ok(opened?),
        }
    }
}

/// The path of a file, which need not exist.
#[derive(Debug, Clone)]
pub(crate) struct FilePath {
    /// The whole path, as messages name it.
    path: PathBuf,
    /// The root beneath which no link is followed; `None` if the path may lead anywhere.
    root: Option<PathBuf>,
    /// The components below the root.
    parts: Vec<OsString>,
    /// Folders in which nothing may be created.
    reserved: Arc<[PathBuf]>,
}

impl FilePath {
    /// Returns a path that may lead anywhere, also through links.
    pub(crate) fn anywhere(path: PathBuf) -> Self {
        Self { path, root: None, parts: Vec::new(), reserved: Arc::default() }
    }

    /// Returns the path of these components below a root. None of them may be `.` or `..`, or contain a slash.
    pub(crate) fn beneath(root: PathBuf, parts: Vec<OsString>) -> Self {
        debug_assert!(
            parts.iter().all(|part| !part.as_bytes().contains(&b'/') && part != ".." && part != ".")
        );
        let path = parts.iter().fold(root.clone(), |path, part| path.join(part));
        Self { path, root: Some(root), parts, reserved: Arc::default() }
    }

    /// Forbids to create anything in these folders, by whatever path they are reached.
    pub(crate) fn reserving(mut self, reserved: Arc<[PathBuf]>) -> Self {
        self.reserved = reserved;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the last component.
    pub(crate) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Returns the path of the folder that it is in, unless that is the root or above.
    pub(crate) fn parent(&self) -> Option<Self> {
        let path = self.path.parent()?.to_owned();
        let above = self.parts.split_last().map_or(&[][..], |(_, above)| above);
        if (self.root.is_some() && above.is_empty()) || path.file_name().is_none() {
            return None;
        }
        Some(Self { path, parts: above.to_vec(), ..self.clone() })
    }

    /// Translates an error of the operating system.
    pub(crate) fn failed<'a>(&'a self, doing: &'static str) -> impl Fn(io::Error) -> StorageError + 'a {
        move |error| {
            let path = self.path.display().to_string();
            match (error.raw_os_error().map(Errno::from_raw_os_error), &self.root) {
                (Some(Errno::LOOP | Errno::XDEV), Some(root)) => {
                    StorageError::Link { path, root: root.display().to_string() }
                }
                (Some(Errno::NOSYS), _) => StorageError::OldKernel { path },
                // A socket.
                (Some(Errno::NXIO), _) => StorageError::NotAFile { path },
                _ => StorageError::io(doing, &self.path)(error),
            }
        }
    }

    fn open(&self, flags: OFlags) -> io::Result<File> {
        let Some(root) = &self.root else {
            return Ok(sys::open(&self.path, flags, Mode::empty())?.into());
        };
        if self.parts.is_empty() {
            return Err(Errno::ISDIR.into());
        }
        let root = sys::open(root, FOLDER, Mode::empty())?;
        let below: PathBuf = self.parts.iter().collect();
        Ok(open_beneath(&root, &below, flags, Mode::empty())?.into())
    }

    /// Opens the file for reading. Anything but a regular file is refused, and does not block.
    pub(crate) fn read(&self) -> Result<(File, Metadata), StorageError> {
        let file = self.open(READ).map_err(self.failed("opening"))?;
        let metadata = file.metadata().map_err(self.failed("opening"))?;
        self.regular(metadata).map(|metadata| (file, metadata))
    }

    /// Returns the file's metadata. The file need not be readable.
    pub(crate) fn look(&self) -> Result<Metadata, StorageError> {
        let found = self.open(OFlags::PATH | OFlags::CLOEXEC).and_then(|file| file.metadata());
        self.regular(found.map_err(self.failed("opening"))?)
    }

    fn regular(&self, metadata: Metadata) -> Result<Metadata, StorageError> {
        if metadata.is_file() {
            Ok(metadata)
        } else {
            Err(StorageError::NotAFile { path: self.path.display().to_string() })
        }
    }

    /// Returns the metadata of whatever has this name, also of a link itself, or `None` if nothing has it.
    pub(crate) fn find(&self) -> Result<Option<Metadata>, StorageError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.open(flags).and_then(|file| file.metadata()) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed("looking at")(error)),
        }
    }

    /// Opens the folder that the file is in. If `make` is true, missing folders are created.
    pub(crate) fn folder(&self, make: bool) -> Result<Folder, StorageError> {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let doing = if make { "making the folder" } else { "opening the folder" };
        let io = |path: &Path, error: io::Error| match (&self.root, error.raw_os_error()) {
            // ENOTDIR and ELOOP: the kernel reports a link instead of a folder as either.
            (Some(root), Some(20 | 40)) if path.is_symlink() => {
                StorageError::Link { path: path.display().to_string(), root: root.display().to_string() }
            }
            (_, Some(38)) => self.failed(doing)(error),
            _ => StorageError::io(doing, path)(error),
        };
        let Some(root) = &self.root else {
            if make {
                self.allowed(&nearest(parent))?;
                fs::create_dir_all(parent).map_err(|error| io(parent, error))?;
            }
            return Folder::open(parent).map_err(|error| io(parent, error));
        };
        if make {
            self.allowed(&nearest(root))?;
            fs::create_dir_all(root).map_err(|error| io(root, error))?;
        }
        let mut folder = Folder::open(root).map_err(|error| io(root, error))?;
        let above = self.parts.split_last().map_or(&[][..], |(_, above)| above);
        let mut at = root.clone();
        for part in above {
            at.push(part);
            if make {
                self.allowed_in(&folder)?;
                folder.make(part).map_err(|error| io(&at, error))?;
            }
            folder = folder.sub(part).map_err(|error| io(&at, error))?;
        }
        if make {
            self.allowed_in(&folder)?;
        }
        Ok(folder)
    }

    /// Removes the file's folders that are empty, up to the root.
    pub(crate) fn remove_empty_folders(&self) {
        let Some(root) = &self.root else { return };
        for depth in (1..self.parts.len()).rev() {
            let above = Self::beneath(root.clone(), self.parts[..depth].to_vec());
            if above.folder(false).is_ok_and(|folder| folder.remove_folder(above.name()).is_err()) {
                return;
            }
        }
    }

    /// Refuses a reserved folder, by the real path of its descriptor.
    fn allowed_in(&self, folder: &Folder) -> Result<(), StorageError> {
        if self.reserved.is_empty() {
            return Ok(());
        }
        let real = fs::read_link(format!("/proc/self/fd/{}", folder.fd.as_raw_fd()));
        self.allowed(&real.unwrap_or_else(|_| self.path.clone()))
    }

    fn allowed(&self, real: &Path) -> Result<(), StorageError> {
        for reserved in self.reserved.iter() {
            if fs::canonicalize(reserved).is_ok_and(|reserved| real.starts_with(reserved)) {
                let (location, reserved) = (Location::of_path(&self.path)?, Location::of_path(reserved)?);
                return Err(Refusal::Reserved { location, reserved }.into());
            }
        }
        Ok(())
    }
}

/// Returns the real path of the nearest ancestor that exists.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find_map(|path| fs::canonicalize(path).ok()).unwrap_or_else(|| path.to_owned())
}

/// Returns `true` if an error means that nothing has the name, or that a part of the path is no folder.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// An open folder. It stays the same one when it is renamed or its path is replaced.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    fd: Arc<OwnedFd>,
}

impl Folder {
    /// Opens a folder by its path, through links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { fd: Arc::new(sys::open(path, FOLDER, Mode::empty())?) })
    }

    /// Opens a folder in this one. A link is refused.
    pub(crate) fn sub(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let fd = open_beneath(&self.fd, Path::new(name.as_ref()), FOLDER, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Creates a folder in this one, unless something has its name.
    fn make(&self, name: &OsStr) -> io::Result<()> {
        match sys::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Err(error) if error != Errno::EXIST => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Creates a file whose name nothing has, not even a dangling link.
    pub(crate) fn create_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(sys::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    /// Creates a file, or truncates the existing one.
    pub(crate) fn overwrite(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(sys::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666))?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.set_len(0)?;
        Ok(file)
    }

    /// Opens a regular file of this folder for reading.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<File> {
        self.regular(name, READ)
    }

    /// Opens a regular file of this folder for reading and writing.
    pub(crate) fn write(&self, name: &OsStr) -> io::Result<File> {
        self.regular(name, READ_WRITE)
    }

    fn regular(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let file = File::from(open_beneath(&self.fd, Path::new(name), flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Returns the status of what has this name, also of a link itself.
    pub(crate) fn find(&self, name: impl AsRef<OsStr>) -> io::Result<sys::Stat> {
        Ok(sys::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Returns `true` if this name is still the open file's.
    pub(crate) fn holds(&self, name: &str, file: &File) -> io::Result<bool> {
        let (found, file) = (self.find(name)?, file.metadata()?);
        Ok((found.st_dev, found.st_ino) == (file.dev(), file.ino()))
    }

    /// Returns `true` if both are the same folder.
    pub(crate) fn is(&self, other: &Self) -> io::Result<bool> {
        let (one, other) = (sys::fstat(&self.fd)?, sys::fstat(&other.fd)?);
        Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
    }

    /// Renames a file of this folder, in place of what has the new name.
    pub(crate) fn rename(&self, from: &str, to: &OsStr) -> io::Result<()> {
        Ok(sys::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Gives a file of this folder a second name, which nothing may have yet.
    pub(crate) fn link(&self, from: &str, to: &OsStr) -> io::Result<()> {
        Ok(sys::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?)
    }

    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(sys::unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Removes a folder of this one, if it is empty.
    pub(crate) fn remove_folder(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(sys::unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR)?)
    }

    /// Returns the names in this folder.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = sys::openat(&self.fd, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in sys::Dir::new(open)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Makes everything on this folder's file system durable.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(sys::syncfs(sys::openat(&self.fd, ".", flags, Mode::empty())?)?)
    }

    /// Makes the names in this folder durable, if the file system can.
    pub(crate) fn sync(&self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(open) = sys::openat(&self.fd, ".", flags, Mode::empty()) {
            let _ = sys::fsync(open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_openat2_has_a_message_of_its_own() {
        let path = FilePath::beneath("/in".into(), vec!["a.mov".into()]);
        let said = path.failed("opening")(Errno::NOSYS.into());
        assert!(
            matches!(said, StorageError::OldKernel { .. }) && said.to_string().contains("openat2"),
            "{said}"
        );
    }
}
