//! The ports of the processors: bytes through [`millrace_storage`], media through child processes.

mod media;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_engine::Ended;
use millrace_schemas::{Encoders, SourceRef};
use millrace_storage::{Stores, WorkStore, is_manifest};
use millrace_topology::ports::{Controls, PortError, Storage, Stored};

use crate::{batch::SegmentBatches, children::Children, error::port_error, keys::Keys, stored::read_stored};

/// The ports of the processors.
pub(crate) struct Ports {
    pub(crate) children: Children,
    /// The encoders of media processes, by codec.
    pub(crate) encoders: Encoders,
    pub(crate) stores: Stores,
    /// The keys by which packages are encrypted.
    pub(crate) keys: Keys,
    pub(crate) work: WorkStore,
    pub(crate) batches: Arc<SegmentBatches>,
    /// The attempts that have ended, by execution.
    pub(crate) ended: Ended,
}

#[async_trait]
impl Storage for Ports {
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
        self.stores.pin(url).await.map_err(port_error)
    }

    async fn made(&self, prefix: &str, rendition: &str, index: i32) -> Result<Option<Stored>, PortError> {
        read_stored(&self.work, prefix, rendition, index).await.map_err(port_error)
    }

    async fn size(&self, url: &str) -> Result<Option<i64>, PortError> {
        let whole = if is_manifest(url) { self.stores.package_size(url).await } else { Ok(None) };
        // What has the name of a manifest and is no whole package has a size all the same.
        let size = match whole.map_err(port_error)? {
            None => self.stores.size(url).await.map_err(port_error)?,
            whole => whole,
        };
        Ok(size.map(u64::cast_signed))
    }

    async fn writable(&self, url: &str) -> Result<(), PortError> {
        self.stores.check_writable(url).await.map_err(port_error)
    }

    async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
        self.work.list_prefixes().await.map_err(port_error)
    }

    async fn remove_work(&self, prefix: &str) -> Result<bool, PortError> {
        self.work.remove(prefix).await.map_err(port_error)
    }

    async fn remove_staged(&self, prefix: &str, attempt: i32) -> Result<bool, PortError> {
        self.work.remove_staged(prefix, attempt).await.map_err(port_error)
    }
}

#[async_trait]
impl Controls for Ports {
    fn has_ended(&self, execution: &str, attempt: i32) -> bool {
        self.ended.has(execution, attempt)
    }

    async fn ended(&self, execution: &str, attempt: i32) {
        self.ended.until(execution, attempt).await;
    }
}
