//! The hidden file that a draft is written to, beside the name that it is published under: `.millrace-<hash>-<random>.part`. An
//! output that is whole, and waits for the others of its execution, is `.millrace-<hash>-<random>.ready`.
//!
//! The final name is in it only as a hash: so the final name may be as long as the file system allows, and what a killed process
//! left is found when the same file is written again. The random part keeps two processes that write the same file apart, and
//! nobody can foresee it and put a link there; it is created in a folder that is held open, and never opened by its path.

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io,
    sync::Arc,
};

use crate::{
    StorageError,
    folder::{FilePlace, Folder},
};

const FIRST: &str = ".millrace-";
const LAST: &str = ".part";
const STAGED: &str = ".ready";
/// The length of the hash and of the random part, in hexadecimal digits.
const HASH: usize = 8;
const RANDOM: usize = 16;
/// How often creating a hidden file is tried, in case its name is taken or its folder was just removed.
const TRIES: u32 = 5;

/// What the hidden names for this final name begin with.
fn prefix(last: &OsStr) -> String {
    let hash = millrace_schemas::hash_of(&[last.as_encoded_bytes()]);
    format!("{FIRST}{}-", &hash[..HASH])
}

/// Sixteen hexadecimal digits of the system's randomness.
pub(crate) fn random() -> Result<String, StorageError> {
    let mut bytes = [0; RANDOM / 2];
    let failed =
        |source: io::Error| StorageError::Io { doing: "asking for", path: "random bytes".into(), source };
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

/// A new hidden name for what will be called `last`.
pub(crate) fn name(last: &OsStr) -> Result<String, StorageError> {
    Ok(format!("{}{}{LAST}", prefix(last), random()?))
}

/// Whether a name is one that [`name`] gives.
pub(crate) fn is_hidden(name: &str) -> bool {
    is_ours(name, LAST)
}

/// Whether it is the name of an output that is staged for this place.
pub(crate) fn is_staged_for(name: &str, place: &FilePlace) -> bool {
    name.starts_with(&prefix(place.name())) && is_ours(name, STAGED)
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

/// A hidden file in a folder that is held open.
#[derive(Debug)]
pub(crate) struct Hidden {
    pub(crate) file: Arc<File>,
    pub(crate) folder: Folder,
    name: String,
}

impl Hidden {
    /// Holds what is about to be published to be what was written: the hidden name still that of this file, and the folder still
    /// the one where the file is wanted.
    fn check(&self, place: &FilePlace) -> Result<(), StorageError> {
        let failed = place.failed("publishing");
        let is_ours = self.folder.holds(&self.name, &self.file).map_err(&failed)?;
        if is_ours && place.folder(false)?.is(&self.folder).map_err(&failed)? {
            return Ok(());
        }
        Err(StorageError::Displaced { path: place.path().display().to_string() })
    }

    /// The name that it has while it is staged.
    pub(crate) fn staged_name(&self) -> String {
        format!("{}{STAGED}", self.name.strip_suffix(LAST).unwrap_or(&self.name))
    }

    /// Stages the file: whoever writes the same output, and takes what nobody writes for abandoned, leaves it alone.
    ///
    /// # Errors
    /// If the hidden name or the folder were replaced meanwhile, or the file can't be renamed.
    pub(crate) fn stage(&self, place: &FilePlace) -> Result<(), StorageError> {
        self.check(place)?;
        let name = self.staged_name();
        self.folder.rename(&self.name, OsStr::new(&name)).map_err(place.failed("writing"))
    }

    /// Gives the file its final name; `false` if something has it, which stays.
    ///
    /// # Errors
    /// If the hidden name or the folder were replaced meanwhile, or the file can't be linked.
    pub(crate) fn publish_new(&self, place: &FilePlace) -> Result<bool, StorageError> {
        self.check(place)?;
        match self.folder.link(&self.name, place.name()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without links: look, then rename. Only two writers in the same instant could tell.
            Err(_)
                if self
                    .folder
                    .find(place.name())
                    .is_err_and(|error| error.kind() == io::ErrorKind::NotFound) =>
            {
                self.folder.rename(&self.name, place.name()).map_err(place.failed("publishing"))?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    /// Removes the hidden name; what can't be removed now is swept later.
    pub(crate) fn remove(&self) {
        let _ = self.folder.remove(&self.name);
    }
}

/// Creates a hidden file for a place, and the folders that it is in.
///
/// # Errors
/// If a folder can't be made, or the file can't be created.
pub(crate) fn create(place: &FilePlace) -> Result<Hidden, StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let folder = place.folder(true);
        // Another process removed a folder, which was empty for a moment.
        if tries < TRIES
            && matches!(&folder, Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound)
        {
            continue;
        }
        let (folder, name) = (folder?, name(place.name())?);
        match folder.create_new(&name) {
            Ok(file) => return Ok(Hidden { file: Arc::new(file), folder, name }),
            // The same, or the name is taken.
            Err(error)
                if tries < TRIES
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(place.failed("writing")(error)),
        }
    }
}

/// Creates a hidden file as [`create`] does, and locks it, so that [`remove_abandoned`] leaves it alone in any process.
///
/// The lock (`flock`) belongs to the open file, also in media processes that have a copy of its descriptor. The system releases it
/// when the last of them has ended, however it ends. Where the file system has no locks, nothing is ever removed.
///
/// # Errors
/// If a folder can't be made, or the file can't be created.
pub(crate) fn create_locked(place: &FilePlace) -> Result<Hidden, StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let hidden = create(place)?;
        // Before it was locked another process may have taken it for abandoned: then that one has the lock, or has removed it.
        let is_taken = matches!(hidden.file.try_lock(), Err(TryLockError::WouldBlock));
        if tries == TRIES || (!is_taken && hidden.folder.find(&hidden.name).is_ok()) {
            return Ok(hidden);
        }
        hidden.remove();
    }
}

/// Removes the hidden files for a place that nobody writes any more: their processes were killed.
///
/// A file that can't be looked at, locked or removed stays until the next call.
pub(crate) fn remove_abandoned(place: &FilePlace) {
    let Ok(folder) = place.folder(false) else { return };
    let prefix = prefix(place.name());
    for name in folder.names().unwrap_or_default() {
        if !name.to_str().is_some_and(|name| name.starts_with(&prefix) && is_hidden(name)) {
            continue;
        }
        // A lock needs a file that is open for writing on NFS.
        let Ok(file) = folder.write(&name) else { continue };
        if file.try_lock().is_ok() {
            // One that was published meanwhile has another name by now, and no other file ever gets this one.
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
