//! Files into which pixels are drawn.

/// The extension of a file of pixels that no encoder of video was asked for: a waveform.
pub(crate) const EXTENSION: &str = "png";
