//! Texts from outside that stand in manifests.

/// The longest title that is kept, in characters.
const LONGEST: usize = 200;

/// Returns a title without characters that XML 1.0 can't hold or that end a line, and without space around it.
pub(crate) fn clean(title: &str) -> String {
    title.chars().take(LONGEST).map(allowed).collect::<String>().trim().to_owned()
}

/// Returns a space in place of a character that can't be in a manifest.
fn allowed(c: char) -> char {
    let is_allowed = !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}');
    if is_allowed { c } else { ' ' }
}

/// Returns a text for a quoted string of HLS, which can't hold quotation marks or ends of lines (RFC 8216, 4.2).
pub(crate) fn quotable(text: &str) -> String {
    text.chars().map(|c| if c == '"' { '\'' } else { allowed(c) }).collect()
}
