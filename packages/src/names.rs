//! Names of objects as URLs in manifests.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The name of the top manifest of HLS, the multivariant playlist.
pub const MULTIVARIANT: &str = "master.m3u8";
/// The name of the top manifest of DASH.
pub const DESCRIPTION: &str = "manifest.mpd";

/// What is encoded in a component of a path. `$` is not needed there, and has a meaning in templates of DASH; so it is, too, and `:`,
/// after which a first component would be a scheme.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether a name is a relative path that leads below the package's top.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', '\r', '\n']);
    name.len() <= 1024 && name.split('/').all(is_part)
}

/// Whether an id can be a folder's name and an id of XML.
pub(crate) fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    id.len() <= 100
        && id.bytes().all(is_allowed)
        && id.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
}

/// Returns the folder that an object is in: empty for the top.
pub(crate) fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns the relative URL of `name` in a text that is in `folder`.
pub(crate) fn relative(folder: &str, name: &str) -> String {
    let from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = name.split('/').collect();
    // The last part of a name is a file, so never common.
    let common = from.iter().zip(&to[..to.len() - 1]).take_while(|(from, to)| from == to).count();
    let mut parts = vec!["..".to_owned(); from.len() - common];
    parts.extend(to[common..].iter().map(|part| utf8_percent_encode(part, ENCODED).to_string()));
    parts.join("/")
}

/// Returns the name of the object that a relative URL in a text of `folder` leads to; `None` if that is not below the package's top.
pub(crate) fn resolve(folder: &str, url: &str) -> Option<String> {
    let mut parts: Vec<String> =
        folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if url.contains(['?', '#', ':', '$']) {
        return None;
    }
    for part in url.split('/') {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(percent_decode_str(part).decode_utf8().ok()?.into_owned());
        }
    }
    let name = parts.join("/");
    is_name(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_relative_to_the_text_that_they_are_in() {
        assert_eq!(relative("3f/video", "3f/video/1.m4s"), "1.m4s");
        assert_eq!(relative("", "3f/video/1.m4s"), "3f/video/1.m4s");
        assert_eq!(relative("3f/video", "3f/audio/1.m4s"), "../audio/1.m4s");
        assert_eq!(relative("a", "a b/#1$.m4s"), "../a%20b/%231%24.m4s");
    }

    #[test]
    fn urls_lead_nowhere_else() {
        for url in
            ["../../x", "/x", "http://host/x", "a/../../..", "a//b", ".", "x?y", "%2e%2e/%2e%2e/x", "a%00"]
        {
            assert_eq!(resolve("a", url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn each_name_is_found_by_its_url(
            name in "[a-z %:#$\"<&é]{1,3}(/[a-z %?'é]{1,3}){0,3}",
            folder in "([a-z]{1,2}(/[a-z]{1,2}){0,2})?",
        ) {
            prop_assume!(is_name(&name));
            prop_assert_eq!(resolve(&folder, &relative(&folder, &name)), Some(name));
        }
    }
}
