//! Between an encoder that makes one range alone, and the one of the next range.

use ffmpeg_next::frame;

use crate::seal::HANDED_OVER;

/// The first pictures of a range, which wait while the encoder of the range before ends.
///
/// An encoder with a long pipeline has work for few cores while it empties, and while it fills (SVT-AV1). Meanwhile the first pictures
/// of the next range are decoded; they fill the next encoder at once.
pub(super) struct Handover {
    /// The time of the first picture.
    pub(super) next: i64,
    pub(super) pictures: Vec<frame::Video>,
}

impl Handover {
    pub(super) fn new(next: i64) -> Self {
        Self { next, pictures: Vec::new() }
    }

    /// Returns `true` if the next encoder is to begin.
    pub(super) fn is_full(&self) -> bool {
        self.pictures.len() >= HANDED_OVER
    }
}
