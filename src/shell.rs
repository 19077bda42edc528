//! The shell around the pure core: the data folder, the ports, and the processors as they run.

mod compute;
mod connect;
mod convoy;
mod data;
mod engine;
pub(crate) mod http;
mod limits;
pub(crate) mod logs;
mod ports;
pub(crate) mod probe;
pub(crate) mod sandbox;
mod slots;
pub(crate) mod watch;

pub(crate) use connect::{connect, connect_to_serve};
pub(crate) use data::DataFolder;
pub(crate) use engine::{Running, STORE, Work, publish};
