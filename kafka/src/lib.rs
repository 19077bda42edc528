//! The log on a Kafka cluster, with librdkafka: consumer groups, transactions, topics, the schema registry.
//!
//! It is a crate of its own so that the simulation and the tests of `millrace-runtime` build without librdkafka.

mod admin;
mod client;
mod cluster;
mod committer;
mod log;
mod member;
mod ownership;
mod reader;
mod rebalance;
mod records;
mod registry;
mod settings;
mod transaction;

pub use admin::{Difference, acls};
pub use cluster::Kafka;
pub use settings::{Guarantee, Settings};
