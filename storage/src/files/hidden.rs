//! The hidden file that is written first, beside the name under which it is published: `.millrace-<hash>-<random>.part`. A staged
//! output, which waits for the other outputs of its execution, is `.millrace-<hash>-<random>.ready`.
//!
//! The hash is of the final name: so the final name may be as long as the file system allows, and what a killed process left is
//! found when the same file is written again. The random part keeps two processes that write the same file apart, and nobody can
//! predict it and put a link there. The file is created in an open folder, and never opened by its path.

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io::{self, Write as _},
    sync::Arc,
};

use crate::{
    error::StorageError,
    files::folder::{FilePath, Folder},
};

const FIRST: &str = ".millrace-";
const LAST: &str = ".part";
const STAGED: &str = ".ready";
/// The length of the hash and of the random part, in hexadecimal digits.
const HASH: usize = 8;
const RANDOM: usize = 16;
/// How often creating a hidden file is tried, in case its name is taken or its folder is removed meanwhile.
const TRIES: u32 = 5;

/// Returns what the hidden names for this final name begin with.
fn prefix(last: &OsStr) -> String {
    let hash = millrace_schemas::hash_of(&[last.as_encoded_bytes()]);
    format!("{FIRST}{}-", &hash[..HASH])
}

/// Returns sixteen random hexadecimal digits, from the operating system.
pub(crate) fn random() -> Result<String, StorageError> {
    let mut bytes = [0; RANDOM / 2];
    let failed =
        |source: io::Error| StorageError::Io { doing: "reading", path: "random bytes".into(), source };
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Returns a new hidden name for what will be called `last`.
pub(crate) fn name(last: &OsStr) -> Result<String, StorageError> {
    Ok(format!("{}{}{LAST}", prefix(last), random()?))
}

/// Returns `true` if [`name`] could have returned this name.
pub(crate) fn is_hidden(name: &str) -> bool {
    is_ours(name, LAST)
}

/// Returns `true` if it is the name of a staged output of this path.
pub(crate) fn is_staged_for(name: &str, path: &FilePath) -> bool {
    name.starts_with(&prefix(path.name())) && is_ours(name, STAGED)
}

fn is_ours(name: &str, last: &str) -> bool {
    let middle = name.strip_prefix(FIRST).and_then(|rest| rest.strip_suffix(last));
    middle.and_then(|middle| middle.split_once('-')).is_some_and(|(hash, random)| {
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        is_hex(hash, HASH) && is_hex(random, RANDOM)
    })
}

/// A hidden file in an open folder.
#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) file: Arc<File>,
    pub(crate) folder: Folder,
    name: String,
}

impl Hidden {
    /// Checks that the hidden name is still this file's, and that the folder is still the one at the output's path.
    fn check(&self, path: &FilePath) -> Result<(), StorageError> {
        let failed = path.failed("publishing");
        let is_ours = self.folder.holds(&self.name, &self.file).map_err(&failed)?;
        if is_ours && path.folder(false)?.is(&self.folder).map_err(&failed)? {
            return Ok(());
        }
        Err(StorageError::Displaced { path: path.path().display().to_string() })
    }

    /// Returns the name that it has while it is staged.
    pub(crate) fn staged_name(&self) -> String {
        format!("{}{STAGED}", self.name.strip_suffix(LAST).unwrap_or(&self.name))
    }

    /// Renames the file to its staged name, which [`remove_abandoned`] leaves alone.
    ///
    /// # Errors
    /// If the hidden file or the folder was replaced meanwhile, or the file can't be renamed.
    pub(crate) fn stage(&self, path: &FilePath) -> Result<(), StorageError> {
        self.check(path)?;
        let name = self.staged_name();
        self.folder.rename(&self.name, OsStr::new(&name)).map_err(path.failed("writing"))
    }

