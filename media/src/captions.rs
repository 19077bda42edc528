//! Conversion of captions. Pure.
//!
//! mp4 presents one text of a track at a time (3GPP TS 26.245, 5.15), so captions that overlap are combined. The text of a packet may
//! have any encoding, and is converted to UTF-8.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

/// A text with the times at which it is shown, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// The time at which it appears.
    pub start: i64,
    /// The time at which it disappears.
    pub end: i64,
    /// The text, with the markup of ASS.
    pub text: String,
}

/// Captions that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CombinedCaptions {
    /// The captions in the order of their times.
    pub captions: Vec<Caption>,
    /// The number of captions that were dropped, because too many or too long ones overlap.
    pub left_out: usize,
}

/// The largest number of texts that are shown at a time.
const AT_ONCE: usize = 64;
/// The longest text that is shown at a time, in bytes. A sample of mp4 has up to 65,535 (3GPP TS 26.245, 5.17).
const LONGEST: usize = 16 << 10;
/// The largest ratio of the length of all output texts to that of all input texts. A text is repeated whenever another one appears
/// or disappears while it is shown.
const REPEATED: usize = 8;
/// The length of all output texts that is allowed in addition, in bytes.
const ANY: usize = 4 << 20;

/// Combines captions that overlap: while several are shown, their texts are lines of one caption, the earliest first.
///
/// At most 64 captions and 16 KiB are shown at a time, and fewer if their repetition would take too many bytes. The captions that
/// start first are shown, and the others are dropped. Captions without text or duration are removed.
#[must_use]
pub fn combine_overlapping(mut captions: Vec<Caption>) -> CombinedCaptions {
    captions.retain(|caption| caption.end > caption.start && !caption.text.is_empty());
    captions.sort_by_key(|caption| caption.start);
    let longest = captions.iter().map(|caption| caption.text.len()).sum::<usize>() * REPEATED + ANY;
    let mut at_once = AT_ONCE;
    loop {
        match combine(&captions, at_once, longest) {
            Some(combined) => return combined,
            // With one at a time, no text is repeated.
            None => at_once /= 2,
        }
        if at_once == 0 {
            return CombinedCaptions { captions: Vec::new(), left_out: captions.len() };
        }
    }
}

