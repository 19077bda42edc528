//! Apicurio Registry, which has Confluent's REST API, in memory.

use crate::process::{Process, ServerError, doing, folder, free_port, java, listens};

/// A schema registry.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    log: std::path::PathBuf,
    process: Option<Process>,
    _temporary: Option<tempfile::TempDir>,
}

impl Registry {
    /// Starts a registry on a free port. Its schemas are lost when it ends.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start() -> Result<Self, ServerError> {
        let temporary = tempfile::tempdir().map_err(doing("making a folder"))?;
        let log = temporary.path().join("registry.log");
        let mut registry = Self { port: free_port()?, log, process: None, _temporary: Some(temporary) };
        registry.resume()?;
        Ok(registry)
    }

    /// Starts a registry on this port, which logs to this file.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start_at(port: u16, log: &std::path::Path) -> Result<Self, ServerError> {
        let mut registry = Self { port, log: log.to_owned(), process: None, _temporary: None };
        registry.resume()?;
        Ok(registry)
    }

    /// Returns its URL for Confluent's clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Ends it. Its schemas are lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, empty.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        let jar = folder().join("registry/apicurio-registry-app-2.6.13.Final-runner.jar");
        if !jar.exists() {
            return Err(ServerError::NotFetched(jar));
        }
        let mut command = java();
        command.arg(format!("-Dquarkus.http.port={}", self.port)).arg("-Dquarkus.http.host=127.0.0.1");
        command.arg("-jar").arg(&jar);
        let mut process = Process::start("Apicurio Registry", &mut command, self.log.clone())?;
        let (port, url) = (self.port, format!("{}/subjects", self.url()));
        process.wait_until(|| listens(port) && ureq::get(&url).call().is_ok())?;
        self.process = Some(process);
        Ok(())
    }
}
