use std::{collections::HashMap, fmt};

use apache_avro::AvroSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::media::OutputFacts;
use crate::error::RecordError;

/// A request to transcode a source. Key: the source's URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The source, as an object or file URL; null if `oss_bucket_name` and `video_key` are set.
    #[serde(default)]
    #[avro(default = "null")]
    pub source: Option<String>,
    /// The source's bucket in the default object store; null if `source` is set.
    #[serde(default)]
    #[avro(default = "null")]
    pub oss_bucket_name: Option<String>,
    /// The source's key in the bucket; null if `source` is set.
    #[serde(default)]
    #[avro(default = "null")]
    pub video_key: Option<String>,
    /// The source's version (its ETag, or its size and modification time); null for the current version.
    #[serde(default)]
    #[avro(default = "null")]
    pub version: Option<String>,
    /// Where outputs are written: a URL, or a prefix in the source's bucket. Outputs are named after the source.
    pub output_prefix: String,
    /// The length of a segment, in seconds, at least 0.1.
    #[serde(default = "default_segment_time")]
    #[avro(default = "15.0")]
    pub segment_time_seconds: f64,
    /// The names of the formats to make.
    #[serde(default = "default_formats")]
    #[avro(default = r#"["mp4"]"#)]
    pub dst_formats: Vec<String>,
    /// The execution's name. Uploads with the same name are the same execution; null names it by its source and settings.
    #[serde(default)]
    #[avro(default = "null")]
    pub name: Option<String>,
    /// Labels, which are copied to the execution's records.
    #[serde(default)]
    #[avro(default = "{}")]
    pub labels: HashMap<String, String>,
    /// Whether output files that were made from another source are replaced.
    #[serde(default)]
    #[avro(default = "false")]
    pub overwrite: bool,
    /// The attempt at this execution, from 1.
    #[serde(default = "first_attempt")]
    #[avro(default = "1")]
    pub attempt: i32,
    /// The first part of the keys of an earlier attempt's work objects, which this attempt reuses; null for none.
    #[serde(default)]
    #[avro(default = "null")]
    pub work: Option<String>,
    /// The time after which the execution fails if it has not ended, in seconds, more than 0; null for never.
    #[serde(default)]
    #[avro(default = "null")]
    pub deadline_seconds: Option<f64>,
    /// The id of the replay that made this upload. Each replay is a separate execution. Null if it is no replay.
    #[serde(default)]
    #[avro(default = "null")]
    pub replay: Option<String>,
    /// The facts of outputs that were made from this source before. Those that still exist and have the same settings are kept.
    #[serde(default)]
    #[avro(default = "[]")]
    pub made: Vec<OutputFacts>,
    /// Whether the execution fails if the source is damaged. Otherwise, what can be decoded is transcoded.
    #[serde(default)]
    #[avro(default = "false")]
    pub strict: bool,
    /// Whether the location of the recording is copied from the source's metadata.
    #[serde(default)]
    #[avro(default = "false")]
    pub keep_location: bool,
    /// The name of the principal on whose behalf the upload was accepted; empty for the default principal. Only Millrace sets it:
    /// it is part of the execution's id, and decides what the execution may read and write, and who may see it.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub principal: String,
    /// What is made of the source: the name of a profile, or a profile as JSON; null for the defaults of each format.
    #[serde(default, deserialize_with = "profile_text")]
    #[avro(default = "null")]
    pub profile: Option<String>,
}

/// Reads a profile as text, or as an object, whose text is returned.
fn profile_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a profile, or a profile")
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.into()))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let object = serde_json::Value::deserialize(MapAccessDeserializer::new(map))?;
            Ok(Some(object.to_string()))
        }
    }
    deserializer.deserialize_any(Text)
}

crate::frame::record!(
    Upload,
    "Upload",
    1,
    [
        "upload/1.avsc",
        "upload/2.avsc",
        "upload/3.avsc",
        "upload/4.avsc",
        "upload/5.avsc",
        "upload/6.avsc",
        "upload/7.avsc",
        "upload/8.avsc"
    ]
);

