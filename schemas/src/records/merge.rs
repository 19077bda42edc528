use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{OutputFacts, OutputPlan, Phase, SourceRef, TrackSum};

/// One output to put together. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Merge {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// The source.
    pub source: SourceRef,
    /// The output.
    pub output: OutputPlan,
    /// Its tracks: which segments, and what they must add up to. Work objects are found by their key, `<execution>/<rendition>/<index>`.
    pub tracks: Vec<TrackSum>,
    /// Where the work objects are: the first part of their key. Empty stands for the execution.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// How often segments of the execution were made again before this merge.
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// Whether the output is not to be made where there is anything to warn of.
    #[serde(default)]
    #[avro(default = "false")]
    pub strict: bool,
    /// What is to be done of it now.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
    /// To publish or withdraw: what was staged, by the name that storage gave it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
}

crate::records::record!(
    Merge,
    "Merge",
    5,
    ["merge/1.avsc", "merge/2.avsc", "merge/3.avsc", "merge/4.avsc", "merge/5.avsc"]
);

/// A step on an output's way: all outputs of an execution are staged before the first is published, so that one that can't
/// be made leaves none of the others behind.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AvroSchema,
)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum MergeStep {
    // Put together, proven and published at once: what an older version asks for, and does.
    #[default]
    Whole,
    // Put together and proven; it is not visible yet.
    Stage,
    // What was staged appears under its name.
    Publish,
    // What was staged is taken away again, published or not, since another output of the execution could not be published.
    Withdraw,
}

/// An execution's end. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Merged {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// `succeeded`, `failed` or `cancelled`.
    pub state: Phase,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    /// The source.
    pub source: SourceRef,
    /// The outputs with their proven facts; empty where it did not succeed.
    pub outputs: Vec<OutputFacts>,
    /// How many segments of the video the plan had.
    pub segments: i32,
    /// How many of them had their work objects already.
    pub segments_reused: i32,
    /// When this attempt was accepted, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// Carried through from the upload.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// Where the work objects are: the first part of their key. Empty stands for the execution.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// What of the source was damaged or missing, and where.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
}

crate::records::record!(
    Merged,
    "Merged",
    6,
    ["merged/1.avsc", "merged/2.avsc", "merged/3.avsc", "merged/4.avsc"]
);
