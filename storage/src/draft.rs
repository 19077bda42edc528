//! What is being written, and appears under its name at once and whole, or never.

use std::{ffi::OsStr, fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::Bytes;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, GetOptions, MultipartId, ObjectStore as _,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, multipart::PartId,
    path::Path as Key,
};

use crate::{
    Marker, StorageError,
    folder::FilePlace,
    hidden::{self, Hidden},
    ranged::pause,
    source::blocking,
    staged::Staged,
    stores::Bucket,
    uploads::is_over,
    work::{APART_MS, FileId, Told, now_ms},
};

/// The size of a part, in bytes, for objects of up to 80 GB: stores take 10,000 parts, all of one size but the last (R2), of
/// at least 5 MiB (S3).
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 10_000;
/// What is at most this large is put in one request.
const IN_ONE: u64 = PART;
/// How often what a store refuses for now is tried again here, on top of what its client tries.
const TRIES: u32 = 4;

/// A file or an object that is being written, and is gone again if it is not published.
#[derive(Debug)]
pub struct Draft {
    file: Arc<File>,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A hidden file beside its place, until it is staged or published; of an output with what is to tell of it, and its URL. Of a
    /// work object also its folders are removed, where they are empty.
    File { hidden: Hidden, place: FilePlace, is_published: bool, output: Option<Box<(Marker, String)>> },
    /// A file without a name on this machine; then an object.
    Object(Box<Object>),
}

/// Where an object goes.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bucket: Bucket,
    pub(crate) key: Key,
    /// The place of the execution that it belongs to, which goes with it as metadata.
    pub(crate) place: String,
    /// Of an output: told of its upload in parts before it begins, when it is under way and when it is whole.
    pub(crate) marker: Option<Marker>,
}

impl Draft {
    /// A draft of an output, in a hidden file beside its place until it is published. Drafts of the same output that killed
    /// processes left are removed.
    pub(crate) fn of_output(place: FilePlace, url: String, marker: Marker) -> Result<Self, StorageError> {
        hidden::remove_abandoned(&place);
        Ok(Self::hidden(hidden::create_locked(&place)?, place, Some(Box::new((marker, url)))))
    }

    /// A draft of a work object: one that is dropped leaves no folders, also where all else of its execution is gone.
    pub(crate) fn of_work(place: FilePlace) -> Result<Self, StorageError> {
        Ok(Self::hidden(hidden::create(&place)?, place, None))
    }

    fn hidden(hidden: Hidden, place: FilePlace, output: Option<Box<(Marker, String)>>) -> Self {
        Self { file: hidden.file.clone(), to: To::File { hidden, place, is_published: false, output } }
    }

    /// A draft of an object, in a file of this machine that has no name: however the process ends, it is gone.
    pub(crate) fn of_object(object: Object) -> Result<Self, StorageError> {
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile_in(&folder).map_err(StorageError::io("writing in", &folder))?;
        Ok(Self { file: Arc::new(file), to: To::Object(Box::new(object)) })
    }

    /// A copy of its descriptor.
    ///
    /// # Errors
    /// Where the process has no descriptors left.
    pub fn descriptor(&self) -> Result<File, StorageError> {
        self.file.try_clone().map_err(self.io("writing"))
    }

