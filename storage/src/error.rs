//! Errors of storage.

use std::{error::Error, io, path::Path};

use millrace_access::Refusal;

/// Why bytes could not be read or written. The messages are for the user whose bytes they are; none holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The URL is malformed, or of a kind that is not supported here.
    #[error("'{url}' can't be used: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store's settings are incomplete or wrong.
    #[error("the store of {url} can't be used: {reason}")]
    Setup {
        /// The URL.
        url: String,
        /// What is missing or wrong, and which variables set it.
        reason: String,
    },
    /// The source is a folder, a socket, a device or a FIFO.
    #[error("{path} is not a file")]
    NotAFile {
        /// The path or URL.
        path: String,
    },
    /// The source has no bytes.
    #[error("{path} is empty")]
    Empty {
        /// The path or URL.
        path: String,
    },
    /// The source's version is not the accepted one.
    #[error("{path} changed while it was being processed; run it again when it is complete")]
    Changed {
        /// The path or URL.
        path: String,
    },
    /// The source or object does not exist.
    #[error("there is no {path}")]
    Missing {
        /// The path or URL.
        path: String,
    },
    /// The output exists, and was made from another source.
    #[error(
        "{path} is there already and did not come from this source; choose another folder, or replace it with --overwrite"
    )]
    Occupied {
        /// The path or URL.
        path: String,
    },
    /// Something has the name of an output that is to be new.
    #[error("{path} is there already")]
    Exists {
        /// The path or URL.
        path: String,
    },
    /// The output's name, or its whole path, is longer than its file system allows.
    #[error(
        "{path} can't be written: its name is longer than the file system allows (255 bytes are usual, and 4,096 for a whole path); \
         give the source a shorter name"
    )]
    LongName {
        /// The output's path or URL.
        path: String,
    },
    /// The location may not be read or written.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The path leads through a symbolic link below a root.
    #[error(
        "{path} is a link, or lies behind one, and below {root} links are not followed; put the file itself there, or make the folder \
         that the link leads to a root of its own"
    )]
    Link {
        /// The path or URL.
        path: String,
        /// The root below which links are not followed.
        root: String,
    },
    /// The hidden file that was being written, or its folder, was moved or replaced before it was published.
    #[error(
        "{path} can't be published: its folder, or the file that was being written, was moved or replaced meanwhile"
    )]
    Displaced {
        /// The output's path or URL.
        path: String,
    },
    /// The staged output no longer exists.
    #[error(
        "{path} was staged and could not be published: the staged file or upload no longer exists; another program or a lifecycle rule of \
         the store removed it; try it again"
    )]
    Unstaged {
        /// The output's path or URL.
        path: String,
    },
    /// The kernel has no `openat2`, which limits files to those beneath a root.
    #[error(
        "{path} can't be opened safely: openat2 is missing here; it needs Linux 5.6 or newer, and in a container a seccomp profile that \
         allows it"
    )]
    OldKernel {
        /// The path or URL.
        path: String,
    },
    /// The operating system returned an error.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done, such as "opening".
        doing: &'static str,
        /// The path or URL.
        path: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// An object store returned an error, or did not respond.
    #[error("{doing} {path}: {reason}")]
    Store {
        /// What was being done, such as "opening".
        doing: &'static str,
        /// The path or URL.
        path: String,
        /// The store's error, and what to do about it.
        reason: String,
        /// True if it may succeed later.
        passes: bool,
    },
}

impl From<Refusal> for StorageError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<millrace_access::LocationError> for StorageError {
    fn from(error: millrace_access::LocationError) -> Self {
        Self::Url { url: error.url, reason: error.reason }
    }
}

impl StorageError {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.display().to_string(), source }
    }

    /// Translates an object store's error.
    pub(crate) fn store<'a>(
        doing: &'static str,
        path: &'a str,
    ) -> impl FnOnce(object_store::Error) -> Self + 'a {
        move |error| {
            let path = path.to_owned();
            let said = messages(&error);
            match &error {
                _ if said.contains("NoSuchBucket") => {
                    let reason = "there is no such bucket".into();
                    Self::Store { doing, path, reason, passes: false }
                }
                // The upload was aborted elsewhere; the next try begins another.
                _ if said.contains("NoSuchUpload") => {
                    let reason = "the multipart upload was aborted by another client".into();
                    Self::Store { doing, path, reason, passes: true }
                }
                object_store::Error::NotFound { .. } => Self::Missing { path },
                object_store::Error::Precondition { .. } => Self::Changed { path },
                _ if said.contains("ExpiredToken") => {
                    let reason = "the credentials have expired; give new ones".into();
                    Self::Store { doing, path, reason, passes: false }
                }
                // `object_store` reports some refusals as generic errors.
                _ if ["status code: 401", "status code: 403"].iter().any(|status| said.contains(status)) => {
                    let reason = format!("access denied ({}); check the store's credentials", code(&said));
                    Self::Store { doing, path, reason, passes: false }
                }
                _ => {
                    let (reason, passes) = (code(&said), passes(&said));
                    Self::Store { doing, path, reason, passes }
                }
            }
        }
    }

    /// Returns `true` if it may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { passes, .. } => *passes,
            // EINTR, EAGAIN, ENFILE, EMFILE; ETIMEDOUT and ESTALE, as a mounted NAS returns them while it is away.
            Self::Io { source, .. } => matches!(source.raw_os_error(), Some(4 | 11 | 23 | 24 | 110 | 116)),
            _ => false,
        }
    }
}

/// Returns the messages of a chain of errors, each once.
pub(crate) fn messages(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

/// Returns `true` if a store's error may pass by itself: any but one about the request itself (4xx).
fn passes(said: &str) -> bool {
    let status = said.split("status code: ").nth(1).and_then(|rest| rest.get(..3));
    match status {
        Some("408" | "409" | "425" | "429") => true,
        Some(status) => !status.starts_with('4'),
        None => !said.contains("not supported") && !said.contains("invalid path"),
    }
}

/// Returns a store's error in one line: of S3's XML the code and the message.
fn code(said: &str) -> String {
    let between = |name: &str| {
        let rest = said.split(&format!("<{name}>")).nth(1)?;
        rest.split(&format!("</{name}>")).next().map(str::to_owned)
    };
    match (between("Code"), between("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => {
            let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
            match line.char_indices().nth(400) {
                Some((at, _)) => format!("{}…", &line[..at]),
                None => line,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_error_becomes_one_line_and_transient_ones_are_recognized() {
        let xml = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>InvalidArgument</Code><Message>no</Message></Error>";
        assert_eq!(code(xml), "InvalidArgument: no");
        assert!(!passes(xml));
        for status in ["429 Too Many Requests", "503 Service Unavailable", "500 Internal Server Error"] {
            assert!(passes(&format!("Server returned non-2xx status code: {status}: ")));
        }
        assert!(passes("error sending request: connection refused"));
        assert!(code(&"x".repeat(1000)).chars().count() < 500);
    }
}
