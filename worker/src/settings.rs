//! How a worker works.

use std::sync::Arc;

use millrace_access::Access;
use millrace_processors::{
    Principals, ProfileSource, cleanup::RETRY_WINDOW_MS, request::Catalog, trigger::rules::Rule,
};
use millrace_schemas::Encoders;
use millrace_storage::{Stores, WorkStore};

use crate::{keys::Keys, sandbox::MediaProcessSettings};

/// The scheme of the store for uploads that name only a bucket, unless it is set otherwise.
pub const DEFAULT_STORE: &str = "s3";

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Where work objects are.
    pub objects: WorkStore,
    /// The stores of sources and outputs.
    pub stores: Stores,
    /// How many cores to use.
    pub jobs: usize,
    /// The names of the processors to run; empty for all.
    pub processors: Vec<String>,
    /// For how long a failed execution's work objects are kept, in milliseconds.
    pub retry_window_ms: i64,
    /// The scheme of the store for uploads that name only a bucket: `s3`, `gs` or `az`.
    pub default_store: String,
    /// The rules of what is watched.
    pub rules: Vec<Rule>,
    /// How media processes run.
    pub media: MediaProcessSettings,
    /// The encoders that media processes have, as [`crate::check_sandbox`] returns them: the ids of renditions contain them.
    pub encoders: Encoders,
    /// What each principal may reach, and how much.
    pub access: Arc<Access>,
    /// Which principal an upload on the log belongs to.
    pub principals: Principals,
    /// The profiles that uploads may name.
    pub profiles: Arc<dyn ProfileSource>,
    /// The keys by which packages are encrypted.
    pub keys: Keys,
}

impl WorkerSettings {
    /// Returns the defaults: all processors on one core, nothing watched, no keys, and one principal that may reach everything.
    #[must_use]
    pub fn new(objects: WorkStore, stores: Stores) -> Self {
        Self {
            objects,
            stores,
            jobs: 1,
            processors: Vec::new(),
            retry_window_ms: RETRY_WINDOW_MS,
            default_store: DEFAULT_STORE.into(),
            rules: Vec::new(),
            media: MediaProcessSettings::default(),
            encoders: Encoders::default(),
            access: Arc::new(Access::everything()),
            principals: Principals::default(),
            profiles: Arc::new(Catalog::default()),
            keys: Keys::default(),
        }
    }
}
