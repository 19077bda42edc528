//! Errors of a worker, and of its ports.

use std::io;

use millrace_media::{ChildError, Reply};
use millrace_runtime::RunError;
use millrace_storage::StorageError;
use millrace_topology::ports::PortError;
use tokio::task::JoinError;

/// Why a worker can't start, or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The path of this executable, which media processes run, is not known.
    #[error(transparent)]
    Executable(io::Error),
    /// This machine lacks a layer of the sandbox that the settings require.
    #[error(
        "{0}; media of strangers are not decoded without it. '--sandbox off' decodes them all the same, with all that this process may do"
    )]
    Sandbox(String),
    /// No media process could be started.
    #[error(transparent)]
    MediaProcess(ChildError),
    /// A processor failed in a way that it can't recover from.
    #[error(transparent)]
    Processor(RunError),
    /// A processor panicked.
    #[error(transparent)]
    Panic(JoinError),
}

/// Converts an error of a store: transient ones may be retried, all others are the request's fault.
#[expect(clippy::needless_pass_by_value, reason = "map_err passes errors by value")]
pub(crate) fn port_error(error: StorageError) -> PortError {
    if error.is_transient() {
        PortError::Transient(error.to_string())
    } else {
        PortError::Refused(error.to_string())
    }
}

/// Returns the error for an operation of this machine that may succeed later, such as opening a pipe.
pub(crate) fn transient(error: impl std::fmt::Display) -> PortError {
    PortError::Transient(error.to_string())
}

/// Returns the error for a media process that replied to another task than it was given.
pub(crate) fn unexpected_reply(reply: &Reply) -> PortError {
    PortError::Refused(format!("the media process gave another answer: {reply:?}"))
}
