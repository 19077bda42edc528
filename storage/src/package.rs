//! Packages: outputs that are many objects. What makes a package visible, a manifest, is an output like any other ([`StagedOutput`]);
//! all else lies in a folder beside it, whose name no other attempt has, so that what a player reads is never replaced. Manifests
//! beside the main one wait in that folder until the package is published.
//!
//! [`StagedOutput`]: crate::StagedOutput

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use millrace_topology::packages::{RemovalStep, removal};
use serde::{Deserialize, Serialize};

use crate::{
    backend::Entry,
    blocking::blocking,
    error::StorageError,
    names::is_package_folder,
    record::{PackageRecord, StagedRecord},
    stores::Stores,
};

/// The most objects of a package: one a second of three hours, for a hundred tracks.
const MOST_PARTS: usize = 1_000_000;
/// The largest manifest, in bytes.
const LARGEST_MANIFEST: u64 = 64 << 20;
/// The most bytes of a list of objects that are read.
const LONGEST_LIST: u64 = 256 << 20;
/// The list of a package's objects, in its folder.
const LIST: &str = "package.json";
/// Where manifests wait until the package is published, in the folder. That of the main one is not shown from there: it says that the
/// package is staged, and not left over.
const WAITING: &str = "manifests";
/// How many objects are put at once.
const AT_ONCE: usize = 8;

/// The objects of a package, as ranges of the file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The folder beside the manifests in which all else lies: eight hexadecimal digits.
    pub folder: String,
    /// The objects; the last one has the output's own name.
    pub parts: Vec<PackagePart>,
}

/// An object of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagePart {
    /// Its name, relative to the folder of the output's URL: `<folder>/…`, or that of a manifest.
    pub name: String,
    /// Where it begins in the file that was written, in bytes.
    #[serde(skip)]
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A visible package, as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPackage {
    /// The folder of its objects.
    pub folder: String,
    /// The objects that its list names, manifests too.
    pub listed: Vec<PackagePart>,
    /// The sizes in bytes of what is there, by name: the listed manifests beside the main one, and all that lies in its folder but the list.
    pub sizes: BTreeMap<String, u64>,
}

/// The content of [`LIST`].
#[derive(Debug, Serialize, Deserialize)]
struct List {
    /// The name of the main manifest.
    manifest: String,
    objects: Vec<PackagePart>,
}

/// Returns `true` if what is at a URL could be the manifest that makes a package visible, by the extension of its name.
#[must_use]
pub fn is_manifest(url: &str) -> bool {
    let extension = last_name(url).rsplit_once('.').map_or("", |(_, extension)| extension);
    ["m3u8", "mpd", "vtt"].contains(&extension)
}

/// Returns the URL of what lies beside an output.
fn beside(url: &str, name: &str) -> String {
    let folder = url.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{name}")
}

