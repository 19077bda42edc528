//! The ports: what processors need of media, storage and the state of executions. The program implements
//! them; tests and the simulation have fakes.

use async_trait::async_trait;
pub use millrace_schemas::UncleanRun;
use millrace_schemas::{
    AssetKind, Encoders, Made, Merge, NextPass, OutputFacts, Rendition, Segment, SourceFacts, SourceRef,
};

use crate::processor::ProcessorError;

/// Why a call of a port failed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The media, the source or the destination is at fault, and a retry gives the same result. The text is
    /// for the user: what is wrong with what, and what to do.
    #[error("{0}")]
    Refused(String),
    /// A retry may succeed.
    #[error("{0}")]
    Transient(String),
    /// The process is stopping.
    #[error("the process is ending")]
    Stopped,
}

impl From<PortError> for ProcessorError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Refused(reason) => Self::Permanent(reason),
            PortError::Transient(reason) => Self::Transient(reason),
            PortError::Stopped => Self::Stopped,
        }
    }
}

/// The facts of a stored work object, and the damage of the source that was found when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its facts.
    pub made: Made,
    /// What is damaged and where, as texts for the user.
    pub warnings: Vec<String>,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq)]
pub enum Joined {
    /// The output is proven and staged: whole, and not visible.
    Proven {
        /// Its facts.
        facts: Box<OutputFacts>,
        /// The name of the staged object, for [`Media::publish`].
        token: String,
        /// Texts for the user: damage of the source, and what the output could not carry over.
        warnings: Vec<String>,
    },
    /// Nothing was staged: some segments are to be made again.
    Again {
        /// The segments: they decode differently than the whole source does, or are of a track in `passes`.
        runs: Vec<UncleanRun>,
        /// The tracks whose average bit rate is not what is asked for.
        passes: Vec<NextPass>,
    },
}

/// The work on media. Every call runs in another process.
#[async_trait]
pub trait Media: Send + Sync + 'static {
    /// Returns the encoders that make renditions here, with their versions: they are part of the ids of renditions.
    fn encoders(&self) -> Encoders;

    /// Returns the facts of a source from its headers and index. Keyframes are those near multiples of
    /// `segment_seconds`.
    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError>;

    /// Reads a file that a profile names beside the source. Returns the width and height of an image, in pixels; of another file, 0.
    /// [`PortError::Refused`] if it is no file of its kind.
    async fn measure(&self, asset: &SourceRef, kind: AssetKind) -> Result<(i32, i32), PortError>;

    /// Runs a computation that takes longer than a moment, such as a plan of 100,000 segments. The program
    /// runs it on a thread that blocks no other work, for a limited time; the default runs it at once.
    async fn compute(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
        work();
        Ok(())
    }

    /// Transcodes a segment into these renditions, each a work object of its own, with one decode. The first
    /// put of a work object wins; the facts are those of the stored object.
    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError>;

    /// Merges work objects into an output, proves it, and stages it.
    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError>;

    /// Publishes a staged output: it becomes visible under its URL, at once and whole. A no-op if it is
    /// already published.
    async fn publish(&self, merge: &Merge, token: &str) -> Result<(), PortError>;

    /// Removes a staged output, also if it is published and still there. It can't be published afterwards.
    async fn withdraw(&self, merge: &Merge) -> Result<(), PortError>;

    /// Returns the comment in the metadata of a media file, or `None` if the file can't be read as media.
    async fn comment(&self, url: &str) -> Result<Option<String>, PortError>;
}

/// Access to stored bytes: sources, work objects, outputs.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Returns the current version and size of a source.
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError>;

    /// Returns the facts of a work object, if it exists and is whole. Its key is
    /// `<work>/<rendition>/<index>`.
    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Stored>, PortError>;

    /// Returns the size in bytes of the object at an output's URL, or `None` if there is none.
    async fn size(&self, url: &str) -> Result<Option<i64>, PortError>;

    /// Fails if an output can't be written at this URL.
    async fn writable(&self, url: &str) -> Result<(), PortError>;

    /// Returns the prefixes of work objects, each with the time of its latest put, in milliseconds since
    /// 1970.
    async fn works(&self) -> Result<Vec<(String, i64)>, PortError>;

    /// Removes all work objects with this prefix, and the staged outputs of their execution. Returns `true`
    /// if there were any.
    async fn remove_work(&self, work: &str) -> Result<bool, PortError>;

    /// Removes the staged outputs of attempts up to this one. Work objects stay for the next attempt. Returns
    /// `true` if there were any.
    async fn remove_staged(&self, work: &str, attempt: i32) -> Result<bool, PortError>;
}

/// The ended executions, so that work on them can stop.
#[async_trait]
pub trait Controls: Send + Sync + 'static {
    /// Returns `true` if this attempt at an execution has ended, with or without success.
    fn has_ended(&self, execution: &str, attempt: i32) -> bool;

    /// Waits until this attempt has ended.
    async fn ended(&self, execution: &str, attempt: i32);
}
