//! WebP, lossy: luma and chroma of BT.601, of limited range (RFC 6386, 9.2). One picture, or several.

use millrace_schemas::{Color, Ratio};

use super::{Animation, Coding, PictureFormat};

const COLOR: Color = Color { primaries: 1, transfer: 13, matrix: 6, range: 1, chroma: 1 };

pub(super) const ENTRY: &PictureFormat = &PictureFormat {
    name: "webp",
    extensions: &["webp"],
    media_type: "image/webp",
    still: Some(Coding {
        encoders: &["libwebp"],
        scaled_format: "yuv420p",
        pixel_format: "yuv420p",
        color: COLOR,
        options: &[("quality", "80")],
        is_lossless: false,
    }),
    animation: Some(Animation {
        coding: Coding {
            encoders: &["libwebp_anim"],
            scaled_format: "yuv420p",
            pixel_format: "yuv420p",
            color: COLOR,
            options: &[("quality", "75")],
            is_lossless: false,
        },
        palette: None,
        muxer: "webp",
        clock: Ratio { num: 1, den: 1000 },
        options: |plays, _| vec![("loop", plays.to_string())],
    }),
    // 14 bits each (RFC 6386, 9.1).
    longest_side: 16_383,
};
