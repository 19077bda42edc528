//! The commands, a file for each.

mod executions;
mod follow;
mod probe;
mod run;
mod topology;

use clap::CommandFactory;

use crate::cli::{Cli, Command};

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

impl From<millrace_runtime::LogError> for CommandError {
    fn from(error: millrace_runtime::LogError) -> Self {
        Self::failed(error)
    }
}

/// Runs a command; gives the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Run(call) => Box::pin(run::run(call)).await,
        Command::Probe(call) => probe::probe(&call).await,
        Command::Topology(call) => topology::topology(&call),
        Command::Executions(call) => executions::executions(call).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut std::io::stdout());
            Ok(0)
        }
    }
}

/// Prints a result. Whoever stopped reading, `head` say, has what they wanted.
fn print(line: &str) {
    use std::io::Write;
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}