    fn io(&self, doing: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        let path = match &self.to {
            To::File { place, .. } => place.path().display().to_string(),
            To::Object(object) => object.bucket.url(&object.key),
        };
        move |source| StorageError::Io { doing, path, source }
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// Where the system can't tell.
    pub fn size(&self) -> Result<u64, StorageError> {
        Ok(self.file.metadata().map_err(self.io("writing"))?.len())
    }

    /// Makes it appear under its name at once and whole, and durable; `false` where something is there already and
    /// stays.
    ///
    /// # Errors
    /// Where the disk is full, or the place can't be written.
    pub async fn publish_new(self) -> Result<bool, StorageError> {
        match &self.to {
            // Its hidden name is dropped with it.
            To::File { .. } => {
                blocking(move || {
                    self.file.sync_data().map_err(self.io("writing"))?;
                    let To::File { hidden, place, .. } = &self.to else { return Ok(false) };
                    let fresh = hidden.publish_new(place)?;
                    hidden.folder.sync();
                    Ok(fresh)
                })
                .await
            }
            To::Object(object) => {
                let size =
                    self.file.metadata().map_err(StorageError::io("writing", Path::new("a draft")))?.len();
                object.put_new(&self.file, size).await
            }
        }
    }

    /// Makes it whole and durable, and visible to nobody until it is published.
    ///
    /// # Errors
    /// Where the disk is full, or the place can't be written; or it is a work object, which is published without.
    pub async fn stage(mut self) -> Result<Staged, StorageError> {
        let bytes = self.size()?;
        match &self.to {
            To::File { hidden, place, output: Some(output), .. } => {
                let (marker, url) = *output.clone();
                let id = Some(hidden.staged_name());
                let (file, path) = (self.file.clone(), place.path().display().to_string());
                let failed = |source| StorageError::Io { doing: "writing", path, source };
                let known = blocking(move || file.sync_data().and_then(|()| file.metadata()).map_err(failed));
                let known = FileId::of(&known.await?);
                let told = Told { id, file: Some(known), ..marker.begin(&url, bytes) };
                // First: what is staged and not told of would stay for good.
                marker.tell(&told).await?;
                blocking(move || {
                    if let To::File { hidden, place, is_published, .. } = &mut self.to {
                        hidden.stage(place)?;
                        *is_published = true;
                        hidden.folder.sync();
                    }
                    Ok(Staged { marker, told })
                })
                .await
            }
            To::Object(object) if object.marker.is_some() => object.stage(&self.file, bytes).await,
            To::File { .. } | To::Object(_) => Err(StorageError::Unstaged { path: "a work object".into() }),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let To::File { hidden, place, is_published: false, output } = &self.to else { return };
        hidden.remove();
        if output.is_none() {
            place.remove_empty_folders();
        }
    }
}

impl Object {
    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata("millrace".into()), self.place.clone().into());
        attributes
    }

    fn failed(&self, doing: &'static str) -> impl Fn(object_store::Error) -> StorageError {
        let url = self.bucket.url(&self.key);
        move |error| StorageError::store(doing, &url)(error)
    }

