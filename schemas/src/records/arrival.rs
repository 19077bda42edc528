use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::upload::Upload;

/// A new version of a source in a watched bucket or folder, and the uploads that the rules make of it. Key: the source's URL, so
/// that the arrivals of a source stay in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Arrival {
    /// The source's URL.
    pub source: String,
    /// The source's version when it was looked up: its ETag, or its size and modification time. Empty if it could not be read.
    pub version: String,
    /// The store's sequencer, which orders the events of an object; null if the store sends none.
    #[serde(default)]
    #[avro(default = "null")]
    pub sequencer: Option<String>,
    /// The time of the event, in milliseconds since 1970.
    pub at_ms: i64,
    /// The uploads: one for each rule that matches the source.
    pub uploads: Vec<Upload>,
}

crate::frame::record!(
    Arrival,
    "Arrival",
    11,
    [
        "arrival/1.avsc",
        "arrival/2.avsc",
        "arrival/3.avsc",
        "arrival/4.avsc",
        "arrival/5.avsc",
        "arrival/6.avsc"
    ]
);

/// The newest arrival of a source. Key: the source's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Seen {
    /// The source's URL.
    pub source: String,
    /// The source's version; see [`Arrival::version`].
    pub version: String,
    /// The store's sequencer; null if the store sends none.
    #[serde(default)]
    #[avro(default = "null")]
    pub sequencer: Option<String>,
    /// The time of the event, in milliseconds since 1970.
    pub at_ms: i64,
    /// A hash of the uploads' settings. If a rule changes, the same version is uploaded again.
    pub asked: String,
}

crate::frame::record!(Seen, "Seen", 12, ["seen/1.avsc"]);
