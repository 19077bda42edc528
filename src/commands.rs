//! The commands, a file for each.

mod cleanup;
mod dead;
mod executions;
mod follow;
mod man;
mod probe;
mod replay;
mod run;
mod serve;
mod submit;
mod topology;
mod verify;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use clap::CommandFactory;
use millrace_runtime::{Log, LogError, announce};
use millrace_topology::streams;

pub(crate) use crate::terminal::{print, print_lines, tell};
use crate::{
    cli::{Cli, Command, Place},
    config::Config,
    shell::{DataFolder, connect},
};

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The call is wrong, and nothing was begun.
    #[error("{0}")]
    Call(String),
    /// It went wrong on the way.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Call(_) => crate::WRONG_CALL,
            Self::Failed(_) => 1,
        }
    }

    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<LogError> for CommandError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::UnknownStream(name) => Self::Failed(format!(
                "the log has no stream '{name}'; 'millrace topology --apply' makes the topics of a cluster"
            )),
            error => Self::failed(error),
        }
    }
}

/// Runs a command; gives the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Run(call) => Box::pin(run::run(call)).await,
        Command::Serve(call) => Box::pin(serve::serve(*call)).await,
        Command::Submit(call) => Box::pin(submit::submit(*call)).await,
        Command::Replay(call) => Box::pin(replay::replay(call)).await,
        Command::Probe(call) => probe::probe(&call).await,
        Command::Verify(call) => Box::pin(verify::verify(&call)).await,
        Command::Topology(call) => topology::topology(&call).await,
        Command::Executions(call) => Box::pin(executions::executions(call)).await,
        Command::Cleanup(call) => Box::pin(cleanup::cleanup(*call)).await,
        Command::Dead(call) => dead::dead(call).await,
        Command::Man { folder } => man::man(folder.as_deref()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut std::io::stdout());
            Ok(0)
        }
    }
}

/// The log that a call means: a cluster's, or a data folder's if it has one. Whoever writes records needs their schemas in the
/// registry, where there is one.
async fn existing_log(place: &Place, writes: bool) -> Result<Option<Arc<dyn Log>>, CommandError> {
    let config = Config::of(place)?;
    if let Some(kafka) = connect(&config, writes).await? {
        return Ok(Some(kafka));
    }
    let Some(log) = DataFolder::find(config.data.as_deref())?.existing_log()? else { return Ok(None) };
    let log: Arc<dyn Log> = Arc::new(log);
    log.ensure(&streams::ALL).await?;
    if writes {
        announce(log.as_ref()).await?;
    }
    Ok(Some(log))
}

/// The log that a call means; an error where there is none.
async fn known_log(place: &Place, writes: bool) -> Result<Arc<dyn Log>, CommandError> {
    existing_log(place, writes).await?.ok_or_else(|| {
        CommandError::Call(
            "there is no log in this data folder; name it with --data, or a cluster with --brokers".into(),
        )
    })
}

/// A time as people and programs read it: RFC 3339, UTC.
fn time(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
