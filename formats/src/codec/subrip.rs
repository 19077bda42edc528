//! SubRip: a packet is the text of a caption in UTF-8, without times, which its container has (RFC 9559, S_TEXT/UTF8).

use super::{Codec, Kind, Seams};

pub(super) const ENTRY: &dyn Codec = &SubRip;

/// SubRip.
#[derive(Debug)]
pub(crate) struct SubRip;

impl Codec for SubRip {
    fn name(&self) -> &'static str {
        "subrip"
    }

    /// Where there is no text, a track holds no packet.
    fn kind(&self) -> Kind {
        Kind::Text { empty: &[] }
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["subrip"]
    }

    fn seams(&self) -> Seams {
        Seams::Whole
    }
}
