//! 3GPP timed text in an mp4: its header is the content of a `TextSampleEntry` (3GPP TS 26.245, 5.16).

use super::{Codec, Kind, Seams};

pub(super) const ENTRY: &dyn Codec = &MovText;

/// A text of no length. A track has a sample for every moment: where there is no text, this one (3GPP TS 26.245, 5.2).
const EMPTY: &[u8] = &[0, 0];

/// The beginning of a box of the bit rate (`btrt`, ISO/IEC 14496-12, 8.5.2.2), and its whole size in bytes.
const BIT_RATE: &[u8] = b"\0\0\0\x14btrt";
const BIT_RATE_SIZE: usize = 20;

/// Timed text.
#[derive(Debug)]
pub(crate) struct MovText;

impl Codec for MovText {
    fn name(&self) -> &'static str {
        "mov_text"
    }

    fn kind(&self) -> Kind {
        Kind::Text { empty: EMPTY }
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["mov_text"]
    }

    fn seams(&self) -> Seams {
        Seams::Whole
    }

    /// libavformat writes the encoder's header as it is, and behind it the bit rate, which changes nothing of the text.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        file.strip_prefix(encoder)
            .is_some_and(|rest| rest.is_empty() || rest.len() == BIT_RATE_SIZE && rest.starts_with(BIT_RATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_header_comes_nothing_but_the_bit_rate() {
        let header = [1, 2, 3];
        let same = |behind: &[u8]| MovText.headers_agree(&header, &[&header[..], behind].concat());
        assert!(same(&[]));
        assert!(same(b"\0\0\0\x14btrt\0\0\0\0\0\0\x10\0\0\0\x10\0"));
        assert!(!same(b"\0\0\0\x14ftab\0\0\0\0\0\0\x10\0\0\0\x10\0"), "a table of fonts");
        assert!(!same(b"\0\0\0\x14btrt\0\0"), "cut off");
        assert!(!MovText.headers_agree(&header, &[1, 2]));
    }
}
