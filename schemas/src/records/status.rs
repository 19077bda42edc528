use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

/// What happened to an execution, when, and how long it took. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct ExecutionEvent {
    /// The execution.
    pub execution: String,
    /// Which try at it, from 1.
    pub attempt: i32,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which processor says so.
    pub processor: String,
    /// What happened: `started`, `transcoded`, `reused`, `merging`, `merged`, `succeeded`, `failed`, …
    pub event: String,
    /// To what, in a person's words.
    pub detail: String,
    /// How long it took, in milliseconds; null where that says nothing.
    #[serde(default)]
    #[avro(default = "null")]
    pub elapsed_ms: Option<i64>,
}

crate::records::record!(ExecutionEvent, "ExecutionEvent", 7, ["execution_event/1.avsc"]);

/// How far a task is: advisory. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Progress {
    /// The execution.
    pub execution: String,
    /// Which segment.
    pub index: i32,
    /// Pictures that are done.
    pub done: i64,
    /// Pictures that are expected.
    pub expected: i64,
}

crate::records::record!(Progress, "Progress", 8, ["progress/1.avsc"]);

/// A line of the log about an execution, of a processor or of a media process: advisory. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct LogLine {
    /// The execution.
    pub execution: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Where in the program it was said; `media` for a media process.
    pub target: String,
    /// What was said.
    pub message: String,
}

crate::records::record!(LogLine, "LogLine", 9, ["log_line/1.avsc"]);

/// Which attempts at an execution have ended, so that work on them stops in every process. Key: the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Control {
    /// The execution.
    pub execution: String,
    /// The latest attempt that has ended, in success or not.
    pub attempt: i32,
}

crate::records::record!(Control, "Control", 10, ["control/1.avsc"]);
