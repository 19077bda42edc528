//! The graph as data: streams and tables, the processors between them, and what a processor is.
//!
//! No I/O happens here. A processor states what it needs of the world as ports ([`ports`]), which the shell
//! implements; the runtime moves records between streams and knows nothing of video.

mod draw;
pub mod faults;
mod graph;
pub mod invariants;
pub mod ports;
mod processor;

pub use draw::{Drawing, Numbers, draw};
pub use graph::{
    GROUP_PREFIX, HORIZON_DAYS, Keyed, Kind, ProcessorSpec, Retention, Role, StreamSpec, Topology, Window,
    group_of, streams,
};
pub use processor::{Aggregation, Clock, Emit, Fold, Placement, Processor, ProcessorError, Task, millis_now};