/// The greatest length of an upload's value, in bytes. Records about the execution have it up to twice, and must stay below the
/// log's limit.
const LONGEST_UPLOAD: usize = 100_000;

/// The prefix of labels that only Millrace sets.
const RESERVED_LABELS: &str = "millrace.";
/// The greatest length of a URL, a bucket, a key, a version or a prefix, in bytes. Object keys have at most 1,024 bytes, and up to
/// three times as many when they are percent-encoded.
pub const LONGEST_LOCATION: usize = 4096;
/// The greatest length of the name of an execution, a label or a format, in bytes.
pub const LONGEST_NAME: usize = 1024;
/// The greatest length of a label's value, in bytes.
pub const LONGEST_LABEL: usize = 4096;
/// The greatest length of a profile, or of its name, in bytes.
pub const LONGEST_PROFILE: usize = 20_000;
/// The most labels of an upload.
pub const MOST_LABELS: usize = 100;
/// The most formats of an upload, including repeated ones.
pub const MOST_FORMATS: usize = 1000;
/// The most outputs in [`Upload::made`].
pub const MOST_MADE: usize = 1000;
/// The greatest number of an attempt.
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
    /// Returns an upload of this source with default settings.
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
            profile: None,
        }
    }

    /// Checks that an upload from outside has no field that only Millrace sets: those of retries and replays, the principal, and
    /// labels that begin with `millrace.`.
    ///
    /// # Errors
    /// With the field or label to leave out.
    pub fn check_by_others(&self) -> Result<(), String> {
        let reserved = [
            ("work", self.work.is_some()),
            ("attempt", self.attempt != first_attempt()),
            ("made", !self.made.is_empty()),
            ("replay", self.replay.is_some()),
            ("principal", !self.principal.is_empty()),
        ];
        if let Some((field, _)) = reserved.iter().find(|(_, is_set)| *is_set) {
            return Err(format!("only Millrace itself sets '{field}'; leave it out"));
        }
        if self.labels.keys().any(|label| label.starts_with(RESERVED_LABELS)) {
            return Err(format!(
                "labels that begin with '{RESERVED_LABELS}' are Millrace's own; leave them out"
            ));
        }
        Ok(())
    }

    /// Reads an upload from a value on the topic: Avro in the Confluent frame, or JSON. Repeated formats are removed.
    ///
    /// # Errors
    /// If the value is neither, has more than 100,000 bytes or an unknown field, or if a part is
    /// [out of bounds](Self::within_bounds).
    pub fn read(value: &[u8]) -> Result<Self, RecordError> {
        if value.len() > LONGEST_UPLOAD {
            return Err(RecordError::LongUpload { bytes: value.len(), most: LONGEST_UPLOAD });
        }
        let mut upload = if value.trim_ascii_start().first() == Some(&b'{') {
            serde_json::from_slice(value).map_err(|source| RecordError::Json { record: "Upload", source })
        } else {
            <Self as crate::frame::Record>::decode(value)
        }?;
        upload.merge_equal_formats();
        upload.within_bounds()
    }

    /// Removes repeated formats, which would be the same output.
    pub fn merge_equal_formats(&mut self) {
        let mut known = std::collections::HashSet::new();
        self.dst_formats.retain(|format| known.insert(format.clone()));
    }

    /// Returns the upload if the size of each part is within its bound and each number is finite. The values themselves are checked
    /// when the execution is planned; the execution then fails with the reason.
    ///
    /// # Errors
    /// [`RecordError::LargeUpload`] or [`RecordError::UploadNumber`]; the bounds are [`LONGEST_LOCATION`], [`LONGEST_NAME`],
    /// [`LONGEST_LABEL`], [`LONGEST_PROFILE`], [`MOST_LABELS`], [`MOST_FORMATS`], [`MOST_MADE`] and [`LAST_ATTEMPT`].
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
        bound("profile's length in bytes", length(&self.profile), LONGEST_PROFILE)?;
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
