//! The names of metrics of records: Prometheus' rules, with units. docs/metrics.md tells of each.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Records whose results were published, by processor.
const RECORDS: &str = "millrace_records_total";
/// Records at work, or finished and not yet published, by processor.
const IN_FLIGHT: &str = "millrace_in_flight_records";
/// From the moment that a record was taken to that at which its results were there, by processor.
const LATENCY: &str = "millrace_record_seconds";
/// Records that a processor's group has yet to consume.
const LAG: &str = "millrace_lag_records";
/// Times that a record was tried again, by processor.
const RETRIES: &str = "millrace_retries_total";
/// Records that were set aside, by the stream that they came from and the kind of error.
const DEAD_LETTERS: &str = "millrace_dead_letters_total";
/// Commits, by processor and how they ended.
const COMMITS: &str = "millrace_commits_total";
/// Whether a layer of the box around media holds.
const SANDBOX: &str = "millrace_sandbox_layer";

/// Tells whoever collects metrics what each of them is.
pub fn describe() {
    describe_counter!(RECORDS, Unit::Count, "Records whose results were published");
    describe_gauge!(IN_FLIGHT, Unit::Count, "Records at work, or finished and not yet published");
    describe_histogram!(LATENCY, Unit::Seconds, "From taking a record to its results");
    describe_gauge!(LAG, Unit::Count, "Records that are yet to be consumed, of the whole group");
    describe_counter!(RETRIES, Unit::Count, "Times that a record was tried again");
    describe_counter!(DEAD_LETTERS, Unit::Count, "Records that were set aside");
    describe_counter!(COMMITS, Unit::Count, "Commits, by how they ended");
    describe_gauge!(SANDBOX, Unit::Count, "Whether a layer of the box around media holds: 1 or 0");
}

/// Whether a layer of the box around media holds.
pub fn sandbox(layer: &'static str, holds: bool) {
    gauge!(SANDBOX, "layer" => layer).set(f64::from(u8::from(holds)));
}

/// Results were published.
pub(crate) fn published(processor: &'static str, records: usize) {
    counter!(RECORDS, "processor" => processor).increment(records as u64);
}

/// So many records are in flight.
pub(crate) fn in_flight(processor: &'static str, records: usize) {
    gauge!(IN_FLIGHT, "processor" => processor).set(records as f64);
}

/// A record took so long.
pub(crate) fn handled(processor: &'static str, took: Duration) {
    histogram!(LATENCY, "processor" => processor).record(took.as_secs_f64());
}

/// A record is tried again.
pub(crate) fn retried(processor: &'static str) {
    counter!(RETRIES, "processor" => processor).increment(1);
}

/// A record was set aside.
pub(crate) fn set_aside(stream: &str, kind: &str) {
    counter!(DEAD_LETTERS, "stream" => stream.to_owned(), "kind" => kind.to_owned()).increment(1);
}

/// A commit ended: `committed`, `aborted`, `fenced`, `uncertain` or `failed`.
pub(crate) fn committed(processor: &'static str, outcome: &'static str) {
    counter!(COMMITS, "processor" => processor, "outcome" => outcome).increment(1);
}

/// So many records of a processor's group are yet to be consumed.
pub fn lag(processor: &'static str, records: u64) {
    gauge!(LAG, "processor" => processor).set(records as f64);
}
