//! The processors, a file or a folder for each. What they decide are pure functions; what they need of the world they
//! ask of ports.
//!
//! Each has two functions: `spec`, its name and its edges, and `start`, which makes it of what it is [given](Given). They
//! are listed once, in `processors!` below: that list is the graph, and all of it runs.

pub mod accept;
pub mod admit;
pub mod assemble;
pub mod cleanup;
mod events;
pub mod merge;
pub mod request;
pub mod split;
pub mod transcode;
pub mod trigger;

use std::sync::Arc;

use millrace_access::Access;
use millrace_topology::{
    Aggregation, Processor, ProcessorSpec, Topology,
    ports::{Controls, Media, Storage},
    streams,
};

use accept::Principals;
use split::at_work::AtWork;
use trigger::rules::Rule;

/// All that processors ask of the world.
pub trait Ports: Media + Storage + Controls {}

impl<T: Media + Storage + Controls> Ports for T {}

/// What processors are made of.
pub struct Given<P> {
    /// What they ask of the world.
    pub ports: Arc<P>,
    /// The scheme of the store that is meant where only a bucket is named.
    pub store: String,
    /// What is watched.
    pub rules: Vec<Rule>,
    /// Whose uploads those are that come on the log.
    pub principals: Principals,
    /// What each principal may reach, and how much.
    pub access: Arc<Access>,
    /// How many executions each principal has at work.
    pub at_work: AtWork,
    /// Whether what a failed execution has made is kept for a new attempt.
    pub keeps_failed: bool,
}

/// Who runs processors: takes each, with its spec.
pub trait Runner {
    /// Runs a processor without state.
    fn processor(&mut self, spec: ProcessorSpec, processor: impl Processor);

    /// Runs an aggregation.
    fn aggregation(&mut self, spec: ProcessorSpec, aggregation: impl Aggregation);
}

/// The graph: a new processor is its file, with `mod`, and its name here.
macro_rules! processors {
    ($($name:ident),+ $(,)?) => {
        /// The graph of Millrace.
        #[must_use]
        pub fn topology() -> Topology {
            Topology { streams: streams::ALL.to_vec(), processors: vec![$($name::spec()),+] }
        }

        /// Gives all processors of the graph to a runner.
        pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
            $($name::start(given, runner);)+
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
