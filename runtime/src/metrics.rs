//! The metrics of records and of the sandbox. Names follow Prometheus' conventions and end in their unit. docs/metrics.md describes each.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::error::LogError;

/// Records whose results were published, by processor.
const RECORDS: &str = "millrace_records_total";
/// Records in the window of a processor: in flight, or finished but not published. By processor.
const IN_FLIGHT: &str = "millrace_in_flight_records";
/// Seconds from consuming a record to its results, by processor.
const LATENCY: &str = "millrace_record_seconds";
/// Records that the consumer group of a processor has not consumed yet, by processor.
const LAG: &str = "millrace_lag_records";
/// Retries of records, by processor.
const RETRIES: &str = "millrace_retries_total";
/// Dead letters, by the stream of the original record and the kind of error.
const DEAD_LETTERS: &str = "millrace_dead_letters_total";
/// Commits, by processor and outcome.
const COMMITS: &str = "millrace_commits_total";
/// Whether a layer of the sandbox around media processes works.
const SANDBOX: &str = "millrace_sandbox_layer";

/// Describes all metrics to the installed recorder.
pub fn describe() {
    describe_counter!(RECORDS, Unit::Count, "Records whose results were published");
    describe_gauge!(IN_FLIGHT, Unit::Count, "Records in flight, or finished and not yet published");
    describe_histogram!(LATENCY, Unit::Seconds, "From consuming a record to its results");
    describe_gauge!(LAG, Unit::Count, "Records that the whole group has not consumed yet");
    describe_counter!(RETRIES, Unit::Count, "Retries of records");
    describe_counter!(DEAD_LETTERS, Unit::Count, "Dead letters");
    describe_counter!(COMMITS, Unit::Count, "Commits, by outcome");
    describe_gauge!(
        SANDBOX,
        Unit::Count,
        "Whether a layer of the sandbox around media processes works: 1 or 0"
    );
}

/// Sets whether a layer of the sandbox around media processes works.
pub fn set_sandbox_layer(layer: &'static str, works: bool) {
    gauge!(SANDBOX, "layer" => layer).set(f64::from(u8::from(works)));
}

/// Counts records whose results were published.
pub(crate) fn count_published(processor: &'static str, records: usize) {
    counter!(RECORDS, "processor" => processor).increment(records as u64);
}

/// Sets the number of records in the window of a processor.
pub(crate) fn set_in_flight(processor: &'static str, records: usize) {
    gauge!(IN_FLIGHT, "processor" => processor).set(records as f64);
}

/// Records how long the processing of one record took.
pub(crate) fn record_latency(processor: &'static str, took: Duration) {
    histogram!(LATENCY, "processor" => processor).record(took.as_secs_f64());
}

/// Counts a retry of a record.
pub(crate) fn count_retry(processor: &'static str) {
    counter!(RETRIES, "processor" => processor).increment(1);
}

/// Counts a dead letter.
pub(crate) fn count_dead_letter(stream: &str, kind: &str) {
    counter!(DEAD_LETTERS, "stream" => stream.to_owned(), "kind" => kind.to_owned()).increment(1);
}

/// Counts a commit by its outcome: `committed`, `aborted`, `fenced`, `uncertain` or `failed`.
pub(crate) fn count_commit(processor: &'static str, result: &Result<(), LogError>) {
    let outcome = match result {
        Ok(()) => "committed",
        Err(LogError::Fenced { .. }) => "fenced",
        Err(LogError::Aborted { .. }) => "aborted",
        Err(LogError::Uncertain { .. }) => "uncertain",
        Err(_) => "failed",
    };
    counter!(COMMITS, "processor" => processor, "outcome" => outcome).increment(1);
}

/// Sets the number of records that the consumer group of a processor has not consumed yet.
pub fn set_lag(processor: &'static str, records: u64) {
    gauge!(LAG, "processor" => processor).set(records as f64);
}
