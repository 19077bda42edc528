//! How text is set that is laid over pictures: its height, and the part of the frame that it is in. Pure.

use millrace_schemas::{Area, TextStyle, VideoSettings};

use crate::{asset::Asset, bounds::TEXT_SIZES, length::Length, problems::Problems};

/// The height of text that asks for none, in hundredths of the frame's height.
const USUAL_SIZE: f64 = 5.0;

/// Returns how text is set in pictures of these settings.
pub(crate) fn style(
    font: Option<&Asset>,
    size: Option<Length>,
    (area, alignment): (Area, i32),
    settings: &VideoSettings,
) -> TextStyle {
    let pixels = size.unwrap_or(Length::Percent(USUAL_SIZE)).pixels(settings.height).round() as i32;
    // Larger than the frame, nothing of it is seen.
    let size = pixels.clamp(TEXT_SIZES.0, settings.height.max(TEXT_SIZES.0));
    TextStyle { font: font.map(Asset::source), size, area, alignment }
}

/// Returns a name of a URL as a reader expects it: percent-encoded characters as they are, and none that can't be seen.
pub(crate) fn readable(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let encoded =
            digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect()
}

/// Adds what is wrong with the height of text.
pub(crate) fn check_size(key: &str, size: Option<Length>, problems: &mut Problems) {
    let is_in_range = |size: Length| match size {
        Length::Pixels(pixels) => (TEXT_SIZES.0..=TEXT_SIZES.1).contains(&pixels),
        Length::Percent(percent) => (1.0..=50.0).contains(&percent),
    };
    if size.is_some_and(|size| !is_in_range(size)) {
        problems.add(
            format!("{key}.size"),
            format!(
                "it is out of range: {} to {} pixels, or a part of the frame's height of 1% to 50%",
                TEXT_SIZES.0, TEXT_SIZES.1
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_a_reader_expects_it() {
        assert_eq!(readable("my%20film%C3%BC"), "my filmü");
        for unchanged in ["100%", "a%2", "a%zz", "ü"] {
            assert_eq!(readable(unchanged), unchanged);
        }
        assert_eq!(readable("a%0Ab"), "ab");
    }
}
