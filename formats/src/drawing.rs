//! Files into which pixels are drawn.

/// Their extension.
pub(crate) const EXTENSION: &str = "png";
