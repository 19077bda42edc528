//! Captions that overlap, laid one after the other: mp4 shows one text of a track at a time (3GPP TS 26.245, 5.15). And the text of
//! packets, which is bytes: UTF-8, or whatever encoding its writer had. Pure.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

/// A text, and when it is shown, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// When it appears.
    pub start: i64,
    /// When it goes.
    pub end: i64,
    /// What it says, with the markup of ASS.
    pub text: String,
}

/// Captions one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaidOut {
    /// In the order in which they are shown.
    pub captions: Vec<Caption>,
    /// How many texts are not shown, since others are shown in their time.
    pub left_out: usize,
}

/// So many texts are shown at a time, at most: nobody reads more.
const AT_ONCE: usize = 64;
/// The longest text that is shown at a time, in bytes: a sample of mp4 holds 65,535 (3GPP TS 26.245, 5.17).
const LONGEST: usize = 16 << 10;
/// All texts together are at most so many times as long as what goes in, and so many bytes: each is repeated as long as it is
/// shown, whenever another comes or goes.
const REPEATED: usize = 8;
const ANY: usize = 4 << 20;

/// Lays captions one after the other: where several are shown at a time, their texts stand one above the other, the
/// first on top.
///
/// Where more are shown at a time than the limits above allow, those that came first are, and the others are left out.
#[must_use]
pub fn lay_out(mut captions: Vec<Caption>) -> LaidOut {
    captions.retain(|caption| caption.end > caption.start && !caption.text.is_empty());
    captions.sort_by_key(|caption| caption.start);
    let longest = captions.iter().map(|caption| caption.text.len()).sum::<usize>() * REPEATED + ANY;
    let mut at_once = AT_ONCE;
    loop {
        match lay(&captions, at_once, longest) {
            Some(laid) => return laid,
            // One at a time is never repeated.
            None => at_once /= 2,
        }
        if at_once == 0 {
            return LaidOut { captions: Vec::new(), left_out: captions.len() };
        }
    }
}

/// Lays captions out, so many at a time; `None` where all texts together are too long.
fn lay(captions: &[Caption], at_once: usize, longest: usize) -> Option<LaidOut> {
    let mut edges: Vec<i64> = captions.iter().flat_map(|caption| [caption.start, caption.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut laid = LaidOut::default();
    let (mut shown, mut next, mut all): (Vec<&Caption>, _, _) = (Vec::new(), 0, 0);
    for pair in edges.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        shown.retain(|caption| caption.end > start);
        while let Some(caption) = captions.get(next).filter(|caption| caption.start <= start) {
            let length: usize = shown.iter().map(|caption| caption.text.len() + 2).sum();
            if shown.len() < at_once && length + caption.text.len() <= LONGEST {
                shown.push(caption);
            } else {
                laid.left_out += 1;
            }
            next += 1;
        }
        let text: Vec<&str> = shown.iter().map(|caption| caption.text.as_str()).collect();
        let text = text.join("\\N");
        match laid.captions.last_mut() {
            Some(last) if last.end == start && last.text == text => last.end = end,
            _ if text.is_empty() => {}
            _ => {
                all += text.len();
                if all > longest {
                    return None;
                }
                laid.captions.push(Caption { start, end, text });
            }
        }
    }
    Some(laid)
}

/// Returns a packet of text whose text is UTF-8, which decoders require; `None` if it needs no change.
///
/// A framed packet is one of mp4's: the text follows its length, and boxes of styles follow the text (3GPP TS 26.245, 5.17). A byte
/// order mark says that the text is UTF-16, which the decoder reads itself.
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
    // The length in front has 16 bits.
    let decoded = shortened(decode_text(text), usize::from(u16::MAX));
    let mut bytes = Vec::with_capacity(2 + decoded.len() + tail.len());
    if is_framed {
        bytes.extend(u16::try_from(decoded.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    bytes.extend(decoded.as_bytes());
    bytes.extend(tail);
    Some(bytes)
}

/// Returns the text of a decoded line of ASS: ReadOrder, Layer, Style, Name, MarginL, MarginR, MarginV, Effect, Text.
#[must_use]
pub fn text_of_line(line: &str) -> &str {
    line.splitn(9, ',').nth(8).unwrap_or_default().trim_end()
}

/// Cuts a text to at most `longest` bytes, between two characters.
#[must_use]
pub fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let most = (0..=longest).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(most);
    }
    text
}

/// Decodes text: as UTF-8 if it is, else in the encoding that it looks like. Bytes that mean nothing there become U+FFFD.
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
        let laid = lay_out(vec![
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
    fn what_is_never_shown_is_left_out() {
        assert!(lay_out(vec![caption(5, 5, "x"), caption(6, 2, "y"), caption(1, 2, "")]).captions.is_empty());
    }

    #[test]
    fn text_that_is_not_utf_8_is_what_it_looks_like() {
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
    fn thousands_of_texts_at_a_time_cost_no_more_than_their_own_length() {
        let begun = std::time::Instant::now();
        let many: Vec<Caption> =
            (0..100_000).map(|i| caption(i, 1_000_000 + i, &format!("{i:0100}"))).collect();
        let laid = lay_out(many);
        let long: usize = laid.captions.iter().map(|caption| caption.text.len()).sum();
        assert!(long <= 100_000 * 100 * REPEATED + ANY, "{long} bytes");
        assert!(laid.left_out > 90_000 && laid.captions[0].text.starts_with("000"), "{}", laid.left_out);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_text_that_fills_a_sample_leaves_the_others_out() {
        let long = "x".repeat(LONGEST);
        let laid = lay_out(vec![caption(0, 10, &long), caption(5, 20, "y"), caption(12, 20, "z")]);
        assert_eq!(laid.captions, [caption(0, 10, &long), caption(12, 20, "z")]);
        assert_eq!(laid.left_out, 1);
    }

    proptest! {
        #[test]
        fn at_every_moment_all_that_is_shown_is_shown_once(
            all in proptest::collection::vec((0..60_i64, 1..20_i64), 0..20),
        ) {
            let all: Vec<Caption> =
                all.iter().enumerate().map(|(i, (start, long))| caption(*start, start + long, &format!("<{i}>"))).collect();
            let laid = lay_out(all.clone()).captions;
            prop_assert!(laid.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for at in 0..80 {
                let shown = |caption: &&Caption| caption.start <= at && at < caption.end;
                let mut asked: Vec<&str> = all.iter().filter(shown).map(|caption| caption.text.as_str()).collect();
                let found = laid.iter().find(shown).map_or("", |caption| caption.text.as_str());
                let mut found: Vec<&str> = found.split("\\N").filter(|text| !text.is_empty()).collect();
                asked.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(asked, found);
            }
        }
    }
}
