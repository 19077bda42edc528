//! What a process is around its worker: the log that it opens, its data folder, HTTP, watched folders, profiles, and log lines.

pub(crate) mod connect;
pub(crate) mod data;
pub(crate) mod http;
pub(crate) mod logs;
pub(crate) mod profiles;
pub(crate) mod watch;
