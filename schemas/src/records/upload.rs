use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use crate::{OutputFacts, RecordError};

/// What was uploaded or asked for, and how it is to be made. Key: the source's URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The source, as an object or file URL; in its place a bucket and a key may stand.
    #[serde(default)]
    #[avro(default = "null")]
    pub source: Option<String>,
    /// The bucket in the default object store.
    #[serde(default)]
    #[avro(default = "null")]
    pub oss_bucket_name: Option<String>,
    /// The object's key in that bucket.
    #[serde(default)]
    #[avro(default = "null")]
    pub video_key: Option<String>,
    /// The source's version (ETag, or size and time) that was seen when the upload was accepted; null takes what is there.
    #[serde(default)]
    #[avro(default = "null")]
    pub version: Option<String>,
    /// Where the outputs go: a prefix in the same store, or a URL of its own. Outputs are named after the source.
    pub output_prefix: String,
    /// Length of a segment in seconds; more than 0.
    #[serde(default = "default_segment_time")]
    #[avro(default = "15.0")]
    pub segment_time_seconds: f64,
    /// The formats to make, by name.
    #[serde(default = "default_formats")]
    #[avro(default = r#"["mp4"]"#)]
    pub dst_formats: Vec<String>,
    /// Names the execution, and makes it idempotent: the same name is the same execution.
    #[serde(default)]
    #[avro(default = "null")]
    pub name: Option<String>,
    /// Carried through to every record about the execution.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// Replace output files that came from another source.
    #[serde(default)]
    #[avro(default = "false")]
    pub overwrite: bool,
    /// Counts the tries at this execution, from 1.
    #[serde(default = "first_attempt")]
    #[avro(default = "1")]
    pub attempt: i32,
    /// Where an earlier attempt's work objects lie, which this one goes on with; null begins afresh.
    #[serde(default)]
    #[avro(default = "null")]
    pub work: Option<String>,
    /// After how many seconds the execution is given up, more than 0; null never.
    #[serde(default)]
    #[avro(default = "null")]
    pub deadline_seconds: Option<f64>,
    /// The replay that asks for it: an execution of its own each time. Null where it is no replay.
    #[serde(default)]
    #[avro(default = "null")]
    pub replay: Option<String>,
    /// What is known of outputs that were made of this source before: those that are there still, made alike, are kept.
    #[serde(default)]
    #[avro(default = "[]")]
    pub made: Vec<OutputFacts>,
    /// Whether a source that is damaged fails, in place of being made as far as it can be decoded.
    #[serde(default)]
    #[avro(default = "false")]
    pub strict: bool,
    /// Whether outputs say where the source was recorded, if it does.
    #[serde(default)]
    #[avro(default = "false")]
    pub keep_location: bool,
    /// The name of the principal on whose behalf it was accepted; empty is the default one. Millrace alone sets it: an
    /// execution's id holds it, and it decides what the execution may read and write, and who may see it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub principal: String,
}

crate::records::record!(
    Upload,
    "Upload",
    1,
    ["upload/1.avsc", "upload/2.avsc", "upload/3.avsc", "upload/4.avsc", "upload/5.avsc", "upload/6.avsc"]
);

/// In bytes. What follows from an upload holds all of it, twice at most, and must stay below what a log takes.
const LONGEST: usize = 100_000;

/// What the labels begin with that Millrace itself sets.
const OWN_LABELS: &str = "millrace.";
/// How long a URL, a bucket, a key, a version or a prefix may be, in bytes: object keys have 1,024 at most, each three times as
/// long where it is percent-encoded.
pub const LONGEST_LOCATION: usize = 4096;
/// How long an execution's name, a label's name, and the name of a format may be, in bytes.
pub const LONGEST_NAME: usize = 1024;
/// How long a label's value may be, in bytes.
pub const LONGEST_LABEL: usize = 4096;
/// How many labels an upload may have.
pub const MOST_LABELS: usize = 100;
/// How many formats an upload may name, also where they are equal.
pub const MOST_FORMATS: usize = 1000;
/// How many outputs may be known of a source, formats as they are.
pub const MOST_MADE: usize = 1000;
/// The last try at an execution.
pub const LAST_ATTEMPT: i32 = 1_000_000;

fn default_segment_time() -> f64 {
    15.0
}
fn default_formats() -> Vec<String> {
    vec!["mp4".into()]
}
fn first_attempt() -> i32 {
    1
}

impl Upload {
    /// An upload of this source, with all else as it is by default.
    #[must_use]
    pub fn of(source: &str, output_prefix: &str) -> Self {
        Self {
            source: Some(source.into()),
            oss_bucket_name: None,
            video_key: None,
            version: None,
            output_prefix: output_prefix.into(),
            segment_time_seconds: default_segment_time(),
            dst_formats: default_formats(),
            name: None,
            labels: HashMap::new(),
            overwrite: false,
            attempt: first_attempt(),
            work: None,
            deadline_seconds: None,
            replay: None,
            made: Vec::new(),
            strict: false,
            keep_location: false,
            principal: String::new(),
        }
    }

