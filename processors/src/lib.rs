//! The processors, a file or a folder for each. What they decide are pure functions; what they need of the world they
//! ask of ports.

pub mod accept;
pub mod admit;
pub mod assemble;
pub mod cleanup;
mod events;
pub mod formats;
pub mod layouts;
pub mod merge;
pub mod split;
pub mod transcode;
pub mod trigger;
