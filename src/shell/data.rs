//! The data folder: the log, the work objects, and the lock that gives them one owner.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use millrace_runtime::Embedded;
use millrace_storage::{Location, Stores, WorkStore};
use millrace_worker::WorkerSettings;

use crate::error::CommandError;

/// A data folder.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
}

/// The lock on a data folder, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Owned {
    _lock: File,
}

impl DataFolder {
    /// Returns the folder at `path`, or the platform's default. It need not exist.
    pub(crate) fn find(path: Option<&Path>) -> Result<Self, CommandError> {
        let path = match path {
            Some(path) => std::path::absolute(path).map_err(CommandError::failed)?,
            None => {
                let platform = etcetera::choose_base_strategy().map_err(|error| {
                    CommandError::Call(format!("{error}; name a data folder with --data"))
                })?;
                platform.state_dir().unwrap_or_else(|| platform.data_dir()).join("millrace")
            }
        };
        Ok(Self { path })
    }

    fn failed(&self, doing: &str, error: impl std::fmt::Display) -> CommandError {
        CommandError::Call(format!("{doing} the data folder {}: {error}", self.path.display()))
    }

    /// Locks the folder for this process.
    pub(crate) fn own(&self) -> Result<Owned, CommandError> {
        self.try_own()?.map_err(|holder| {
            CommandError::Call(format!(
                "process {holder} works on the data folder {}; wait for it, or use another with --data",
                self.path.display()
            ))
        })
    }

    /// Locks the folder for this process, and creates it if needed. Returns the id of the process that has the lock, if another one has.
    pub(crate) fn try_own(&self) -> Result<Result<Owned, String>, CommandError> {
        std::fs::create_dir_all(&self.path).map_err(|error| self.failed("making", error))?;
        let path = self.path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| self.failed("locking", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder has written its id; if that fails the message is shorter.
                let _ = lock.read_to_string(&mut holder);
                return Ok(Err(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(self.failed("locking", error)),
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|error| self.failed("writing", error))?;
        Ok(Ok(Owned { _lock: lock }))
    }

    /// Opens the log, which is created if the folder exists.
    pub(crate) fn log(&self) -> Result<Embedded, CommandError> {
        Embedded::open(&self.path.join("log.sqlite")).map_err(CommandError::failed)
    }

    /// Opens the log, and creates the folder if needed.
    pub(crate) fn new_log(&self) -> Result<Embedded, CommandError> {
        std::fs::create_dir_all(&self.path).map_err(|error| self.failed("making", error))?;
        self.log()
    }

    /// Opens the log; `None` if there is none.
    pub(crate) fn existing_log(&self) -> Result<Option<Embedded>, CommandError> {
        if self.path.join("log.sqlite").exists() { self.log().map(Some) } else { Ok(None) }
    }

    /// Returns the folder of the work objects.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Returns where the folder is; uploads may neither read nor write there.
    pub(crate) fn location(&self) -> Option<Location> {
        Location::of_path(&self.path).ok()
    }

    /// Returns the default settings of a worker whose log and work objects are in this folder.
    pub(crate) fn worker_settings(&self) -> WorkerSettings {
        let stores = Stores::default().reserving(self.location());
        WorkerSettings::new(WorkStore::in_folder(self.work(), &stores), stores)
    }
}
