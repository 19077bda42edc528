//! Colours (ITU-T H.273) that 8-bit video of the standard range can show.

use millrace_schemas::{Color, Picture};

/// Transfer characteristics of high dynamic range: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
const HIGH_RANGE: [i32; 2] = [16, 18];
/// Matrix coefficients of RGB: there are none.
const RGB: i32 = 0;

/// Returns `true` for a colour of high dynamic range.
pub(crate) fn is_high_range(color: Color) -> bool {
    HIGH_RANGE.contains(&color.transfer)
}

/// The colour that 8-bit video shows of a source's, and whether its range is brought down for that.
pub(crate) fn shown(picture: &Picture) -> (Color, bool) {
    let color = picture.color;
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

/// Whether a pixel format of libav's is of red, green and blue, or a palette of them.
fn is_rgb(pixel_format: &str) -> bool {
    ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono"]
        .iter()
        .any(|start| pixel_format.starts_with(start))
}