    /// Gives the file its final name, unless something has it: returns `false` then.
    ///
    /// # Errors
    /// If the hidden file or the folder was replaced meanwhile, or the file can't be linked.
    pub(crate) fn publish_new(&self, path: &FilePath) -> Result<bool, StorageError> {
        self.check(path)?;
        match self.folder.link(&self.name, path.name()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without hard links: look, then rename. Only writers in the same instant could both succeed.
            Err(_)
                if self
                    .folder
                    .find(path.name())
                    .is_err_and(|error| error.kind() == io::ErrorKind::NotFound) =>
            {
                self.folder.rename(&self.name, path.name()).map_err(path.failed("publishing"))?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    /// Writes these bytes, and gives the file its final name, in place of what has it.
    ///
    /// # Errors
    /// If the disk is full, or the file can't be renamed.
    pub(crate) fn replace(self, path: &FilePath, bytes: &[u8]) -> Result<(), StorageError> {
        let written = (&*self.file).write_all(bytes).and_then(|()| self.file.sync_data());
        let renamed = written.map_err(path.failed("writing")).and_then(|()| self.publish_over(path));
        if renamed.is_err() {
            self.remove();
        }
        self.folder.sync();
        renamed
    }

    /// Gives the file its name, in place of what has it.
    ///
    /// # Errors
    /// If the hidden file or the folder was replaced meanwhile, or the file can't be renamed.
    pub(crate) fn publish_over(&self, path: &FilePath) -> Result<(), StorageError> {
        self.check(path)?;
        self.folder.rename(&self.name, path.name()).map_err(path.failed("publishing"))
    }

    /// Removes the hidden name. If that fails, the file is removed when the same output is written again.
    pub(crate) fn remove(&self) {
        let _ = self.folder.remove(&self.name);
    }
}

/// Creates a hidden file for a path, and the folders that it is in.
///
/// # Errors
/// If a folder or the file can't be created.
pub(crate) fn create(path: &FilePath) -> Result<Hidden, StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let folder = path.folder(true);
        // Another process removed a folder while it was empty.
        if tries < TRIES
            && matches!(&folder, Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound)
        {
            continue;
        }
        let (folder, name) = (folder?, name(path.name())?);
        match folder.create_new(&name) {
            Ok(file) => return Ok(Hidden { file: Arc::new(file), folder, name }),
            // The folder was removed, or the name is taken.
            Err(error)
                if tries < TRIES
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(path.failed("writing")(error)),
        }
    }
}

/// Creates a hidden file, and locks it, so that [`remove_abandoned`] leaves it alone in any process.
///
/// The lock (`flock`) belongs to the open file, also in media processes that have a copy of its descriptor. The system releases it
/// when the last of them ends. On a file system without locks nothing is ever removed.
///
/// # Errors
/// If a folder or the file can't be created.
pub(crate) fn create_locked(path: &FilePath) -> Result<Hidden, StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let hidden = create(path)?;
        // Before it was locked, another process may have found it abandoned, and locked or removed it.
        let is_taken = matches!(hidden.file.try_lock(), Err(TryLockError::WouldBlock));
        if tries == TRIES || (!is_taken && hidden.folder.find(&hidden.name).is_ok()) {
            return Ok(hidden);
        }
        hidden.remove();
    }
}

/// Removes the hidden files for a path whose processes were killed.
///
/// A file that can't be opened, locked or removed stays until the next call.
pub(crate) fn remove_abandoned(path: &FilePath) {
    let Ok(folder) = path.folder(false) else { return };
    let prefix = prefix(path.name());
    for name in folder.names().unwrap_or_default() {
        if !name.to_str().is_some_and(|name| name.starts_with(&prefix) && is_hidden(name)) {
            continue;
        }
        // On NFS only a file that is open for writing can be locked.
        let Ok(file) = folder.write(&name) else { continue };
        if file.try_lock().is_ok() {
            // If it was published meanwhile, it has another name, and no other file ever gets this one.
            let _ = folder.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_name_is_short_whatever_it_is_for_and_never_the_same_twice() {
        let long = "n".repeat(255);
        for last in ["", "a.mp4", &long] {
            let (one, other) = (name(OsStr::new(last)).unwrap(), name(OsStr::new(last)).unwrap());
            assert!(one.len() == 40 && is_hidden(&one), "{one}");
            assert!(one != other && one.starts_with(&prefix(OsStr::new(last))), "{one} {other}");
        }
        assert_ne!(prefix(OsStr::new("a.mp4")), prefix(OsStr::new("b.mp4")));
    }

    #[test]
    fn no_name_of_another_program_is_taken_for_a_hidden_one() {
        for other in [
            "",
            ".part",
            ".millrace-.part",
            ".millrace-0123abcd.part",
            ".millrace-0123abcd-0123456789abcdeg.part",
            ".millrace-0123abcd-0123456789abcdef.mp4",
            "millrace-0123abcd-0123456789abcdef.part",
            ".a.mp4.0123456789abcdef-1.part",
        ] {
            assert!(!is_hidden(other), "{other}");
        }
    }
}
