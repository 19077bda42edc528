//! File operations, off the threads that run async tasks.

use crate::error::StorageError;

/// Runs file operations on a thread that may block, and returns what they return.
pub(crate) async fn blocking<T: Send + 'static>(
    operations: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(operations).await {
        Ok(result) => result,
        Err(error) => Err(StorageError::Io {
            doing: "working on",
            path: "files".into(),
            source: std::io::Error::other(error),
        }),
    }
}
