//! Why a command failed, and the exit status for it.

use millrace_runtime::LogError;
use millrace_worker::WorkerError;

/// The exit status of a wrong call: nothing was begun.
const WRONG_CALL: u8 = 2;
/// The exit status of a failure.
const FAILED: u8 = 1;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The arguments or settings are wrong, and nothing was begun.
    #[error("{0}")]
    Call(String),
    /// Something failed after the command had begun.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Call(_) => WRONG_CALL,
            Self::Failed(_) => FAILED,
        }
    }

    /// Returns a failure with the text of another error.
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

impl From<WorkerError> for CommandError {
    fn from(error: WorkerError) -> Self {
        Self::failed(error)
    }
}
