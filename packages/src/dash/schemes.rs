//! The names of DASH: of its elements, and of what sets are for.

/// The namespace of descriptions (ISO/IEC 23009-1, 5.2.3).
pub(super) const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";

/// The namespace of what descriptions say of encryption (ISO/IEC 23001-7, 11).
pub(super) const ENCRYPTION: &str = "urn:mpeg:cenc:2013";

/// The scheme by which a set says that it is encrypted, and how (ISO/IEC 23009-1, 5.8.5.2).
pub(super) const PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";

/// Encryption of samples in that scheme (ISO/IEC 23001-7, 10.4).
pub(super) const SAMPLES: &str = "cbcs";

/// The scheme by which a set says that players may be given its key as it is ("Clear Key", DASH-IF IOP part 6, 7.2).
pub(super) const CLEAR_KEY: &str = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e";

/// The scheme by which a set says that it is for seeking by sight, and for which other set.
pub(super) const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
