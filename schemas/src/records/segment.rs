use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{Rendition, SourceRef, TrackKind};

/// One time range of the video, or a sound track, and the renditions to make of it. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Segment {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// The number of this segment, from 0: the video's segments in order, then those of the sound tracks.
    pub index: i32,
    /// How many segments of the video there are.
    pub video_segments: i32,
    /// The source, at the version that was accepted.
    pub source: SourceRef,
    /// The stream in the source.
    pub stream: i32,
    /// Picture or sound.
    pub kind: TrackKind,
    /// Start of the half-open range of presentation time, in the source stream's clock, of sound in samples of the
    /// renditions; null for the first segment.
    pub start: Option<i64>,
    /// End of the range; null for the last segment.
    pub end: Option<i64>,
    /// Where to begin reading, best first; after them the start of the source.
    pub seeks: Vec<Seek>,
    /// What to make of it: one decode for all.
    pub renditions: Vec<Rendition>,
    /// How many pictures or samples the range is thought to hold, for progress alone.
    #[serde(default)]
    #[avro(default = "0")]
    pub expected_units: i64,
    /// Where the work objects are: the first part of their key. Empty stands for the execution.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// Where the source's clock jumps: by how many microseconds each part behind a jump is moved, so that it follows the
    /// one before.
    #[serde(default)]
    #[avro(default = "[]")]
    pub jumps: Vec<i64>,
    /// No two pictures of the source that follow one another are further apart, in ticks of its clock; 0 where that is not
    /// known. Where they are, when they are read from the middle, the source is damaged and is read from its start.
    #[serde(default)]
    #[avro(default = "0")]
    pub longest_gap: i64,
    /// When the last picture of the source is shown, in ticks, where the longest gap is known.
    #[serde(default)]
    #[avro(default = "0")]
    pub last_time: i64,
}

crate::records::record!(
    Segment,
    "Segment",
    2,
    ["segment/1.avsc", "segment/2.avsc", "segment/3.avsc", "segment/4.avsc"]
);

/// A place to begin reading a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Seek {
    /// How `at` is meant.
    pub by: SeekBy,
    /// A timestamp of the container's index, or a byte offset.
    pub at: i64,
}

/// How a place in a source is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum SeekBy {
    // A timestamp of the container's index, in the stream's clock.
    Time,
    // An offset in bytes, for sources without an index.
    Byte,
}
