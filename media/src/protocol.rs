//! What parent and child say to each other: a task as one line of JSON on the child's stdin, replies as lines of JSON
//! on its stdout. Bytes go through file descriptors, numbered from [`FIRST_FD`] in the order that the task names.

use millrace_schemas::{
    AudioFacts, AudioSettings, Chapter, Encoders, Made, OutputPlan, PictureShape, Rendition, Seek, TrackKind,
    TrackSum, TrackTags, VideoFacts, VideoSettings,
};
use serde::{Deserialize, Serialize};

use crate::seal::Layer;

/// The number of the first file descriptor that a child is given.
pub const FIRST_FD: i32 = 3;

/// What a child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Descriptors: the source.
    Inspect(InspectTask),
    /// Descriptors: the source, then one to write for each rendition of the first range, of the second, …
    Transcode(Box<TranscodeTask>),
    /// Descriptors: the output (to read and write), then one to read for each track: its work objects, one after the
    /// other.
    Merge(Box<MergeTask>),
    /// Hold an output that is there to its work objects. Descriptors: the output, a scratch file (to read and write), then the
    /// tracks as for [`Task::Merge`]. Replies as to that.
    Prove(Box<MergeTask>),
    /// Descriptors: the source, the output.
    Verify(Box<VerifyTask>),
    /// Seal itself and open each encoder: whether the box around media can be had on this machine, and what encodes in it. No
    /// descriptors.
    Check,
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
    /// The longest time from one picture of the source to the next, in ticks; 0 where it is not known.
    #[serde(default)]
    pub longest_gap: i64,
    /// The time of its last picture, in ticks, where that is known.
    #[serde(default)]
    pub last_time: i64,
    /// Further streams of the same track.
    #[serde(default)]
    pub also: Vec<i32>,
    /// The first picture of the source: others that differ are fitted into its frame.
    #[serde(default)]
    pub shape: Option<PictureShape>,
    /// Codec headers that lie between packets, base64; a seek point names its own.
    #[serde(default)]
    pub states: Vec<String>,
    /// What to make of each.
    pub renditions: Vec<Rendition>,
    /// On how many cores.
    pub cores: usize,
}

impl TranscodeTask {
    /// The streams of the track, the main one first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        std::iter::once(self.stream).chain(self.also.iter().copied()).collect()
    }
}

/// Put an output together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeTask {
    /// The output.
    pub output: OutputPlan,
    /// Its tracks: what their segments must add up to.
    pub tracks: Vec<TrackSum>,
    /// How often segments of it were made again since seams were not clean.
    #[serde(default)]
    pub round: i32,
    /// Whether anything that is to be said of the source is a failure.
    #[serde(default)]
    pub strict: bool,
}

/// Segments of a track that are to be made again as one, since a seam between them was not clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclean {
    /// The rendition.
    pub rendition: String,
    /// The numbers of the segments, in the order of their times.
    pub replaces: Vec<i32>,
    /// Start of their range; `None` for the start of the source.
    pub start: Option<i64>,
    /// End of their range; `None` for the end of the source.
    pub end: Option<i64>,
    /// Where to begin reading; `None` for the start of the source.
    pub from: Option<Seek>,
}

/// Hold an output to its source: both are decoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyTask {
    /// What to decode of the source.
    pub source: Side,
    /// What to decode of the output.
    pub output: Side,
    /// What the source's pictures are to become; none where it has none.
    pub video: Option<VideoSettings>,
    /// Whether pictures are compared, one by one.
    pub pictures: bool,
    /// Whether sound is compared, second by second.
    pub sound: bool,
}

/// What to decode of one side of a comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// The streams of its pictures; empty where it has none.
    pub video: Vec<i32>,
    /// Those of each of its sound tracks.
    pub sounds: Vec<Vec<i32>>,
    /// See [`TranscodeTask::shape`].
    #[serde(default)]
    pub shape: Option<PictureShape>,
    /// See [`TranscodeTask::jumps`].
    pub jumps: Vec<i64>,
}

/// What was measured of a source and an output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Of their pictures, where both have some.
    pub pictures: Option<PicturesMeasured>,
    /// Of their sound tracks, pair by pair.
    pub sounds: Vec<SoundMeasured>,
    /// Where decoding times of the output do not increase.
    pub disorder: Option<String>,
    /// How many text tracks with packets the source has, and the output.
    pub texts: (usize, usize),
    /// What the output states of itself, and is not true.
    #[serde(default)]
    pub untrue: Vec<String>,
    /// Picture by picture, in decibels of PSNR against its own source picture, the one before and the one after it; empty
    /// where that was not asked for.
    pub likeness: Vec<Likeness>,
    /// Second by second, of each sound track; empty where that was not asked for.
    pub seconds: Vec<SecondMeasured>,
    /// Channel by channel, of each sound track with several and the same number of them on both sides; empty where that was not
    /// asked for.
    pub channels: Vec<ChannelMeasured>,
}

