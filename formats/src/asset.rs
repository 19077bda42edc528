//! Files that profiles name beside the source: what they may be.

use millrace_schemas::AssetKind;

use crate::image::LARGEST_FILE;

/// The greatest size of a file of subtitles, in bytes: those of a film have about a tenth of a mebibyte.
pub const LARGEST_SUBTITLES: i64 = 4 << 20;

/// Returns the greatest size of a file of this kind, in bytes. A media process reads all of it.
#[must_use]
pub fn largest_file(kind: AssetKind) -> i64 {
    match kind {
        AssetKind::Image | AssetKind::Font => LARGEST_FILE,
        AssetKind::Subtitles => LARGEST_SUBTITLES,
    }
}

/// Checks that a file is a font with outlines, by its table directory (ISO/IEC 14496-22, 4.3).
///
/// # Errors
/// If it is none, with what is known.
pub fn check_font(file: &[u8]) -> Result<(), String> {
    const KNOWN: &str = "known are TrueType and OpenType fonts (.ttf, .otf, .ttc) with outlines";
    let word = |at: usize| Some(u32::from_be_bytes(*file.get(at..)?.first_chunk::<4>()?));
    let mut start = 0;
    if file.starts_with(b"ttcf") {
        // A collection: where its first font is.
        start = word(12).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
    }
    let head = file.get(start..).unwrap_or_default();
    let is_font = [&b"\0\x01\0\0"[..], b"OTTO", b"true"].iter().any(|version| head.starts_with(version));
    if !is_font {
        return Err(format!("it is no font that is known; {KNOWN}"));
    }
    let count = head.get(4..6).map_or(0, |count| usize::from(count[0]) << 8 | usize::from(count[1]));
    let mut tables = head.get(12..).unwrap_or_default().as_chunks::<16>().0.iter().take(count);
    let outlines: [&[u8]; 3] = [b"glyf", b"CFF ", b"CFF2"];
    if tables.any(|table| outlines.contains(&&table[..4])) {
        return Ok(());
    }
    Err(format!("it is a font without outlines; {KNOWN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table directory with one table of this name, behind these bytes.
    fn font(version: &[u8], table: &[u8]) -> Vec<u8> {
        [version, b"\0\x01\0\0\0\0\0\0", table, &[0; 12]].concat()
    }

    #[test]
    fn a_font_is_known_by_its_version_and_its_outlines() {
        assert_eq!(check_font(&font(b"\0\x01\0\0", b"glyf")), Ok(()));
        assert_eq!(check_font(&font(b"OTTO", b"CFF ")), Ok(()));
        let collection = [b"ttcf\0\x01\0\0\0\0\0\x01\0\0\0\x10", &font(b"true", b"glyf")[..]].concat();
        assert_eq!(check_font(&collection), Ok(()));
        assert!(check_font(&font(b"OTTO", b"CBDT")).unwrap_err().contains("without outlines"));
        for file in [&b""[..], b"wOF2", b"\x89PNG", b"ttcf", b"ttcf\0\x01\0\0\0\0\0\x01\xff\xff\xff\xff"] {
            assert!(check_font(file).unwrap_err().contains("known are TrueType"), "{file:?}");
        }
        assert!(check_font(b"OTTO").is_err());
    }
}
