//! A bucket, and its client. Credentials come from the environment (the `AWS_*`, `GOOGLE_*` and `AZURE_*` variables of
//! `object_store`), and nothing outside of this module's folder sees them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, Once, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _};
use millrace_access::Scheme;
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

use crate::{error::StorageError, objects::credentials};

/// How many parts of uploads are in memory at once, over all uploads of the process.
const PARTS: usize = 3;
/// How long a store may send nothing before a request fails.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a store may take to accept a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and for how long, a failed request is tried again. Pauses double, with jitter.
pub(crate) const RETRIES: u32 = 10;
pub(crate) const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A bucket, and its client.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) multipart: Arc<dyn MultipartStore>,
    /// Signs the request that `object_store` has no call for: listing multipart uploads. `None` for stores other than S3.
    pub(crate) s3: Option<Arc<AmazonS3>>,
    pub(crate) scheme: Scheme,
    pub(crate) name: String,
    /// Permits for parts in memory.
    pub(crate) parts: Arc<Semaphore>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.name)
    }
}

/// How clients are set up.
#[derive(Clone, Default)]
pub(crate) struct ClientSettings {
    /// Variables that take precedence over those of the environment.
    pub(crate) variables: HashMap<String, String>,
    /// True if the cloud's metadata service may be asked for credentials.
    pub(crate) has_instance_roles: bool,
}

/// Permits for parts in memory, shared by all uploads.
static PARTS_IN_MEMORY: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(PARTS)));
/// The buckets of this process's memory.
static MEMORY: LazyLock<Mutex<HashMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);

fn client() -> ClientOptions {
    // A slow part is no hang, so the whole request has no timeout.
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(10), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES as usize, retry_timeout: RETRY_TIMEOUT }
}

/// Sets the process's cryptography provider, which rustls needs once.
pub(crate) fn install_cryptography() {
    static ONCE: Once = Once::new();
    // It fails if one is set already, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

impl ClientSettings {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// Returns `true` if plain HTTP is allowed: by its own variable, or because an endpoint is an `http://` URL.
    fn allows_http(&self, vendor: &str) -> bool {
        let is_on = |name: &str| self.variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_http = |name: &str| self.variable(name).is_some_and(|value| value.starts_with("http://"));
        let endpoints = ["ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "STORAGE_ENDPOINT"];
        is_on(&format!("{vendor}_ALLOW_HTTP"))
            || endpoints.into_iter().any(|name| is_http(&format!("{vendor}_{name}")))
    }

    /// Refuses a store without credentials, unless the metadata service may be asked for those of the instance.
    fn check_credentials(&self, is_set: bool, scheme: Scheme, bucket: &str) -> Result<(), StorageError> {
        let may_ask =
            || self.variable(credentials::INSTANCE_ROLES).is_some_and(|value| credentials::is_on(&value));
        if is_set || self.has_instance_roles || may_ask() {
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
                "no credentials are set for it; set {variables}, or set {}=1 to use the role of this machine, which its cloud's \
                 metadata service gives",
                credentials::INSTANCE_ROLES
            ),
        })
    }
}

impl Bucket {
    /// Sets up a client for a bucket. Sends no request.
    pub(crate) fn new(settings: &ClientSettings, scheme: Scheme, name: &str) -> Result<Self, StorageError> {
        install_cryptography();
        let wrong = |error: object_store::Error| StorageError::Setup {
            url: format!("{}://{name}", scheme.as_str()),
            reason: error.to_string(),
        };
        let (store, multipart, s3): (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>, _) = match scheme {
            Scheme::S3 => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(name)
                    .with_retry(retry())
                    .with_client_options(client().with_allow_http(settings.allows_http("AWS")))
                    .with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
                for (name, value) in &settings.variables {
                    if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                if settings
                    .variable("AWS_REGION")
                    .or_else(|| settings.variable("AWS_DEFAULT_REGION"))
                    .is_none()
                {
                    builder = builder.with_region("us-east-1");
                }
                settings.check_credentials(credentials::has_s3(&builder), scheme, name)?;
                let s3 = Arc::new(builder.build().map_err(wrong)?);
                (s3.clone(), s3.clone(), Some(s3))
            }
            Scheme::Gs => {
                let builder =
                    GoogleCloudStorageBuilder::from_env().with_bucket_name(name).with_retry(retry());
                settings.check_credentials(credentials::has_gs(&builder), scheme, name)?;
                let gs = Arc::new(builder.with_client_options(client()).build().map_err(wrong)?);
                (gs.clone(), gs, None)
            }
            Scheme::Az => {
                let mut builder =
                    MicrosoftAzureBuilder::from_env().with_container_name(name).with_retry(retry());
                builder =
                    builder.with_client_options(client().with_allow_http(settings.allows_http("AZURE")));
                for (name, value) in &settings.variables {
                    if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                settings.check_credentials(credentials::has_azure(&builder), scheme, name)?;
                let az = Arc::new(builder.build().map_err(wrong)?);
                (az.clone(), az, None)
            }
            Scheme::Memory => {
                let mut all = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
                let memory = all.entry(name.to_owned()).or_default().clone();
                (memory.clone(), memory, None)
            }
        };
        Ok(Self { store, multipart, s3, scheme, name: name.into(), parts: PARTS_IN_MEMORY.clone() })
    }

    /// Returns the URL of a key.
    pub(crate) fn url(&self, key: &Key) -> String {
        millrace_access::object_url(self.scheme, &self.name, key.as_ref())
    }

    /// Returns an object's metadata, or `None` if there is no such object.
    pub(crate) async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>, StorageError> {
        match self.store.head(key).await {
            Ok(meta) => Ok(Some(meta)),
            // Also if there is no such bucket: S3's response to HEAD does not say.
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::store("looking for", &self.url(key))(error)),
        }
    }

    /// Returns an object's size and its last bytes, at most `most`, or `None` if there is no such object.
    pub(crate) async fn tail(&self, key: &Key, most: u64) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        let range = match self.scheme {
            // Azure has no suffix ranges.
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
            // An empty object has no valid range.
            Err(_) if self.head(key).await?.is_some_and(|meta| meta.size == 0) => Ok(Some((0, Vec::new()))),
            Err(error) => Err(StorageError::store("reading", &url)(error)),
        }
    }

    /// Returns all objects below a prefix.
    pub(crate) async fn list(&self, prefix: &Key) -> Result<Vec<ObjectMeta>, StorageError> {
        let url = self.url(prefix);
        let prefix = (!prefix.is_root()).then_some(prefix);
        self.store.list(prefix).try_collect().await.map_err(StorageError::store("listing", &url))
    }

    /// Removes objects. An object that does not exist is no error.
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
