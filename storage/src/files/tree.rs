//! The objects of packages on disk, in folders. No link is followed.

use std::{collections::HashMap, ffi::OsStr, fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use crate::{
    error::StorageError,
    files::folder::{FilePath, Folder, is_absent},
    names::is_package_folder,
};

/// How deep folders of a package are nested.
const DEEPEST: u32 = 4;
/// How many bytes are copied at once.
const CHUNK: u64 = 1 << 20;

/// Writes a range of a file's bytes under this name, in folders that are made.
pub(super) fn put_range(path: &FilePath, file: &File, range: Range<u64>) -> Result<(), StorageError> {
    let into = path.folder(true)?.overwrite(path.name()).map_err(path.failed("writing"))?;
    let mut buffer = Vec::new();
    let mut at = range.start;
    while at < range.end {
        buffer.resize(usize::try_from(CHUNK.min(range.end - at)).unwrap_or(0), 0);
        let copied =
            file.read_exact_at(&mut buffer, at).and_then(|()| into.write_all_at(&buffer, at - range.start));
        copied.map_err(path.failed("writing"))?;
        at += buffer.len() as u64;
    }
    Ok(())
}

/// Removes a folder and everything in it.
pub(super) fn remove(path: &FilePath) -> Result<(), StorageError> {
    let folder = match path.folder(false) {
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(()),
        other => other?,
    };
    match remove_in(&folder, path.name(), DEEPEST) {
        Err(error) if !is_absent(&error) => Err(path.failed("removing")(error)),
        _ => Ok(()),
    }
}

fn remove_in(folder: &Folder, name: &OsStr, depth: u32) -> io::Result<()> {
    let within = folder.sub(name)?;
    for entry in within.names()? {
        match within.remove(&entry) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory && depth > 0 => {
                remove_in(&within, &entry, depth - 1)?;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    folder.remove_folder(name)
}

/// Returns the sizes of all files below a folder, by their names relative to it.
pub(super) fn sizes(path: &FilePath) -> Result<HashMap<String, u64>, StorageError> {
    let mut found = HashMap::new();
    match path.folder(false).and_then(|folder| folder.sub(path.name()).map_err(path.failed("reading"))) {
        Ok(folder) => sizes_in(&folder, "", DEEPEST, &mut found).map_err(path.failed("reading"))?,
        Err(StorageError::Io { source, .. }) if is_absent(&source) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

fn sizes_in(folder: &Folder, above: &str, depth: u32, found: &mut HashMap<String, u64>) -> io::Result<()> {
    for entry in folder.names()? {
        // Packages have plain names.
        let Some(name) = entry.to_str() else { continue };
        if let Ok(within) = folder.sub(name) {
            if depth > 0 {
                sizes_in(&within, &format!("{above}{name}/"), depth - 1, found)?;
            }
        } else if let Ok(status) = folder.find(name) {
            found.insert(format!("{above}{name}"), u64::try_from(status.st_size).unwrap_or(0));
        }
    }
    Ok(())
}

/// Returns the folders beside a name that could be of packages.
pub(super) fn packages_beside(path: &FilePath) -> Result<Vec<String>, StorageError> {
    let names = match path.folder(false) {
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(Vec::new()),
        folder => folder?.names().map_err(path.failed("reading"))?,
    };
    Ok(names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| is_package_folder(name))
        .map(Into::into)
        .collect())
}
