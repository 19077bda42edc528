//! What makes small files of sources for callers of the API.

use async_trait::async_trait;
use millrace_topology::ports::PortError;
use serde_json::Value;

/// A file that is to be made of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum LightTask {
    /// The picture that is shown at a time, or the best one near the start.
    Thumbnail {
        /// When it is shown, in seconds from the start; `None` for the best near the start.
        at: Option<f64>,
        /// The number of pictures of which the best is taken; `None` for the usual.
        best: Option<u32>,
        /// The bounds of its width and height in pixels; `None` for the usual width.
        size: Option<Bounds>,
    },
    /// The pictures of a part, animated, with one palette over all of them.
    Gif {
        /// When it begins, in seconds from the start.
        from: f64,
        /// When it ends, in seconds from the start; `None` for the usual length.
        to: Option<f64>,
        /// The bounds of its width and height in pixels; `None` for the usual width.
        size: Option<Bounds>,
        /// Pictures per second; `None` for the usual.
        fps: Option<f64>,
        /// How often it is shown; 0 for without end.
        plays: u32,
    },
}

/// The greatest width and height, in pixels; 0 does not bound.
pub type Bounds = (i32, i32);

/// A file that was made.
#[derive(Debug)]
pub struct LightFile {
    /// The whole file, at most as long as was asked for.
    pub bytes: Vec<u8>,
    /// What `Content-Type` says of it, such as `image/jpeg`.
    pub media_type: &'static str,
    /// What it shows: `width`, `height` and more.
    pub facts: Value,
}

/// Why a file can't be made or written.
#[derive(Debug)]
pub enum LightError {
    /// Something has its URL.
    Exists(String),
    /// It could not be read, made or written: whose fault it is decides whether the call may be repeated.
    Port(PortError),
}

/// Makes small files of sources, without an execution.
#[async_trait]
pub trait LightWork: Send + Sync + 'static {
    /// Makes a file of at most `most` bytes. `format` is an extension, or a name that ends in one; `None` for the usual format.
    ///
    /// # Errors
    /// If the source can't be read, or holds no such pictures.
    async fn make(
        &self,
        source: &str,
        task: &LightTask,
        format: Option<&str>,
        most: u64,
    ) -> Result<LightFile, LightError>;

    /// Checks that an output could be written.
    ///
    /// # Errors
    /// If it is there and `replaces` is false, or may not be written.
    async fn check_free(&self, url: &str, replaces: bool) -> Result<(), LightError>;

    /// Writes an output, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::check_free`], or if it can't be written.
    async fn write(&self, url: &str, bytes: Vec<u8>, replaces: bool) -> Result<(), LightError>;
}
