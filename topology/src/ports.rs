//! What processors ask of the world. The shell implements these; tests put fakes in their place.

use async_trait::async_trait;
use millrace_schemas::{Made, Merge, OutputFacts, Rendition, Segment, SourceRef};

use crate::processor::ProcessorError;

/// Why the world did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The media, the source or the destination is at fault: trying again changes nothing. The text is for the
    /// person who uploaded it: what was wrong with what, and what to do.
    #[error("{0}")]
    Refused(String),
    /// It may work later.
    #[error("{0}")]
    Transient(String),
    /// The process takes no more work.
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

/// A picture from which decoding can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyframe {
    /// Presentation time, in the stream's clock.
    pub pts: i64,
    /// Where to begin reading for it.
    pub seek: millrace_schemas::Seek,
}

/// What split must know of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFacts {
    /// The main video stream.
    pub video: Option<VideoSource>,
    /// The sound track to take.
    pub audio: Option<AudioSource>,
    /// The comment of the file, where outputs say where they came from.
    pub comment: Option<String>,
}

/// The video stream of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSource {
    /// Its index in the container.
    pub stream: i32,
    /// What its pictures are, as encoder settings: size, clock, rate, colour.
    pub settings: millrace_schemas::VideoSettings,
    /// First presentation time, in the stream's clock.
    pub first: i64,
    /// End of the last picture, as far as the container tells.
    pub end: i64,
    /// Keyframes near the asked cuts, in order of presentation.
    pub keyframes: Vec<Keyframe>,
    /// Whether the timestamps can be trusted; where not, the source is one segment.
    pub trusted: bool,
}

/// The sound track of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioSource {
    /// Its index in the container.
    pub stream: i32,
    /// Samples a second.
    pub sample_rate: i32,
    /// Channels.
    pub channels: i32,
    /// How many samples, as far as the container tells; 0 where it does not.
    pub samples: i64,
}

/// What is done with media; every call runs outside this process.
#[async_trait]
pub trait Media: Send + Sync + 'static {
    /// Reads the source's headers and index.
    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError>;

    /// Makes these renditions of a segment, each a work object of its own, in one decode. A work object that is
    /// there already wins; the facts are of the object that is stored.
    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Made>, PortError>;

    /// Puts an output together out of work objects, proves it, and makes it appear at once and whole.
    async fn merge(&self, merge: &Merge) -> Result<OutputFacts, PortError>;

    /// The comment that a media file carries, if it is one that can be read.
    async fn comment(&self, url: &str) -> Result<Option<String>, PortError>;
}

/// What is asked of where bytes lie.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// The source as it is now.
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError>;

    /// The facts of a work object, if it is there and whole. Its key is `<work>/<rendition>/<index>`.
    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Made>, PortError>;

    /// Whether something is at an output's URL, and how large it is.
    async fn size(&self, url: &str) -> Result<Option<i64>, PortError>;

    /// Whether an output could be written there.
    async fn writable(&self, url: &str) -> Result<(), PortError>;

    /// The first parts of the keys of work objects, and when something was last put there, in milliseconds since 1970.
    async fn works(&self) -> Result<Vec<(String, i64)>, PortError>;

    /// Removes all work objects whose keys begin with this part; says whether there were any.
    async fn remove_work(&self, work: &str) -> Result<bool, PortError>;
}

/// Which executions have ended, so that work on them can stop.
#[async_trait]
pub trait Controls: Send + Sync + 'static {
    /// Whether this attempt of an execution has ended, in success or not.
    fn has_ended(&self, execution: &str, attempt: i32) -> bool;

    /// Waits until it has.
    async fn ended(&self, execution: &str, attempt: i32);
}
