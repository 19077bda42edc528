//! Azurite, Microsoft's emulator of Azure Blob Storage, in memory.

use std::process::Command;

use crate::process::{Process, ServerError, doing, folder, free_port, listens};

/// The account of every Azurite.
const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is documented and no secret.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// An Azure Blob Storage emulator.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    _process: Process,
    _temporary: tempfile::TempDir,
}

impl Azurite {
    /// Starts it on a free port. Its data is lost when it ends.
    ///
    /// # Errors
    /// If it was not fetched, or does not start.
    pub fn start() -> Result<Self, ServerError> {
        let program = folder().join("azurite/node_modules/azurite/dist/src/blob/main.js");
        if !program.exists() {
            return Err(ServerError::NotFetched(program));
        }
        let temporary = tempfile::tempdir().map_err(doing("making a folder"))?;
        let port = free_port()?;
        // On a machine without Node, `scripts/servers.sh` fetches it with the Python clients.
        let fetched = folder().join("python/bin/node");
        let mut command = if fetched.exists() { Command::new(fetched) } else { Command::new("node") };
        command.arg(program).args([
            "--inMemoryPersistence",
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        let mut process = Process::start("Azurite", &mut command, temporary.path().join("azurite.log"))?;
        process.wait_until(|| listens(port))?;
        Ok(Self { port, _process: process, _temporary: temporary })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// Creates a container, with Microsoft's own client.
    ///
    /// # Errors
    /// If it can't be created.
    pub fn container(&self, name: &str) -> Result<(), ServerError> {
        let script = "import sys; from azure.storage.blob import BlobServiceClient as C; \
                      C(sys.argv[1], credential={'account_name': sys.argv[2], 'account_key': sys.argv[3]}).create_container(sys.argv[4])";
        let python = folder().join("python/bin/python");
        let mut command = Command::new(python);
        let made = command.args(["-c", script, &self.url(), ACCOUNT, KEY, name]).output();
        let made = made.map_err(doing("starting Python"))?;
        if made.status.success() {
            return Ok(());
        }
        Err(ServerError::Down { what: "Azurite", log: String::from_utf8_lossy(&made.stderr).into_owned() })
    }

    /// Returns the variables that set up a client for it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.into()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.into()),
            ("AZURE_STORAGE_ENDPOINT", self.url()),
            ("AZURE_ALLOW_HTTP", "true".into()),
        ]
    }
}
