//! States of executions and of their outputs.

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

/// The state of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum Phase {
    // Segments are being transcoded.
    Transcoding,
    // All segments are transcoded; outputs are being merged and published.
    Merging,
    // All outputs are published.
    Succeeded,
    // The execution ended with an error.
    Failed,
    // A user ended the execution.
    Cancelled,
}

impl Phase {
    /// Returns the phase's name in records and in the command line's output.
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

/// The state of an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum Standing {
    // This attempt has proven no file for the output. A file that an earlier attempt published is not changed.
    #[default]
    None,
    // The output is proven and staged: complete, and not visible.
    Staged,
    // The output is visible at its URL.
    Published,
    // Publishing failed; a slow worker may still publish the output.
    Unpublished,
    // The output was removed again.
    Withdrawn,
}

/// A step of an output. All outputs of an execution are staged before the first one is published, so that an output that can't be
/// made leaves none of the others behind.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AvroSchema,
)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum MergeStep {
    // Merge, prove and publish at once: the only step of older versions.
    #[default]
    Whole,
    // Merge and prove; the output is not visible yet.
    Stage,
    // Make the staged output visible at its URL.
    Publish,
    // Remove the staged or published output, because another output of the execution could not be published.
    Withdraw,
}
