//! Images that are laid over pictures.

use ffmpeg_next::{self as ff, Packet, codec, frame};
use millrace_formats::image::{LARGEST_IMAGE, image_decoder};

use super::{failure::Failure, libav::codec::set_up_picture_decoder};

/// Decodes an image.
///
/// # Errors
/// If it is too large, or is no image of a known kind.
pub(super) fn decode(bytes: &[u8]) -> Result<frame::Video, Failure> {
    decode_within(bytes, LARGEST_IMAGE)
}

/// Decodes an image of at most so many pixels a side.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_within(bytes: &[u8], most: u32) -> Result<frame::Video, Failure> {
    let doing = "decoding an image";
    let name = image_decoder(bytes).map_err(|reason| Failure::new(format!("{doing}: {reason}")))?;
    let decoder = ff::decoder::find_by_name(name)
        .ok_or_else(|| Failure::new(format!("{doing}: this FFmpeg has no decoder '{name}'")))?;
    let mut context = codec::Context::new_with_codec(decoder).decoder();
    // libavcodec counts lines that are aligned.
    let side = i64::from(most) + 128;
    set_up_picture_decoder(&mut context, side * side);
    let mut opened =
        context.open_as(decoder).and_then(ff::decoder::Opened::video).map_err(Failure::at(doing))?;
    opened.send_packet(&Packet::copy(bytes)).map_err(Failure::at(doing))?;
    opened.send_eof().map_err(Failure::at(doing))?;
    let mut picture = frame::Video::empty();
    opened.receive_frame(&mut picture).map_err(Failure::at(doing))?;
    let (width, height) = (picture.width(), picture.height());
    if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
        return Err(Failure::new(format!(
            "{doing}: {width}x{height} pixels; at most {most}x{most} are taken"
        )));
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_or_a_broken_one_is_refused() {
        let refused = |bytes: &[u8]| decode(bytes).err().map(|failure| failure.0);
        assert!(refused(b"<svg></svg>").unwrap().contains("known are PNG, JPEG and WebP"));
        assert!(refused(b"\x89PNG\r\n\x1a\n, and nothing").unwrap().starts_with("decoding an image"));
    }
}
