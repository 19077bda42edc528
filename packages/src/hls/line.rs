//! Lines of playlists.

use std::fmt::Write as _;

use crate::words;

/// A list of attributes that is being written (RFC 8216, 4.2).
pub(super) struct Attributes(String);

impl Attributes {
    /// Begins the line of a tag.
    pub(super) fn of(tag: &str) -> Self {
        Self(format!("{tag}:"))
    }

    fn push(mut self, name: &str, value: &str) -> Self {
        let comma = if self.0.ends_with(':') { "" } else { "," };
        let _ = write!(self.0, "{comma}{name}={value}");
        self
    }

    /// Adds a number.
    pub(super) fn number(self, name: &str, value: u64) -> Self {
        self.push(name, &value.to_string())
    }

    /// Adds a resolution, a fraction or an enumerated value.
    pub(super) fn plain(self, name: &str, value: impl AsRef<str>) -> Self {
        self.push(name, value.as_ref())
    }

    /// Adds a quoted string; nothing if it is empty.
    pub(super) fn quoted(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.push(name, &format!("\"{}\"", words::quotable(value))) }
    }

    /// Adds `YES`, or nothing.
    pub(super) fn yes(self, name: &str, is_so: bool) -> Self {
        if is_so { self.push(name, "YES") } else { self }
    }

    /// Returns the line with its end.
    pub(super) fn line(self) -> String {
        self.0 + "\n"
    }
}

/// Returns the first lines of each playlist.
pub(super) fn head(mark: &str, version: u32) -> String {
    let mark = if mark.is_empty() { String::new() } else { format!("# {mark}\n") };
    format!("#EXTM3U\n{mark}#EXT-X-VERSION:{version}\n")
}

/// Returns a duration in seconds with six decimals.
pub(super) fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
