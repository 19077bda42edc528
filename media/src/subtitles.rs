//! Files of subtitles, SubRip and WebVTT, and texts as they are laid over pictures. Pure.
//!
//! SubRip has no specification; WebVTT is W3C's. Both state a text as a line with its times and the lines behind it.

use encoding_rs::{UTF_16BE, UTF_16LE};

use crate::captions::{Caption, combine_overlapping, decode_text, shortened};

/// The most texts of a file.
const MOST_TEXTS: usize = 100_000;
/// The longest text, in bytes.
const LONGEST_TEXT: usize = 8 << 10;
/// The latest time of a text, in milliseconds: a thousand hours.
const LATEST: i64 = 3_600_000_000;
/// The mark of ASS for a text at the top of the picture.
const AT_TOP: &str = "{\\an8}";

/// Reads a file of subtitles. Line breaks are `\N`, as in ASS; tags are left out, but for `{\an8}` and alike.
///
/// # Errors
/// If it is of no known kind, or there are too many texts.
pub fn read(file: &[u8]) -> Result<Vec<Caption>, String> {
    let text = match file {
        [0xff, 0xfe, text @ ..] => UTF_16LE.decode_without_bom_handling(text).0.into_owned(),
        [0xfe, 0xff, text @ ..] => UTF_16BE.decode_without_bom_handling(text).0.into_owned(),
        [0xef, 0xbb, 0xbf, text @ ..] => decode_text(text),
        text => decode_text(text),
    };
    let is_webvtt = text.starts_with("WEBVTT");
    let mut captions: Vec<Caption> = Vec::new();
    let mut is_text = false;
    let mut before = "";
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some((start, end, is_at_top)) = times(line) {
            if captions.len() >= MOST_TEXTS {
                return Err(format!("it has more than {MOST_TEXTS} texts"));
            }
            // The number of a text that follows the one before without an empty line is no part of that one.
            if is_text
                && is_number(before)
                && let Some(last) = captions.last_mut()
            {
                remove_last_line(&mut last.text, before);
            }
            let text = if is_at_top { AT_TOP.to_owned() } else { String::new() };
            captions.push(Caption { start, end, text });
            is_text = true;
        } else if line.trim().is_empty() {
            is_text = false;
        } else if is_text && let Some(Caption { text, .. }) = captions.last_mut() {
            let line = without_tags(line, is_webvtt);
            if !text.is_empty() && text != AT_TOP && text.len() < LONGEST_TEXT {
                text.push_str("\\N");
            }
            let room = LONGEST_TEXT.saturating_sub(text.len());
            text.push_str(&shortened(line, room));
        }
        before = line;
    }
    if captions.is_empty() && !is_webvtt {
        return Err(
            "it is no file of subtitles that is known; known are SubRip (.srt) and WebVTT (.vtt)".into()
        );
    }
    Ok(captions)
}

fn is_number(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// Removes the last line of a text if it is this one.
fn remove_last_line(text: &mut String, line: &str) {
    let at = text.rfind("\\N").unwrap_or(0);
    if text.get(at..).is_some_and(|last| last.trim_start_matches("\\N") == line) {
        text.truncate(at);
    }
}

/// Returns the times of a text in milliseconds, and whether it is at the top of the picture; `None` for another line.
fn times(line: &str) -> Option<(i64, i64, bool)> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim_start();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((time(start.trim())?, time(end)?, is_at_top(settings)))
}

/// Returns a time in milliseconds: hours, which may be left out, minutes, seconds and a fraction.
fn time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once([',', '.']).unwrap_or((text, ""));
    let number = |text: &str| {
        let is_plain = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| is_plain)
    };
    let mut seconds = 0;
    let parts: Vec<&str> = whole.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        seconds = seconds * 60 + number(part.trim())?;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let milliseconds = seconds.checked_mul(1000)?.checked_add(number(&digits)?)?;
    (milliseconds <= LATEST).then_some(milliseconds)
}