/// How much a channel of the output's sound is like the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelMeasured {
    /// Which pair of tracks.
    pub track: usize,
    /// Which channel, from 0.
    pub channel: usize,
    /// In which second of the track.
    pub second: usize,
    /// The cosine of the angle between both spectra of levels: 1 is the same.
    pub likeness: f64,
}

/// Times of pictures, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PicturesMeasured {
    /// How many the source shows.
    pub source: i64,
    /// How many the output shows.
    pub output: i64,
    /// How far a picture is at most from where its source picture is, both counted from the first.
    pub off: f64,
    /// Which picture that is.
    pub off_at: i64,
    /// The coarser of the two clocks: seconds a tick.
    pub tick: f64,
    /// When the first is shown.
    pub source_first: f64,
    /// When the first is shown.
    pub output_first: f64,
    /// For how long the source shows its last picture, as it says; 0 where it does not.
    pub source_last: f64,
    /// For how long the output shows its last picture.
    pub output_last: f64,
    /// Packets and pictures with errors.
    pub source_damaged: i64,
    /// Packets and pictures with errors.
    pub output_damaged: i64,
}

/// A pair of sound tracks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoundMeasured {
    /// The source's.
    pub source: Heard,
    /// The output's.
    pub output: Heard,
}

/// What is heard of a sound track; times in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// When it begins.
    pub start: f64,
    /// When it ends.
    pub end: f64,
    /// Samples.
    pub samples: i64,
    /// Samples a second.
    pub rate: i32,
    /// Channels.
    pub channels: i32,
    /// The layout of the channels, by libav's name; empty where it names none.
    pub layout: String,
    /// Places where it stops for more than 2 ms, or overlaps.
    pub holes: i64,
    /// Packets and frames with errors.
    pub damaged: i64,
}

/// How much a picture of the output is like pictures of the source, in decibels of PSNR, 100 where they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Its own.
    pub own: f32,
    /// The one before.
    pub before: Option<f32>,
    /// The one after.
    pub after: Option<f32>,
}

/// How much a second of the output's sound is like the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondMeasured {
    /// Which pair of tracks.
    pub track: usize,
    /// Which second of the source.
    pub second: i64,
    /// The normalized correlation where it is greatest: 1 is the same.
    pub likeness: f64,
    /// By how many milliseconds it is moved there.
    pub shift_ms: f64,
    /// By how much it is louder, in decibels.
    pub level_db: f64,
    /// The least likeness of a few hundredths of a second of it, where it lies; 1 where all are silent.
    pub least: f64,
}

/// What a child says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The process that has the task, where it is another than the one that was started.
    Started {
        /// Its id.
        pid: u32,
    },
    /// The box is shut; before the task is read.
    Sealed {
        /// The layers that hold.
        layers: Vec<Layer>,
    },
    /// The task got on, or waits for bytes: the process does not hang.
    Alive,
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
    Merged(Box<Merged>),
    /// To [`Task::Merge`], where segments were decoded otherwise than in one piece; the output is not whole.
    Unclean(Vec<Unclean>),
    /// To [`Task::Verify`].
    Verified(Box<Verified>),
    /// To [`Task::Check`].
    Checked {
        /// The encoder of each codec, with its version.
        encoders: Encoders,
    },
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
    /// What is to be said of it: damage of its source, and what it could not take over.
    #[serde(default)]
    pub warnings: Vec<String>,
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
    /// The longest time from one picture to the next, where all were looked at, in ticks; otherwise 0.
    pub longest_gap: i64,
    /// The time of the last picture, where all were looked at, in ticks.
    pub last_time: i64,
    /// Further streams of the same track.
    pub also: Vec<i32>,
    /// The first picture, as it is decoded.
    pub shape: Option<PictureShape>,
    /// Codec headers that lie between packets, base64; seek points name them, from 1.
    pub states: Vec<String>,
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
    /// Further streams of the same track.
    pub also: Vec<i32>,
    /// For how long it plays, in seconds, as far as the container tells.
    pub seconds: f64,
    /// What the container says of it.
    pub tags: TrackTags,
}

impl VideoTrackFacts {
    /// The streams of the track, the first one first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        std::iter::once(self.stream).chain(self.also.iter().copied()).collect()
    }
}

impl AudioTrackFacts {
    /// The streams of the track, the first one first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        std::iter::once(self.stream).chain(self.also.iter().copied()).collect()
    }
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
