//! PNG.

use super::{Coding, PictureFormat, RGB};

pub(super) const ENTRY: &PictureFormat = &PictureFormat {
    name: "png",
    extensions: &["png"],
    media_type: "image/png",
    still: Some(Coding {
        encoders: &["png"],
        scaled_format: "yuv444p",
        pixel_format: "rgb24",
        color: RGB,
        options: &[],
        is_lossless: true,
    }),
    animation: None,
    longest_side: 16_384,
};
