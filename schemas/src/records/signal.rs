use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{
    AudioSettings, Made, MergeStep, OutputFacts, Seek, SourceRef, TrackKind, TrackSource, Upload,
    VideoSettings,
};

/// What the aggregation must know of an execution; exactly one of the nullable fields is set. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Signal {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Split has published all segments.
    #[serde(default)]
    #[avro(default = "null")]
    pub started: Option<Started>,
    /// The upload can't be processed.
    #[serde(default)]
    #[avro(default = "null")]
    pub refused: Option<Refused>,
    /// A segment was made, or can't be.
    #[serde(default)]
    #[avro(default = "null")]
    pub segment: Option<SegmentOutcome>,
    /// An output was put together, or can't be.
    #[serde(default)]
    #[avro(default = "null")]
    pub merge: Option<MergeOutcome>,
    /// Somebody asked for the end.
    #[serde(default)]
    #[avro(default = "null")]
    pub cancelled: Option<Cancelled>,
}

crate::records::record!(
    Signal,
    "Signal",
    3,
    [
        "signal/1.avsc",
        "signal/2.avsc",
        "signal/3.avsc",
        "signal/4.avsc",
        "signal/5.avsc",
        "signal/6.avsc",
        "signal/7.avsc"
    ]
);

impl Signal {
    /// A signal that says nothing yet; one of its fields is to be set.
    #[must_use]
    pub fn new(execution: &str, attempt: i32, at_ms: i64) -> Self {
        Self {
            execution: execution.into(),
            attempt,
            at_ms,
            started: None,
            refused: None,
            segment: None,
            merge: None,
            cancelled: None,
        }
    }
}

/// The plan of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Started {
    /// The source, at the version that was accepted.
    pub source: SourceRef,
    /// The tracks, in the order of their segments' numbers.
    pub tracks: Vec<TrackPlan>,
    /// The outputs to put together.
    pub outputs: Vec<OutputPlan>,
    /// Carried through from the upload.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// When the execution is given up, in milliseconds since 1970; null never.
    #[serde(default)]
    #[avro(default = "null")]
    pub deadline_ms: Option<i64>,
    /// Where the work objects are: the first part of their key. Empty stands for the execution.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// What was asked for, so that it can be tried again.
    #[serde(default)]
    #[avro(default = "null")]
    pub upload: Option<Upload>,
    /// Outputs that are there already, made alike: nothing is done for them.
    #[serde(default)]
    #[avro(default = "[]")]
    pub kept: Vec<OutputFacts>,
    /// What of the source is damaged.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
}

/// One rendition of one track of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackPlan {
    /// The rendition's id.
    pub rendition: String,
    /// Picture or sound.
    pub kind: TrackKind,
    /// The number of its first segment.
    pub first_segment: i32,
    /// How many segments it has.
    pub segments: i32,
    /// What the pictures must be, for the proof.
    #[serde(default)]
    #[avro(default = "null")]
    pub video: Option<VideoSettings>,
    /// What the file is to say of it.
    #[serde(default)]
    #[avro(default = "null")]
    pub tags: Option<TrackTags>,
    /// What the sound must be, for the proof.
    #[serde(default)]
    #[avro(default = "null")]
    pub audio: Option<AudioSettings>,
    /// Where it lies in the source, so that segments of it can be made again.
    #[serde(default)]
    #[avro(default = "null")]
    pub source: Option<TrackSource>,
    /// The segments in the order of their times, where some were made again; empty for `segments` ones from
    /// `first_segment` on.
    #[serde(default)]
    #[avro(default = "[]")]
    pub order: Vec<i32>,
}

impl TrackPlan {
    /// The numbers of its segments, in the order of their times.
    #[must_use]
    pub fn indices(&self) -> Vec<i32> {
        if self.order.is_empty() {
            return (self.first_segment..self.first_segment.saturating_add(self.segments)).collect();
        }
        self.order.clone()
    }