/// Combines captions, at most `at_once` at a time. Returns `None` if all output texts together are longer than `longest` bytes.
fn combine(captions: &[Caption], at_once: usize, longest: usize) -> Option<CombinedCaptions> {
    let mut edges: Vec<i64> = captions.iter().flat_map(|caption| [caption.start, caption.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut combined = CombinedCaptions::default();
    let (mut shown, mut next, mut all): (Vec<&Caption>, _, _) = (Vec::new(), 0, 0);
    for pair in edges.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        shown.retain(|caption| caption.end > start);
        while let Some(caption) = captions.get(next).filter(|caption| caption.start <= start) {
            let length: usize = shown.iter().map(|caption| caption.text.len() + 2).sum();
            if shown.len() < at_once && length + caption.text.len() <= LONGEST {
                shown.push(caption);
            } else {
                combined.left_out += 1;
            }
            next += 1;
        }
        let text: Vec<&str> = shown.iter().map(|caption| caption.text.as_str()).collect();
        let text = text.join("\\N");
        match combined.captions.last_mut() {
            Some(last) if last.end == start && last.text == text => last.end = end,
            _ if text.is_empty() => {}
            _ => {
                all += text.len();
                if all > longest {
                    return None;
                }
                combined.captions.push(Caption { start, end, text });
            }
        }
    }
    Some(combined)
}

/// Returns a text packet with its text converted to UTF-8, which decoders require; `None` if it needs no change.
///
/// In a framed packet, as in mp4, the length of the text precedes it, and style boxes follow it (3GPP TS 26.245, 5.17). A text with a
/// byte order mark is UTF-16, which the decoder reads itself. A framed text is cut to 65,535 bytes.
#[must_use]
pub fn to_utf8(packet: &[u8], is_framed: bool) -> Option<Vec<u8>> {
    let (text, tail) = if is_framed {
        let (length, rest) = packet.split_first_chunk::<2>()?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?
    } else {
        (packet, &[][..])
    };
    if str::from_utf8(text).is_ok() || text.starts_with(&[0xfe, 0xff]) || text.starts_with(&[0xff, 0xfe]) {
        return None;
    }
    // The length field has 16 bits.
    let decoded = shortened(decode_text(text), usize::from(u16::MAX));
    let mut bytes = Vec::with_capacity(2 + decoded.len() + tail.len());
    if is_framed {
        bytes.extend(u16::try_from(decoded.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    bytes.extend(decoded.as_bytes());
    bytes.extend(tail);
    Some(bytes)
}

/// Returns the text field of a decoded line of ASS, without white space at its end. The fields are ReadOrder, Layer, Style, Name, MarginL, MarginR, MarginV, Effect, Text.
#[must_use]
pub fn text_of_line(line: &str) -> &str {
    line.splitn(9, ',').nth(8).unwrap_or_default().trim_end()
}

/// Returns a text cut to at most `longest` bytes, between two characters.
#[must_use]
pub fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let most = (0..=longest).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(most);
    }
    text
}

/// Decodes a text: as UTF-8 if it is valid, and in the encoding that it most probably has otherwise. Bytes that are invalid in that
/// encoding become U+FFFD.
#[must_use]
pub fn decode_text(bytes: &[u8]) -> String {
    if let Ok(text) = str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caption(start: i64, end: i64, text: &str) -> Caption {
        Caption { start, end, text: text.into() }
    }

    #[test]
    fn captions_that_overlap_are_shown_together_while_they_do() {
        let laid = combine_overlapping(vec![
            caption(1000, 3000, "one"),
            caption(2000, 4000, "two"),
            caption(5000, 6000, "three"),
        ]);
        assert_eq!(
            laid.captions,
            [
                caption(1000, 2000, "one"),
                caption(2000, 3000, "one\\Ntwo"),
                caption(3000, 4000, "two"),
                caption(5000, 6000, "three")
            ]
        );
    }

    #[test]
    fn captions_without_a_duration_or_a_text_are_removed() {
        assert!(
            combine_overlapping(vec![caption(5, 5, "x"), caption(6, 2, "y"), caption(1, 2, "")])
                .captions
                .is_empty()
        );
    }

    #[test]
    fn text_that_is_not_utf_8_is_decoded_in_its_probable_encoding() {
        assert_eq!(decode_text("Grüße".as_bytes()), "Grüße");
        assert_eq!(decode_text(b"Gr\xfc\xdfe aus K\xf6ln"), "Grüße aus Köln");
        assert_eq!(decode_text(b"\xcf\xf0\xe8\xe2\xe5\xf2 \xec\xe8\xf0"), "Привет мир");
        assert!(!decode_text(&[0xff, 0xfe, 0x80]).is_empty());
    }

    #[test]
    fn a_framed_text_keeps_its_frame_and_its_styles() {
        assert_eq!(to_utf8(b"\x00\x03K\xf6ln", true), Some("\x00\x04Köln".into()));
        for unchanged in [&b"\x00\x02ab"[..], b"\x00\x02\xfe\xff", b"\x00\x09\xf6", b"\x00", b""] {
            assert_eq!(to_utf8(unchanged, true), None, "{unchanged:?}");
        }
    }

    #[test]
    fn a_text_that_grows_past_its_length_field_is_cut_between_characters() {
        for odd in [0, 1] {
            let text = [
                vec![b'x'; odd],
                "Grüße aus Köln ".chars().map(|c| c as u8).collect::<Vec<_>>().repeat(4000),
            ]
            .concat();
            let length = u16::try_from(text.len()).unwrap();
            let packet = to_utf8(&[&length.to_be_bytes()[..], &text].concat(), true).unwrap();
            let (length, text) = packet.split_first_chunk::<2>().unwrap();
            assert!(text.len() > 65_500 && str::from_utf8(text).is_ok());
            assert_eq!(usize::from(u16::from_be_bytes(*length)), text.len());
        }
    }

    #[test]
    fn thousands_of_texts_at_a_time_take_a_bounded_multiple_of_their_length() {
        let begun = std::time::Instant::now();
        let many: Vec<Caption> =
            (0..100_000).map(|i| caption(i, 1_000_000 + i, &format!("{i:0100}"))).collect();
        let laid = combine_overlapping(many);
        let long: usize = laid.captions.iter().map(|caption| caption.text.len()).sum();
        assert!(long <= 100_000 * 100 * REPEATED + ANY, "{long} bytes");
        assert!(laid.left_out > 90_000 && laid.captions[0].text.starts_with("000"), "{}", laid.left_out);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn captions_that_do_not_fit_into_a_sample_are_dropped() {
        let long = "x".repeat(LONGEST);
        let laid =
            combine_overlapping(vec![caption(0, 10, &long), caption(5, 20, "y"), caption(12, 20, "z")]);
        assert_eq!(laid.captions, [caption(0, 10, &long), caption(12, 20, "z")]);
        assert_eq!(laid.left_out, 1);
    }

    proptest! {
        #[test]
        fn each_caption_is_shown_once_at_each_of_its_times(
            all in proptest::collection::vec((0..60_i64, 1..20_i64), 0..20),
        ) {
            let all: Vec<Caption> =
                all.iter().enumerate().map(|(i, (start, long))| caption(*start, start + long, &format!("<{i}>"))).collect();
            let laid = combine_overlapping(all.clone()).captions;
            prop_assert!(laid.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for at in 0..80 {
                let shown = |caption: &&Caption| caption.start <= at && at < caption.end;
                let mut expected: Vec<&str> = all.iter().filter(shown).map(|caption| caption.text.as_str()).collect();
                let found = laid.iter().find(shown).map_or("", |caption| caption.text.as_str());
                let mut found: Vec<&str> = found.split("\\N").filter(|text| !text.is_empty()).collect();
                expected.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(expected, found);
            }
        }
    }
}
