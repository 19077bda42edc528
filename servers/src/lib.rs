//! The servers that tests run against. Those that Millrace talks to in use are real ones, which `scripts/servers.sh` fetches: each is a
//! process on free ports of this machine, whose data is removed with it. The web server is a thread of the test, which misbehaves on request.

mod azurite;
mod kafka;
mod process;
mod registry;
mod store;
mod web;

pub use azurite::Azurite;
pub use kafka::{Kafka, Security, tool};
pub use process::{ServerError, folder, free_port};
pub use registry::Registry;
pub use store::{ACCESS_KEY, SECRET_KEY, Store};
pub use web::{Manner, WebServer};