    /// The first put wins: small objects by a conditional put, larger ones by parts under another key and a conditional copy.
    async fn put_new(&self, file: &Arc<File>, size: u64) -> Result<bool, StorageError> {
        if size <= IN_ONE {
            return self.put_in_one(file, size, PutMode::Create).await;
        }
        if self.bucket.head(&self.key).await?.is_some() {
            return Ok(false);
        }
        let name = hidden::name(OsStr::new(self.key.filename().unwrap_or_default()))?;
        let parent = self.key.parent().unwrap_or(Key::ROOT);
        let aside = Self {
            bucket: self.bucket.clone(),
            key: parent.join(name.as_str()),
            place: self.place.clone(),
            marker: None,
        };
        aside.put_in_parts(file, size).await?;
        let only_new = CopyOptions::new().with_mode(CopyMode::Create);
        let mut copied = self.bucket.store.copy_opts(&aside.key, &self.key, only_new).await;
        if matches!(
            copied,
            Err(object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. })
        ) {
            // A store that can't copy on condition: it was looked at above, and only two writers in the same instant could tell.
            copied = self.bucket.store.copy(&aside.key, &self.key).await;
        }
        self.bucket.remove(vec![aside.key]).await?;
        match copied {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(self.failed("publishing")(error)),
        }
    }

    /// One request; `false` where something is there already and was to stay.
    async fn put_in_one(&self, file: &Arc<File>, size: u64, mode: PutMode) -> Result<bool, StorageError> {
        let _room = self.bucket.parts.acquire().await;
        let bytes = part(file, 0, size).await?;
        let mut tries = 0;
        loop {
            let options =
                PutOptions { mode: mode.clone(), attributes: self.attributes(), ..PutOptions::default() };
            let put = self.bucket.store.put_opts(&self.key, PutPayload::from(bytes.clone()), options).await;
            match put {
                Ok(_) => return Ok(true),
                // Also where an earlier try came through, and only its answer was lost.
                Err(object_store::Error::AlreadyExists { .. }) if mode == PutMode::Create => {
                    return Ok(false);
                }
                Err(object_store::Error::NotImplemented { .. }) if mode == PutMode::Create => {
                    // A store without conditional puts: look, then put. Only two writers in the same instant could tell.
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

    /// In parts, of which few are in memory at once; it appears when all are there.
    async fn put_in_parts(&self, file: &Arc<File>, size: u64) -> Result<(), StorageError> {
        let (id, begun_ms) = (self.begin().await?, now_ms());
        let done = match self.parts(file, size, &id).await {
            Ok(parts) => self.complete(&id, parts, (size, begun_ms)).await.map(drop),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // One that can't be ended now is found by its place.
            let _ = self.bucket.multipart.abort_multipart(&self.key, &id).await;
        }
        done
    }

    /// Puts all parts of an output, and leaves it at that: it appears when it is published.
    async fn stage(&self, file: &Arc<File>, size: u64) -> Result<Staged, StorageError> {
        let url = self.bucket.url(&self.key);
        let Some(marker) = self.marker.clone() else { return Err(StorageError::Unstaged { path: url }) };
        let mut told = marker.begin(&url, size);
        marker.tell(&told).await?;
        let id = self.begin().await?;
        told.id = Some(id.clone());
        marker.tell(&told).await?;
        let parts = match self.parts(file, size, &id).await {
            Ok(parts) => parts,
            Err(error) => {
                // One that can't be ended now is found by its marker.
                let _ = self.bucket.multipart.abort_multipart(&self.key, &id).await;
                return Err(error);
            }
        };
        told.parts = parts.into_iter().map(|part| part.content_id).collect();
        marker.tell(&told).await?;
        Ok(Staged { marker, told })
    }

    async fn begin(&self) -> Result<MultipartId, StorageError> {
        let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        let id = match self.bucket.multipart.create_multipart_opts(&self.key, options).await {
            // Attributes are not for every store's uploads in parts.
            Err(object_store::Error::NotSupported { .. }) => {
                self.bucket.multipart.create_multipart(&self.key).await
            }
            other => other,
        };
        id.map_err(self.failed("publishing"))
    }

    /// Makes an upload in parts appear, which was begun then; gives the ETag of what is there, where the store tells it.
    pub(crate) async fn complete(
        &self,
        id: &MultipartId,
        parts: Vec<PartId>,
        (size, begun_ms): (u64, i64),
    ) -> Result<Option<String>, StorageError> {
        match self.bucket.multipart.complete_multipart(&self.key, id, parts).await {
            Ok(done) => Ok(done.e_tag),
            // Where only the answer was lost, the upload is gone and the object is there.
            Err(_) if self.is_ours((size, begun_ms), None).await.unwrap_or(false) => Ok(None),
            Err(error) if is_over(&error) => Err(StorageError::Unstaged { path: self.bucket.url(&self.key) }),
            Err(error) => Err(self.failed("publishing")(error)),
        }
    }

    async fn parts(
        &self,
        file: &Arc<File>,
        size: u64,
        id: &MultipartId,
    ) -> Result<Vec<PartId>, StorageError> {
        let long = PART.max(size.div_ceil(MOST_PARTS).next_multiple_of(1 << 20));
        let count = size.div_ceil(long);
        let mut parts: Vec<Option<PartId>> = (0..count).map(|_| None).collect();
        let mut running = tokio::task::JoinSet::new();
        let mut next = 0;
        loop {
            while next < count {
                // At least one runs; more as there is room.
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
                    let at = index * long;
                    let bytes = part(&file, at, long.min(size - at)).await?;
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
                        source: "a part was given up".into(),
                    }));
                }
            }
        }
        Ok(parts.into_iter().flatten().collect())
    }

    /// Whether what is there is what this execution's attempt put: by its ETag, if that is known, or its metadata. A store that keeps
    /// none of an upload in parts (Azure) leaves its size, and that it came after the upload was begun.
    pub(crate) async fn is_ours(
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
        let place = found.attributes.get(&Attribute::Metadata("millrace".into())).map(AsRef::as_ref);
        let is_it = match (tag, place) {
            (Some(tag), _) => found.meta.e_tag.as_deref() == Some(tag),
            (None, Some(place)) => place == self.place,
            (None, None) => found.meta.last_modified.timestamp_millis() >= begun_ms - APART_MS,
        };
        Ok(found.meta.size == size && is_it)
    }
}

/// Bytes of a file.
async fn part(file: &Arc<File>, at: u64, length: u64) -> Result<Bytes, StorageError> {
    let file = file.clone();
    blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, at).map_err(StorageError::io("reading", Path::new("a draft")))?;
        Ok(Bytes::from(bytes))
    })
    .await
}
