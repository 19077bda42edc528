//! Why manifests can't be made or read.

/// The error of rendering or reading manifests, or of naming a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A track can't be presented.
    #[error("track '{track}' can't be presented: {reason}")]
    Track {
        /// The track's id.
        track: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The presentation as a whole can't be rendered.
    #[error("a package can't be presented: {0}")]
    Presentation(String),
    /// A manifest breaks a rule.
    #[error("'{manifest}' is not a valid manifest: {reason}")]
    Read {
        /// The name of the text.
        manifest: String,
        /// What is wrong, with the line or the element.
        reason: String,
    },
    /// A codec has no name for manifests, or its configuration can't be read.
    #[error("no codec string for sample entry '{entry}': {reason}")]
    Codec {
        /// The four-character code of the sample entry.
        entry: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    pub(crate) fn track(track: &str, reason: impl Into<String>) -> Self {
        Self::Track { track: track.to_owned(), reason: reason.into() }
    }

    pub(crate) fn read(manifest: &str, reason: impl Into<String>) -> Self {
        Self::Read { manifest: manifest.to_owned(), reason: reason.into() }
    }

    pub(crate) fn codec(entry: [u8; 4], reason: impl Into<String>) -> Self {
        Self::Codec { entry: entry.escape_ascii().to_string(), reason: reason.into() }
    }
}
