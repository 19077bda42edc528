//! A decoded picture with its time.

use ffmpeg_next::frame;

use crate::child::{failure::Failure, libav::frame::share};

/// A picture with its time.
pub(crate) struct Presented {
    pub(crate) frame: frame::Video,
    /// Its presentation time, in ticks.
    pub(crate) pts: i64,
    /// For how long it is shown, in ticks; 0 if nothing says so.
    pub(crate) length: i64,
}

impl Presented {
    pub(super) fn share(&self) -> Result<Self, Failure> {
        Ok(Self { frame: share(&self.frame)?, ..*self })
    }
}
