use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{PictureShape, Rendition, SourceRef, TrackKind};

/// One time range of the video, or a sound track, and the renditions to make of it. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Segment {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// The number of this segment, from 0: the video's segments in order, then those of the sound tracks. Segments that are
    /// made again have higher numbers.
    pub index: i32,
    /// How many segments of the video are made side by side: those of the plan, or those that are made again at once.
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
    /// Further streams of the source that belong to the same track: a transport stream goes on in others after an
    /// advertisement or an update of its program map.
    #[serde(default)]
    #[avro(default = "[]")]
    pub also: Vec<i32>,
    /// The first picture of the source as it is decoded; later ones that differ are fitted into its frame.
    #[serde(default)]
    #[avro(default = "null")]
    pub shape: Option<PictureShape>,
    /// Codec headers that lie between the packets, base64; a seek point names the one that holds there.
    #[serde(default)]
    #[avro(default = "[]")]
    pub states: Vec<String>,
    /// The segments that this one stands for, since a seam between them was not clean: their work objects are not
    /// used. Empty for a segment of the plan.
    #[serde(default)]
    #[avro(default = "[]")]
    pub replaces: Vec<i32>,
}

crate::records::record!(
    Segment,
    "Segment",
    2,
    ["segment/1.avsc", "segment/2.avsc", "segment/3.avsc", "segment/4.avsc", "segment/5.avsc"]
);

/// What all segments of a track have in common: where it lies in the source, and how to read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackSource {
    /// See [`Segment::stream`].
    pub stream: i32,
    /// See [`Segment::also`].
    pub also: Vec<i32>,
    /// See [`Segment::jumps`].
    pub jumps: Vec<i64>,
    /// See [`Segment::longest_gap`].
    pub longest_gap: i64,
    /// See [`Segment::last_time`].
    pub last_time: i64,
    /// See [`Segment::shape`].
    pub shape: Option<PictureShape>,
    /// See [`Segment::states`].
    pub states: Vec<String>,
}

impl Segment {
    /// What this segment has in common with the others of its track.
    #[must_use]
    pub fn track_source(&self) -> TrackSource {
        TrackSource {
            stream: self.stream,
            also: self.also.clone(),
            jumps: self.jumps.clone(),
            longest_gap: self.longest_gap,
            last_time: self.last_time,
            shape: self.shape.clone(),
            states: self.states.clone(),
        }
    }
}

/// A place to begin reading a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Seek {
    /// How `at` is meant.
    pub by: SeekBy,
    /// A timestamp of the container's index, or a byte offset.
    pub at: i64,
    /// Which of the segment's codec headers holds here, counted from 1; 0 for those of the container's header.
    #[serde(default)]
    #[avro(default = "0")]
    pub state: i32,
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
