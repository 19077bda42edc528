//! The folder of an operator's own profiles, which may change while a process serves.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use millrace_processors::{ProfileSource, request::Catalog};
use millrace_worker::{count_profile_fault, set_faulty_profiles};

use crate::{
    error::CommandError,
    profile_file::{Change, FolderFiles},
};

/// How often the folder is looked at while no upload names a profile, so that a fault is reported soon.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The profiles of a folder, and those that ship. The folder is looked at whenever a profile is looked up; files that have changed are
/// read again.
#[derive(Debug, Clone)]
pub(crate) struct ProfileFolder {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    files: FolderFiles,
    catalog: Arc<Catalog>,
    /// Whether the folder could not be read the last time.
    is_away: bool,
}

impl ProfileFolder {
    /// Reads the folder for the first time.
    ///
    /// # Errors
    /// If it can't be read, or a file in it is faulty: with what would work.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, CommandError> {
        let name = folder.display();
        let mut files = FolderFiles::default();
        let changes = files
            .refresh(&folder)
            .map_err(|error| CommandError::Call(format!("--profiles {name}: {error}")))?;
        let catalog = Arc::new(files.catalog());
        if !catalog.faults().is_empty() {
            let faults = catalog.faults().iter();
            let faults: Vec<String> =
                faults.map(|(file, reason)| format!("{}: {reason}", folder.join(file).display())).collect();
            return Err(CommandError::Call(format!(
                "{}\ncorrect this, or take it out of --profiles {name}; 'millrace profiles check FILE' says whether a file is right",
                faults.join("\n")
            )));
        }
        changes.iter().for_each(log);
        Ok(Self { folder, state: Arc::new(Mutex::new(State { files, catalog, is_away: false })) })
    }

    /// Looks at the folder time and again, until the process ends.
    pub(crate) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.catalog().await;
        }
    }

    /// Reads what has changed.
    fn refresh(&self) -> Arc<Catalog> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.files.refresh(&self.folder) {
            Ok(changes) => {
                state.is_away = false;
                changes.iter().for_each(log);
                if !changes.is_empty() {
                    state.catalog = Arc::new(state.files.catalog());
                }
                set_faulty_profiles(state.catalog.faults().len());
            }
            Err(error) => {
                if !state.is_away {
                    count_profile_fault();
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "the profiles can't be read; those that were read stay in force");
                }
                state.is_away = true;
            }
        }
        state.catalog.clone()
    }
}

#[async_trait]
impl ProfileSource for ProfileFolder {
    async fn catalog(&self) -> Arc<Catalog> {
        let folder = self.clone();
        let refreshed = tokio::task::spawn_blocking(move || folder.refresh()).await;
        // It fails only while the process ends.
        refreshed
            .unwrap_or_else(|_| self.state.lock().unwrap_or_else(PoisonError::into_inner).catalog.clone())
    }
}

/// Logs a change, and counts it if it could not be taken.
fn log(change: &Change) {
    match change {
        Change::Read(name, version) => tracing::info!(profile = %name, %version, "a profile was read"),
        Change::Removed(file) => tracing::info!(file, "a profile was removed"),
        Change::Faulty { file, reason, in_force } => {
            count_profile_fault();
            match in_force {
                Some(version) => tracing::warn!(
                    file, reason, %version, "a profile is faulty; the version before it stays in force"
                ),
                None => tracing::warn!(file, reason, "a profile is faulty, and can't be used"),
            }
        }
    }
}
