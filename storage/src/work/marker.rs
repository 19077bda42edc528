//! Markers of uploads in parts.

use std::{
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use object_store::{ObjectStoreExt as _, PutPayload, path::Path as Key};
use serde::{Deserialize, Serialize};

use super::{Root, UPLOADS, Work, file, key};
use crate::{StorageError, source::blocking, stores::Bucket};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Tells of an upload in parts to an output, beside the work objects of its execution: so it is ended with them, whoever died.
#[derive(Debug)]
pub struct Marker {
    pub(super) work: Work,
    pub(super) place: String,
    pub(super) name: String,
}

/// What a marker tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) url: String,
    /// Once it is known.
    pub(super) id: Option<String>,
    pub(super) at_ms: i64,
}

impl Marker {
    pub(crate) async fn begins(&self, bucket: &Bucket, key: &Key) -> Result<(), StorageError> {
        self.tell(&Told { url: bucket.url(key), id: None, at_ms: now_ms() }).await
    }

    pub(crate) async fn is_under_way(
        &self,
        bucket: &Bucket,
        key: &Key,
        id: &str,
    ) -> Result<(), StorageError> {
        self.tell(&Told { url: bucket.url(key), id: Some(id.into()), at_ms: now_ms() }).await
    }

    /// The upload is over; what tells of it goes.
    pub(crate) async fn is_over(&self) -> Result<(), StorageError> {
        match &self.work.root {
            Root::Folder(root) => {
                let marker = file(root, &[&self.place, UPLOADS, &self.name])?;
                // What can't be removed now goes with the place.
                let _ = marker.folder(false).map(|folder| folder.remove(&self.name));
                Ok(())
            }
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[&self.place, UPLOADS, &self.name])?;
                bucket.remove(vec![key]).await
            }
        }
    }

    async fn tell(&self, told: &Told) -> Result<(), StorageError> {
        let text = serde_json::to_vec(told).unwrap_or_default();
        match &self.work.root {
            Root::Folder(root) => {
                let marker = file(root, &[&self.place, UPLOADS, &self.name])?;
                blocking(move || {
                    let mut file =
                        marker.folder(true)?.overwrite(marker.name()).map_err(marker.failed("writing"))?;
                    file.write_all(&text).map_err(marker.failed("writing"))
                })
                .await
            }
            Root::Bucket { bucket, prefix } => {
                let key = key(prefix, &[&self.place, UPLOADS, &self.name])?;
                let put = bucket.store.put(&key, PutPayload::from(text)).await;
                put.map(drop).map_err(StorageError::store("writing", &bucket.url(&key)))
            }
        }
    }
}