fn last_name(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

impl Package {
    /// Holds what a media process says of the file that it wrote to what can be: names that stay below the folder, each once, and
    /// bytes that are there. Returns the main manifest.
    fn check(&self, url: &str, size: u64) -> Result<&PackagePart, StorageError> {
        let wrong = |reason: String| StorageError::Url { url: millrace_access::display_url(url), reason };
        if !is_package_folder(&self.folder) || self.parts.len() > MOST_PARTS {
            return Err(wrong(format!("a package of {} objects in '{}'", self.parts.len(), self.folder)));
        }
        let mut names = HashSet::new();
        for part in &self.parts {
            let components: Vec<&str> = part.name.split('/').collect();
            let is_inside = components.len() > 1 && components.len() <= 4 && components[0] == self.folder;
            let is_reserved = is_inside && [LIST, WAITING].contains(&components[1]);
            let is_named = components.iter().all(|name| is_plain(name)) && !is_reserved;
            let is_there = part.offset.checked_add(part.bytes).is_some_and(|end| end <= size);
            if !is_named || !is_there || !(is_inside || components.len() == 1) || !names.insert(&part.name) {
                return Err(wrong(format!("its object '{}' can't be", part.name)));
            }
            if components.len() == 1 && part.bytes > LARGEST_MANIFEST {
                return Err(wrong(format!("its manifest '{}' has {} bytes", part.name, part.bytes)));
            }
        }
        let main = self.parts.last().filter(|main| main.name == last_name(url));
        main.ok_or_else(|| wrong("its last object is not its manifest".into()))
    }

    fn is_manifest(part: &PackagePart) -> bool {
        !part.name.contains('/')
    }

    pub(crate) fn record(&self) -> PackageRecord {
        let (_, others) =
            self.parts.split_last().map_or((None, &[][..]), |(main, others)| (Some(main), others));
        let manifests = others.iter().filter(|part| Self::is_manifest(part)).map(|part| part.name.clone());
        PackageRecord { folder: self.folder.clone(), manifests: manifests.collect() }
    }
}

/// A name that is the same in every store, in every URL and on every file system.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 100
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A package that is being staged, or was.
pub(crate) struct Place<'a> {
    pub(crate) stores: &'a Stores,
    /// The main manifest.
    pub(crate) output: &'a Arc<dyn Entry>,
    pub(crate) url: &'a str,
    pub(crate) work_prefix: &'a str,
}

