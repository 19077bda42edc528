//! A text track of a package: a WebVTT file (W3C) of cues with times from the output's time zero.

use std::{fmt::Write as _, ops::Range};

use millrace_formats::container::STREAM_DELAY;

use super::spool::Spool;
use crate::{
    child::{failure::Failure, merge::track::Track},
    timeline::Clock,
};
/// The name of the object of a text track.
pub(super) const OBJECT: &str = "text.vtt";

const MILLISECONDS: Clock = Clock { num: 1, den: 1000 };

/// A cue: when it is shown, in milliseconds, and its text, without empty lines.
pub(super) type Cue = (i64, i64, String);

/// A text track that was written.
#[derive(Debug)]
pub(super) struct WrittenText {
    pub(super) id: String,
    pub(super) bytes: Range<u64>,
    /// Whether it belongs to transport streams.
    pub(super) is_of_stream: bool,
    pub(super) cues: Vec<Cue>,
}

/// Writes a text track.
pub(super) fn write(
    track: &mut Track,
    (id, origin): (String, (i64, Clock)),
    is_of_stream: bool,
    spool: &mut Spool,
) -> Result<WrittenText, Failure> {
    track.begin(MILLISECONDS, origin)?;
    let mut cues = Vec::new();
    while let Some(packet) = track.next_ready()? {
        let text = cue_text(&String::from_utf8_lossy(&packet.data));
        if !text.is_empty() {
            cues.push((packet.pts, packet.pts.saturating_add(packet.duration), text));
        }
    }
    let bytes = spool.write(file(&cues, is_of_stream).as_bytes())?;
    Ok(WrittenText { id, bytes, is_of_stream, cues })
}

/// Returns a text as the payload of a cue: an empty line would end it, and an arrow begin another (W3C WebVTT, 4.1).
fn cue_text(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n").replace("-->", "--&gt;").replace('\0', "\u{fffd}")
}

/// Returns the first lines of a file. Times of transport streams are behind the output's time zero (RFC 8216, 3.5).
fn head(is_of_stream: bool) -> String {
    if !is_of_stream {
        return "WEBVTT\n".into();
    }
    let ticks = STREAM_DELAY * 9 / 100;
    format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:00:00:00.000\n")
}

/// Returns a file of cues.
fn file(cues: &[Cue], is_of_stream: bool) -> String {
    let mut text = head(is_of_stream);
    for (start, end, cue) in cues {
        // A `String` takes whatever is written.
        let _ = write!(text, "\n{} --> {}\n{cue}\n", time(*start), time(*end));
    }
    text
}

/// Returns a time of WebVTT.
pub(in crate::child::merge) fn time(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads a file that [`write()`] made, strictly; `None` if it is none.
pub(super) fn read(text: &str, is_of_stream: bool) -> Option<Vec<Cue>> {
    let cues = text.strip_prefix(&head(is_of_stream))?;
    if cues.is_empty() {
        return Some(Vec::new());
    }
    let blocks = cues.strip_prefix('\n')?.strip_suffix('\n')?.split("\n\n");
    let cue = |block: &str| {
        let (times, text) = block.split_once('\n')?;
        let (start, end) = times.split_once(" --> ")?;
        (!text.is_empty() && !text.contains("-->")).then_some(())?;
        Some((read_time(start)?, read_time(end)?, text.to_owned()))
    };
    blocks.map(cue).collect()
}

fn read_time(text: &str) -> Option<i64> {
    let (clock, milliseconds) = text.split_once('.')?;
    let mut seconds = 0_i64;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    seconds.checked_mul(1000)?.checked_add(milliseconds.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_are_read_as_they_were_written() {
        let cues = vec![
            (0, 1500, "one\ntwo".to_owned()),
            (3_600_000, 3_723_004, "<i>three</i>".to_owned()),
            (4_000_000, 4_000_001, cue_text("a\n\n\0b --> c\r\n")),
        ];
        let text = file(&cues, false);
        assert!(text.contains("\n01:00:00.000 --> 01:02:03.004\n<i>three</i>\n"), "{text}");
        assert!(text.ends_with("\na\n\u{fffd}b --&gt; c\n"), "{text}");
        assert_eq!(read(&text, false), Some(cues.clone()));
        assert_eq!(read(&file(&[], false), false), Some(Vec::new()));
        let of_stream = file(&cues, true);
        assert!(
            of_stream.starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n"),
            "{of_stream}"
        );
        assert_eq!((read(&of_stream, true), read(&of_stream, false)), (Some(cues), None));
    }

    #[test]
    fn other_files_are_not_read() {
        for text in [
            "",
            "WEBVTT",
            "WEBVTT\n\n",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n",
            "WEBVTT\n\na --> b\nc\n",
        ] {
            assert_eq!(read(text, false), None, "{text:?}");
        }
    }
}
