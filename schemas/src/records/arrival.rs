use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::Upload;

/// A source that was uploaded, as a store's notification or a folder's watch tells it, and what is to be made of it. Key: the
/// source's URL, so that all that is told of a source comes in one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Arrival {
    /// The source's URL.
    pub source: String,
    /// Its version (ETag, or size and time) when it was looked at.
    pub version: String,
    /// The store's own order of what happens to an object; null where it has none.
    #[serde(default)]
    #[avro(default = "null")]
    pub sequencer: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is to be made: one for each rule that it meets.
    pub uploads: Vec<Upload>,
}

crate::records::record!(
    Arrival,
    "Arrival",
    11,
    ["arrival/1.avsc", "arrival/2.avsc", "arrival/3.avsc", "arrival/4.avsc"]
);

/// The latest that is known of a source. Key: the source's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Seen {
    /// The source's URL.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The store's own order; null where it has none.
    #[serde(default)]
    #[avro(default = "null")]
    pub sequencer: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// A hash of what was asked for: another rule is another thing to make.
    pub asked: String,
}

crate::records::record!(Seen, "Seen", 12, ["seen/1.avsc"]);
