//! The protocol between the parent and a media process: the parent writes a task as one line of JSON to the process's stdin, and
//! the process writes replies as lines of JSON to its stdout. Bytes go through file descriptors, numbered from [`FIRST_FD`] in the
//! order that the task names.

mod inspection;
mod key;
mod light;
mod verification;

use millrace_schemas::{
    AssetKind, AudioFacts, Encoders, Made, NextPass, OutputPlan, PictureShape, Rendition, Seek, SourceRef,
    TrackKind, TrackSum, Trim, VideoFacts, all_streams,
};
use serde::{Deserialize, Serialize};

use crate::sandbox::Layer;

pub use inspection::{InspectTask, Inspected, ProbedStream};
pub(crate) use key::read_bytes;
pub use key::{ContentKey, NoContentKey};
pub use light::{
    AnimationTask, ClipTask, Clipped, Drawn, MOST_ANIMATED, MOST_ANIMATED_PICTURES, MOST_CANDIDATES,
    PictureTask,
};
pub use verification::{
    AudioMeasurement, ChannelSimilarity, ComparedStreams, FoundFragment, PicturePsnr, PicturesMeasured,
    SecondSimilarity, SoundMeasured, Verified, VerifyTask,
};

/// The first argument of an executable that is to run as a media process.
pub const CHILD_ARGUMENT: &str = "__media-child";

/// The number of the first file descriptor of a task.
pub const FIRST_FD: i32 = 3;

/// A task of a media process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Read a source's headers and index. Descriptors: the source.
    Inspect(InspectTask),
    /// Encode ranges of a track. Descriptors: the source, then for each range one work object to write for each rendition, then the
    /// assets.
    Transcode(Box<TranscodeTask>),
    /// Write an output from work objects. Descriptors: the output (read and written), then for each track a pipe with its work
    /// objects, one after the other, and last the source, if the task reads it.
    Merge(Box<MergeTask>),
    /// Compare an existing output with its work objects. Descriptors: the output, a scratch file (read and written), then the
    /// tracks and the source as for [`Task::Merge`]. The replies are those to [`Task::Merge`].
    Prove(Box<MergeTask>),
    /// Compare an output with its source. Descriptors: the source, the output.
    Verify(Box<VerifyTask>),
    /// Read a file that a profile names beside the source: decode an image and report its size, or open a font, or read subtitles.
    /// Descriptors: the file.
    Measure(AssetKind),
    /// Code one picture of a source. Descriptors: the source, then a pipe or a file, to which the coded picture is written.
    Picture(PictureTask),
    /// Code some seconds of a source as an animation. Descriptors: as for [`Task::Picture`].
    Animation(AnimationTask),
    /// Copy the packets of a part of a source into a file. Descriptors: the source, then the file to write.
    Clip(ClipTask),
    /// Apply the sandbox and open each encoder, to find out what this machine can do. No descriptors.
    Check,
}

/// A half-open range of presentation times, in ticks of the stream's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The start; `None` for the start of the stream.
    pub start: Option<i64>,
    /// The end; `None` for the end of the stream.
    pub end: Option<i64>,
}

/// The task of encoding ranges of a track that follow each other.
///
/// One decoder and one encoder for each rendition process all ranges. Each range starts with a keyframe and has work objects of
/// its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TranscodeTask {
    /// The index of the track's stream in the source.
    pub stream: i32,
    /// The kind of track.
    pub kind: TrackKind,
    /// The ranges. Each begins where the one before ends.
    pub ranges: Vec<TimeRange>,
    /// The seek points from which to read for the first range, the best first.
    pub seeks: Vec<Seek>,
    /// For each range, the best seek point from which to read if it is made by itself; empty if none is planned.
    #[serde(default)]
    pub planned: Vec<Option<Seek>>,
    /// The shift of each part of the source behind a timestamp discontinuity, in microseconds, in order.
    #[serde(default)]
    pub jumps: Vec<i64>,
    /// The longest time from one picture of the source to the next, in ticks; 0 if unknown.
    #[serde(default)]
    pub longest_gap: i64,
    /// The presentation time of the source's last picture, in ticks; 0 if unknown.
    #[serde(default)]
    pub last_time: i64,
    /// The indexes of further streams that belong to the track.
    #[serde(default)]
    pub also: Vec<i32>,
    /// The first picture of the source. Pictures of another shape are fitted into its frame.
    #[serde(default)]
    pub shape: Option<PictureShape>,
    /// Codec headers between packets, in base64. [`Seek::state`] is an index into them, from 1.
    #[serde(default)]
    pub states: Vec<String>,
    /// The part of the source that is used, as if there were no more of it; `None` for all of it.
    #[serde(default)]
    pub trim: Option<Trim>,
    /// The renditions of each range.
    pub renditions: Vec<Rendition>,
    /// The files that the renditions need beside the source.
    #[serde(default)]
    pub assets: Vec<SourceRef>,
    /// The number of cores to use.
    pub cores: usize,
}

