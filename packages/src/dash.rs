//! Dynamic Adaptive Streaming over HTTP: a static media presentation description.

mod description;
mod read;
mod schemes;
mod segments;
mod sets;
mod xml;

pub(crate) use description::description;
pub(crate) use read::read;