impl Place<'_> {
    pub(crate) fn entry(&self, name: &str) -> Result<Arc<dyn Entry>, StorageError> {
        self.stores.output(&beside(self.url, name))
    }

    /// Writes all objects, and makes them durable; manifests wait. Returns the bytes of the main manifest.
    pub(crate) async fn put(
        &self,
        package: &Package,
        file: &Arc<File>,
        size: u64,
    ) -> Result<Vec<u8>, StorageError> {
        let main = package.check(self.url, size)?;
        let mut putting = FuturesUnordered::new();
        for part in &package.parts {
            if putting.len() >= AT_ONCE {
                putting.next().await.unwrap_or(Ok(()))?;
            }
            let name = if Package::is_manifest(part) {
                format!("{}/{WAITING}/{}", package.folder, part.name)
            } else {
                part.name.clone()
            };
            putting.push(put(
                self.entry(&name)?,
                file.clone(),
                part.offset..part.offset + part.bytes,
                self.work_prefix.to_owned(),
            ));
        }
        while let Some(done) = putting.next().await {
            done?;
        }
        let list = List { manifest: main.name.clone(), objects: package.parts.clone() };
        let list = serde_json::to_vec(&list).unwrap_or_default();
        self.entry(&format!("{}/{LIST}", package.folder))?.replace(list).await?;
        self.output.settle().await?;
        let (file, main) = (file.clone(), main.clone());
        blocking(move || {
            let mut bytes = vec![0; usize::try_from(main.bytes).unwrap_or(usize::MAX)];
            let read = file.read_exact_at(&mut bytes, main.offset);
            read.map_err(|source| StorageError::Io { doing: "reading", path: main.name, source })?;
            Ok(bytes)
        })
        .await
    }

    /// Gives the manifests beside the main one their names. They name what is there already.
    pub(crate) async fn show_manifests(&self, record: &PackageRecord) -> Result<(), StorageError> {
        for name in &record.manifests {
            let waiting = self.entry(&format!("{}/{WAITING}/{name}", record.folder))?;
            let Some((size, bytes)) = waiting.read_end(LARGEST_MANIFEST).await? else {
                return Err(StorageError::Unstaged { path: self.output.display() });
            };
            if size > LARGEST_MANIFEST {
                return Err(StorageError::Unstaged { path: self.output.display() });
            }
            self.entry(name)?.replace(bytes).await?;
        }
        if self.is_waiting(&record.folder).await? {
            return Ok(());
        }
        // It was withdrawn meanwhile: what is shown now would name what is gone.
        self.hide_manifests(record).await?;
        Err(StorageError::Unstaged { path: self.output.display() })
    }

    /// Returns `true` if the package in this folder is staged, and neither published nor withdrawn.
    async fn is_waiting(&self, folder: &str) -> Result<bool, StorageError> {
        let main = last_name(self.url);
        Ok(self.entry(&format!("{folder}/{WAITING}/{main}"))?.size().await?.is_some())
    }

    /// Returns `true` if this package is the one that is visible: another attempt's manifest may have as many bytes.
    pub(crate) async fn is_shown(&self, record: &PackageRecord) -> Result<bool, StorageError> {
        let found = self.output.read_end(LARGEST_MANIFEST).await?;
        Ok(found.is_some_and(|(_, bytes)| names(&bytes, &record.folder)))
    }

    /// Removes the objects of earlier packages of this name, and what waited to be published. Others that are staged stay: theirs is the
    /// next manifest. What can't be removed stays, too: nothing names it any more.
    pub(crate) async fn remove_others(&self, record: &PackageRecord) -> Result<(), StorageError> {
        self.entry(&format!("{}/{WAITING}", record.folder))?.remove_tree().await?;
        for name in self.output.folders_beside().await? {
            let is_other = name != record.folder && self.list_of(&name).await?.is_some();
            if is_other && !self.is_waiting(&name).await? {
                self.entry(&name)?.remove_tree().await?;
            }
        }
        Ok(())
    }

    /// Removes all that is of this package but the main manifest, which is not there.
    pub(crate) async fn remove(&self, record: &PackageRecord) -> Result<(), StorageError> {
        for step in removal() {
            match step {
                RemovalStep::HideMain => {}
                RemovalStep::HideManifests => self.hide_manifests(record).await?,
                RemovalStep::RemoveObjects => self.remove_objects(record).await?,
            }
        }
        Ok(())
    }

    /// Removes the manifests of this package beside the main one.
    pub(crate) async fn hide_manifests(&self, record: &PackageRecord) -> Result<(), StorageError> {
        for name in &record.manifests {
            let entry = self.entry(name)?;
            // A manifest of another attempt names another folder.
            let found = entry.read_end(LARGEST_MANIFEST).await?;
            if found.is_some_and(|(_, bytes)| names(&bytes, &record.folder)) {
                entry.remove().await?;
            }
        }
        Ok(())
    }

    /// Removes all objects of this package.
    pub(crate) async fn remove_objects(&self, record: &PackageRecord) -> Result<(), StorageError> {
        if is_package_folder(&record.folder) {
            self.entry(&record.folder)?.remove_tree().await?;
        }
        self.output.remove_empty_folder().await;
        Ok(())
    }

    /// Returns what is there of the visible package; `None` if there is none, or its list is missing.
    pub(crate) async fn find(&self) -> Result<Option<FoundPackage>, StorageError> {
        let Some((_, main)) = self.output.read_end(LARGEST_MANIFEST).await? else { return Ok(None) };
        for folder in self.output.folders_beside().await? {
            if !names(&main, &folder) {
                continue;
            }
            let Some(list) = self.list_of(&folder).await? else { continue };
            let below = self.entry(&folder)?.sizes_below().await?;
            let mut sizes: BTreeMap<String, u64> =
                below.into_iter().map(|(name, size)| (format!("{folder}/{name}"), size)).collect();
            sizes.remove(&format!("{folder}/{LIST}"));
            for part in list.objects.iter().filter(|part| Package::is_manifest(part) && is_plain(&part.name))
            {
                if let Some(size) = self.entry(&part.name)?.size().await? {
                    sizes.insert(part.name.clone(), size);
                }
            }
            return Ok(Some(FoundPackage { folder, listed: list.objects, sizes }));
        }
        Ok(None)
    }

    /// Returns the list of a folder that belongs to this output.
    async fn list_of(&self, folder: &str) -> Result<Option<List>, StorageError> {
        let found = self.entry(&format!("{folder}/{LIST}"))?.read_end(LONGEST_LIST).await?;
        let list = found.and_then(|(_, json)| serde_json::from_slice::<List>(&json).ok());
        Ok(list.filter(|list| list.manifest == last_name(self.url)))
    }

    /// Returns the bytes of the whole package, or `None` if something of it is missing.
    pub(crate) async fn size(&self) -> Result<Option<u64>, StorageError> {
        let Some(main) = self.output.size().await? else { return Ok(None) };
        for folder in self.output.folders_beside().await? {
            let Some(list) = self.list_of(&folder).await? else { continue };
            let found = self.entry(&folder)?.sizes_below().await?;
            let mut total = 0_u64;
            for part in &list.objects {
                let size = match part.name.strip_prefix(&format!("{folder}/")) {
                    Some(name) => found.get(name).copied(),
                    None if part.name == list.manifest => Some(main),
                    None => self.entry(&part.name)?.size().await?,
                };
                if size != Some(part.bytes) {
                    return Ok(None);
                }
                total = total.saturating_add(part.bytes);
            }
            return Ok(Some(total));
        }
        Ok(None)
    }
}

