//! Clients of object stores, one a bucket, made when they are first needed. Credentials come from the environment (the AWS_*,
//! GOOGLE_* and AZURE_* variables of `object_store`) and stay in here.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, Once, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
    memory::InMemory,
    multipart::MultipartStore,
    path::Path as Key,
};
use tokio::sync::Semaphore;

use crate::{StorageError, credentials, folder::FilePlace};

use millrace_access::{Location, Purpose, Reach, Refusal, Scheme};

/// So many parts of uploads are in memory at once, over all uploads of the process.
const PARTS: usize = 3;
/// For how long a store that says nothing is waited for.
const SILENCE: Duration = Duration::from_secs(30);
/// How often, and for how long, a request is tried again before its caller hears of it. Pauses double, with jitter.
const RETRIES: usize = 10;
const RETRY_FOR: Duration = Duration::from_secs(60);

/// The stores of this process.
#[derive(Clone, Default)]
pub struct Stores {
    buckets: Arc<Mutex<HashMap<(Scheme, String), Bucket>>>,
    /// What is set for them, over the environment.
    variables: Arc<HashMap<String, String>>,
    bounds: Arc<Bounds>,
}

/// What these stores may be used for.
#[derive(Debug, Clone)]
struct Bounds {
    sources: Reach,
    outputs: Reach,
    /// Where Millrace keeps its own: work objects, the log.
    reserved: Vec<Location>,
    /// Whether memory is a store.
    has_memory: bool,
    /// Whether a cloud's metadata service may be asked for credentials.
    has_instance_roles: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            sources: Reach::Everything,
            outputs: Reach::Everything,
            reserved: Vec::new(),
            has_memory: false,
            has_instance_roles: false,
        }
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

/// A bucket, and what can be done with it.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) multipart: Arc<dyn MultipartStore>,
    /// Signs what `object_store` has no call for: listing uploads that are under way.
    pub(crate) s3: Option<Arc<AmazonS3>>,
    pub(crate) scheme: Scheme,
    pub(crate) name: String,
    /// Room for parts in memory.
    pub(crate) parts: Arc<Semaphore>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.name)
    }
}

/// A location that may be reached: a file, or a key with a client for its bucket.
#[derive(Debug)]
pub(crate) enum Place {
    File(FilePlace),
    Object { bucket: Bucket, key: Key },
}

/// Room for parts, of all uploads together.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(PARTS)));
/// What is in this process's memory.
static MEMORY: LazyLock<Mutex<HashMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);

fn client() -> ClientOptions {
    // A part that takes long is not one that hangs.
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(SILENCE)
        .with_connect_timeout(Duration::from_secs(5))
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(10), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR }
}

