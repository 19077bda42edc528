//! Matroska (RFC 9559) of sound alone, with the text and the covers that belong to it.

use super::{Container, NO_TRACKS, mkv};

pub(super) const ENTRY: &Container =
    &Container { name: "mka", about: "Matroska without pictures", video: NO_TRACKS, ..*mkv::ENTRY };
