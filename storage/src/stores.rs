//! What this process may read and write, and the backend of each URL.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use millrace_access::{Location, Purpose, Reach, Refusal, Scheme};
use object_store::path::Path as Key;

use crate::{
    backend::{Entry, SourceEntry, WorkRoot},
    error::StorageError,
    files::{WorkFolder, folder::FilePath},
    objects::{
        ObjectEntry, WorkPrefixes,
        bucket::{Bucket, ClientSettings},
    },
    web::{WebClient, WebEntry},
};

/// The stores of this process: its files, and object stores, with a client for each bucket once it is needed.
#[derive(Clone, Default)]
pub struct Stores {
    buckets: Arc<Mutex<HashMap<(Scheme, String), Bucket>>>,
    clients: Arc<ClientSettings>,
    web: WebClient,
    bounds: Arc<Bounds>,
}

/// What these stores may be used for.
#[derive(Debug, Clone)]
struct Bounds {
    sources: Reach,
    outputs: Reach,
    /// Where the work objects and the log are: no output is written there.
    reserved: Vec<Location>,
    /// True if `memory://` is allowed.
    has_memory: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            sources: Reach::Everything,
            outputs: Reach::Everything,
            reserved: Vec::new(),
            has_memory: false,
        }
    }
}

/// Its settings may hold credentials.
impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

impl Stores {
    /// Returns stores for which these variables, such as `AWS_ENDPOINT_URL`, take precedence over those of the environment.
    #[must_use]
    pub fn with_variables<'a>(variables: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let clients = ClientSettings { variables, ..ClientSettings::default() };
        Self { clients: Arc::new(clients), ..Self::default() }
    }

    /// Limits these stores to what lies beneath these roots, whatever is requested: sources are read and outputs written nowhere
    /// else, and no link below a root is followed. Work objects are not affected ([`WorkStore`](crate::WorkStore)).
    #[must_use]
    pub fn within(mut self, sources: Reach, outputs: Reach) -> Self {
        let bounds = Arc::make_mut(&mut self.bounds);
        (bounds.sources, bounds.outputs) = (sources, outputs);
        self
    }

    /// Forbids outputs at or below these locations: where the log and the work objects are.
    #[must_use]
    pub fn reserving(mut self, reserved: impl IntoIterator<Item = Location>) -> Self {
        Arc::make_mut(&mut self.bounds).reserved.extend(reserved);
        self
    }

    /// Allows `memory://`, which is for tests.
    #[must_use]
    pub fn with_memory(mut self) -> Self {
        Arc::make_mut(&mut self.bounds).has_memory = true;
        self
    }

    /// Lets stores without credentials ask the cloud's metadata service for the role of the instance.
    #[must_use]
    pub fn with_instance_roles(mut self) -> Self {
        Arc::make_mut(&mut self.clients).has_instance_roles = true;
        self
    }

    /// Returns the location and the entry of a source, if it may be read.
    pub(crate) fn source(&self, url: &str) -> Result<(Location, Arc<dyn SourceEntry>), StorageError> {
        let location = Location::parse(url)?;
        let sources = &self.bounds.sources;
        sources.check(Purpose::Source, &location)?;
        if *sources != Reach::Everything {
            self.check_not_reserved(&location)?;
        }
        let entry: Arc<dyn SourceEntry> = match &location {
            Location::Web(address) => Arc::new(WebEntry::new(self.web.clone(), address.clone())),
            _ => self.entry(&location, sources)?,
        };
        Ok((location, entry))
    }

    /// Returns the entry of an output, if it may be written.
    pub(crate) fn output(&self, url: &str) -> Result<Arc<dyn Entry>, StorageError> {
        let location = Location::parse(url)?;
        self.bounds.outputs.check(Purpose::Output, &location)?;
        self.check_not_reserved(&location)?;
        self.entry(&location, &self.bounds.outputs)
    }

    /// Returns the entry of a URL that may be written as an output or read as a source.
    pub(crate) fn output_or_source(&self, url: &str) -> Result<Arc<dyn SourceEntry>, StorageError> {
        match self.output(url) {
            Err(StorageError::Refused(refusal)) => match self.source(url) {
                Ok((_, entry)) => Ok(entry),
                Err(_) => Err(StorageError::Refused(refusal)),
            },
            other => Ok(other?),
        }
    }

    /// Returns the folder or prefix of work objects at a URL. The settings of the process name it, so no bounds apply.
    pub(crate) fn work_root(&self, url: &str) -> Result<Arc<dyn WorkRoot>, StorageError> {
        match Location::parse(url)? {
            Location::File { path, .. } => Ok(Arc::new(WorkFolder(path))),
            location @ Location::Object { .. } => {
                let ObjectEntry { bucket, key } = self.object(&location)?;
                Ok(Arc::new(WorkPrefixes { bucket, prefix: key }))
            }
            location @ Location::Web(_) => Err(StorageError::Url {
                url: location.to_string(),
                reason:
                    "work objects can't be written to a web server; name a folder, or a prefix of a bucket"
                        .into(),
            }),
        }
    }

    fn check_not_reserved(&self, location: &Location) -> Result<(), Refusal> {
        match self.bounds.reserved.iter().find(|reserved| location.is_beneath(reserved)) {
            None => Ok(()),
            Some(reserved) => {
                Err(Refusal::Reserved { location: location.clone(), reserved: reserved.clone() })
            }
        }
    }

    /// Returns the entry of a location, which `reach` must hold.
    fn entry(&self, location: &Location, reach: &Reach) -> Result<Arc<dyn Entry>, StorageError> {
        let Location::File { path, .. } = location else { return Ok(Arc::new(self.object(location)?)) };
        let path = match (reach, reach.root_of(location)) {
            (Reach::Everything, _) => FilePath::anywhere(path.clone()),
            (Reach::Only(_), Some(root @ Location::File { path: above, .. })) => {
                let parts = location.parts_below(root).unwrap_or_default();
                FilePath::beneath(above.clone(), parts.into_iter().map(ToOwned::to_owned).collect())
            }
            // The callers have checked that; a mistake there must not open everything.
            (Reach::Only(_), _) => {
                let (location, purpose) = (location.clone(), Purpose::Source);
                return Err(Refusal::Outside { location, purpose }.into());
            }
        };
        let reserved = self.bounds.reserved.iter().filter_map(|location| match location {
            Location::File { path, .. } => Some(path.clone()),
            Location::Object { .. } | Location::Web(_) => None,
        });
        Ok(Arc::new(path.reserving(reserved.collect())))
    }

    fn object(&self, location: &Location) -> Result<ObjectEntry, StorageError> {
        let wrong = |reason: String| StorageError::Url { url: location.to_string(), reason };
        match location {
            Location::Object { scheme, bucket, key, .. }
                if *scheme != Scheme::Memory || self.bounds.has_memory =>
            {
                let key = Key::parse(key).map_err(|error| wrong(error.to_string()))?;
                Ok(ObjectEntry { bucket: self.bucket(*scheme, bucket)?, key })
            }
            _ => Err(wrong("s3, gs, az, http, https and file URLs are supported".into())),
        }
    }

    fn bucket(&self, scheme: Scheme, name: &str) -> Result<Bucket, StorageError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(&(scheme, name.to_owned())) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::new(&self.clients, scheme, name)?;
        buckets.insert((scheme, name.to_owned()), bucket.clone());
        Ok(bucket)
    }
}
