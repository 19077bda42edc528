//! The real servers that Millrace's tests run against, as `scripts/servers.sh` fetched them: each a process of its own on
//! free ports of this machine, with its data in a folder that goes with it.

mod azurite;
mod kafka;
mod registry;
mod store;

use std::{
    io,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub use azurite::Azurite;
pub use kafka::{Kafka, Security, tool};
pub use registry::Registry;
pub use store::{ACCESS_KEY, SECRET_KEY, Store};

/// For how long a server may take to come up.
const COMES_UP: Duration = Duration::from_secs(90);

/// Why a server is not there.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its packages were not fetched.
    #[error("{0} is not there; 'scripts/servers.sh' fetches the servers that tests need")]
    NotFetched(PathBuf),
    /// The system said no.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not answer, or ended.
    #[error("{what} did not come up; the end of its log:\n{log}")]
    Down {
        /// Which.
        what: &'static str,
        /// What it said last.
        log: String,
    },
}

fn doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let doing = doing.into();
    move |source| ServerError::Io { doing, source }
}

/// Where `scripts/servers.sh` put the servers.
#[must_use]
pub fn folder() -> PathBuf {
    let fetched = std::env::var_os("MILLRACE_SERVERS").map(PathBuf::from);
    fetched.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/servers"))
}

/// A port that is free now.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> Result<u16, ServerError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(bound.map_err(doing("looking for a free port"))?.port())
}

/// A server's process. It ends when this is dropped, and also when the process that started it ends in any other way: it
/// holds the other end of a pipe.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    what: &'static str,
}

impl Process {
    /// Starts a command that logs to this file.
    fn start(what: &'static str, command: &mut Command, log: PathBuf) -> Result<Self, ServerError> {
        let out = std::fs::File::create(&log).map_err(doing(format!("writing {}", log.display())))?;
        let copy = out.try_clone().map_err(doing("writing a log"))?;
        // A shell between: it ends the server when its own standard input does, which nothing but this process writes to.
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

    /// Waits until the server answers.
    fn until(&mut self, mut answers: impl FnMut() -> bool) -> Result<(), ServerError> {
        let until = Instant::now() + COMES_UP;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if answers() {
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
        // Its standard input closes with that, and the shell ends the server.
        drop(self.child.stdin.take());
        // One that ended already needs no end.
        let _ = self.child.wait();
    }
}

/// Whether somebody listens there.
fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Java with little memory, that starts soon.
fn java() -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command
}
