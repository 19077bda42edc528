use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

/// An event of an execution, with its time and duration. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct ExecutionEvent {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The time, in milliseconds since 1970.
    pub at_ms: i64,
    /// The name of the processor that wrote the event.
    pub processor: String,
    /// The event: `started`, `transcoded`, `reused`, `merging`, `merged`, `succeeded`, `failed`, …
    pub event: String,
    /// The details, as a text for users.
    pub detail: String,
    /// The duration, in milliseconds; null for an event without one.
    #[serde(default)]
    #[avro(default = "null")]
    pub elapsed_ms: Option<i64>,
}

crate::frame::record!(ExecutionEvent, "ExecutionEvent", 7, ["execution_event/1.avsc"]);

/// The progress of a transcoding task. Results do not depend on it. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Progress {
    /// The execution's id.
    pub execution: String,
    /// The index of the segment.
    pub index: i32,
    /// The number of pictures that are encoded.
    pub done: i64,
    /// The number of pictures that are expected.
    pub expected: i64,
}

crate::frame::record!(Progress, "Progress", 8, ["progress/1.avsc"]);

/// A log line about an execution, from a processor or a media process. Results do not depend on it. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct LogLine {
    /// The execution's id.
    pub execution: String,
    /// The time, in milliseconds since 1970.
    pub at_ms: i64,
    /// The level: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The module that wrote the line; `media` for a media process.
    pub target: String,
    /// The message.
    pub message: String,
}

crate::frame::record!(LogLine, "LogLine", 9, ["log_line/1.avsc"]);

/// The latest attempt of an execution that has ended, so that every process stops work on it. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Control {
    /// The execution's id.
    pub execution: String,
    /// The latest attempt that has ended, successfully or not.
    pub attempt: i32,
}

crate::frame::record!(Control, "Control", 10, ["control/1.avsc"]);
