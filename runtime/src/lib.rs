//! Moves records between streams: the log and two of its backends, processors with a bounded window, publication in order, retries,
//! dead letters, keyed state, drain. Knows nothing of video.

mod aggregate;
mod announcements;
mod backoff;
mod dead_letter;
mod embedded;
mod error;
mod groups;
mod log;
pub mod metrics;
mod murmur2;
mod record;
mod runner;
#[cfg(feature = "simulated")]
pub mod simulated;
mod stop;
mod tail;
mod watched;

pub use aggregate::run_aggregation;
pub use announcements::announce;
pub use backoff::Backoff;
pub use dead_letter::{
    ERROR_EXCEPTION, ERROR_HEADERS, ERROR_MESSAGE, ERROR_OFFSET, ERROR_PARTITION, ERROR_TOPIC,
};
pub use embedded::Embedded;
pub use error::LogError;
pub use log::{
    Assignment, Consumer, Event, Fetched, Log, Membership, OwnedPartition, Transaction, read_to_end,
};
pub use murmur2::murmur2;
pub use record::{Headers, LARGEST_VALUE, NewRecord, Partition, Record};
pub use runner::{Options, RunError, run_processor};
pub use stop::{Level, Stop, Stopper};
pub use tail::{Tail, read_partition_of_key, read_table};
pub use watched::{Watched, Watcher};
