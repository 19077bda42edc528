//! The names of work objects: `<work prefix>/<rendition>/<index>`. Nothing else is ever removed.

use millrace_schemas::{RenditionId, WorkPrefix};

use crate::{error::StorageError, files::hidden::is_hidden};

/// The folder of a work prefix that holds the markers of its staged outputs.
pub(crate) const MARKERS: &str = "uploads";

/// Returns `true` if the name is a work prefix: `<execution>-<attempt>`, with 16 hexadecimal digits for the execution.
#[must_use]
pub fn is_work_prefix(name: &str) -> bool {
    name.parse::<WorkPrefix>().is_ok()
}

/// Returns `true` if `<folder>/<name>` below a work prefix is a work object, an unfinished one, or a marker.
pub(crate) fn is_work_object(folder: &str, name: &str) -> bool {
    let is_rendition = folder.parse::<RenditionId>().is_ok();
    let is_marker = folder == MARKERS && name.len() == 16 && name.bytes().all(is_hex);
    (is_rendition && (is_number(name) || is_hidden(name))) || is_marker
}

/// Returns `true` if a package's folder could have this name.
pub(crate) fn is_package_folder(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses names that could lead out of the work folder or prefix. The names come from records.
pub(crate) fn check_names(names: &[&str]) -> Result<(), StorageError> {
    let is_plain = |name: &&str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match names.iter().find(|name| !is_plain(name)) {
        None => Ok(()),
        Some(name) => {
            Err(StorageError::Url { url: (*name).into(), reason: "this is no name of a work object".into() })
        }
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_millrace_makes_is_named_so() {
        assert!(
            is_work_prefix("0123456789abcdef-12")
                && !is_work_prefix("holiday-1")
                && !is_work_prefix("0123456789abcdef")
        );
        let rendition = "v-0123456789abcdef";
        for name in ["0", "117", ".millrace-0123abcd-0123456789abcdef.part"] {
            assert!(is_work_object(rendition, name), "{name}");
        }
        for other in ["a-0123456789abcdef", "s-0123456789abcdef", "a-0123456789abcdef.2"] {
            assert!(is_work_object(other, "3"), "{other}");
        }
        assert!(!is_work_object("a-0123456789abcdef.x", "3"));
        assert!(is_work_object(MARKERS, "0123456789abcdef"));
        for (folder, name) in [
            (rendition, "notes.txt"),
            (rendition, ".DS_Store"),
            ("holiday", "1"),
            (MARKERS, "x.mov"),
            (rendition, ".millrace.part"),
        ] {
            assert!(!is_work_object(folder, name), "{folder}/{name}");
        }
    }
}
