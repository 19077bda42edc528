use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{
    media::{Made, OutputFacts, SourceRef},
    phase::{MergeStep, Phase, Standing},
    plan::{OutputPlan, TrackPlan},
    signal::{NextPass, UncleanRun},
    upload::Upload,
};
use crate::identity::add_digest;

/// The state of an execution; its last version is the final result. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Assembly {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The phase.
    pub phase: Phase,
    /// The source.
    pub source: SourceRef,
    /// Why the execution failed or was cancelled.
    #[serde(default)]
    #[avro(default = "null")]
    pub reason: Option<String>,
    /// A bitmap of the segments that are transcoded: segment i is bit i % 8 of byte i / 8. Empty once all are.
    #[avro(with)]
    #[serde(with = "apache_avro::serde::bytes")]
    pub segments_done: Vec<u8>,
    /// The number of segments in the plan, of all tracks.
    pub segments: i32,
    /// The number of segments that are transcoded.
    pub done: i32,
    /// The number of video segments in the plan.
    pub video_segments: i32,
    /// The number of video segments whose work objects an earlier attempt made.
    pub reused: i32,
    /// The tracks, each with the sums over its segments.
    pub tracks: Vec<TrackSum>,
    /// The outputs.
    pub outputs: Vec<PlannedOutput>,
    /// The upload's labels.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// The time at which this attempt was accepted, in milliseconds since 1970.
    pub started_ms: i64,
    /// The time at which this attempt ended, in milliseconds since 1970.
    #[serde(default)]
    #[avro(default = "null")]
    pub ended_ms: Option<i64>,
    /// The time at which this attempt fails if it has not ended, in milliseconds since 1970; null for never.
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
    /// Damage of the source that was found before any segment was transcoded, and the warnings of the outputs.
    #[serde(default)]
    #[avro(default = "[]")]
    pub warnings: Vec<String>,
    /// The warnings of segments. Those of a segment that is made again may be wrong, so a success does not report these.
    #[serde(default)]
    #[avro(default = "[]")]
    pub segment_warnings: Vec<String>,
    /// How often segments were made again because seams were unclean.
    #[serde(default)]
    #[avro(default = "0")]
    pub round: i32,
    /// The segments that are being made again.
    #[serde(default)]
    #[avro(default = "[]")]
    pub again: Vec<Again>,
    /// The current step of the outputs.
    #[serde(default)]
    #[avro(default = r#""whole""#)]
    pub step: MergeStep,
    /// What outputs ask for while others of this round are awaited, whose average bit rates are judged as well; null if none does.
    #[serde(default)]
    #[avro(default = "null")]
    pub waiting: Option<Waiting>,
}

/// What is made again once all outputs with average bit rates are judged, in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Waiting {
    /// The URLs of the outputs that ask for it.
    pub urls: Vec<String>,
    /// The segments, each once.
    pub again: Vec<UncleanRun>,
    /// The qualities of the next passes, one for each rendition.
    pub passes: Vec<NextPass>,
}

/// A segment that is being made in place of others, because a seam between those was unclean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Again {
    /// The index of the new segment.
    pub index: i32,
    /// The indices of the segments that it replaces.
    pub replaces: Vec<i32>,
}

crate::frame::record!(
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
        "assembly/7.avsc",
        "assembly/8.avsc",
        "assembly/9.avsc",
        "assembly/10.avsc",
        "assembly/11.avsc",
        "assembly/12.avsc",
        "assembly/13.avsc"
    ]
);

impl Assembly {
    /// Returns the name of the principal that owns the execution; empty for the default principal.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.upload.as_ref().map_or("", |upload| &upload.principal)
    }

    /// Returns whether the segment with this index is transcoded.
    #[must_use]
    pub fn has(&self, index: i32) -> bool {
        self.done == self.segments
            || usize::try_from(index)
                .ok()
                .and_then(|i| self.segments_done.get(i / 8).map(|byte| byte >> (i % 8) & 1 == 1))
                .unwrap_or(false)
    }

    /// Returns the number of video segments that are transcoded.
    #[must_use]
    pub fn video_done(&self) -> i32 {
        (0..self.video_segments).map(|index| i32::from(self.has(index))).sum()
    }

    /// Returns whether the execution has ended.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed | Phase::Cancelled)
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
    /// Of a track with an average bit rate: the passes before this one, the first one first.
    #[serde(default)]
    #[avro(default = "[]")]
    pub passes: Vec<RatePass>,
}

/// A pass over all segments of a video track, with what it came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct RatePass {
    /// The constant quality (crf) of the pass.
    pub quality: f64,
    /// The average bit rate that it had, in bits per second.
    pub bit_rate: i64,
}

impl TrackSum {
    /// Returns a track of which no segment is transcoded yet.
    #[must_use]
    pub fn new(plan: TrackPlan) -> Self {
        Self { plan, units: 0, packets: 0, bytes: 0, reorder: 0, digest: 0, passes: Vec::new() }
    }

    /// Counts the work object of a segment.
    pub fn add(&mut self, made: &Made, index: i32) {
        self.units += made.units;
        self.packets += made.packets;
        self.bytes += made.bytes;
        self.reorder = self.reorder.max(made.reorder);
        self.digest = add_digest(self.digest, made.digest, index);
    }
}

/// An output of an execution, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PlannedOutput {
    /// The output's plan.
    pub plan: OutputPlan,
    /// The proven facts; null until the output is staged.
    pub facts: Option<OutputFacts>,
    /// The output's state.
    #[serde(default)]
    #[avro(default = r#""none""#)]
    pub standing: Standing,
    /// The storage's name of the staged output; empty if nothing is staged.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub token: String,
}
