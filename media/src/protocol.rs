//! What parent and child say to each other: a task as one line of JSON on the child's stdin, replies as lines of JSON
//! on its stdout. Bytes go through file descriptors, numbered from [`FIRST_FD`] in the order that the task names.

use millrace_schemas::{
    AudioFacts, AudioSettings, Chapter, Made, OutputPlan, Rendition, Seek, TrackKind, TrackSum, TrackTags,
    VideoFacts, VideoSettings,
};
use serde::{Deserialize, Serialize};

/// The number of the first file descriptor that a child is given.
pub const FIRST_FD: i32 = 3;

/// What a child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Descriptors: the source.
    Inspect(InspectTask),
    /// Descriptors: the source, then one to write for each rendition of the first range, of the second, …
    Transcode(TranscodeTask),
    /// Descriptors: the output (to read and write), then one to read for each track: its work objects, one after the
    /// other.
    Merge(MergeTask),
}

/// Read headers and index.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InspectTask {
    /// Keyframes are wanted near the multiples of so many seconds; `None` wants none.
    pub segment_seconds: Option<f64>,
}

/// A half-open range of presentation time, in the stream's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The start; none for the start of the stream.
    pub start: Option<i64>,
    /// The end; none for the end of the stream.
    pub end: Option<i64>,
}

/// Make renditions of ranges that follow one another: one decoder and one encoder go through all of them, a keyframe
/// and a work object for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TranscodeTask {
    /// The stream in the source.
    pub stream: i32,
    /// Picture or sound.
    pub kind: TrackKind,
    /// The ranges; each begins where the one before ends.
    pub ranges: Vec<TimeRange>,
    /// Where to begin reading for the first, best first.
    pub seeks: Vec<Seek>,
    /// By how many microseconds each part behind a jump of the source's clock is moved.
    #[serde(default)]
    pub jumps: Vec<i64>,
    /// What to make of each.
    pub renditions: Vec<Rendition>,
    /// On how many cores.
    pub cores: usize,
}

/// Put an output together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeTask {
    /// The output.
    pub output: OutputPlan,
    /// Its tracks: what their segments must add up to.
    pub tracks: Vec<TrackSum>,
}

/// What a child says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// So many pictures or samples of a range are done.
    Progress {
        /// Which of the task's ranges.
        range: usize,
        /// How many.
        done: i64,
    },
    /// The work objects of a range are whole; one a rendition.
    Made {
        /// Which of the task's ranges.
        range: usize,
        /// Their facts.
        made: Vec<Made>,
    },
    /// To [`Task::Inspect`].
    Inspected(Box<Inspected>),
    /// To [`Task::Transcode`], after all of its [`Reply::Made`].
    Transcoded,
    /// To [`Task::Merge`].
    Merged(Merged),
    /// The task can't be done: why, for the person whose media it is.
    Failed(String),
}

/// Facts of an output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Merged {
    /// How long it plays, in seconds.
    pub duration_seconds: f64,
    /// Pictures.
    pub video: Option<VideoFacts>,
    /// Sound.
    pub audio: Option<AudioFacts>,
    /// Further sound tracks.
    pub more_audio: Vec<AudioFacts>,
    /// The languages of the text tracks.
    pub text: Vec<String>,
    /// How many chapters.
    pub chapters: i32,
}

/// What a source holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspected {
    /// The container, by libav's name.
    pub container: String,
    /// How long it plays, in seconds; 0 where the container does not tell.
    pub duration_seconds: f64,
    /// Bits a second; 0 where the container does not tell.
    pub bit_rate: i64,
    /// All streams.
    pub streams: Vec<ProbedStream>,
    /// Metadata of the container.
    pub metadata: Vec<(String, String)>,
    /// The video to take.
    pub video: Option<VideoTrackFacts>,
    /// The sound to take, in the order of the source.
    pub sounds: Vec<AudioTrackFacts>,
    /// Text and covers to take.
    pub sides: Vec<SideTrackFacts>,
    /// Chapters.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
    /// Where the source's clock jumps, by how many microseconds each part behind a jump is moved.
    pub jumps: Vec<i64>,
    /// What is damaged.
    pub warnings: Vec<String>,
    /// What can't be taken, and why.
    pub left_out: Vec<String>,
    /// How many bytes were read to find this out.
    pub bytes_read: u64,
}

/// A stream, as `millrace probe` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbedStream {
    /// Its index.
    pub index: i32,
    /// `video`, `audio`, `subtitle`, …
    pub kind: String,
    /// The codec, by libav's name.
    pub codec: String,
    /// Of a video: size in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// Of a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// Of a video: frames a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// Of a video: the pixel format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// Of a sound track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<i32>,
    /// Of a sound track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<i32>,
    /// In seconds; 0 where the container does not tell.
    pub duration_seconds: f64,
    /// The language, as the container has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The video to take from a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VideoTrackFacts {
    /// Its index in the container.
    pub stream: i32,
    /// As encoder settings: size, clock, rate, colour. Codec, preset and quality are for split to set.
    pub settings: VideoSettings,
    /// First presentation time.
    pub first: i64,
    /// End of the last picture.
    pub end: i64,
    /// Keyframes near the asked cuts.
    pub keyframes: Vec<KeyframeFacts>,
    /// Whether the timestamps can be trusted.
    pub trusted: bool,
}

/// A keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyframeFacts {
    /// Presentation time.
    pub pts: i64,
    /// Where to begin reading for it.
    pub seek: Seek,
}

/// The sound to take from a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AudioTrackFacts {
    /// Its index in the container.
    pub stream: i32,
    /// As encoder settings; codec and bit rate are for split to set.
    pub settings: AudioSettings,
    /// How many samples, as far as the container tells.
    pub samples: i64,
    /// Where the first sample lies, in samples, if this is long sound whose index shows that every packet follows the
    /// one before without a hole: then it can be cut anywhere.
    pub first: Option<i64>,
    /// What the container says of it.
    pub tags: TrackTags,
}

/// Text, or a cover, to take from a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SideTrackFacts {
    /// Its index in the container.
    pub stream: i32,
    /// The codec that it becomes, by libav's name.
    pub codec: String,
    /// What the container says of it.
    pub tags: TrackTags,
}
