//! The processors: a file for each, and a folder for its parts. They decide in pure functions, and do I/O through ports.
//!
//! Each has two functions: `spec` returns its name and its edges, `start` makes it from the [`Dependencies`] and starts it. The list
//! `processors!` below names them all: it is the graph, and all of them are started.

pub mod accept;
pub mod admit;
pub mod assemble;
pub mod cleanup;
mod dependencies;
mod events;
pub mod merge;
mod pinning;
mod principals;
pub mod request;
mod running;
pub mod split;
pub mod transcode;
pub mod trigger;

use millrace_topology::{Topology, streams};

pub use dependencies::{Dependencies, Ports, ProcessorStarter};
pub use pinning::{Pinning, ProfileSource};
pub use principals::Principals;
pub use running::RunningExecutions;

/// Defines the graph from the modules of its processors. A new processor is added here, and as a `mod` above.
macro_rules! processors {
    ($($name:ident),+ $(,)?) => {
        /// Returns the graph of Millrace.
        #[must_use]
        pub fn topology() -> Topology {
            Topology { streams: streams::ALL.to_vec(), processors: vec![$($name::spec()),+] }
        }

        /// Makes all processors of the graph, and passes each to `starter`.
        pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
            $($name::start(dependencies, starter);)+
        }
    };
}

processors!(trigger, admit, accept, split, transcode, assemble, merge, cleanup);

#[cfg(test)]
mod tests {
    use millrace_topology::Kind;

    use super::*;

    #[test]
    fn every_edge_ends_at_a_declared_stream() {
        let topology = topology();
        for processor in &topology.processors {
            for stream in processor.writes.iter().chain([&processor.reads]).chain(&processor.state) {
                assert!(topology.streams.contains(stream), "{}: {}", processor.name, stream.name);
            }
        }
    }

    #[test]
    fn an_aggregation_and_its_changelog_have_the_same_partitions() {
        for processor in topology().processors {
            if let Some(table) = processor.state {
                assert_eq!(processor.reads.partitions, table.partitions);
                assert_eq!(table.kind, Kind::Table);
            }
        }
    }
}
