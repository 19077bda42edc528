//! Work objects: `<place>/<rendition>/<index>`, each execution's attempt in a place of its own, in a folder or below a prefix of
//! a bucket. Nothing but what is named so is ever removed.

mod marker;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use millrace_access::Reach;
use millrace_schemas::{RenditionId, WorkPrefix};
use object_store::path::Path as Key;

use crate::{
    Location, StorageError, Stores,
    draft::{Draft, Object},
    folder::{FilePlace, is_absent},
    hidden::{self, is_hidden},
    ranged::Ranged,
    source::blocking,
    stores::{Bucket, Place},
};

pub use marker::Marker;
pub(crate) use marker::{FileId, Told, now_ms};

/// How much of a work object's end is read for its facts, in bytes.
const TAIL: u64 = 4096;
/// How much is moved at once.
const CHUNK: usize = 1 << 20;
/// How much of a marker is read, in bytes: it names up to 10,000 parts.
const LONGEST: u64 = 2 << 20;
/// The folder of a place that holds markers of outputs on their way.
const UPLOADS: &str = "uploads";
/// How far apart an upload's begin and its marker may be, in milliseconds: clocks differ.
pub(crate) const APART_MS: i64 = 60_000;

/// Where work objects are.
#[derive(Debug, Clone)]
pub struct Work {
    root: Root,
    pub(crate) stores: Stores,
}

#[derive(Debug, Clone)]
enum Root {
    Folder(PathBuf),
    Bucket { bucket: Bucket, prefix: Key },
}

/// The end of a work object.
#[derive(Debug)]
pub struct Tail {
    /// How long the whole object is.
    pub size: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// Bytes of the object, which must be among its last.
    ///
    /// # Errors
    /// Where they are not.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let start = self.size - self.bytes.len() as u64;
        let from = at.checked_sub(start).and_then(|from| usize::try_from(from).ok());
        let found = from.and_then(|from| self.bytes.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Returns whether a folder's name is a work prefix: `<execution>-<attempt>`.
#[must_use]
pub fn is_place(name: &str) -> bool {
    name.parse::<WorkPrefix>().is_ok()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `<folder>/<name>` of a place is a work object, one that was being written, or a marker.
fn is_ours(folder: &str, name: &str) -> bool {
    let is_rendition = folder.parse::<RenditionId>().is_ok();
    let is_marker = folder == UPLOADS && name.len() == 16 && name.bytes().all(is_hex);
    (is_rendition && (is_number(name) || is_hidden(name))) || is_marker
}

/// Holds names that come from records to be ones that Millrace gives: so none leads out of the work folder or prefix.
fn checked<'a>(parts: &[&'a str]) -> Result<Vec<&'a str>, StorageError> {
    let is_plain = |part: &&str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match parts.iter().find(|part| !is_plain(part)) {
        None => Ok(parts.to_vec()),
        Some(part) => {
            Err(StorageError::Url { url: (*part).into(), reason: "no work object is named so".into() })
        }
    }
}

/// Where something is below a work folder.
fn file(root: &Path, parts: &[&str]) -> Result<FilePlace, StorageError> {
    Ok(FilePlace::beneath(root.to_owned(), checked(parts)?.into_iter().map(Into::into).collect()))
}

/// Where it is in a bucket.
fn key(prefix: &Key, parts: &[&str]) -> Result<Key, StorageError> {
    Ok(checked(parts)?.into_iter().fold(prefix.clone(), Key::join))
}

impl Work {
    /// Work objects at this URL.
    ///
    /// # Errors
    /// Where it is none, or its store can't be used.
    pub fn at(url: &str, stores: &Stores) -> Result<Self, StorageError> {
        // The person who starts the process says where; no record does.
        let root = match stores.place(&Location::parse(url)?, &Reach::Everything)? {
            Place::File(place) => Root::Folder(place.path().to_owned()),
            Place::Object { bucket, key } => Root::Bucket { bucket, prefix: key },
        };
        Ok(Self { root, stores: stores.clone() })
    }

    /// Work objects in this folder.
    #[must_use]
    pub fn in_folder(path: PathBuf, stores: &Stores) -> Self {
        Self { root: Root::Folder(path), stores: stores.clone() }
    }

