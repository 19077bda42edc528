//! Images that can be laid over pictures.

/// The greatest width and height of an image, in pixels: that of pictures of 4K.
pub const LARGEST_IMAGE: u32 = 4096;
/// The greatest size of an image's file, in bytes: an image without compression of 2048x2048 pixels. A media process reads all of
/// it.
pub const LARGEST_FILE: i64 = 16 << 20;

/// Returns the libavcodec decoder of an image by the first bytes of its file.
///
/// # Errors
/// If it is no image of a known kind, with those that are.
pub fn image_decoder(file: &[u8]) -> Result<&'static str, String> {
    match file {
        // ISO/IEC 15948, 5.2.
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok("png"),
        // ITU-T T.81, B.1.1.3: start of image, and the marker that follows.
        [0xff, 0xd8, 0xff, ..] => Ok("mjpeg"),
        // RFC 9649, 2.4.
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok("webp"),
        _ => Err("it is no image that is known; known are PNG, JPEG and WebP".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_first_bytes() {
        assert_eq!(image_decoder(b"\x89PNG\r\n\x1a\n0"), Ok("png"));
        assert_eq!(image_decoder(b"\xff\xd8\xff\xe0"), Ok("mjpeg"));
        assert_eq!(image_decoder(b"RIFF\x10\0\0\0WEBPVP8L"), Ok("webp"));
        for file in [&b""[..], b"\x89PNG", b"RIFF\x10\0\0\0WAVE", b"<svg>", b"GIF89a"] {
            assert!(image_decoder(file).unwrap_err().contains("known are PNG"), "{file:?}");
        }
    }
}
