//! Which versions an execution is made with: of its profile, and of the images that the profile names.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use millrace_access::{Access, Location, Purpose};
use millrace_profiles::{Catalog, profile_reference};
use millrace_schemas::Upload;
use millrace_topology::ports::{PortError, Storage};

use crate::request::{pin_assets_of, pin_profile, unpinned_assets};

/// Where the profiles are found that uploads name.
#[async_trait]
pub trait ProfileSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the profiles as they are now.
    async fn catalog(&self) -> Arc<Catalog>;
}

/// Profiles that do not change.
#[async_trait]
impl ProfileSource for Catalog {
    async fn catalog(&self) -> Arc<Catalog> {
        Arc::new(self.clone())
    }
}

/// Pins uploads when they are accepted: their execution is made, wholly, with these versions (PR-1). Whatever happens to a record
/// later, it has the profile itself, and no name is looked up again.
#[derive(Debug, Clone)]
pub struct Pinning {
    profiles: Arc<dyn ProfileSource>,
    /// What each principal may read.
    access: Arc<Access>,
}

impl Pinning {
    /// Returns what pins uploads to these profiles.
    #[must_use]
    pub fn new(profiles: Arc<dyn ProfileSource>, access: Arc<Access>) -> Self {
        Self { profiles, access }
    }

    /// Returns the profiles as they are now.
    pub async fn catalog(&self) -> Arc<Catalog> {
        self.profiles.catalog().await
    }

    /// Returns an upload with the profile that its name stands for now.
    ///
    /// # Errors
    /// If it has a profile that is none, with what would work.
    pub async fn pin_profile(&self, upload: Upload) -> Result<Upload, String> {
        let catalog = match profile_reference(&upload) {
            Some(_) => self.profiles.catalog().await,
            None => Arc::default(),
        };
        pin_profile(upload, &catalog).map_err(|error| format!("profile: {error}"))
    }

    /// Returns an upload with its profile and the profile's images at their present versions. What is not there, or may not be read,
    /// stays as it is: `split` refuses it, and its execution fails with the reason.
    ///
    /// # Errors
    /// If a store can't be reached now.
    pub async fn pin<S: Storage + ?Sized>(&self, storage: &S, upload: Upload) -> Result<Upload, PortError> {
        let Ok(upload) = self.pin_profile(upload.clone()).await else { return Ok(upload) };
        let Ok(principal) = self.access.principal(&upload.principal) else { return Ok(upload) };
        let may_read = |url: &String| {
            principal.reaches_everything()
                || Location::parse(url).is_ok_and(|at| principal.check(Purpose::Source, &at).is_ok())
        };
        if !unpinned_assets(&upload).iter().all(may_read) {
            return Ok(upload);
        }
        match pin_assets_of(storage, upload.clone()).await {
            Err(PortError::Refused(_)) => Ok(upload),
            pinned => pinned,
        }
    }

    /// Checks an accepted upload: it has its profile itself, or names one that ships, as uploads of earlier versions of Millrace do.
    ///
    /// # Errors
    /// If it names another one: it was not found when the upload was accepted.
    pub async fn check_pinned(&self, upload: &Upload) -> Result<(), String> {
        let Some(reference) = profile_reference(upload) else { return Ok(()) };
        let shipped = Catalog::default().resolve(reference);
        match self.profiles.catalog().await.resolve(reference) {
            Err(error) => Err(format!("profile: {error}")),
            found if found == shipped => Ok(()),
            Ok(_) => Err(format!(
                "profile: there was no profile '{reference}' where the upload was accepted; there is by now: retry the execution if it has a name, or \
                 else submit it again"
            )),
        }
    }
}