    /// Begins a work object.
    ///
    /// # Errors
    /// Where the folder can't be made or written.
    pub fn draft(&self, place: &str, rendition: &str, index: i32) -> Result<Draft, StorageError> {
        match &self.root {
            Root::Folder(root) => Draft::of_work(file(root, &[place, rendition, &index.to_string()])?),
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[place, rendition, &index.to_string()])?;
                Draft::of_object(Object { bucket: bucket.clone(), key, place: place.into(), marker: None })
            }
        }
    }

    /// The end of a work object, where its facts are; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and can't be read.
    pub async fn tail(&self, place: &str, rendition: &str, index: i32) -> Result<Option<Tail>, StorageError> {
        match &self.root {
            // A look that costs less than handing it to another thread.
            Root::Folder(root) => file_tail(&file(root, &[place, rendition, &index.to_string()])?),
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[place, rendition, &index.to_string()])?;
                Ok(bucket.tail(&key, TAIL).await?.map(|(size, bytes)| Tail { size, bytes }))
            }
        }
    }

    /// Removes a work object that is not whole.
    pub async fn discard(&self, place: &str, rendition: &str, index: i32) {
        // It can't be removed only where it can't be written either, which the next write says.
        let removed = match &self.root {
            Root::Folder(root) => file(root, &[place, rendition, &index.to_string()]).and_then(|place| {
                let removed = place.folder(false)?.remove(place.name());
                removed.map_err(place.failed("removing"))
            }),
            Root::Bucket { bucket, prefix } => match key(prefix, &[place, rendition, &index.to_string()]) {
                Ok(key) => bucket.remove(vec![key]).await,
                Err(error) => Err(error),
            },
        };
        drop(removed);
    }

    /// Streams a work object into a pipe.
    ///
    /// # Errors
    /// Where it is not there, can't be read, or nobody reads the pipe any more.
    pub async fn stream(
        &self,
        place: &str,
        rendition: &str,
        index: i32,
        mut into: &File,
    ) -> Result<(), StorageError> {
        match &self.root {
            Root::Folder(root) => {
                let place = file(root, &[place, rendition, &index.to_string()])?;
                let out = into.try_clone().map_err(place.failed("streaming"))?;
                blocking(move || {
                    let (file, _) = place.read()?;
                    io::copy(&mut &file, &mut &out).map_err(place.failed("streaming"))?;
                    Ok(())
                })
                .await
            }
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[place, rendition, &index.to_string()])?;
                let url = bucket.url(&key);
                let meta =
                    bucket.head(&key).await?.ok_or_else(|| StorageError::Missing { path: url.clone() })?;
                let mut object = Ranged::new(bucket.clone(), key, meta.e_tag, meta.size);
                let mut at = 0;
                while at < meta.size {
                    let bytes = object.read(at, CHUNK).await?;
                    at += bytes.len() as u64;
                    let (out, url) = (into.try_clone(), url.clone());
                    blocking(move || {
                        let mut out = out.map_err(StorageError::io("streaming", Path::new(&url)))?;
                        out.write_all(&bytes).map_err(StorageError::io("streaming", Path::new(&url)))
                    })
                    .await?;
                }
                into.flush().map_err(StorageError::io("streaming", Path::new(&url)))
            }
        }
    }

    /// What tells of an output of this place, which an attempt makes.
    #[must_use]
    pub fn marker(&self, place: &str, attempt: i32) -> Marker {
        // Its name need not be a secret: only Millrace writes there.
        let name = format!("{:016x}", fastrand::u64(..));
        Marker { work: self.clone(), place: place.into(), attempt, name }
    }

    /// Removes all work objects of a place, and what is staged of its outputs; says whether there were any.
    ///
    /// # Errors
    /// Where they are there and can't be removed.
    pub async fn remove(&self, place: &str) -> Result<bool, StorageError> {
        if !is_place(place) {
            return Ok(false);
        }
        let ended = self.remove_staged(place, i32::MAX).await?;
        let removed = match &self.root {
            Root::Folder(root) => {
                let (root, place) = (root.clone(), place.to_owned());
                blocking(move || remove_folder(&root, &place)).await?
            }
            Root::Bucket { bucket, prefix } => {
                let below = prefix.clone().join(place);
                let depth = below.parts_count();
                let found = bucket.list(&below).await?;
                let keys: Vec<Key> = found
                    .into_iter()
                    .map(|meta| meta.location)
                    .filter(|key| {
                        let parts: Vec<_> = key.parts().skip(depth).collect();
                        matches!(parts.as_slice(), [folder, name] if is_ours(folder.as_ref(), name.as_ref()))
                    })
                    .collect();
                let any = !keys.is_empty();
                bucket.remove(keys).await?;
                // Ours by their keys: parts of work objects.
                let mut open = false;
                for upload in bucket.uploads(&format!("{below}/")).await? {
                    if let Ok(key) = Key::parse(&upload.key) {
                        bucket.end_upload(&key, &upload.upload_id).await?;
                        open = true;
                    }
                }
                any || open
            }
        };
        Ok(removed || ended)
    }

    /// Removes what is staged of a place's outputs, or was being staged, by attempts up to this one, as its markers tell. A later
    /// one may be at work there already.
    ///
    /// # Errors
    /// Where it is there and can't be removed.
    pub async fn remove_staged(&self, place: &str, attempt: i32) -> Result<bool, StorageError> {
        if !is_place(place) {
            return Ok(false);
        }
        let mut any = false;
        let is_left = |told: &Told| !told.is_published && told.attempt <= attempt;
        for told in self.markers(place).await?.into_iter().filter(is_left) {
            // What lies in the work folder may be of others: it makes nothing reach further than outputs may.
            let (bucket, key) = match self.stores.output(&told.url) {
                Ok(Place::Object { bucket, key }) => (bucket, key),
                Ok(Place::File(place)) => {
                    let name = told.id.filter(|name| hidden::is_staged_for(name, &place));
                    let Some(name) = name else { continue };
                    // Whoever publishes it now finds it gone, or has been faster.
                    any |= blocking(move || Ok(place.folder(false)?.remove(&name).is_ok()))
                        .await
                        .unwrap_or(false);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(url = told.url, %error, "what was staged of it is not removed");
                    continue;
                }
            };
            any = true;
            if let Some(id) = &told.id {
                bucket.end_upload(&key, id).await?;
                continue;
            }
            // The process died between the begin of the upload and the note of its id.
            for upload in bucket.uploads(key.as_ref()).await? {
                let begun = chrono_ms(&upload.initiated);
                if upload.key == key.as_ref()
                    && begun.is_none_or(|begun| (begun - told.at_ms).abs() < APART_MS)
                {
                    bucket.end_upload(&key, &upload.upload_id).await?;
                }
            }
        }
        Ok(any)
    }

    async fn markers(&self, place: &str) -> Result<Vec<Told>, StorageError> {
        let texts: Vec<Vec<u8>> = match &self.root {
            Root::Folder(root) => {
                let any = file(root, &[place, UPLOADS, "0"])?;
                blocking(move || {
                    let folder = match any.folder(false) {
                        Ok(folder) => folder,
                        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(Vec::new()),
                        // A link there is none of ours.
                        Err(StorageError::Link { .. }) => return Ok(Vec::new()),
                        Err(error) => return Err(error),
                    };
                    let names = folder.names().map_err(any.failed("reading"))?;
                    let text = |name: &OsString| {
                        let mut text = Vec::new();
                        folder.read(name).ok()?.take(LONGEST).read_to_end(&mut text).ok().map(|_| text)
                    };
                    Ok(names.iter().filter_map(text).collect())
                })
                .await?
            }
            Root::Bucket { bucket, prefix } => {
                let mut texts = Vec::new();
                for meta in bucket.list(&prefix.clone().join(place).join(UPLOADS)).await? {
                    texts.extend(bucket.tail(&meta.location, LONGEST).await?.map(|(_, bytes)| bytes));
                }
                texts
            }
        };
        Ok(texts.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect())
    }

    /// The places, and when something was last put there, in milliseconds since 1970.
    ///
    /// # Errors
    /// Where the folder can't be read, or the bucket not listed.
    pub async fn works(&self) -> Result<Vec<(String, i64)>, StorageError> {
        match &self.root {
            Root::Folder(root) => {
                let root = root.clone();
                blocking(move || folder_works(&root)).await
            }
            Root::Bucket { bucket, prefix } => {
                let mut found: BTreeMap<String, i64> = BTreeMap::new();
                let depth = prefix.parts_count();
                let place = |key: &Key| key.parts().nth(depth).map(|part| part.as_ref().to_owned());
                for meta in bucket.list(prefix).await? {
                    if let Some(place) = place(&meta.location).filter(|place| is_place(place)) {
                        let latest = found.entry(place).or_default();
                        *latest = meta.last_modified.timestamp_millis().max(*latest);
                    }
                }
                let below = if prefix.is_root() { String::new() } else { format!("{prefix}/") };
                for upload in bucket.uploads(&below).await? {
                    let key = Key::parse(&upload.key).ok();
                    if let Some(place) = key.as_ref().and_then(place).filter(|place| is_place(place)) {
                        let latest = found.entry(place).or_default();
                        *latest = chrono_ms(&upload.initiated).unwrap_or_default().max(*latest);
                    }
                }
                Ok(found.into_iter().collect())
            }
        }
    }

    /// Whether work objects can be listed there, which every process must.
    ///
    /// # Errors
    /// Where they can't, with the reason.
    pub async fn check(&self) -> Result<(), StorageError> {
        match &self.root {
            Root::Folder(_) => Ok(()),
            Root::Bucket { bucket, prefix } => bucket.list(&prefix.clone().join("-")).await.map(drop),
        }
    }
}

