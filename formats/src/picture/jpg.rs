//! JPEG: luma and chroma of BT.601, of full range (ITU-T T.871, 7).

use millrace_schemas::Color;

use super::{Coding, PictureFormat};

pub(super) const ENTRY: &PictureFormat = &PictureFormat {
    name: "jpg",
    extensions: &["jpg", "jpeg"],
    media_type: "image/jpeg",
    still: Some(Coding {
        encoders: &["mjpeg"],
        scaled_format: "yuv420p",
        pixel_format: "yuvj420p",
        color: Color { primaries: 1, transfer: 13, matrix: 5, range: 2, chroma: 2 },
        // A quantiser of 3, of 2 to 31, in steps of 1/118: about what photo programs call 90 of 100.
        options: &[("flags", "+qscale"), ("global_quality", "354")],
        is_lossless: false,
    }),
    animation: None,
    longest_side: 16_384,
};
