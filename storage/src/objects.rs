//! The backend for object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage, and memory for tests.

pub(crate) mod bucket;
mod credentials;
mod multipart;
mod ranges;
mod upload;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Write as _,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use millrace_schemas::SourceRef;
use object_store::{
    ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload, multipart::PartId, path::Path as Key,
};

use crate::{
    backend::{Entry, EntryWrite, SourceEntry, WorkRoot},
    blocking::blocking,
    error::StorageError,
    names::{is_package_folder, is_work_object, is_work_prefix},
    objects::{bucket::Bucket, ranges::ObjectRanges, upload::Upload},
    open_source::{ObjectSource, OpenSource},
    range_reader::{RangeReader, Ranges},
    record::{CLOCK_SKEW_MS, StagedRecord},
};

/// How many bytes of an object are written into a pipe at once.
const CHUNK: usize = 1 << 20;

/// A key of a bucket.
#[derive(Debug)]
pub(crate) struct ObjectEntry {
    pub(crate) bucket: Bucket,
    pub(crate) key: Key,
}

impl ObjectEntry {
    async fn meta(&self) -> Result<ObjectMeta, StorageError> {
        self.bucket.head(&self.key).await?.ok_or_else(|| StorageError::Missing { path: self.display() })
    }

    fn ranges(&self, tag: Option<String>) -> Arc<dyn Ranges> {
        Arc::new(ObjectRanges { bucket: self.bucket.clone(), key: self.key.clone(), tag })
    }

    fn upload(&self, work_prefix: &str) -> Upload {
        Upload { bucket: self.bucket.clone(), key: self.key.clone(), work_prefix: work_prefix.into() }
    }
}

#[async_trait]
impl SourceEntry for ObjectEntry {
    fn display(&self) -> String {
        self.bucket.url(&self.key)
    }

    async fn version(&self) -> Result<(String, u64), StorageError> {
        let meta = self.meta().await?;
        Ok((object_version(&meta), meta.size))
    }

    /// Asks for nothing yet: the store refuses each read of another version.
    async fn open(&self, source: &SourceRef) -> Result<OpenSource, StorageError> {
        // A version that is not an ETag is a size and a time, which no request can require.
        let is_tag = !source.version.starts_with(&format!("{:x}-", source.bytes));
        let is_weak = source.version.starts_with("W/");
        let tag = (is_tag && !is_weak).then(|| format!("\"{}\"", source.version));
        Ok(OpenSource::Object(ObjectSource {
            ranges: self.ranges(tag),
            size: source.bytes.unsigned_abs(),
            is_eager: false,
        }))
    }

    async fn size(&self) -> Result<Option<u64>, StorageError> {
        Ok(self.bucket.head(&self.key).await?.map(|meta| meta.size))
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        let all = self.bucket.list(&self.key).await?;
        Ok(all.iter().map(|meta| self.bucket.url(&meta.location)).collect())
    }
}

#[async_trait]
impl Entry for ObjectEntry {
    fn recorded_url(&self, _: &str) -> String {
        self.display()
    }

    async fn open_uploads(&self) -> Result<usize, StorageError> {
        let all = self.bucket.uploads(self.key.as_ref()).await?;
        Ok(all.iter().filter(|upload| upload.key == self.key.as_ref()).count())
    }

    async fn check_writable(&self) -> Result<(), StorageError> {
        match self.bucket.store.list(Some(&self.key)).next().await {
            // Credentials that don't allow listing may allow writing.
            None | Some(Ok(_) | Err(object_store::Error::PermissionDenied { .. })) => Ok(()),
            Some(Err(error)) => Err(StorageError::store("writing to", &self.display())(error)),
        }
    }

    fn create_output(&self, work_prefix: &str) -> Result<Box<dyn EntryWrite>, StorageError> {
        Ok(Box::new(ObjectWrite::new(self.upload(work_prefix))?))
    }

    fn create_work_object(&self, work_prefix: &str) -> Result<Box<dyn EntryWrite>, StorageError> {
        self.create_output(work_prefix)
    }

    async fn is_published(&self, record: &StagedRecord, work_prefix: &str) -> Result<bool, StorageError> {
        self.upload(work_prefix).is_ours((record.bytes, record.at_ms), None).await
    }

    async fn publish(
        &self,
        record: &StagedRecord,
        work_prefix: &str,
    ) -> Result<Option<String>, StorageError> {
        let parts = record.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
        let id = record.id.clone().unwrap_or_default();
        self.upload(work_prefix).complete(&id, parts, (record.bytes, record.at_ms)).await
    }

    async fn withdraw(&self, record: &StagedRecord, work_prefix: &str) -> Result<(), StorageError> {
        self.bucket.abort_upload(&self.key, record.id.as_deref().unwrap_or_default()).await?;
        let upload = self.upload(work_prefix);
        if upload.is_ours((record.bytes, record.at_ms), record.tag.as_deref()).await? {
            self.remove().await?;
        }
        Ok(())
    }

