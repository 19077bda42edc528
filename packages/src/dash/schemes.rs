//! The names of DASH: of its elements, and of what sets are for.

/// The namespace of descriptions (ISO/IEC 23009-1, 5.2.3).
pub(super) const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";

/// The scheme by which a set says that it is for seeking by sight, and for which other set.
pub(super) const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
