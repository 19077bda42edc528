//! A decoded picture with its time.

use ffmpeg_next::frame;

use crate::child::{failure::Failure, libav::frame::share};

/// A picture, and when it is shown.
pub(crate) struct Presented {
    pub(crate) frame: frame::Video,
    /// Its presentation time, in ticks.
    pub(crate) pts: i64,
    /// For how long it is shown, in ticks; 0 if nothing says so.
    pub(crate) length: i64,
}

impl Presented {
    fn share(&self) -> Result<Self, Failure> {
        Ok(Self { frame: share(&self.frame)?, ..*self })
    }
}

/// Gives a picture to each of these, in order. The last one gets the picture itself, the others share its samples.
///
/// # Errors
/// What `give` returns, or if there is no memory.
pub(super) fn share_out<T>(
    among: &mut [T],
    picture: Presented,
    mut give: impl FnMut(&mut T, Presented) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some((last, others)) = among.split_last_mut() else { return Ok(()) };
    for other in others {
        give(other, picture.share()?)?;
    }
    give(last, picture)
}