    async fn remove_staged(&self, record: &StagedRecord) -> Result<bool, StorageError> {
        if let Some(id) = &record.id {
            self.bucket.abort_upload(&self.key, id).await?;
            return Ok(true);
        }
        // The process died after the upload began, and before its id was recorded.
        for upload in self.bucket.uploads(self.key.as_ref()).await? {
            let begun = rfc3339_ms(&upload.initiated);
            if upload.key == self.key.as_ref()
                && begun.is_none_or(|begun| (begun - record.at_ms).abs() < CLOCK_SKEW_MS)
            {
                self.bucket.abort_upload(&self.key, &upload.upload_id).await?;
            }
        }
        Ok(true)
    }

    async fn read_end(&self, most: u64) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        self.bucket.tail(&self.key, most).await
    }

    async fn copy_to(&self, pipe: &File) -> Result<(), StorageError> {
        let url = self.display();
        let meta = self.meta().await?;
        let mut object = RangeReader::new(self.ranges(meta.e_tag), meta.size, false);
        let mut at = 0;
        while at < meta.size {
            let bytes = object.read(at, CHUNK).await?;
            at += bytes.len() as u64;
            let (pipe, url) = (pipe.try_clone(), url.clone());
            blocking(move || {
                let written = pipe.and_then(|mut pipe| pipe.write_all(&bytes));
                written.map_err(StorageError::io("streaming", Path::new(&url)))
            })
            .await?;
        }
        Ok(())
    }

    async fn put_range(
        &self,
        file: &Arc<File>,
        range: Range<u64>,
        work_prefix: &str,
    ) -> Result<(), StorageError> {
        self.upload(work_prefix).put_range(file, range).await
    }

    async fn settle(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn replace(&self, bytes: Vec<u8>) -> Result<(), StorageError> {
        self.overwrite(bytes).await
    }

    async fn remove_tree(&self) -> Result<(), StorageError> {
        let all = self.bucket.list(&self.key).await?;
        self.bucket.remove(all.into_iter().map(|meta| meta.location).collect()).await?;
        // Parts of large objects, whose process was killed.
        for upload in self.bucket.uploads(&format!("{}/", self.key)).await? {
            if let Ok(key) = Key::parse(&upload.key) {
                self.bucket.abort_upload(&key, &upload.upload_id).await?;
            }
        }
        Ok(())
    }

    async fn sizes_below(&self) -> Result<HashMap<String, u64>, StorageError> {
        let all = self.bucket.list(&self.key).await?;
        let name = |meta: &ObjectMeta| {
            let parts: Vec<_> =
                meta.location.prefix_match(&self.key)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        Ok(all.iter().filter_map(|meta| Some((name(meta)?, meta.size))).collect())
    }

    async fn folders_beside(&self) -> Result<Vec<String>, StorageError> {
        let parts: Vec<_> = self.key.parts().collect();
        let above: Key = parts.iter().take(parts.len().saturating_sub(1)).cloned().collect();
        let found = self.bucket.store.list_with_delimiter(Some(&above)).await;
        let found = found.map_err(StorageError::store("listing", &self.display()))?;
        let names = found.common_prefixes.iter().filter_map(|prefix| prefix.parts().next_back());
        Ok(names.map(|name| name.as_ref().to_owned()).filter(|name| is_package_folder(name)).collect())
    }

    async fn remove_empty_folder(&self) {}

    async fn overwrite(&self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let put = self.bucket.store.put(&self.key, PutPayload::from(bytes)).await;
        put.map(drop).map_err(StorageError::store("writing", &self.display()))
    }

    async fn remove(&self) -> Result<(), StorageError> {
        self.bucket.remove(vec![self.key.clone()]).await
    }
}

/// Returns the version of an object: its ETag without quotes, as stores' notifications have it; without an ETag its size and time.
fn object_version(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => tag.trim_matches('"').to_owned(),
        None => format!("{:x}-{:x}", meta.size, meta.last_modified.timestamp_millis()),
    }
}

/// An object that is written to a nameless file of this machine first. However the process ends, that file is gone.
#[derive(Debug)]
struct ObjectWrite {
    file: Arc<File>,
    upload: Upload,
}

impl ObjectWrite {
    fn new(upload: Upload) -> Result<Self, StorageError> {
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile_in(&folder).map_err(StorageError::io("writing in", &folder))?;
        Ok(Self { file: Arc::new(file), upload })
    }
}

#[async_trait]
impl EntryWrite for ObjectWrite {
    fn file(&self) -> &Arc<File> {
        &self.file
    }

    fn display(&self) -> String {
        self.upload.bucket.url(&self.upload.key)
    }

    async fn publish_new(self: Box<Self>) -> Result<bool, StorageError> {
        let metadata = self.file.metadata();
        let size = metadata.map_err(StorageError::io("writing", Path::new(&self.display())))?.len();
        self.upload.put_new(&self.file, size).await
    }

