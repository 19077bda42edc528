//! JPEG covers: an output holds the picture as it lies in the source.

use super::{Codec, Kind, Seams};

pub(super) const ENTRY: &dyn Codec = &Mjpeg;

/// JPEG, which libavcodec knows as a picture of Motion JPEG.
#[derive(Debug)]
pub(crate) struct Mjpeg;

impl Codec for Mjpeg {
    fn name(&self) -> &'static str {
        "mjpeg"
    }

    fn kind(&self) -> Kind {
        Kind::Cover
    }

    fn encoders(&self) -> &'static [&'static str] {
        &[]
    }

    fn seams(&self) -> Seams {
        Seams::Whole
    }

    fn file(&self) -> Option<(&'static str, &'static str)> {
        Some(("jpg", "image/jpeg"))
    }
}
