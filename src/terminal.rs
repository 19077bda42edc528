//! All output to stdout and stderr, with control characters escaped: text from outside (names, titles, reasons, records) can do
//! nothing to a terminal.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
    time::{Duration, UNIX_EPOCH},
};

/// Returns whether a terminal acts on a character, or shows others in another order because of it.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Line and paragraph separators.
            '\u{2028}' | '\u{2029}'
            // Marks, embeddings, overrides and isolates of directions (UAX #9, 2).
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}')
}

/// Returns a line with active characters escaped as in JSON, so that a line of JSON stays one.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // All of them are in the basic plane. Writing to a String can't fail.
            c if is_active(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.into()
}

/// Prints a line of a result to stdout. Exits with status 0 if the reader, such as `head`, has closed it.
pub(crate) fn print(line: &str) {
    if writeln!(io::stdout().lock(), "{}", plain(line)).is_err() {
        std::process::exit(0);
    }
}

/// Prints several lines of a result to stdout.
pub(crate) fn print_lines(text: &str) {
    text.lines().for_each(print);
}

/// Prints a line to stderr.
pub(crate) fn note(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{}", plain(line));
}

/// Prints several lines to stderr.
pub(crate) fn note_lines(text: &str) {
    text.lines().for_each(note);
}

/// Returns a time, in milliseconds since 1970, as people and programs read it: RFC 3339, UTC, in whole seconds.
pub(crate) fn timestamp(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// The writer of log lines to stderr. Each write is one line; its colours are kept.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.strip_suffix('\n').unwrap_or(&text);
        while let Some(at) = rest.find('\x1b') {
            out.push_str(&plain(&rest[..at]));
            let length = colour(&rest[at..]);
            match length {
                Some(length) => out.push_str(&rest[at..at + length]),
                None => out.push_str("\\u001b"),
            }
            rest = &rest[at + length.unwrap_or(1)..];
        }
        out.push_str(&plain(rest));
        out.push('\n');
        io::stderr().lock().write_all(out.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns the length of the escape sequence at the start of `text`, if it only sets colours (ECMA-48, SGR).
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';').filter(|end| *end <= 16)?;
    rest[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_active_is_shown_and_does_nothing() {
        assert_eq!(plain("\x1b]0;owned\x07 \u{9b}2J\x7f"), "\\u001b]0;owned\\u0007 \\u009b2J\\u007f");
        assert_eq!(plain("a\u{202e}4pm.exe\r\nforged"), "a\\u202e4pm.exe\\r\\nforged");
        assert!(matches!(plain("Größe 映像 👍 a\u{301}"), Cow::Borrowed(_)));
    }

    #[test]
    fn colours_stay_and_nothing_else_that_begins_like_one() {
        assert_eq!(colour("\x1b[32mok"), Some(5));
        assert_eq!(colour("\x1b[0;1mx"), Some(6));
        for other in ["\x1b[2J", "\x1b]0;x\x07", "\x1b", "\x1b[", "\x1b[99999999999999999999m"] {
            assert_eq!(colour(other), None, "{other:?}");
        }
    }

    proptest! {
        /// Whatever a text holds, a line of JSON that it is in stays JSON, and says the same.
        #[test]
        fn a_line_of_json_stays_one(text in any::<String>()) {
            let line = serde_json::Value::from(text.as_str()).to_string();
            let shown = plain(&line);
            prop_assert!(!shown.contains(is_active));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
