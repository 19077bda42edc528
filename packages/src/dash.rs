//! Dynamic Adaptive Streaming over HTTP: a static media presentation description.

mod description;
mod read;
mod segments;
mod sets;
mod xml;

pub(crate) use description::description;
pub(crate) use read::read;

/// The namespace of descriptions (ISO/IEC 23009-1, 5.2.3).
const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
/// The scheme by which a set says that it is for seeking by sight, and for which other set.
const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
