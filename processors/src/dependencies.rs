//! What processors are made from, and who starts them.

use std::sync::Arc;

use millrace_access::Access;
use millrace_topology::{
    Aggregation, Processor, ProcessorSpec,
    ports::{Controls, Media, Storage},
};

use crate::{pinning::Pinning, principals::Principals, running::RunningExecutions, trigger::rules::Rule};

/// All ports that processors use.
pub trait Ports: Media + Storage + Controls {}

impl<T: Media + Storage + Controls> Ports for T {}

/// What the processors of a process are made from.
pub struct Dependencies<P> {
    /// The ports to media, storage and the controls.
    pub ports: Arc<P>,
    /// The URL scheme of the default object store, for uploads and notifications that only name a bucket.
    pub store: String,
    /// The rules for watched buckets and folders.
    pub rules: Vec<Rule>,
    /// Which principal an upload on the log gets.
    pub principals: Principals,
    /// What each principal may read and write, and its limits.
    pub access: Arc<Access>,
    /// What pins uploads to profiles and to the versions of images.
    pub pinning: Pinning,
    /// The count of each principal's running executions.
    pub running: RunningExecutions,
    /// Whether the work objects of a failed execution are kept for a new attempt.
    pub keep_failed: bool,
}

/// Starts processors: the engine, which starts those that its process is to run.
pub trait ProcessorStarter {
    /// Starts a processor without state.
    fn start_processor(&mut self, spec: ProcessorSpec, processor: impl Processor);

    /// Starts an aggregation, which is a processor with state by key.
    fn start_aggregation(&mut self, spec: ProcessorSpec, aggregation: impl Aggregation);
}
