//! Processes of servers, and what starting one needs.

use std::{
    io,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Why a server can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server was not fetched.
    #[error("{0} is not there; 'scripts/servers.sh' fetches the servers that tests need")]
    NotFetched(PathBuf),
    /// The operating system returned an error.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, such as "making a folder".
        doing: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The server did not respond in time, or ended.
    #[error("{what} did not start; the end of its log:\n{log}")]
    Down {
        /// The server's name.
        what: &'static str,
        /// The last lines of its log.
        log: String,
    },
}

/// Returns a function that adds to an error what was being done.
pub(crate) fn doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let doing = doing.into();
    move |source| ServerError::Io { doing, source }
}

/// Returns the folder into which `scripts/servers.sh` fetches the servers.
#[must_use]
pub fn folder() -> PathBuf {
    let fetched = std::env::var_os("MILLRACE_SERVERS").map(PathBuf::from);
    fetched.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/servers"))
}

/// Returns a port that is free now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16, ServerError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(bound.map_err(doing("looking for a free port"))?.port())
}

/// A server's process. It ends when this is dropped, and also when the process that started it is killed: a pipe closes then.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    what: &'static str,
}

impl Process {
    /// Starts a command that logs to this file.
    pub(crate) fn start(
        what: &'static str,
        command: &mut Command,
        log: PathBuf,
    ) -> Result<Self, ServerError> {
        let out = std::fs::File::create(&log).map_err(doing(format!("writing {}", log.display())))?;
        let copy = out.try_clone().map_err(doing("writing a log"))?;
        // A shell in between ends the server when its own standard input closes, which only this process holds open.
        let mut guarded = Command::new("sh");
        let script = r#"exec 3<&0
            "$@" </dev/null 3<&- & server=$!
            { read -r _ <&3; kill -9 $server; } & guard=$!
            wait $server
            kill $guard"#;
        guarded.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                guarded.env(name, value);
            }
        }
        let child = guarded.stdin(Stdio::piped()).stdout(out).stderr(copy).spawn();
        Ok(Self { child: child.map_err(doing(format!("starting {what}")))?, log, what })
    }

    /// Waits until the server is ready.
    pub(crate) fn wait_until(&mut self, mut is_ready: impl FnMut() -> bool) -> Result<(), ServerError> {
        let until = Instant::now() + START_TIMEOUT;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(15).collect();
        let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        Err(ServerError::Down { what: self.what, log })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This closes the shell's standard input, and so ends the server.
        drop(self.child.stdin.take());
        // It may have ended already.
        let _ = self.child.wait();
    }
}

/// Returns `true` if a server listens on this port.
pub(crate) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Returns a command for Java with little memory, which starts fast.
pub(crate) fn java() -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command
}
