//! Uploads to object stores: in one request or in parts, unconditionally or only if the key is new.

use std::{ffi::OsStr, fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::Bytes;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, GetOptions, MultipartId, ObjectStore as _,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, multipart::PartId,
    path::Path as Key,
};

use crate::{
    blocking::blocking,
    error::StorageError,
    files::hidden,
    objects::{bucket::Bucket, multipart::is_over},
    range_reader::pause,
    record::{CLOCK_SKEW_MS, now_ms},
};

/// The size of a part, in bytes, for objects of up to 80 GB: stores take 10,000 parts, all of one size but the last (R2), of
/// at least 5 MiB (S3).
const PART: u64 = 8 << 20;
/// The most parts of an upload.
const MOST_PARTS: u64 = 10_000;
/// The largest object that is put in one request, in bytes.
const IN_ONE: u64 = PART;
/// How often a request that failed for now is tried again here, on top of what the store's client tries.
const TRIES: u32 = 4;

/// A key to upload to.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) bucket: Bucket,
    pub(super) key: Key,
    /// The work prefix of the execution's attempt, which the object's metadata records.
    pub(super) work_prefix: String,
}

impl Upload {
    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata("millrace".into()), self.work_prefix.clone().into());
        attributes
    }

    fn failed(&self, doing: &'static str) -> impl Fn(object_store::Error) -> StorageError {
        let url = self.bucket.url(&self.key);
        move |error| StorageError::store(doing, &url)(error)
    }

    /// Uploads a file, unless the key exists: returns `false` then. A small object is a conditional put; a larger one is uploaded in
    /// parts under another key, and copied on condition.
    pub(super) async fn put_new(&self, file: &Arc<File>, size: u64) -> Result<bool, StorageError> {
        if size <= IN_ONE {
            return self.put_in_one(file, 0..size, PutMode::Create).await;
        }
        if self.bucket.head(&self.key).await?.is_some() {
            return Ok(false);
        }
        let name = hidden::name(OsStr::new(self.key.filename().unwrap_or_default()))?;
        let parent = self.key.parent().unwrap_or(Key::ROOT);
        let staged = Self {
            bucket: self.bucket.clone(),
            key: parent.join(name.as_str()),
            work_prefix: self.work_prefix.clone(),
        };
        staged.put_in_parts(file, 0..size).await?;
        let only_new = CopyOptions::new().with_mode(CopyMode::Create);
        let mut copied = self.bucket.store.copy_opts(&staged.key, &self.key, only_new).await;
        if matches!(
            copied,
            Err(object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. })
        ) {
            // A store without conditional copies. The key was looked up above; only writers in the same instant could both succeed.
            copied = self.bucket.store.copy(&staged.key, &self.key).await;
        }
        self.bucket.remove(vec![staged.key]).await?;
        match copied {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(self.failed("publishing")(error)),
        }
    }

    /// Uploads a range of a file's bytes, in place of what has the key.
    pub(super) async fn put_range(&self, file: &Arc<File>, range: Range<u64>) -> Result<(), StorageError> {
        if range.end - range.start <= IN_ONE {
            return self.put_in_one(file, range, PutMode::Overwrite).await.map(drop);
        }
        self.put_in_parts(file, range).await
    }

    /// Uploads a range of a file's bytes in one request; returns `false` if the key exists and `mode` is to create it.
    async fn put_in_one(
        &self,
        file: &Arc<File>,
        range: Range<u64>,
        mode: PutMode,
    ) -> Result<bool, StorageError> {
        let _room = self.bucket.parts.acquire().await;
        let bytes = part(file, range.start, range.end - range.start).await?;
        let mut tries = 0;
        loop {
            let options =
                PutOptions { mode: mode.clone(), attributes: self.attributes(), ..PutOptions::default() };
            let put = self.bucket.store.put_opts(&self.key, PutPayload::from(bytes.clone()), options).await;
            match put {
                Ok(_) => return Ok(true),
                // Another writer put it, or an earlier try did, whose response was lost.
                Err(object_store::Error::AlreadyExists { .. }) if mode == PutMode::Create => {
                    return Ok(false);
                }
                Err(object_store::Error::NotImplemented { .. }) if mode == PutMode::Create => {
                    // A store without conditional puts: look, then put. Only writers in the same instant could both succeed.
                    if self.bucket.head(&self.key).await?.is_some() {
                        return Ok(false);
                    }
                    let over = PutOptions { attributes: self.attributes(), ..PutOptions::default() };
                    let put = self.bucket.store.put_opts(&self.key, PutPayload::from(bytes), over).await;
                    return put.map(|_| true).map_err(self.failed("publishing"));
                }
                Err(error) => {
                    let error = self.failed("publishing")(error);
                    tries += 1;
                    if !error.is_transient() || tries > TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(pause(tries)).await;
                }
            }
        }
    }

    /// Uploads a range of a file's bytes in parts, and completes the upload.
    async fn put_in_parts(&self, file: &Arc<File>, range: Range<u64>) -> Result<(), StorageError> {
        let (id, begun_ms, size) = (self.begin().await?, now_ms(), range.end - range.start);
        let done = match self.put_parts(file, range, &id).await {
            Ok(parts) => self.complete(&id, parts, (size, begun_ms)).await.map(drop),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // If it can't be aborted now, it is found by its key, below the work prefix.
            let _ = self.bucket.multipart.abort_multipart(&self.key, &id).await;
        }
        done
    }

    /// Begins a multipart upload, and returns its id.
    pub(super) async fn begin(&self) -> Result<MultipartId, StorageError> {
        let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        let id = match self.bucket.multipart.create_multipart_opts(&self.key, options).await {
            // Not every store takes metadata with a multipart upload.
            Err(object_store::Error::NotSupported { .. }) => {
                self.bucket.multipart.create_multipart(&self.key).await
            }
            other => other,
        };
        id.map_err(self.failed("publishing"))
    }

    /// Completes a multipart upload that was begun at `begun_ms`; returns the object's ETag, if the store returns it.
    pub(super) async fn complete(
        &self,
        id: &MultipartId,
        parts: Vec<PartId>,
        (size, begun_ms): (u64, i64),
    ) -> Result<Option<String>, StorageError> {
        match self.bucket.multipart.complete_multipart(&self.key, id, parts).await {
            Ok(done) => Ok(done.e_tag),
            // If only the response was lost, the upload is gone and the object exists.
            Err(_) if self.is_ours((size, begun_ms), None).await.unwrap_or(false) => Ok(None),
            Err(error) if is_over(&error) => Err(StorageError::Unstaged { path: self.bucket.url(&self.key) }),
            Err(error) => Err(self.failed("publishing")(error)),
        }
    }

    /// Uploads all parts of a range of a file's bytes; few of them are in memory at once.
    pub(super) async fn put_parts(
        &self,
        file: &Arc<File>,
        range: Range<u64>,
        id: &MultipartId,
    ) -> Result<Vec<PartId>, StorageError> {
        let size = range.end - range.start;
        let part_length = PART.max(size.div_ceil(MOST_PARTS).next_multiple_of(1 << 20));
        let count = size.div_ceil(part_length);
        let mut parts: Vec<Option<PartId>> = (0..count).map(|_| None).collect();
        let mut running = tokio::task::JoinSet::new();
        let mut next = 0;
        loop {
            while next < count {
                // One always runs; more of them if there is room in memory.
                let room = if running.is_empty() {
                    self.bucket.parts.clone().acquire_owned().await.ok()
                } else {
                    match self.bucket.parts.clone().try_acquire_owned() {
                        Ok(room) => Some(room),
                        Err(_) => break,
                    }
                };
                let (bucket, key, id, file) =
                    (self.bucket.clone(), self.key.clone(), id.clone(), file.clone());
                let index = next;
                next += 1;
                running.spawn(async move {
                    let _room = room;
                    let offset = index * part_length;
                    let bytes = part(&file, range.start + offset, part_length.min(size - offset)).await?;
                    let number = usize::try_from(index).unwrap_or(usize::MAX);
                    let mut tries = 0;
                    loop {
                        let payload = PutPayload::from(bytes.clone());
                        match bucket.multipart.put_part(&key, &id, number, payload).await {
                            Ok(part) => return Ok((number, part)),
                            Err(error) => {
                                let error = StorageError::store("publishing", &bucket.url(&key))(error);
                                tries += 1;
                                if !error.is_transient() || tries > TRIES {
                                    return Err(error);
                                }
                                tokio::time::sleep(pause(tries)).await;
                            }
                        }
                    }
                });
            }
            match running.join_next().await {
                None => break,
                Some(Ok(Ok((number, part)))) => parts[number] = Some(part),
                Some(Ok(Err(error))) => return Err(error),
                Some(Err(_)) => {
                    return Err(self.failed("publishing")(object_store::Error::Generic {
                        store: "upload",
                        source: "the upload of a part was aborted".into(),
                    }));
                }
            }
        }
        Ok(parts.into_iter().flatten().collect())
    }

    /// Returns `true` if the object is the one that this execution's attempt uploaded: by its ETag if that is known, else by its
    /// metadata. A store that keeps no metadata of a multipart upload (Azure) leaves its size, and that it is newer than the upload.
    pub(super) async fn is_ours(
        &self,
        (size, begun_ms): (u64, i64),
        tag: Option<&str>,
    ) -> Result<bool, StorageError> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let found = match self.bucket.store.get_opts(&self.key, head).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.failed("looking at")(error)),
        };
        let work_prefix = found.attributes.get(&Attribute::Metadata("millrace".into())).map(AsRef::as_ref);
        let is_it = match (tag, work_prefix) {
            (Some(tag), _) => found.meta.e_tag.as_deref() == Some(tag),
            (None, Some(work_prefix)) => work_prefix == self.work_prefix,
            (None, None) => found.meta.last_modified.timestamp_millis() >= begun_ms - CLOCK_SKEW_MS,
        };
        Ok(found.meta.size == size && is_it)
    }
}

/// Returns bytes of a file.
async fn part(file: &Arc<File>, offset: u64, length: u64) -> Result<Bytes, StorageError> {
    let file = file.clone();
    blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = file.read_exact_at(&mut bytes, offset);
        read.map_err(StorageError::io("reading", Path::new("a staged object")))?;
        Ok(Bytes::from(bytes))
    })
    .await
}