    async fn publish_over(self: Box<Self>) -> Result<(), StorageError> {
        let (file, path) = (self.file.clone(), self.display());
        let bytes = blocking(move || {
            let read = || {
                let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
                file.read_exact_at(&mut bytes, 0)?;
                Ok(bytes)
            };
            read().map_err(|source| StorageError::Io { doing: "writing", path, source })
        })
        .await?;
        let Upload { bucket, key, .. } = &self.upload;
        let put = bucket.store.put(key, PutPayload::from(bytes)).await;
        put.map(drop).map_err(StorageError::store("writing", &self.display()))
    }

    async fn stage(
        self: Box<Self>,
        record: StagedRecord,
        marker: Arc<dyn Entry>,
    ) -> Result<StagedRecord, StorageError> {
        marker.overwrite(record.to_json()).await?;
        let id = self.upload.begin().await?;
        let record = StagedRecord { id: Some(id.clone()), ..record };
        marker.overwrite(record.to_json()).await?;
        let parts = match self.upload.put_parts(&self.file, 0..record.bytes, &id).await {
            Ok(parts) => parts,
            Err(error) => {
                // If it can't be aborted now, it is found by its marker.
                let _ = self.upload.bucket.abort_upload(&self.upload.key, &id).await;
                return Err(error);
            }
        };
        let parts = parts.into_iter().map(|part| part.content_id).collect();
        let record = StagedRecord { parts, ..record };
        marker.overwrite(record.to_json()).await?;
        Ok(record)
    }
}

/// The prefix of a bucket that holds all work objects.
#[derive(Debug)]
pub(crate) struct WorkPrefixes {
    pub(crate) bucket: Bucket,
    pub(crate) prefix: Key,
}

impl WorkPrefixes {
    fn key(&self, names: &[&str]) -> Key {
        names.iter().fold(self.prefix.clone(), |key, name| key.join(*name))
    }

    /// Returns the work prefix that a key lies below.
    fn work_prefix(&self, key: &Key) -> Option<String> {
        let name = key.parts().nth(self.prefix.parts_count())?;
        Some(name.as_ref().to_owned()).filter(|name| is_work_prefix(name))
    }
}

#[async_trait]
impl WorkRoot for WorkPrefixes {
    fn entry(&self, names: &[&str]) -> Arc<dyn Entry> {
        Arc::new(ObjectEntry { bucket: self.bucket.clone(), key: self.key(names) })
    }

    async fn read_all(
        &self,
        work_prefix: &str,
        folder: &str,
        most: u64,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut all = Vec::new();
        for meta in self.bucket.list(&self.key(&[work_prefix, folder])).await? {
            all.extend(self.bucket.tail(&meta.location, most).await?.map(|(_, bytes)| bytes));
        }
        Ok(all)
    }

    async fn remove_prefix(&self, work_prefix: &str) -> Result<bool, StorageError> {
        let below = self.key(&[work_prefix]);
        let depth = below.parts_count();
        let is_work_object = |key: &Key| {
            let names: Vec<_> = key.parts().skip(depth).collect();
            matches!(names.as_slice(), [folder, name] if is_work_object(folder.as_ref(), name.as_ref()))
        };
        let found = self.bucket.list(&below).await?;
        let keys: Vec<Key> = found.into_iter().map(|meta| meta.location).filter(is_work_object).collect();
        let mut any = !keys.is_empty();
        self.bucket.remove(keys).await?;
        // Only Millrace uploads below a work prefix: these are parts of large work objects.
        for upload in self.bucket.uploads(&format!("{below}/")).await? {
            if let Ok(key) = Key::parse(&upload.key) {
                self.bucket.abort_upload(&key, &upload.upload_id).await?;
                any = true;
            }
        }
        Ok(any)
    }

    async fn prefixes(&self) -> Result<Vec<(String, i64)>, StorageError> {
        let mut latest: BTreeMap<String, i64> = BTreeMap::new();
        let mut add = |key: &Key, changed_ms: i64| {
            if let Some(name) = self.work_prefix(key) {
                let latest = latest.entry(name).or_default();
                *latest = changed_ms.max(*latest);
            }
        };
        for meta in self.bucket.list(&self.prefix).await? {
            add(&meta.location, meta.last_modified.timestamp_millis());
        }
        let below = if self.prefix.is_root() { String::new() } else { format!("{}/", self.prefix) };
        for upload in self.bucket.uploads(&below).await? {
            if let Ok(key) = Key::parse(&upload.key) {
                add(&key, rfc3339_ms(&upload.initiated).unwrap_or_default());
            }
        }
        Ok(latest.into_iter().collect())
    }

    /// Lists a prefix that no object has.
    async fn check(&self) -> Result<(), StorageError> {
        self.bucket.list(&self.key(&["-"])).await.map(drop)
    }
}

/// Returns a time in RFC 3339 as milliseconds since 1970.
fn rfc3339_ms(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_stores_write_them() {
        for text in ["2026-11-20T00:00:01.500Z", "2026-11-20T00:00:01.5Z"] {
            assert_eq!(rfc3339_ms(text), Some(1_795_132_801_500), "{text}");
        }
        assert_eq!(rfc3339_ms("2026-11-20T00:00:01Z"), Some(1_795_132_801_000));
    }
}
