//! Moves records between streams: the log and its backends, consuming in a bounded window, publishing in order,
//! retries, dead letters, keyed state, drain. Knows nothing of video.

mod aggregate;
mod dead_letter;
mod embedded;
mod log;
mod murmur2;
mod runner;
mod stop;

pub use aggregate::run_aggregation;
pub use embedded::Embedded;
pub use log::{
    Assignment, Consumer, Event, Headers, Log, LogError, Membership, NewRecord, Partition, Record,
    Transaction,
};
pub use murmur2::murmur2;
pub use runner::{Options, RunError, run_processor};
pub use stop::{Level, Stop, Stopper};
