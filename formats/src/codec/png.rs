//! PNG covers: an output holds the picture as it lies in the source.

use super::{Codec, Kind, Seams};

pub(super) const ENTRY: &dyn Codec = &Png;

/// PNG.
#[derive(Debug)]
pub(crate) struct Png;

impl Codec for Png {
    fn name(&self) -> &'static str {
        "png"
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
        Some(("png", "image/png"))
    }
}
