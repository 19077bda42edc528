use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{
    assembly::TrackSum,
    media::{OutputFacts, SourceRef},
    phase::{MergeStep, Phase},
    plan::OutputPlan,
};

/// A step to take for one output. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Merge {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The source.
    pub source: SourceRef,
    /// The output's plan.
    pub output: OutputPlan,
    /// The output's tracks: their segments, and the sums that the work objects must add up to. Empty unless the step merges.
    /// The key of a work object is `<work>/<rendition>/<index>`.
    pub tracks: Vec<TrackSum>,
    /// The first part of the keys of the work objects. Empty for the execution's id.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// How often segments of the execution were made again before this step.
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// Whether a warning is a failure.
    #[serde(default)]
    #[avro(default = "false")]
    pub strict: bool,
    /// The step to take.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
    /// The storage's name of the staged output, to publish or withdraw it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
}

crate::frame::record!(
    Merge,
    "Merge",
    5,
    [
        "merge/1.avsc",
        "merge/2.avsc",
        "merge/3.avsc",
        "merge/4.avsc",
        "merge/5.avsc",
        "merge/6.avsc",
        "merge/7.avsc",
        "merge/8.avsc",
        "merge/9.avsc",
        "merge/10.avsc",
        "merge/11.avsc"
    ]
);

/// The result of an execution. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Merged {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The final state: `succeeded`, `failed` or `cancelled`.
    pub state: Phase,
    /// Why the execution failed or was cancelled.
    pub reason: Option<String>,
    /// The source.
    pub source: SourceRef,
    /// The proven facts of the outputs; empty unless the execution succeeded.
    pub outputs: Vec<OutputFacts>,
    /// The number of video segments in the plan.
    pub segments: i32,
    /// The number of video segments whose work objects an earlier attempt made.
    pub segments_reused: i32,
    /// The time at which this attempt was accepted, in milliseconds since 1970.
    pub started_ms: i64,
    /// The time at which this attempt ended, in milliseconds since 1970.
    pub ended_ms: i64,
    /// The upload's labels.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// The first part of the keys of the work objects. Empty for the execution's id.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// Damage of the source, with its place, and what outputs could not carry.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
}

crate::frame::record!(
    Merged,
    "Merged",
    6,
    ["merged/1.avsc", "merged/2.avsc", "merged/3.avsc", "merged/4.avsc", "merged/5.avsc"]
);
