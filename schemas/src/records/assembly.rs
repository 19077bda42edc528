use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{Made, MergeStep, OutputFacts, OutputPlan, SourceRef, TrackPlan, Upload};
use crate::identity::add_digest;

/// The state of an execution, and at last its terminal record. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Assembly {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// Where it stands.
    pub phase: Phase,
    /// The source.
    pub source: SourceRef,
    /// Why it failed or was cancelled.
    #[serde(default)]
    #[avro(default = "null")]
    pub reason: Option<String>,
    /// A bitmap of the segments that are there, bit i of byte i / 8; empty once all are.
    #[avro(with)]
    #[serde(with = "apache_avro::serde::bytes")]
    pub segments_done: Vec<u8>,
    /// How many segments there are, of all tracks.
    pub segments: i32,
    /// How many of them are there.
    pub done: i32,
    /// How many segments of the video the plan has.
    pub video_segments: i32,
    /// How many of these had their work objects already.
    pub reused: i32,
    /// The tracks, with the sums of their segments' facts.
    pub tracks: Vec<TrackSum>,
    /// The outputs.
    pub outputs: Vec<PlannedOutput>,
    /// Carried through from the upload.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// When this attempt was accepted, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended.
    #[serde(default)]
    #[avro(default = "null")]
    pub ended_ms: Option<i64>,
    /// When it is given up.
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
    /// What of the source was damaged or missing, and where, as far as it was known before any segment was made, and
    /// what was said of the outputs.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// What was said of segments; those that are made again may have been read wrongly.
    #[serde(default)]
    #[avro(default = "[]")]
    pub segment_warnings: Vec<String>,
    /// How often segments were made again since seams were not clean.
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// Segments that are being made again.
    #[serde(default)]
    #[avro(default = "[]")]
    pub again: Vec<Again>,
    /// The step of its merges that is being taken.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
}

/// A segment that is being made in place of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Again {
    /// Its number.
    pub index: i32,
    /// The numbers of those that it stands for.
    pub replaces: Vec<i32>,
}

crate::records::record!(
    Assembly,
    "Assembly",
    4,
    [
        "assembly/1.avsc",
        "assembly/2.avsc",
        "assembly/3.avsc",
        "assembly/4.avsc",
        "assembly/5.avsc",
        "assembly/6.avsc",
        "assembly/7.avsc"
    ]
);

impl Assembly {
    /// The principal whose execution it is; empty is the default one.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.upload.as_ref().map_or("", |upload| &upload.principal)
    }

    /// Whether segment `index` is there.
    #[must_use]
    pub fn has(&self, index: i32) -> bool {
        self.done == self.segments
            || usize::try_from(index)
                .ok()
                .and_then(|i| self.segments_done.get(i / 8).map(|byte| byte >> (i % 8) & 1 == 1))
                .unwrap_or(false)
    }

    /// How many of the video's segments are there.
    #[must_use]
    pub fn video_done(&self) -> i32 {
        (0..self.video_segments).map(|index| i32::from(self.has(index))).sum()
    }

    /// Whether the execution has ended.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed | Phase::Cancelled)
    }
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum Phase {
    // Segments are being made.
    Transcoding,
    // All segments are there; outputs are being put together.
    Merging,
    // All outputs are there.
    Succeeded,
    // It ended with a reason.
    Failed,
    // It was stopped.
    Cancelled,
}

impl Phase {
    /// The phase as the records and the command show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcoding => "transcoding",
            Self::Merging => "merging",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A track, with the sums of its segments' facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackSum {
    /// The track.
    pub plan: TrackPlan,
    /// Pictures or samples.
    pub units: i64,
    /// Packets.
    pub packets: i64,
    /// Bytes of the work objects.
    pub bytes: i64,
    /// The greatest reorder depth.
    pub reorder: i32,
    /// Wrapping sum over the segments of digest × (2 × index + 1): which objects a merge must find, and in which order.
    pub digest: i64,
}

impl TrackSum {
    /// Counts the work object of a segment.
    pub fn add(&mut self, made: &Made, index: i32) {
        self.units += made.units;
        self.packets += made.packets;
        self.bytes += made.bytes;
        self.reorder = self.reorder.max(made.reorder);
        self.digest = add_digest(self.digest, made.digest, index);
    }
}

/// An output and, once it was put together, its facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PlannedOutput {
    /// The plan.
    pub plan: OutputPlan,
    /// The facts.
    pub facts: Option<OutputFacts>,
    /// How far it is.
    #[serde(default)]
    #[avro(default = r#""none""#)]
    pub standing: Standing,
    /// Of what was staged: the name that storage gave it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
}

/// How far an output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum Standing {
    // This attempt has nothing of it that is proven; what it found there stays as it is.
    #[default]
    None,
    // It is proven, and not visible.
    Staged,
    // It is visible.
    Published,
    // It could not be published, as far as is known.
    Unpublished,
    // It was taken away again.
    Withdrawn,
}
