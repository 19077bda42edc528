//! versitygw, which speaks S3, over a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Process, ServerError, doing, folder, free_port, listens};

/// Who may talk to the store.
pub const ACCESS_KEY: &str = "millrace-test";
/// Its secret.
pub const SECRET_KEY: &str = "millrace-test-secret";

/// A store that speaks S3. Buckets are folders of [`Store::folder`].
#[derive(Debug)]
pub struct Store {
    port: u16,
    folder: PathBuf,
    /// Where notifications go: brokers and topic.
    notifies: Option<(String, String)>,
    process: Option<Process>,
    _temporary: Option<tempfile::TempDir>,
}

impl Store {
    /// Starts a store on a free port, with its data in a temporary folder.
    ///
    /// # Errors
    /// Where it was not fetched, or does not come up.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(None)
    }

    /// The same, with notifications of what happens in its buckets to a topic of these brokers.
    ///
    /// # Errors
    /// Where it was not fetched, or does not come up.
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
    /// Where it was not fetched, or does not come up.
    pub fn start_at(folder: &Path, port: u16, notifies: Option<(&str, &str)>) -> Result<Self, ServerError> {
        let mut store = Self::prepare(folder, port, notifies);
        store.resume()?;
        Ok(store)
    }

    fn prepare(folder: &Path, port: u16, notifies: Option<(&str, &str)>) -> Self {
        let notifies = notifies.map(|(brokers, topic)| (brokers.to_owned(), topic.to_owned()));
        Self { port, folder: folder.to_owned(), notifies, process: None, _temporary: None }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its port is.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the buckets are.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.join("buckets")
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub fn bucket(&self, name: &str) -> Result<(), ServerError> {
        let path = self.folder().join(name);
        fs::create_dir_all(&path).map_err(doing(format!("making {}", path.display())))
    }

    /// The variables that tell a client of it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }

    /// Ends it, as kill -9 does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// Where it does not come up.
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
        // What is known of an object is in files beside it: not every file system has extended attributes.
        command.arg("posix").arg("--sidecar").arg(self.folder.join("metadata")).arg(self.folder());
        let mut process = Process::start("versitygw", &mut command, self.folder.join("store.log"))?;
        let port = self.port;
        process.until(|| listens(port))?;
        self.process = Some(process);
        Ok(())
    }
}