/// Returns `true` if a manifest names a folder.
fn names(manifest: &[u8], folder: &str) -> bool {
    manifest.windows(folder.len().max(1)).any(|found| found == folder.as_bytes())
}

async fn put(
    entry: Arc<dyn Entry>,
    file: Arc<File>,
    range: Range<u64>,
    work_prefix: String,
) -> Result<(), StorageError> {
    entry.put_range(&file, range, &work_prefix).await
}

/// Removes what was staged of a package and is not published.
pub(crate) async fn remove_staged(
    stores: &Stores,
    output: &Arc<dyn Entry>,
    record: &StagedRecord,
    work_prefix: &str,
) -> Result<(), StorageError> {
    let Some(package) = &record.package else { return Ok(()) };
    let place = Place { stores, output, url: &record.url, work_prefix };
    if place.is_shown(package).await? {
        return Ok(());
    }
    place.remove(package).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(names: &[&str]) -> Package {
        let part = |name: &&str| PackagePart { name: (*name).into(), offset: 2, bytes: 3 };
        Package { folder: "0123abcd".into(), parts: names.iter().map(part).collect() }
    }

    fn is_taken(names: &[&str]) -> bool {
        package(names).check("file:///o/v/master.m3u8", 5).is_ok()
    }

    #[test]
    fn a_media_process_names_nothing_outside_of_its_package() {
        assert!(is_taken(&["0123abcd/v/1.m4s", "manifest.mpd", "master.m3u8"]));
        for wrong in [
            "../a",
            "0123abcd/../a",
            "/a",
            "other/a",
            "0123abcd/.a",
            "0123abcd/a b",
            "0123abcd//a",
            "0123abcd/1/2/3/4",
            "0123abcd/package.json",
            "0123abcd/manifests/a",
            "",
            "0123abcd/",
        ] {
            assert!(!is_taken(&[wrong, "master.m3u8"]), "{wrong}");
        }
        assert!(!is_taken(&["master.m3u8", "0123abcd/1"]), "the manifest is last");
        assert!(!is_taken(&["0123abcd/1", "0123abcd/1", "master.m3u8"]), "each once");
        assert!(!is_taken(&[]));
        assert!(
            package(&["master.m3u8"]).check("file:///o/v/master.m3u8", 4).is_err(),
            "bytes that are there"
        );
        let abroad = Package { folder: "..".into(), ..package(&["master.m3u8"]) };
        assert!(abroad.check("file:///o/v/master.m3u8", 5).is_err());
    }

    #[test]
    fn manifests_beside_the_main_one_are_noted() {
        let record = package(&["0123abcd/1", "manifest.mpd", "master.m3u8"]).record();
        assert_eq!(
            record,
            PackageRecord { folder: "0123abcd".into(), manifests: vec!["manifest.mpd".into()] }
        );
    }
}
