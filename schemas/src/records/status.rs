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

crate::records::record!(ExecutionEvent, "ExecutionEvent", 7, "execution_event.avsc");

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

crate::records::record!(Progress, "Progress", 8, "progress.avsc");
