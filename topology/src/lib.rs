//! The topology as data: streams and tables, the processors between them, and the traits of processors.
//!
//! There is no I/O in this crate. Processors state what they need of media and storage as ports ([`ports`]),
//! which the program implements; `millrace-runtime` moves records between streams.

mod draw;
pub mod faults;
mod graph;
pub mod invariants;
pub mod packages;
pub mod ports;
mod processor;

pub use draw::{Drawing, RecordCounts, draw};
pub use graph::{
    GROUP_PREFIX, HORIZON_DAYS, Keyed, Kind, ProcessorSpec, Retention, Role, StreamSpec, Topology, Window,
    group_of, streams,
};
pub use processor::{Aggregation, Clock, Emit, Fold, Placement, Processor, ProcessorError, Task, millis_now};
