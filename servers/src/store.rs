//! versitygw, an S3 gateway over a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{Process, ServerError, doing, folder, free_port, listens};

/// The access key of the store.
pub const ACCESS_KEY: &str = "millrace-test";
/// The secret key of the store.
pub const SECRET_KEY: &str = "millrace-test-secret";

/// An S3 store. Buckets are folders in [`Store::folder`].
#[derive(Debug)]
pub struct Store {
    port: u16,
    folder: PathBuf,
    /// The brokers and the topic to which it publishes notifications.
    notifies: Option<(String, String)>,
    process: Option<Process>,
    _temporary: Option<tempfile::TempDir>,
}

impl Store {
    /// Starts a store on a free port, with its data in a temporary folder.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(None)
    }

    /// Starts a store likewise, which publishes notifications to `(brokers, topic)`, if given.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start_with(notifies: Option<(&str, &str)>) -> Result<Self, ServerError> {
        let temporary = tempfile::tempdir().map_err(doing("making a folder"))?;
        let mut store = Self::prepare(temporary.path(), free_port()?, notifies);
        store._temporary = Some(temporary);
        store.resume()?;
        Ok(store)
    }

    /// Starts a store on this port, with its data in this folder, which stays.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start_at(folder: &Path, port: u16, notifies: Option<(&str, &str)>) -> Result<Self, ServerError> {
        let mut store = Self::prepare(folder, port, notifies);
        store.resume()?;
        Ok(store)
    }

    fn prepare(folder: &Path, port: u16, notifies: Option<(&str, &str)>) -> Self {
        let notifies = notifies.map(|(brokers, topic)| (brokers.to_owned(), topic.to_owned()));
        Self { port, folder: folder.to_owned(), notifies, process: None, _temporary: None }
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder that holds the buckets.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.join("buckets")
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn bucket(&self, name: &str) -> Result<(), ServerError> {
        let path = self.folder().join(name);
        fs::create_dir_all(&path).map_err(doing(format!("making {}", path.display())))
    }

    /// Returns the variables that set up a client for it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port with the same data.
    ///
    /// # Errors
    /// If it does not start.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        let program = folder().join("s3/versitygw");
        if !program.exists() {
            return Err(ServerError::NotFetched(program));
        }
        for sub in ["buckets", "metadata"] {
            let path = self.folder.join(sub);
            fs::create_dir_all(&path).map_err(doing(format!("making {}", path.display())))?;
        }
        let mut command = Command::new(program);
        command.args(["--port", &format!("127.0.0.1:{}", self.port), "--quiet"]);
        command.args(["--access", ACCESS_KEY, "--secret", SECRET_KEY]);
        if let Some((brokers, topic)) = &self.notifies {
            command.args(["--event-kafka-url", brokers, "--event-kafka-topic", topic]);
        }
        // Metadata of objects is in files of their own, since not every file system has extended attributes.
        command.arg("posix").arg("--sidecar").arg(self.folder.join("metadata")).arg(self.folder());
        let mut process = Process::start("versitygw", &mut command, self.folder.join("store.log"))?;
        let port = self.port;
        process.wait_until(|| listens(port))?;
        self.process = Some(process);
        Ok(())
    }
}