    /// Whether a segment is one of this track's.
    #[must_use]
    pub fn holds(&self, index: i32) -> bool {
        if self.order.is_empty() {
            let end = self.first_segment.saturating_add(self.segments);
            return (self.first_segment..end).contains(&index);
        }
        self.order.contains(&index)
    }
}

/// What a file says of one of its tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackTags {
    /// The language, as the source has it (ISO 639-2); empty where it tells none.
    pub language: String,
    /// The title.
    pub title: String,
    /// What it is for, as libavformat's `AV_DISPOSITION_*` bits.
    pub dispositions: i32,
}

/// What a file holds beside its tracks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Extras {
    /// Title, time of creation, and, where it was asked for, the location.
    pub metadata: HashMap<String, String>,
    /// Chapters, in order.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
}

/// A chapter, in the source's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Chapter {
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// Its title.
    pub title: String,
}

/// One output of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct OutputPlan {
    /// Where it goes.
    pub url: String,
    /// Its format.
    pub format: String,
    /// The renditions in it.
    pub renditions: Vec<String>,
    /// Whether the file that is there is already this output, so that it stays.
    #[serde(default)]
    #[avro(default = "false")]
    pub keep: bool,
    /// What the file carries, so that a later execution can tell where it came from.
    pub mark: String,
    /// Replace a file that came from another source.
    #[serde(default)]
    #[avro(default = "false")]
    pub overwrite: bool,
    /// What it holds beside its tracks.
    #[serde(default)]
    #[avro(default = "null")]
    pub extras: Option<Extras>,
    /// What its format can't take over as it is; said in the warnings, and no reason to fail.
    #[serde(default)]
    #[avro(default = "[]")]
    pub remarks: Vec<String>,
}

/// Why an upload can't be processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Refused {
    /// The source's URL.
    pub source: String,
    /// What was wrong with it, and what to do.
    pub reason: String,
    /// What was asked for, so that it can be tried again.
    #[serde(default)]
    #[avro(default = "null")]
    pub upload: Option<Upload>,
}

/// Facts of what was made of a segment, or why it can't be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SegmentOutcome {
    /// The segment's number.
    pub index: i32,
    /// The work objects, one a rendition; empty where it failed.
    pub made: Vec<Made>,
    /// Whether all of them were there already.
    #[serde(default)]
    #[avro(default = "false")]
    pub reused: bool,
    /// Why it can't be made.
    #[serde(default)]
    #[avro(default = "null")]
    pub failure: Option<String>,
    /// What of the source was damaged or missing, and where.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// Of a segment that stands for others: the sums over those, one a rendition, which count no longer.
    #[serde(default)]
    #[avro(default = "[]")]
    pub replaced: Vec<Made>,
}

/// Facts of an output, or why it can't be put together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct MergeOutcome {
    /// Where the output was to go.
    pub url: String,
    /// Its proven facts.
    pub facts: Option<OutputFacts>,
    /// Why it can't be put together.
    pub failure: Option<String>,
    /// The round of the merge, see [`Merge::round`](super::Merge::round).
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// Segments to make again, since seams between them are not clean. Where there are some, nothing was published.
    #[serde(default)]
    #[avro(default = "[]")]
    pub again: Vec<UncleanRun>,
    /// What is to be said of the output: damage of its source, and what it could not take over.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// Which step was taken, or failed.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
    /// Of what was staged: the name that storage gave it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
}

/// Neighbouring segments of a track that are to be made again as one, since they decode otherwise than in one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct UncleanRun {
    /// One of the renditions that are made of these segments. The others are of the same decode.
    pub rendition: String,
    /// The numbers of the segments, in the order of their times.
    pub replaces: Vec<i32>,
    /// Start of their range, see [`Segment::start`](super::Segment::start); null for the start of the source.
    pub start: Option<i64>,
    /// End of their range; null for the end of the source.
    pub end: Option<i64>,
    /// Where to begin reading, best first; empty for the start of the source.
    pub seeks: Vec<Seek>,
}

/// Somebody asked for the end of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Cancelled {
    /// Why.
    pub reason: String,
}
