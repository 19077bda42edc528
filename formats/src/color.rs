//! Colours (ITU-T H.273): those that are kept, and those that video of the standard range shows in their place.

use millrace_schemas::{Color, Light, Picture, VideoSettings};

use crate::pixels::{HIGH_RANGE_DEPTH, Pixels};

/// Transfer characteristics of high dynamic range: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
const HIGH_RANGE: [i32; 2] = [16, 18];
/// Matrix coefficients of RGB: there are none.
const RGB: i32 = 0;

/// Returns `true` for a colour of high dynamic range.
#[must_use]
pub fn is_high_range(color: Color) -> bool {
    HIGH_RANGE.contains(&color.transfer)
}

/// The colour of a rendition of these pictures, and whether their range is brought down for that: it is unless high range is kept.
pub(crate) fn shown(picture: &Picture, is_kept: bool) -> (Color, bool) {
    let color = picture.color;
    if is_high_range(color) && is_kept {
        // Of RGB there is a matrix only once it is luma and chroma (ITU-R BT.2100, table 6), with samples at the top left (table 7).
        let from_rgb =
            Color { matrix: if color.primaries == 9 { 9 } else { 1 }, range: 1, chroma: 3, ..color };
        let known = Color { matrix: if color.matrix == RGB { 2 } else { color.matrix }, ..color };
        return (if is_rgb(&picture.pixel_format) { from_rgb } else { known }, false);
    }
    if is_high_range(color) {
        return (Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 }, true);
    }
    if is_rgb(&picture.pixel_format) {
        // What a player takes for granted at that size where it does not look (BT.601 below HD).
        let matrix = if picture.height > 576 { 1 } else { 6 };
        return (Color { matrix, range: 1, chroma: 1, ..color }, false);
    }
    // A file that calls planes of luma and chroma RGB is wrong.
    (Color { matrix: if color.matrix == RGB { 2 } else { color.matrix }, ..color }, false)
}

/// Returns why pictures can't be made with these settings, with what would work; `None` if they can. `held` are the pixel formats of
/// their codec.
pub(crate) fn refusal(settings: &VideoSettings, held: &[&str]) -> Option<String> {
    let is_deep = |name: &str| Pixels::of(name).is_some_and(|pixels| pixels.depth >= HIGH_RANGE_DEPTH);
    if !is_high_range(settings.color) || is_deep(&settings.pixel_format) {
        return None;
    }
    let deep: Vec<&str> = held.iter().copied().filter(|name| is_deep(name)).collect();
    let works = if deep.is_empty() {
        "take another codec".into()
    } else {
        format!("set pixel_format to {}", deep.join(" or "))
    };
    Some(format!(
        "the source is of high dynamic range, which needs {HIGH_RANGE_DEPTH} bits a sample: {} has fewer; {works}, or color to \"sdr\"",
        settings.pixel_format
    ))
}

/// The display that pictures were mastered on, as encoders are told of it: green, blue, red, white, and luminance, each number by
/// `point` and `luminance`; `None` if it is unknown.
pub(crate) fn mastering(
    light: &Light,
    point: impl Fn(i32) -> String,
    luminance: impl Fn(i32) -> String,
) -> Option<String> {
    let [rx, ry, gx, gy, bx, by, wx, wy, most, least] = *light.mastering.as_slice() else { return None };
    let pair = |x, y| format!("({},{})", point(x), point(y));
    let (green, blue, red, white) = (pair(gx, gy), pair(bx, by), pair(rx, ry), pair(wx, wy));
    Some(format!("G{green}B{blue}R{red}WP{white}L({},{})", luminance(most), luminance(least)))
}

/// The greatest light level and the greatest average, as encoders are told of them; `None` if both are unknown.
pub(crate) fn levels(light: &Light) -> Option<String> {
    (light.most > 0 || light.most_average > 0).then(|| format!("{},{}", light.most, light.most_average))
}

/// Whether a pixel format of libav's is of red, green and blue, or a palette of them.
fn is_rgb(pixel_format: &str) -> bool {
    ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono"]
        .iter()
        .any(|start| pixel_format.starts_with(start))
}
