//! The real servers that Millrace's tests run against, which `scripts/servers.sh` fetches. Each is a process on free ports of this
//! machine, whose data is removed with it.

mod azurite;
mod kafka;
mod process;
mod registry;
mod store;

pub use azurite::Azurite;
pub use kafka::{Kafka, Security, tool};
pub use process::{ServerError, folder, free_port};
pub use registry::Registry;
pub use store::{ACCESS_KEY, SECRET_KEY, Store};
