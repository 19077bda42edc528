//! Ranges of an object.

use std::ops::Range;

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use object_store::{GetOptions, GetRange, path::Path as Key};

use crate::{error::StorageError, objects::bucket::Bucket, range_reader::Ranges};

/// An object at one version.
#[derive(Debug)]
pub(super) struct ObjectRanges {
    pub(super) bucket: Bucket,
    pub(super) key: Key,
    /// The ETag of the accepted version, which each request must match; `None` if the store gives none.
    pub(super) tag: Option<String>,
}

#[async_trait]
impl Ranges for ObjectRanges {
    fn display(&self) -> String {
        self.bucket.url(&self.key)
    }

    async fn append(&self, range: Range<u64>, to: &mut BytesMut) -> Result<(), StorageError> {
        let url = self.display();
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.tag.clone(),
            ..GetOptions::default()
        };
        let found = self.bucket.store.get_opts(&self.key, options).await;
        let mut stream = found.map_err(StorageError::store("reading", &url))?.into_stream();
        while let Some(bytes) = stream.next().await {
            to.extend_from_slice(&bytes.map_err(StorageError::store("reading", &url))?);
        }
        Ok(())
    }
}
