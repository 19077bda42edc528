//! Events of executions, for users.

use millrace_schemas::{ExecutionEvent, RecordError};
use millrace_topology::{Emit, streams};

/// An event of an execution; see [`ExecutionEvent`] for the fields.
pub(crate) struct ProcessorEvent<'a> {
    pub(crate) execution: &'a str,
    pub(crate) attempt: i32,
    pub(crate) at_ms: i64,
    pub(crate) processor: &'a str,
    pub(crate) event: &'a str,
    pub(crate) detail: String,
    pub(crate) elapsed_ms: Option<i64>,
}

impl ProcessorEvent<'_> {
    /// Returns the record of the event on the stream `executions`.
    pub(crate) fn emit(self) -> Result<Emit, RecordError> {
        let record = ExecutionEvent {
            execution: self.execution.into(),
            attempt: self.attempt,
            at_ms: self.at_ms,
            processor: self.processor.into(),
            event: self.event.into(),
            detail: self.detail,
            elapsed_ms: self.elapsed_ms,
        };
        Emit::new(streams::EXECUTIONS, self.execution, &record)
    }
}
