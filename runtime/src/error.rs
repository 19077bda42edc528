//! The errors of a log. No variant belongs to one backend: each backend maps its own errors to these.

/// The error of a backend that caused a [`LogError`].
type BackendError = Box<dyn std::error::Error + Send + Sync>;

/// Why an operation on the log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stream does not exist.
    #[error("the log has no stream '{0}'")]
    UnknownStream(String),
    /// A stream has a different number of partitions than the topology.
    #[error(
        "stream '{stream}' has {found} partitions, and the topology says {expected}; keyed streams can't change theirs"
    )]
    Partitions {
        /// The stream's name.
        stream: String,
        /// The number of partitions that the stream has.
        found: u32,
        /// The number of partitions in the topology.
        expected: u32,
    },
    /// The member's assignment is no longer valid: nothing was committed.
    #[error("{group}: the assignment of generation {epoch} is over")]
    Fenced {
        /// The consumer group.
        group: String,
        /// The generation that tried to commit.
        epoch: u64,
    },
    /// The transaction was aborted: nothing was committed, and the caller may commit it again.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// Why it was aborted.
        reason: String,
    },
    /// The commit was not acknowledged: it happened as a whole or not at all. The committed offsets show which.
    #[error("the commit was not acknowledged: {reason}")]
    Uncertain {
        /// Why there is no acknowledgement.
        reason: String,
    },
    /// The disk that holds the log is full.
    #[error(
        "the log at {location} has no room left on its disk; nothing was lost: make room, and run the same command again"
    )]
    Full {
        /// The log's location.
        location: String,
    },
    /// What is at the log's location is not a log, or is corrupt. It was not changed.
    #[error("the log at {location} is damaged ({source}); nothing was changed in it. {advice}")]
    Damaged {
        /// The log's location.
        location: String,
        /// What the user can do, as whole sentences.
        advice: &'static str,
        /// The backend's error.
        #[source]
        source: BackendError,
    },
    /// A newer Millrace wrote the log.
    #[error(
        "{location} was written by a newer Millrace (layout {found}, this one knows {known}); use that one"
    )]
    TooNew {
        /// The log's location.
        location: String,
        /// The layout version of the log.
        found: i64,
        /// The latest layout version that this Millrace can read.
        known: i64,
    },
    /// An operation of the backend failed.
    #[error("the log at {location} failed while {doing}: {source}")]
    Failed {
        /// The log's location.
        location: String,
        /// The operation, as in "committing".
        doing: &'static str,
        /// The backend's error.
        #[source]
        source: BackendError,
    },
    /// The log's server does not answer, or refuses the connection.
    #[error("can't reach {server}: {reason}")]
    Unreachable {
        /// The kind and the address of the server.
        server: String,
        /// Why, as the client reports it.
        reason: String,
    },
    /// The log's server or its client rejected the operation: a retry gives the same result.
    #[error("{server}, {doing}: {reason}")]
    Rejected {
        /// The kind of server.
        server: &'static str,
        /// The operation, as in "making topics".
        doing: String,
        /// Why, and what the user can do.
        reason: String,
    },
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}