impl TranscodeTask {
    /// Returns the indexes of the streams of the track, the main stream first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        all_streams(self.stream, &self.also)
    }
}

/// The task of writing an output from work objects, or of comparing it with them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeTask {
    /// The output.
    pub output: OutputPlan,
    /// The sums over the segments of each of its tracks.
    pub tracks: Vec<TrackSum>,
    /// The number of times that segments were encoded again because of unclean seams.
    #[serde(default)]
    pub round: i32,
    /// True if each warning about the source is a failure.
    #[serde(default)]
    pub strict: bool,
    /// The size of the source in bytes, if tracks are copied from it; else 0, and the task does not read it.
    #[serde(default)]
    pub source_bytes: i64,
    /// The key by which the output is encrypted, if its plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ContentKey>,
}

impl MergeTask {
    /// Returns `true` if packets of the source are copied into the output.
    #[must_use]
    pub fn reads_source(&self) -> bool {
        self.source_bytes > 0
    }

    /// Returns how many bytes the task reads: the work objects, and the source.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.tracks.iter().map(|track| track.bytes).fold(self.source_bytes, i64::saturating_add)
    }
}

/// A run of segments of a track that must be encoded again as one segment, because a seam between them is unclean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncleanSegments {
    /// The id of the rendition.
    pub rendition: String,
    /// The numbers of the segments, in the order of their times.
    pub replaces: Vec<i32>,
    /// The start of their range in ticks of the stream's clock; `None` for the start of the source.
    pub start: Option<i64>,
    /// The end of their range in ticks of the stream's clock; `None` for the end of the source.
    pub end: Option<i64>,
    /// The seek points from which to read, the best first; empty for the start of the source.
    pub seeks: Vec<Seek>,
}

/// A reply of a media process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The task runs in a process other than the one that was started. Precedes all other replies.
    Started {
        /// The id of that process.
        pid: u32,
    },
    /// The process has sealed itself. Precedes the reading of the task.
    Sealed {
        /// The layers of the sandbox that are in force.
        layers: Vec<Layer>,
    },
    /// The task has made progress, or waits for bytes. It does not hang.
    Alive,
    /// The progress in a range.
    Progress {
        /// The index of the range in [`TranscodeTask::ranges`]; 0 for other tasks.
        range: usize,
        /// The number of pictures or samples that are done.
        done: i64,
    },
    /// The work objects of a range are complete.
    Made {
        /// The index of the range in [`TranscodeTask::ranges`].
        range: usize,
        /// The facts of the work object of each rendition.
        made: Vec<Made>,
    },
    /// The final reply to [`Task::Inspect`].
    Inspected(Box<Inspected>),
    /// The final reply to [`Task::Transcode`], after a [`Reply::Made`] for each range.
    Transcoded,
    /// The final reply to [`Task::Merge`] and [`Task::Prove`] if the output is complete.
    Merged(Box<Merged>),
    /// The final reply to [`Task::Merge`] and [`Task::Prove`] if segments are to be made again. The output is not complete.
    Again {
        /// The segments, because seams between them are unclean, or because of `passes`.
        segments: Vec<UncleanSegments>,
        /// The tracks whose average bit rate is not what is asked for.
        passes: Vec<NextPass>,
    },
    /// The final reply to [`Task::Verify`].
    Verified(Box<Verified>),
    /// The final reply to [`Task::Measure`]. Sizes are 0 of what is no image.
    Measured {
        /// The width of the image, in pixels.
        width: i32,
        /// The height of the image, in pixels.
        height: i32,
    },
    /// The final reply to [`Task::Picture`] and [`Task::Animation`], once all is written.
    Drawn(Drawn),
    /// The final reply to [`Task::Clip`], once all is written.
    Clipped(Clipped),
    /// The final reply to [`Task::Check`].
    Checked {
        /// The encoder of each codec, with its version.
        encoders: Encoders,
    },
    /// The final reply if the task can't be done: the reason, for the user whose media it is.
    Failed(String),
}

/// The facts of an output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Merged {
    /// The duration in seconds.
    pub duration_seconds: f64,
    /// The video track.
    pub video: Option<VideoFacts>,
    /// The first sound track.
    pub audio: Option<AudioFacts>,
    /// Further sound tracks.
    pub more_audio: Vec<AudioFacts>,
    /// The languages of the text tracks.
    pub text: Vec<String>,
    /// The number of chapters.
    pub chapters: i32,
    /// Warnings: damage of the source, and what of it the output does not have.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The further video tracks, which show the same in other sizes.
    #[serde(default)]
    pub more_video: Vec<VideoFacts>,
    /// The objects of a package, in the order in which they are put: what makes it visible comes last. Empty for a file.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// An object of a package: bytes of what the task wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, relative to the place of the object that makes the package visible; components are parted by slashes.
    pub name: String,
    /// Where it begins in the output's descriptor, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}