/// Returns whether the settings of a text of WebVTT place it in the upper half.
fn is_at_top(settings: &str) -> bool {
    let line = settings.split_ascii_whitespace().find_map(|setting| setting.strip_prefix("line:"));
    let Some(line) = line.map(|line| line.split_once(',').map_or(line, |(line, _)| line)) else {
        return false;
    };
    match line.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().is_ok_and(|percent| percent < 50.0),
        // Lines are counted from the top, and negative ones from the bottom.
        None => line.parse::<i64>().is_ok_and(|line| (0..8).contains(&line)),
    }
}

/// Returns a line without tags such as `<i>` and `</font>`, and in WebVTT with its escaped characters.
fn without_tags(line: &str, is_webvtt: bool) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
        match tag.find('>').filter(|_| is_tag) {
            Some(end) => rest = &tag[end + 1..],
            None => {
                text.push('<');
                rest = &tag[1..];
            }
        }
    }
    text.push_str(rest);
    if !is_webvtt || !text.contains('&') {
        return text;
    }
    let escaped =
        [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\u{a0}"), ("&lrm;", "\u{200e}"), ("&rlm;", "\u{200f}")];
    let text = escaped.iter().fold(text, |text, (from, to)| text.replace(from, to));
    text.replace("&amp;", "&")
}

/// Returns a text with the markup of ASS as it is read, with its line breaks, and whether it is at the top of the picture.
fn plain(marked: &str) -> (String, bool) {
    let (mut text, mut is_at_top, mut is_drawing) = (String::with_capacity(marked.len()), false, false);
    let mut rest = marked;
    while let Some(c) = rest.chars().next() {
        let (character, behind) = rest.split_at(c.len_utf8());
        rest = behind;
        let mark = (c == '{').then(|| behind.split_once('}')).flatten();
        if let Some((mark, behind)) = mark.filter(|(mark, _)| mark.contains('\\')) {
            rest = behind;
            for tag in mark.split('\\') {
                match tag.strip_prefix("an").unwrap_or_default().as_bytes() {
                    [b'7' | b'8' | b'9'] => is_at_top = true,
                    [b'1'..=b'6'] => is_at_top = false,
                    _ => {}
                }
                let scale = tag.strip_prefix('p').and_then(|scale| scale.trim().parse::<u32>().ok());
                is_drawing = scale.map_or(is_drawing, |scale| scale > 0);
            }
        } else if c == '\\'
            && let Some(next) = behind.chars().next().filter(|next| "Nnh{}".contains(*next))
        {
            rest = &behind[1..];
            match next {
                'N' | 'n' => text.push('\n'),
                'h' => text.push(' '),
                brace => text.push(brace),
            }
        } else if !is_drawing {
            text.push_str(character);
        }
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    (lines.collect::<Vec<_>>().join("\n"), is_at_top)
}

/// Texts as they are laid over pictures, in the order of their times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Laid {
    /// The texts at the bottom.
    pub bottom: Vec<Caption>,
    /// The texts at the top.
    pub top: Vec<Caption>,
}

impl Laid {
    /// Lays out captions, whose texts have the markup of ASS, and moves them by so many milliseconds. Of those that are shown at the
    /// same time, the earliest is the first one.
    #[must_use]
    pub fn new(captions: Vec<Caption>, shift: i64) -> Self {
        let mut sides = [Vec::new(), Vec::new()];
        for Caption { start, end, text } in captions {
            let (text, is_at_top) = plain(&text);
            let (start, end) = (start.saturating_add(shift), end.saturating_add(shift));
            sides[usize::from(is_at_top)].push(Caption { start, end, text });
        }
        let [bottom, top] = sides.map(|side| {
            let mut captions = combine_overlapping(side).captions;
            captions.iter_mut().for_each(|caption| caption.text = caption.text.replace("\\N", "\n"));
            captions
        });
        Self { bottom, top }
    }
}

