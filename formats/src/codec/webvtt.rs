//! WebVTT (W3C): a packet is the text of a cue in UTF-8, without times, which its container has (WebM Container Guidelines, "WebVTT").

use super::{Codec, Form, Kind, Seams};

pub(super) const ENTRY: &dyn Codec = &WebVtt;

/// WebVTT.
#[derive(Debug)]
pub(crate) struct WebVtt;

impl Codec for WebVtt {
    fn name(&self) -> &'static str {
        "webvtt"
    }

    /// Where there is no text, a track holds no packet.
    fn kind(&self) -> Kind {
        Kind::Text { empty: &[] }
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["webvtt"]
    }

    fn seams(&self) -> Seams {
        Seams::Whole
    }

    /// Ends of lines behind the text separate cues in a file of text, and readers of other files leave them out.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        let _ = form;
        let behind = packet.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        give(&packet[..packet.len() - behind]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cue_is_its_text_without_empty_lines_behind_it() {
        let content = |packet: &[u8]| {
            let mut all = Vec::new();
            WebVtt.content(packet, Form::File, &mut |bytes| all.extend_from_slice(bytes));
            all
        };
        assert_eq!(content(b"one\ntwo\r\n\n"), content(b"one\ntwo"));
        assert_ne!(content(b"one\ntwo"), content(b"one\n two"));
        assert_eq!(content(b"\n"), b"");
    }
}
