//! Why a task failed.

use std::time::Duration;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The task can't be done because of the media, the disk or the task itself. The text is the media process's own.
    #[error("{0}")]
    Failed(String),
    /// The media process was ended at a time limit. It would reach the limit again: its media make it do that.
    #[error("the media process was still {doing} after {limit:?}{counted}, and was ended{last_line}")]
    Late {
        /// The activity of the process, e.g. `transcoding it`.
        doing: &'static str,
        /// The limit that was reached.
        limit: Duration,
        /// What the limit counts: ` without output`, ` of CPU time`, or empty for all time since the task began.
        counted: &'static str,
        /// The last line that the process logged, behind a colon; empty if there is none.
        last_line: String,
    },
    /// The media process was ended because it used more memory than its task may.
    #[error("the media process used more than the {mebibytes} MiB that {doing} may take, and was ended")]
    Large {
        /// The activity of the process, e.g. `transcoding it`.
        doing: &'static str,
        /// The memory limit of the task, in MiB.
        mebibytes: u64,
    },
    /// The kernel ended the media process for a system call that the sandbox forbids. No decoder needs it.
    #[error(
        "the media process made a system call that the sandbox forbids while {doing}, and was ended by the kernel; its media made it do that: don't open them elsewhere, and please report this"
    )]
    Forbidden {
        /// The activity of the process, e.g. `transcoding it`.
        doing: &'static str,
    },
    /// The media process died, or exited without a reply, because of its media or of the machine.
    #[error("the media process {what} while {doing}{last_line}")]
    Died {
        /// How it ended, with its exit status or signal.
        what: String,
        /// The activity of the process, e.g. `transcoding it`.
        doing: &'static str,
        /// The last line that the process logged, behind a colon; empty if there is none.
        last_line: String,
    },
    /// The media process exited with success, but its reply can't be parsed: a defect of this program, not of the media.
    #[error("the media process sent a reply that can't be read while {doing}: {field}; please report this")]
    Unreadable {
        /// The activity of the process, e.g. `transcoding it`.
        doing: &'static str,
        /// The field that can't be parsed, and why.
        field: String,
    },
    /// No media process could be started.
    #[error("starting a media process: {0}")]
    Start(#[source] std::io::Error),
}

impl ChildError {
    /// The error for a step of starting a process that gave no reason.
    pub(super) fn unknown_start() -> Self {
        Self::Start(std::io::ErrorKind::Other.into())
    }
}