/// rustls asks for its cryptography to be named, once a process.
pub(crate) fn name_cryptography() {
    static ONCE: Once = Once::new();
    // Somebody else's choice is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

impl Stores {
    /// Stores that are told these variables, such as `AWS_ENDPOINT_URL`, over those of the environment.
    #[must_use]
    pub fn with_variables<'a>(variables: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { variables: Arc::new(variables), ..Self::default() }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// Whoever names an endpoint without TLS wants none.
    fn allows_http(&self, of: &str) -> bool {
        let is_on = |name: &str| self.variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let names_http = |name: &str| self.variable(name).is_some_and(|value| value.starts_with("http://"));
        let endpoints = ["ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "STORAGE_ENDPOINT"];
        is_on(&format!("{of}_ALLOW_HTTP"))
            || endpoints.into_iter().any(|name| names_http(&format!("{of}_{name}")))
    }

    /// The same stores, held to what lies beneath these roots, whatever they are asked for: sources are read and outputs written
    /// nowhere else, and files are reached without following links below a root. Work objects are reached by [`Work`](crate::Work).
    #[must_use]
    pub fn within(self, sources: Reach, outputs: Reach) -> Self {
        self.bounded(|bounds| (bounds.sources, bounds.outputs) = (sources, outputs))
    }

    /// The same stores, which write no output at or below these locations: where the log and the work objects are.
    #[must_use]
    pub fn reserving(self, reserved: impl IntoIterator<Item = Location>) -> Self {
        self.bounded(|bounds| bounds.reserved.extend(reserved))
    }

    /// The same stores, with `memory://`, which is for tests.
    #[must_use]
    pub fn with_memory(self) -> Self {
        self.bounded(|bounds| bounds.has_memory = true)
    }

    /// The same stores; where no credentials are set, they ask the cloud's metadata service for the instance's role.
    #[must_use]
    pub fn with_instance_roles(self) -> Self {
        self.bounded(|bounds| bounds.has_instance_roles = true)
    }

    fn bounded(mut self, change: impl FnOnce(&mut Bounds)) -> Self {
        change(Arc::make_mut(&mut self.bounds));
        self
    }

    /// Where a source is, if it may be read.
    pub(crate) fn source(&self, url: &str) -> Result<(Location, Place), StorageError> {
        let location = Location::parse(url)?;
        let sources = &self.bounds.sources;
        sources.check(Purpose::Source, &location)?;
        if *sources != Reach::Everything {
            self.unreserved(&location)?;
        }
        let place = self.place(&location, sources)?;
        Ok((location, place))
    }

    /// Where an output is or will be, if it may be written.
    pub(crate) fn output(&self, url: &str) -> Result<Place, StorageError> {
        let location = Location::parse(url)?;
        self.bounds.outputs.check(Purpose::Output, &location)?;
        self.unreserved(&location)?;
        self.place(&location, &self.bounds.outputs)
    }

    /// Where a source or an output is, if it may be either.
    pub(crate) fn either(&self, url: &str) -> Result<Place, StorageError> {
        match self.output(url) {
            Err(StorageError::Refused(refusal)) => match self.source(url) {
                Ok((_, place)) => Ok(place),
                Err(_) => Err(StorageError::Refused(refusal)),
            },
            other => other,
        }
    }

    fn unreserved(&self, location: &Location) -> Result<(), Refusal> {
        match self.bounds.reserved.iter().find(|reserved| location.is_beneath(reserved)) {
            None => Ok(()),
            Some(reserved) => {
                Err(Refusal::Reserved { location: location.clone(), reserved: reserved.clone() })
            }
        }
    }

    /// What a location stands for, that this reach holds.
    pub(crate) fn place(&self, location: &Location, reach: &Reach) -> Result<Place, StorageError> {
        match location {
            Location::File { path, .. } => {
                let place = match (reach, reach.root_of(location)) {
                    (Reach::Everything, _) => FilePlace::anywhere(path.clone()),
                    (Reach::Only(_), Some(root @ Location::File { path: above, .. })) => {
                        let parts = location.parts_below(root).unwrap_or_default();
                        FilePlace::beneath(above.clone(), parts.into_iter().map(ToOwned::to_owned).collect())
                    }
                    // Whoever asks has looked already; who has not gets nothing.
                    (Reach::Only(_), _) => {
                        let (location, purpose) = (location.clone(), Purpose::Source);
                        return Err(Refusal::Outside { location, purpose }.into());
                    }
                };
                let reserved = self.bounds.reserved.iter().filter_map(|location| match location {
                    Location::File { path, .. } => Some(path.clone()),
                    Location::Object { .. } => None,
                });
                Ok(Place::File(place.reserving(reserved.collect())))
            }
            Location::Object { scheme, bucket, key, .. } => {
                let wrong = |reason: String| StorageError::Url { url: location.url(), reason };
                if *scheme == Scheme::Memory && !self.bounds.has_memory {
                    return Err(wrong("s3, gs, az and file URLs are served".into()));
                }
                let key = Key::parse(key).map_err(|error| wrong(error.to_string()))?;
                Ok(Place::Object { bucket: self.bucket(*scheme, bucket)?, key })
            }
        }
    }

    /// Refuses a store without credentials, unless the metadata service may be asked for the instance's.
    fn configured(&self, has_credentials: bool, scheme: Scheme, bucket: &str) -> Result<(), StorageError> {
        let may_ask =
            || self.variable(credentials::INSTANCE_ROLES).is_some_and(|value| credentials::is_on(&value));
        if has_credentials || self.bounds.has_instance_roles || may_ask() {
            return Ok(());
        }
        let variables = match scheme {
            Scheme::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Scheme::Gs => "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY",
            Scheme::Az => "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY",
            Scheme::Memory => return Ok(()),
        };
        Err(StorageError::Setup {
            url: format!("{}://{bucket}", scheme.as_str()),
            reason: format!(
                "no credentials are set for it; set {variables}, or {}=1 to use the role of the machine that this runs on, which its \
                 cloud's metadata service is asked for",
                credentials::INSTANCE_ROLES
            ),
        })
    }

    /// The bucket of that name.
    fn bucket(&self, scheme: Scheme, name: &str) -> Result<Bucket, StorageError> {
        let mut known = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = known.get(&(scheme, name.to_owned())) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::new(self, scheme, name)?;
        known.insert((scheme, name.to_owned()), bucket.clone());
        Ok(bucket)
    }
}

impl Bucket {
    fn new(stores: &Stores, scheme: Scheme, name: &str) -> Result<Self, StorageError> {
        name_cryptography();
        let wrong = |error: object_store::Error| StorageError::Setup {
            url: format!("{}://{name}", scheme.as_str()),
            reason: error.to_string(),
        };
        let (store, multipart, s3): (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>, _) = match scheme {
            Scheme::S3 => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(name)
                    .with_retry(retry())
                    .with_client_options(client().with_allow_http(stores.allows_http("AWS")))
                    .with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
                for (name, value) in stores.variables.iter() {
                    if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                if stores.variable("AWS_REGION").or_else(|| stores.variable("AWS_DEFAULT_REGION")).is_none() {
                    builder = builder.with_region("us-east-1");
                }
                stores.configured(credentials::of_s3(&builder), scheme, name)?;
                let s3 = Arc::new(builder.build().map_err(wrong)?);
                (s3.clone(), s3.clone(), Some(s3))
            }
            Scheme::Gs => {
                let builder =
                    GoogleCloudStorageBuilder::from_env().with_bucket_name(name).with_retry(retry());
                stores.configured(credentials::of_gs(&builder), scheme, name)?;
                let gs = Arc::new(builder.with_client_options(client()).build().map_err(wrong)?);
                (gs.clone(), gs, None)
            }
            Scheme::Az => {
                let mut builder =
                    MicrosoftAzureBuilder::from_env().with_container_name(name).with_retry(retry());
                builder = builder.with_client_options(client().with_allow_http(stores.allows_http("AZURE")));
                for (name, value) in stores.variables.iter() {
                    if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                stores.configured(credentials::of_az(&builder), scheme, name)?;
                let az = Arc::new(builder.build().map_err(wrong)?);
                (az.clone(), az, None)
            }
            Scheme::Memory => {
                let mut all = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
                let memory = all.entry(name.to_owned()).or_default().clone();
                (memory.clone(), memory, None)
            }
        };
        Ok(Self { store, multipart, s3, scheme, name: name.into(), parts: ROOM.clone() })
    }

    /// The URL of a key, as errors name it.
    pub(crate) fn url(&self, key: &Key) -> String {
        crate::object_url(self.scheme, &self.name, key.as_ref())
    }

    /// What is known of an object; `None` where there is none.
    pub(crate) async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>, StorageError> {
        match self.store.head(key).await {
            Ok(meta) => Ok(Some(meta)),
            // S3 has no text for HEAD: a bucket that is not there looks the same.
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::store("looking for", &self.url(key))(error)),
        }
    }

    /// The last bytes of an object, at most so many, and its size; `None` where there is none.
    pub(crate) async fn tail(&self, key: &Key, most: u64) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        let range = match self.scheme {
            // Azure knows no ranges from the end.
            Scheme::Az => match self.head(key).await? {
                Some(meta) if meta.size > 0 => GetRange::Offset(meta.size.saturating_sub(most)),
                found => return Ok(found.map(|_| (0, Vec::new()))),
            },
            _ => GetRange::Suffix(most),
        };
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let url = self.url(key);
        let found = async {
            let result = self.store.get_opts(key, options).await?;
            let size = result.meta.size;
            Ok((size, result.bytes().await?.to_vec()))
        };
        match found.await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            // The end of nothing is no range.
            Err(_) if self.head(key).await?.is_some_and(|meta| meta.size == 0) => Ok(Some((0, Vec::new()))),
            Err(error) => Err(StorageError::store("reading", &url)(error)),
        }
    }

    /// All objects below a prefix.
    pub(crate) async fn list(&self, prefix: &Key) -> Result<Vec<ObjectMeta>, StorageError> {
        let url = self.url(prefix);
        let prefix = (!prefix.is_root()).then_some(prefix);
        self.store.list(prefix).try_collect().await.map_err(StorageError::store("listing", &url))
    }

    /// Removes objects; one that is gone already is as good.
    pub(crate) async fn remove(&self, keys: Vec<Key>) -> Result<(), StorageError> {
        let all = futures_util::stream::iter(keys.into_iter().map(Ok)).boxed();
        let mut removed = self.store.delete_stream(all);
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(StorageError::store("removing from", &format!("{self:?}"))(error)),
            }
        }
        Ok(())
    }
}
