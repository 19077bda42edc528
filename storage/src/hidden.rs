//! The hidden file that a draft is written to, beside the name that it is published under: `.millrace-<hash>-<random>.part`.
//!
//! The final name is in it only as a hash: so the final name may be as long as the file system allows, and what a killed process
//! left is found when the same file is written again. The random part keeps two processes that write the same file apart.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::StorageError;

const FIRST: &str = ".millrace-";
const LAST: &str = ".part";
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

/// A new hidden name for what will be called `last`.
pub(crate) fn name(last: &OsStr) -> String {
    format!("{}{:016x}{LAST}", prefix(last), fastrand::u64(..))
}

/// Whether a name is one that [`name`] gives.
pub(crate) fn is_hidden(name: &str) -> bool {
    let middle = name.strip_prefix(FIRST).and_then(|rest| rest.strip_suffix(LAST));
    middle.and_then(|middle| middle.split_once('-')).is_some_and(|(hash, random)| {
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        is_hex(hash, HASH) && is_hex(random, RANDOM)
    })
}

/// Creates a hidden file for `path`, and the folders that it is in. Returns the file and where it is.
///
/// # Errors
/// If a folder can't be made, or the file can't be created.
pub(crate) fn create(path: &Path) -> Result<(File, PathBuf), StorageError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut tries = 0;
    loop {
        tries += 1;
        fs::create_dir_all(folder).map_err(StorageError::io("making the folder", folder))?;
        let at = folder.join(name(path.file_name().unwrap_or_default()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&at) {
            Ok(file) => return Ok((file, at)),
            // Another process removed the folder, which was empty for a moment; or the name is taken.
            Err(error)
                if tries < TRIES
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(StorageError::io("writing", path)(error)),
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
pub(crate) fn create_locked(path: &Path) -> Result<(File, PathBuf), StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (file, at) = create(path)?;
        // Before it was locked another process may have taken it for abandoned: then that one has the lock, or has removed it.
        let is_taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if tries == TRIES || (!is_taken && fs::symlink_metadata(&at).is_ok()) {
            return Ok((file, at));
        }
        let _ = fs::remove_file(&at);
    }
}

/// Removes the hidden files for `path` that nobody writes any more: their processes were killed.
///
/// A file that can't be looked at, locked or removed stays until the next call.
pub(crate) fn remove_abandoned(path: &Path) {
    let (Some(folder), Some(last)) = (path.parent(), path.file_name()) else { return };
    let prefix = prefix(last);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(&prefix) && is_hidden(name));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // A lock needs a file that is open for writing on NFS.
        let Ok(file) = OpenOptions::new().read(true).write(true).open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            // One that was published meanwhile has another name by now, and no other file ever gets this one.
            let _ = fs::remove_file(entry.path());
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
            let (one, other) = (name(OsStr::new(last)), name(OsStr::new(last)));
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
