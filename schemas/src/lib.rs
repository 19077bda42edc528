//! The contract: the records on Millrace's topics, as Avro schemas (`avro/*.avsc`) and as Rust types.
//!
//! Each record has one `.avsc` file, and a Rust type that a test holds equal to it. Values travel in the
//! Confluent frame ([`frame`]). Fields are only ever added, with defaults, so that two versions of Millrace run
//! side by side.

mod bounds;
pub mod frame;
mod identity;
pub mod ids;
mod other;
pub mod range_protocol;
mod records;

pub use bounds::LONGEST_SCHEMA;
pub use identity::{
    Fingerprint, execution_id, hash_of, object_url, output_prefix, output_url, rendition_id, source_url,
};
pub use records::*;

/// Why a value could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The value is shorter than the frame's five bytes, or does not begin with 0x00.
    #[error("the value is not in the Confluent frame (0x00, 4-byte schema id, Avro)")]
    NotFramed,
    /// A newer Millrace wrote it. It is no dead letter: it waits until this one is replaced, as in a rolling upgrade.
    #[error("{record} of version {found} was written by a newer Millrace; this one knows {known}")]
    Newer {
        /// The record that was to be read.
        record: &'static str,
        /// The version in the frame.
        found: usize,
        /// The latest version that is known.
        known: usize,
    },
    /// It says that a newer Millrace wrote it. Anybody can say so: whether one is there, the log tells.
    #[error(
        "it claims to be {record} of version {found}, which no Millrace has announced here; this one knows {known}"
    )]
    Claimed {
        /// The record that was to be read.
        record: &'static str,
        /// The version in the frame.
        found: usize,
        /// The latest version that is known.
        known: usize,
    },
    /// Nothing can be read by the schema that a registry has.
    #[error("nothing is read by this schema: {reason}")]
    Schema {
        /// Why.
        reason: String,
    },
    /// A part of an upload is larger than what is carried through to every record about its execution.
    #[error("an upload whose {part} is {found}; {most} is the most")]
    LargeUpload {
        /// The part, in words.
        part: &'static str,
        /// How long it is, or how many there are.
        found: usize,
        /// How long it may be, or how many there may be.
        most: usize,
    },
    /// A number in an upload is none that can be meant.
    #[error("an upload whose {part} is {found}; {wanted} is wanted")]
    UploadNumber {
        /// The part, in words.
        part: &'static str,
        /// What it is.
        found: f64,
        /// What it must be, in words.
        wanted: &'static str,
    },
    /// The frame names a schema that is not the record's.
    #[error("the value's schema id is {found}; {record} knows {known}")]
    UnknownSchema {
        /// The record that was to be read.
        record: &'static str,
        /// The id in the frame.
        found: u32,
        /// The id that this record has.
        known: u32,
    },
    /// The frame names a schema that nothing is read by.
    #[error("{record} by schema {found}: {why}")]
    UnusableSchema {
        /// The record that was to be read.
        record: &'static str,
        /// The id in the frame.
        found: u32,
        /// What is wrong with the schema.
        why: String,
    },
    /// The Avro body does not follow its schema.
    #[error("{record}: {source}")]
    Avro {
        /// The record that was to be read or written.
        record: &'static str,
        /// What `apache-avro` says.
        #[source]
        source: Box<apache_avro::Error>,
    },
    /// Something follows the Avro body.
    #[error("{record}: {bytes} bytes follow the record")]
    Trailing {
        /// The record that was to be read.
        record: &'static str,
        /// How many.
        bytes: usize,
    },
    /// The Avro body ends early.
    #[error("{record}: the value is cut")]
    Cut {
        /// The record that was to be read.
        record: &'static str,
    },
    /// The schema that the value was written with has a field that the record has not.
    #[error("{record} has no field '{field}'")]
    UnknownField {
        /// The record that was to be read.
        record: &'static str,
        /// The field.
        field: String,
    },
    /// The value is larger than any that is read.
    #[error("a value of {bytes} bytes is more than the {most} that are read")]
    LargeValue {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// An upload is carried through to every record about its execution, and so has a limit of its own.
    #[error(
        "an upload of {bytes} bytes is more than the {most} that are read; give it fewer or shorter labels"
    )]
    LongUpload {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// The value is no notification of a store.
    #[error("a notification that can't be read: {reason}")]
    Notification {
        /// Why.
        reason: String,
    },
    /// The value is JSON, but not of the record's shape.
    #[error("{record} as JSON: {source}")]
    Json {
        /// The record that was to be read.
        record: &'static str,
        /// What `serde_json` says.
        #[source]
        source: serde_json::Error,
    },
}
