use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{
    media::{Made, OutputFacts, SourceRef},
    phase::MergeStep,
    plan::{OutputPlan, TrackPlan},
    segment::Seek,
    upload::Upload,
};

/// A fact about an execution, which `assemble` folds into its state. Exactly one of the nullable fields is set. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Signal {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The time, in milliseconds since 1970.
    pub at_ms: i64,
    /// `split` planned the execution and published all of its segments.
    #[serde(default)]
    #[avro(default = "null")]
    pub started: Option<Started>,
    /// `split` refused the upload.
    #[serde(default)]
    #[avro(default = "null")]
    pub refused: Option<Refused>,
    /// A segment was transcoded, or can't be.
    #[serde(default)]
    #[avro(default = "null")]
    pub segment: Option<SegmentOutcome>,
    /// A step of an output was taken, or failed.
    #[serde(default)]
    #[avro(default = "null")]
    pub merge: Option<MergeOutcome>,
    /// A user cancelled the execution.
    #[serde(default)]
    #[avro(default = "null")]
    pub cancelled: Option<Cancelled>,
}

crate::frame::record!(
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
        "signal/7.avsc",
        "signal/8.avsc",
        "signal/9.avsc",
        "signal/10.avsc",
        "signal/11.avsc",
        "signal/12.avsc",
        "signal/13.avsc"
    ]
);

impl Signal {
    /// Returns a signal without a fact; the caller sets one of the nullable fields.
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

/// The plan of an execution, without its segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Started {
    /// The source, at its accepted version.
    pub source: SourceRef,
    /// The tracks, in the order of their segments' indices.
    pub tracks: Vec<TrackPlan>,
    /// The outputs.
    pub outputs: Vec<OutputPlan>,
    /// The upload's labels.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// The time at which the execution fails if it has not ended, in milliseconds since 1970; null for never.
    #[serde(default)]
    #[avro(default = "null")]
    pub deadline_ms: Option<i64>,
    /// The first part of the keys of the work objects. Empty for the execution's id.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// The upload, for further attempts.
    #[serde(default)]
    #[avro(default = "null")]
    pub upload: Option<Upload>,
    /// The facts of outputs that exist already, made from the same source with the same settings. They are not made again.
    #[serde(default)]
    #[avro(default = "[]")]
    pub kept: Vec<OutputFacts>,
    /// Damage of the source.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
}

/// Why an upload can't be processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Refused {
    /// The source's URL.
    pub source: String,
    /// What is wrong with the upload or its source, and what to do.
    pub reason: String,
    /// The upload, for further attempts.
    #[serde(default)]
    #[avro(default = "null")]
    pub upload: Option<Upload>,
}

/// The result of transcoding a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SegmentOutcome {
    /// The index of the segment.
    pub index: i32,
    /// The facts of the work objects, one for each rendition; empty if transcoding failed.
    pub made: Vec<Made>,
    /// Whether all of the work objects existed already.
    #[serde(default)]
    #[avro(default = "false")]
    pub reused: bool,
    /// Why the segment can't be transcoded.
    #[serde(default)]
    #[avro(default = "null")]
    pub failure: Option<String>,
    /// Damage of the source, with its place.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// If the segment replaces others: the sums over those, one for each rendition, which the aggregation subtracts.
    #[serde(default)]
    #[avro(default = "[]")]
    pub replaced: Vec<Made>,
}

/// The result of a step of an output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct MergeOutcome {
    /// The output's URL.
    pub url: String,
    /// The proven facts, if the output was staged.
    pub facts: Option<OutputFacts>,
    /// Why the step failed.
    pub failure: Option<String>,
    /// The round of the step; see [`Merge::round`](super::Merge::round).
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// The segments to make again, because seams between them are unclean. Nothing was staged then.
    #[serde(default)]
    #[avro(default = "[]")]
    pub again: Vec<UncleanRun>,
    /// Damage of the source, and what the output could not carry.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// The step that was taken, or failed.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
    /// The storage's name of the staged output.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
    /// The tracks that have another average bit rate than is asked for: all of their segments are in `again`.
    #[serde(default)]
    #[avro(default = "[]")]
    pub passes: Vec<NextPass>,
}

/// A track whose segments are made again with another quality, because its average bit rate is not what is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct NextPass {
    /// The id of the rendition.
    pub rendition: String,
    /// The average bit rate of the pass that has ended, in bits per second.
    pub bit_rate: i64,
    /// The constant quality (crf) of the next pass.
    pub quality: f64,
}

/// Consecutive segments of a track to make again as one, because they decode differently when each is decoded by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct UncleanRun {
    /// The id of a rendition of the segments. All renditions of the same decode are made again.
    pub rendition: String,
    /// The indices of the segments, in order of time.
    pub replaces: Vec<i32>,
    /// The start of their range; see [`Segment::start`](super::Segment::start). Null for the start of the source.
    pub start: Option<i64>,
    /// The end of their range, exclusive; null for the end of the source.
    pub end: Option<i64>,
    /// The seek points to try, best first; empty to read from the start of the source.
    pub seeks: Vec<Seek>,
}

/// A user's cancellation of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Cancelled {
    /// The user's reason.
    pub reason: String,
}
