//! What processors ask of the world. The shell implements these; tests put fakes in their place.

use async_trait::async_trait;
pub use millrace_schemas::UncleanRun;
use millrace_schemas::{
    Chapter, Encoders, Made, Merge, OutputFacts, PictureShape, Rendition, Seek, Segment, SourceRef,
    TrackTags, VideoSettings,
};

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
    pub seek: Seek,
}

/// What split must know of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceFacts {
    /// The main video stream.
    pub video: Option<VideoSource>,
    /// The sound tracks to take, in the order of the source.
    pub sounds: Vec<AudioSource>,
    /// Text and covers to take.
    pub sides: Vec<SideSource>,
    /// Metadata of the container, as it has it.
    pub metadata: Vec<(String, String)>,
    /// Chapters.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
    /// Where the clock jumps, by how many microseconds each part behind a jump is moved.
    pub jumps: Vec<i64>,
    /// What is damaged.
    pub warnings: Vec<String>,
    /// What can't be taken, and why.
    pub left_out: Vec<String>,
}

impl SourceFacts {
    /// The comment of the file, where outputs say where they came from.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case("comment"))
            .map(|(_, value)| value.as_str())
    }
}

/// The video stream of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSource {
    /// Its index in the container.
    pub stream: i32,
    /// What its pictures are, as encoder settings: size, clock, rate, colour.
    pub settings: VideoSettings,
    /// First presentation time, in the stream's clock.
    pub first: i64,
    /// End of the last picture, as far as the container tells.
    pub end: i64,
    /// Keyframes near the asked cuts, in order of presentation.
    pub keyframes: Vec<Keyframe>,
    /// Whether the timestamps can be trusted; where not, the source is one segment.
    pub trusted: bool,
    /// The longest time from one picture to the next, in ticks; 0 where it is not known.
    pub longest_gap: i64,
    /// The time of the last picture, in ticks, where the longest gap is known.
    pub last_time: i64,
    /// Further streams of the same track.
    pub also: Vec<i32>,
    /// The first picture, as it is decoded.
    pub shape: Option<PictureShape>,
    /// Codec headers that lie between packets, base64; seek points name them, from 1.
    pub states: Vec<String>,
}

/// The sound track of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudioSource {
    /// Its index in the container.
    pub stream: i32,
    /// Samples a second.
    pub sample_rate: i32,
    /// Channels.
    pub channels: i32,
    /// The layout of the channels, by libav's name; empty where the source names none.
    pub layout: String,
    /// For how long it plays, in seconds, as far as the container tells.
    pub seconds: f64,
    /// Further streams of the same track.
    pub also: Vec<i32>,
    /// How many samples, as far as the container tells; 0 where it does not.
    pub samples: i64,
    /// Where the first sample lies, in samples, where the sound can be cut anywhere: it is long, and has no holes.
    pub first: Option<i64>,
    /// What the container says of it.
    pub tags: TrackTags,
}

/// Text, or a cover, of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideSource {
    /// Its index in the container.
    pub stream: i32,
    /// The codec that it becomes, by libav's name.
    pub codec: String,
    /// What the container says of it.
    pub tags: TrackTags,
}

/// A work object that is there: its facts, and what of the source was damaged when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its facts.
    pub made: Made,
    /// What was damaged, and where.
    pub warnings: Vec<String>,
}

/// What became of putting an output together.
#[derive(Debug, Clone, PartialEq)]
pub enum Joined {
    /// It is proven and staged: whole, and visible to nobody.
    Proven {
        /// Its facts.
        facts: Box<OutputFacts>,
        /// The name of what is staged, for [`Media::publish`].
        token: String,
        /// What is to be said of it: damage of its source, and what it could not take over.
        warnings: Vec<String>,
    },
    /// Nothing was staged: segments were decoded otherwise than in one piece.
    Unclean(Vec<UncleanRun>),
}

/// What is done with media; every call runs outside this process.
#[async_trait]
pub trait Media: Send + Sync + 'static {
    /// Returns the encoders that make renditions here, with their versions: the ids of renditions have them.
    fn encoders(&self) -> Encoders;

    /// Reads the source's headers and index.
    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError>;

    /// Computes what takes longer than a moment, such as a plan of 100,000 segments: where the process can, on a thread that holds up
    /// nothing else, and for a time that is bounded. Here it is done at once.
    async fn compute(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
        work();
        Ok(())
    }

    /// Makes these renditions of a segment, each a work object of its own, in one decode. A work object that is
    /// there already wins; the facts are of the object that is stored.
    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError>;

    /// Puts an output together out of work objects, proves it, and stages it.
    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError>;

    /// Makes what was staged appear under its name, at once and whole. Where a call before did it, nothing is done.
    async fn publish(&self, merge: &Merge, token: &str) -> Result<(), PortError>;

    /// Takes away what was staged, also where it was published and is there still; it can't be published any more.
    async fn withdraw(&self, merge: &Merge) -> Result<(), PortError>;

    /// The comment that a media file carries, if it is one that can be read.
    async fn comment(&self, url: &str) -> Result<Option<String>, PortError>;
}

/// What is asked of where bytes lie.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// The source as it is now.
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError>;

    /// The facts of a work object, if it is there and whole. Its key is `<work>/<rendition>/<index>`.
    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Stored>, PortError>;

    /// Whether something is at an output's URL, and how large it is.
    async fn size(&self, url: &str) -> Result<Option<i64>, PortError>;

    /// Whether an output could be written there.
    async fn writable(&self, url: &str) -> Result<(), PortError>;

    /// The first parts of the keys of work objects, and when something was last put there, in milliseconds since 1970.
    async fn works(&self) -> Result<Vec<(String, i64)>, PortError>;

    /// Removes all work objects whose keys begin with this part, and what is staged of their execution; says whether there
    /// was any.
    async fn remove_work(&self, work: &str) -> Result<bool, PortError>;

    /// Removes what attempts up to this one have staged, and nothing else: work objects stay for the next.
    async fn remove_staged(&self, work: &str, attempt: i32) -> Result<bool, PortError>;
}

/// Which executions have ended, so that work on them can stop.
#[async_trait]
pub trait Controls: Send + Sync + 'static {
    /// Whether this attempt of an execution has ended, in success or not.
    fn has_ended(&self, execution: &str, attempt: i32) -> bool;

    /// Waits until it has.
    async fn ended(&self, execution: &str, attempt: i32);
}
