//! Whether a track is copied or encoded.

use millrace_schemas::COPY;

/// Whether the packets of a track are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copying {
    /// They are not.
    Never,
    /// They are if the track already is what is asked for; otherwise it is encoded.
    IfItFits,
    /// They are; a track of which that is not possible is refused.
    Always,
}

impl Copying {
    pub(crate) fn of(codec: &str, when_fits: Option<&str>) -> Self {
        match (codec, when_fits) {
            (COPY, _) => Self::Always,
            (_, Some(COPY)) => Self::IfItFits,
            _ => Self::Never,
        }
    }
}
