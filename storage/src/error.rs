//! Why bytes could not be had or put.

use std::{io, path::Path};

use millrace_access::Refusal;

/// Why bytes could not be had or put. Texts are for the person whose bytes they are; no credential is ever part of one.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The URL names no place that is served.
    #[error("'{url}' can't be used: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A store can't be used as it is set up.
    #[error("the store of {url} can't be used: {reason}")]
    Setup {
        /// The URL.
        url: String,
        /// What is missing.
        reason: String,
    },
    /// The source is a folder, a socket, …
    #[error("{path} is not a file")]
    NotAFile {
        /// Where.
        path: String,
    },
    /// The source has no bytes.
    #[error("{path} is empty")]
    Empty {
        /// Where.
        path: String,
    },
    /// The source is another than the one that was accepted.
    #[error("{path} changed while it was being processed; run it again when it is complete")]
    Changed {
        /// Where.
        path: String,
    },
    /// The source is gone.
    #[error("there is no {path}")]
    Missing {
        /// Where.
        path: String,
    },
    /// Something is at an output's place, and it came from elsewhere.
    #[error(
        "{path} is there already and did not come from this source; choose another folder, or replace it with --overwrite"
    )]
    Occupied {
        /// Where.
        path: String,
    },
    /// An output's name, or its whole path, is longer than its file system allows.
    #[error(
        "{path} can't be written: its name is longer than the file system allows (255 bytes are usual, and 4,096 for a whole path); \
         give the source a shorter name"
    )]
    LongName {
        /// The output.
        path: String,
    },
    /// It lies outside of what may be reached.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A link is in the way.
    #[error(
        "{path} is a link, or lies behind one, and below {root} links are not followed; put the file itself there, or name the folder \
         that the link leads to as a root of its own"
    )]
    Link {
        /// Where.
        path: String,
        /// The root.
        root: String,
    },
    /// What was being written, or its folder, was replaced by something else before it could be published.
    #[error(
        "{path} can't be published: its folder, or the file that was being written, was moved or replaced meanwhile"
    )]
    Displaced {
        /// The output.
        path: String,
    },
    /// What was staged is there no more.
    #[error(
        "{path} was ready and could not be published: what was made of it is gone, removed by somebody else or by a rule of the store \
         that ends uploads; try it again"
    )]
    Unstaged {
        /// The output.
        path: String,
    },
    /// Files can't be held to lie beneath a root.
    #[error(
        "{path} can't be opened safely: openat2 is missing here; it needs Linux 5.6 or newer, and in a container a seccomp profile that \
         allows it"
    )]
    OldKernel {
        /// Where.
        path: String,
    },
    /// The system said no.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An object store said no, or nothing.
    #[error("{doing} {path}: {reason}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the store said, and what to do about it.
        reason: String,
        /// Whether it may work later.
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

    /// What an object store's error means.
    pub(crate) fn store<'a>(
        doing: &'static str,
        path: &'a str,
    ) -> impl FnOnce(object_store::Error) -> Self + 'a {
        move |error| {
            let path = path.to_owned();
            let said = innermost(&error);
            match &error {
                _ if said.contains("NoSuchBucket") => {
                    let reason = "there is no such bucket".into();
                    Self::Store { doing, path, reason, passes: false }
                }
                // Somebody ended it: it begins anew.
                _ if said.contains("NoSuchUpload") => {
                    let reason = "the upload was ended by somebody else".into();
                    Self::Store { doing, path, reason, passes: true }
                }
                object_store::Error::NotFound { .. } => Self::Missing { path },
                object_store::Error::Precondition { .. } => Self::Changed { path },
                _ if said.contains("ExpiredToken") => {
                    let reason = "the credentials have expired; give new ones".into();
                    Self::Store { doing, path, reason, passes: false }
                }
                // Some requests' refusals come as errors of no kind.
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

    /// Whether it may work later, without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { passes, .. } => *passes,
            // What a mounted NAS says while it is away, and what passes when other work ends.
            Self::Io { source, .. } => matches!(source.raw_os_error(), Some(4 | 11 | 23 | 24 | 110 | 116)),
            _ => false,
        }
    }
}

/// What the last in a chain of errors says, with what is before it where that says more.
fn innermost(error: &object_store::Error) -> String {
    let mut said = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

/// Whether a store's error passes by itself: all but what it says of the request itself.
fn passes(said: &str) -> bool {
    let status = said.split("status code: ").nth(1).and_then(|rest| rest.get(..3));
    match status {
        Some("408" | "409" | "425" | "429") => true,
        Some(status) => !status.starts_with('4'),
        None => !said.contains("not supported") && !said.contains("invalid path"),
    }
}

/// What a store said, in a line: S3 answers in XML, of which the code and the message count.
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
    fn a_stores_answer_becomes_a_line_and_what_passes_is_told_from_what_does_not() {
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