/// RFC 3339 in milliseconds since 1970.
fn chrono_ms(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn file_tail(place: &FilePlace) -> Result<Option<Tail>, StorageError> {
    let (file, metadata) = match place.read() {
        Ok(found) => found,
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = metadata.len();
    let at = size.saturating_sub(TAIL);
    let mut bytes = vec![0; usize::try_from(size - at).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at).map_err(place.failed("reading"))?;
    Ok(Some(Tail { size, bytes }))
}

fn folder_works(root: &Path) -> Result<Vec<(String, i64)>, StorageError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StorageError::io("reading", root)(error)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_place(&name) {
            continue;
        }
        let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        found.push((name, i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    }
    Ok(found)
}

/// Removes what is ours in a place's folder, and the folder where nothing else is in it. No link is followed.
fn remove_folder(root: &Path, place: &str) -> Result<bool, StorageError> {
    let whole = file(root, &[place])?;
    let opened = whole.folder(false).and_then(|above| {
        let folder = above.sub(place).map_err(whole.failed("reading"))?;
        Ok((above, folder))
    });
    let (above, folder) = match opened {
        Ok(opened) => opened,
        // A link there is none of ours.
        Err(StorageError::Link { .. }) => return Ok(false),
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut any = false;
    for sub in folder.names().map_err(whole.failed("reading"))? {
        // What is no folder is none of ours.
        let (Ok(within), Some(name)) = (folder.sub(&sub), sub.to_str()) else { continue };
        loop {
            let mut found = false;
            for entry in within.names().map_err(whole.failed("reading"))? {
                if is_ours(name, &entry.to_string_lossy()) {
                    match within.remove(&entry) {
                        Ok(()) => found = true,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(whole.failed("removing")(error)),
                    }
                }
            }
            any |= found;
            // Where it is not empty, something else is in it, which stays; or what a worker made whole meanwhile.
            if folder.remove_folder(&sub).is_ok() || !found {
                break;
            }
        }
    }
    any |= above.remove_folder(place).is_ok();
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_stores_write_them() {
        for text in ["2026-11-20T00:00:01.500Z", "2026-11-20T00:00:01.5Z"] {
            assert_eq!(chrono_ms(text), Some(1_795_132_801_500), "{text}");
        }
        assert_eq!(chrono_ms("2026-11-20T00:00:01Z"), Some(1_795_132_801_000));
    }

    #[test]
    fn only_what_millrace_makes_is_named_so() {
        assert!(is_place("0123456789abcdef-12") && !is_place("holiday-1") && !is_place("0123456789abcdef"));
        let rendition = "v-0123456789abcdef";
        for name in ["0", "117", ".millrace-0123abcd-0123456789abcdef.part"] {
            assert!(is_ours(rendition, name), "{name}");
        }
        for other in ["a-0123456789abcdef", "s-0123456789abcdef", "a-0123456789abcdef.2"] {
            assert!(is_ours(other, "3"), "{other}");
        }
        assert!(!is_ours("a-0123456789abcdef.x", "3"));
        assert!(is_ours(UPLOADS, "0123456789abcdef"));
        for (folder, name) in [
            (rendition, "notes.txt"),
            (rendition, ".DS_Store"),
            ("holiday", "1"),
            (UPLOADS, "x.mov"),
            (rendition, ".millrace.part"),
        ] {
            assert!(!is_ours(folder, name), "{folder}/{name}");
        }
    }
}
