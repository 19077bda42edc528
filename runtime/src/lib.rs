//! Moves records between streams: the log and its backends, consuming in a bounded window, publishing in order,
//! retries, dead letters, keyed state, drain. Knows nothing of video.

mod aggregate;
mod announced;
mod backoff;
mod dead_letter;
mod embedded;
mod groups;
mod log;
pub mod metrics;
mod murmur2;
mod runner;
#[cfg(feature = "simulated")]
pub mod simulated;
mod stop;
mod tail;
mod watched;

pub use aggregate::run_aggregation;
pub use announced::announce;
pub use backoff::Backoff;
pub use dead_letter::{
    ERROR_EXCEPTION, ERROR_HEADERS, ERROR_MESSAGE, ERROR_OFFSET, ERROR_PARTITION, ERROR_TOPIC,
};
pub use embedded::Embedded;
pub use log::{
    Assignment, Consumer, Event, Fetched, Headers, LARGEST_VALUE, Log, LogError, Membership, NewRecord,
    Owned, Partition, Record, Transaction,
};
pub use murmur2::murmur2;
pub use runner::{Options, RunError, run_processor};
pub use stop::{Level, Stop, Stopper};
pub use tail::{Tail, of_key, read_on, table};
pub use watched::{Watched, Watcher};