/// Returns the number of the caption that is shown at a time, in milliseconds; `None` if there is none.
#[must_use]
pub fn shown(captions: &[Caption], at: i64) -> Option<usize> {
    let behind = captions.partition_point(|caption| caption.start <= at);
    behind.checked_sub(1).filter(|last| captions.get(*last).is_some_and(|caption| at < caption.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<(i64, i64, String)> {
        let captions = read(file.as_bytes()).unwrap();
        captions.into_iter().map(|Caption { start, end, text }| (start, end, text)).collect()
    }

    fn one(start: i64, end: i64, text: &str) -> (i64, i64, String) {
        (start, end, text.into())
    }

    #[test]
    fn subrip_is_read_with_what_people_write() {
        let file = "\u{feff}1\r\n00:00:01,000 --> 00:00:02,500 X1:1\r\n<i>Grüße</i>\r\n{\\an8}two\r\n\r\n\r\n2\r\n0:00:03.5 --> 00:01:00,04\r\n\
            a < b <3\r\n3\r\n00:01:01,000-->01:00:02,000\r\n<font color=\"red\">red</font>\r\n";
        assert_eq!(
            texts(file),
            [
                one(1000, 2500, "Grüße\\N{\\an8}two"),
                one(3500, 60_040, "a < b <3"),
                one(61_000, 3_602_000, "red")
            ]
        );
    }

    #[test]
    fn webvtt_is_read_without_its_notes_and_styles() {
        let file = "WEBVTT - a film\n\nSTYLE\n::cue { color: red }\n\nNOTE no text\n\nfirst\n00:01.000 --> 00:02.000 align:start line:0\n\
            <v Bob>a &lt;b&gt; &amp;lt;</v>\n<00:01.500><c.big>more</c>\n\n00:03.000 --> 00:04.000 line:90%\nlow\n";
        assert_eq!(texts(file), [one(1000, 2000, "{\\an8}a <b> &lt;\\Nmore"), one(3000, 4000, "low")]);
        assert_eq!(read(b"WEBVTT\n").unwrap(), []);
    }

    #[test]
    fn other_encodings_are_decoded() {
        let latin = b"1\n00:00:01,000 --> 00:00:02,000\nGr\xfc\xdfe aus K\xf6ln\n";
        assert_eq!(read(latin).unwrap()[0].text, "Grüße aus Köln");
        let wide: Vec<u8> =
            "\u{feff}1\n00:00:01,000 --> 00:00:02,000\nü".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide).unwrap()[0].text, "ü");
    }

    #[test]
    fn what_is_no_file_of_subtitles_is_refused() {
        for file in [&b""[..], b"[Script Info]\n", b"\x89PNG\r\n", b"a --> b\n", b"00:00:01 --> x\ntext"] {
            assert!(read(file).unwrap_err().contains("known are SubRip"), "{file:?}");
        }
        let many = "00:00:01,000 --> 00:00:02,000\na\n\n".repeat(MOST_TEXTS + 1);
        assert!(read(many.as_bytes()).unwrap_err().contains("more than 100000 texts"));
        let long = format!("00:00:01,000 --> 00:00:02,000\n{}\n{0}\n", "ü".repeat(5000));
        assert!(read(long.as_bytes()).unwrap()[0].text.len() <= LONGEST_TEXT + 2);
        assert!(time("999999:00:00,000").is_none() && time("-1:00,000").is_none());
    }

    #[test]
    fn markup_is_left_out_but_for_the_place() {
        assert_eq!(plain("{\\i1}a{\\i0}\\Nb\\hc \\{d\\} {e}"), ("a\nb c {d} {e}".into(), false));
        assert_eq!(plain("{\\an8\\b1}up"), ("up".into(), true));
        assert_eq!(plain("{\\p1}m 0 0 l 9 9{\\p0}text{\\pos(1,2)}"), ("text".into(), false));
        assert_eq!(plain("a{b"), ("a{b".into(), false));
    }

    #[test]
    fn texts_of_the_same_time_are_below_each_other() {
        let caption = |start, end, text: &str| Caption { start, end, text: text.into() };
        let laid = Laid::new(
            vec![caption(0, 2000, "one"), caption(1000, 3000, "two"), caption(500, 800, "{\\an8}top")],
            100,
        );
        assert_eq!(
            laid.bottom,
            [caption(100, 1100, "one"), caption(1100, 2100, "one\ntwo"), caption(2100, 3100, "two")]
        );
        assert_eq!(laid.top, [caption(600, 900, "top")]);
        let at = |time| shown(&laid.bottom, time);
        assert_eq!(
            [at(99), at(100), at(1099), at(1100), at(3099), at(3100)],
            [None, Some(0), Some(0), Some(1), Some(2), None]
        );
        assert_eq!(shown(&laid.top, 850), Some(0));
    }
}
