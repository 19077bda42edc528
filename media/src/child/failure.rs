//! The error of a task.

/// Why a task failed, in words for the person whose media it is.
#[derive(Debug)]
pub(crate) struct Failure(pub(in crate::child) String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns a function that makes a failure of an error: what was being done, and what went wrong.
    pub(crate) fn at<E: std::fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self(format!("{doing}: {error}"))
    }
}
