//! Why a value can't be read or written as a record.

/// The error of reading or writing a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The value has fewer than the frame's five bytes, or does not begin with 0x00.
    #[error("the value is not in the Confluent frame (0x00, 4-byte schema id, Avro)")]
    NotFramed,
    /// A newer Millrace wrote the value. The record is not a dead letter: its partition waits until this process is upgraded.
    #[error("{record} of version {found} was written by a newer Millrace; this one knows {known}")]
    Newer {
        /// The record that was expected.
        record: &'static str,
        /// The version in the frame.
        found: usize,
        /// The latest version that this process knows.
        known: usize,
    },
    /// The frame has a version that this process does not know. Any producer can write that: only if the log has an
    /// announcement of the version is it [`RecordError::Newer`].
    #[error(
        "it claims to be {record} of version {found}, which no Millrace has announced here; this one knows {known}"
    )]
    Claimed {
        /// The record that was expected.
        record: &'static str,
        /// The version in the frame.
        found: usize,
        /// The latest version that this process knows.
        known: usize,
    },
    /// A schema of the registry can't be used for reading: it is invalid, too large or recursive, or too many are in use.
    #[error("the schema can't be used: {reason}")]
    Schema {
        /// What is wrong with the schema.
        reason: String,
    },
    /// A part of an upload is larger than allowed; every record about its execution carries it.
    #[error("an upload whose {part} is {found}; {most} is the most")]
    LargeUpload {
        /// The part, as the subject of the message.
        part: &'static str,
        /// Its length in bytes, or its count.
        found: usize,
        /// The greatest length in bytes, or count, that is allowed.
        most: usize,
    },
    /// A number in an upload is out of range.
    #[error("an upload whose {part} is {found}; {wanted} is wanted")]
    UploadNumber {
        /// The field.
        part: &'static str,
        /// Its value.
        found: f64,
        /// The allowed range, in words.
        wanted: &'static str,
    },
    /// The schema id in the frame belongs to another record, or to none.
    #[error("the value's schema id is {found}; {record} knows {known}")]
    UnknownSchema {
        /// The record that was expected.
        record: &'static str,
        /// The id in the frame.
        found: u32,
        /// The id of the record's latest version.
        known: u32,
    },
    /// The schema id in the frame belongs to a schema that can't be used; see [`RecordError::Schema`].
    #[error("{record} by schema {found}: {why}")]
    UnusableSchema {
        /// The record that was expected.
        record: &'static str,
        /// The id in the frame.
        found: u32,
        /// The error of registering the schema.
        why: String,
    },
    /// The Avro body does not match its schema.
    #[error("{record}: {source}")]
    Avro {
        /// The record that was read or written.
        record: &'static str,
        /// The error of `apache-avro`.
        #[source]
        source: Box<apache_avro::Error>,
    },
    /// Bytes follow the Avro body.
    #[error("{record}: {bytes} bytes follow the record")]
    Trailing {
        /// The record that was expected.
        record: &'static str,
        /// How many bytes follow.
        bytes: usize,
    },
    /// The Avro body ends early.
    #[error("{record}: the value is cut")]
    Cut {
        /// The record that was expected.
        record: &'static str,
    },
    /// The schema of the value has a field that the record does not have.
    #[error("{record} has no field '{field}'")]
    UnknownField {
        /// The record that was expected.
        record: &'static str,
        /// The name of the field.
        field: String,
    },
    /// The value is longer than the log allows.
    #[error("a value of {bytes} bytes is more than the {most} that are read")]
    LargeValue {
        /// The length of the value, in bytes.
        bytes: usize,
        /// The greatest length, in bytes.
        most: usize,
    },
    /// The value is longer than an upload may be; every record about its execution carries the upload.
    #[error(
        "an upload of {bytes} bytes is more than the {most} that are read; give it fewer or shorter labels"
    )]
    LongUpload {
        /// The length of the value, in bytes.
        bytes: usize,
        /// The greatest length, in bytes.
        most: usize,
    },
    /// The value is not a notification of an object store.
    #[error("a notification that can't be read: {reason}")]
    Notification {
        /// What is wrong with it.
        reason: String,
    },
    /// The value is not JSON, or not JSON of the record's fields.
    #[error("{record} as JSON: {source}")]
    Json {
        /// The record that was expected.
        record: &'static str,
        /// The error of `serde_json`.
        #[source]
        source: serde_json::Error,
    },
}