    /// Refuses an upload of somebody else that says what only Millrace itself may: what retries and replays say, on whose
    /// behalf it is, and labels that begin with `millrace.`.
    ///
    /// # Errors
    /// With what to leave out.
    pub fn check_by_others(&self) -> Result<(), String> {
        let own = [
            ("work", self.work.is_some()),
            ("attempt", self.attempt != first_attempt()),
            ("made", !self.made.is_empty()),
            ("replay", self.replay.is_some()),
            ("principal", !self.principal.is_empty()),
        ];
        if let Some((field, _)) = own.iter().find(|(_, is_set)| *is_set) {
            return Err(format!("only Millrace itself sets '{field}'; leave it out"));
        }
        if self.labels.keys().any(|label| label.starts_with(OWN_LABELS)) {
            return Err(format!("labels that begin with '{OWN_LABELS}' are Millrace's own; leave them out"));
        }
        Ok(())
    }

    /// Reads an upload as the topic may hold it: Avro in the Confluent frame, or JSON as a person writes it.
    ///
    /// # Errors
    /// Where it is neither, is longer than 100,000 bytes, names a field that Millrace does not know, or has a part that is
    /// [out of bounds](Self::within_bounds).
    pub fn read(value: &[u8]) -> Result<Self, RecordError> {
        if value.len() > LONGEST {
            return Err(RecordError::LongUpload { bytes: value.len(), most: LONGEST });
        }
        let mut upload = if value.trim_ascii_start().first() == Some(&b'{') {
            serde_json::from_slice(value).map_err(|source| RecordError::Json { record: "Upload", source })
        } else {
            <Self as crate::frame::Record>::decode(value)
        }?;
        upload.merge_equal_formats();
        upload.within_bounds()
    }

    /// Leaves of equal formats the first: they would be one output.
    pub fn merge_equal_formats(&mut self) {
        let mut known = std::collections::HashSet::new();
        self.dst_formats.retain(|format| known.insert(format.clone()));
    }

    /// The upload, where each of its parts is of a size that is carried through, and its numbers are numbers. What they *mean*
    /// is checked where the execution is planned, which then fails with the reason.
    ///
    /// # Errors
    /// Where one is not: see [`LONGEST_LOCATION`], [`LONGEST_NAME`], [`LONGEST_LABEL`], [`MOST_LABELS`], [`MOST_FORMATS`],
    /// [`MOST_MADE`] and [`LAST_ATTEMPT`].
    pub fn within_bounds(self) -> Result<Self, RecordError> {
        let bound = |part, found: usize, most: usize| match found <= most {
            true => Ok(()),
            false => Err(RecordError::LargeUpload { part, found, most }),
        };
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        bound("source's length in bytes", length(&self.source), LONGEST_LOCATION)?;
        bound("bucket's length in bytes", length(&self.oss_bucket_name), LONGEST_LOCATION)?;
        bound("key's length in bytes", length(&self.video_key), LONGEST_LOCATION)?;
        bound("version's length in bytes", length(&self.version), LONGEST_LOCATION)?;
        bound("output_prefix's length in bytes", self.output_prefix.len(), LONGEST_LOCATION)?;
        bound("name's length in bytes", length(&self.name), LONGEST_NAME)?;
        bound("work's length in bytes", length(&self.work), LONGEST_NAME)?;
        bound("replay's length in bytes", length(&self.replay), LONGEST_NAME)?;
        bound("principal's length in bytes", self.principal.len(), LONGEST_NAME)?;
        bound("number of labels", self.labels.len(), MOST_LABELS)?;
        for (name, value) in &self.labels {
            bound("label's name's length in bytes", name.len(), LONGEST_NAME)?;
            bound("label's length in bytes", value.len(), LONGEST_LABEL)?;
        }
        bound("number of formats", self.dst_formats.len(), MOST_FORMATS)?;
        for format in &self.dst_formats {
            bound("format's length in bytes", format.len(), LONGEST_NAME)?;
        }
        bound("number of outputs that were made before", self.made.len(), MOST_MADE)?;
        let number = |part, found: f64, is_fine: bool, wanted| match is_fine {
            true => Ok(()),
            false => Err(RecordError::UploadNumber { part, found, wanted }),
        };
        let time = self.segment_time_seconds;
        number("segment_time_seconds", time, time.is_finite(), "a number")?;
        let deadline = self.deadline_seconds.unwrap_or(1.0);
        number("deadline_seconds", deadline, deadline.is_finite(), "a number")?;
        let is_attempt = (1..=LAST_ATTEMPT).contains(&self.attempt);
        number("attempt", self.attempt.into(), is_attempt, "1 to 1,000,000")?;
        Ok(self)
    }
}
