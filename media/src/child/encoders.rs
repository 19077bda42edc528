//! The encoders of this FFmpeg, with their versions: what a rendition's id says of who made it.

use ffmpeg_next::{self as ff, Rational, codec, format::Pixel, frame};
use millrace_schemas::Encoders;

use super::{
    codec::{encoder, tables},
    failure::Failure,
};

/// Returns the encoder of each codec. Another version of it, or of the library that drives it, may make other bytes of the same
/// settings, which must not be joined with those of this one.
pub(super) fn encoders() -> Result<Encoders, Failure> {
    let encoded = tables().codecs.iter().filter(|codec| codec.video().is_some() || codec.audio().is_some());
    encoded.map(|codec| Ok((codec.name().to_owned(), describe(encoder(codec.name())?)?))).collect()
}

fn describe(encoder: ff::Codec) -> Result<String, Failure> {
    let name = encoder.name();
    let version = codec::version();
    let library = format!("Lavc{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
    let own = if encoder.is_video() { own_version(encoder).map_err(Failure::at(name))? } else { None };
    Ok(match own {
        Some(own) => format!("{name} {own} ({library})"),
        None => format!("{name} ({library})"),
    })
}

/// Encodes one small picture, and returns the version that the encoder writes into its stream, if it writes one.
fn own_version(encoder: ff::Codec) -> Result<Option<String>, ff::Error> {
    let mut context = codec::Context::new_with_codec(encoder);
    context.set_threading(codec::threading::Config::count(1));
    let mut context = context.encoder().video()?;
    context.set_width(64);
    context.set_height(64);
    context.set_format(Pixel::YUV420P);
    context.set_time_base(Rational::new(1, 25));
    let mut open = context.open()?;
    let mut picture = frame::Video::new(Pixel::YUV420P, 64, 64);
    for plane in 0..picture.planes() {
        picture.data_mut(plane).fill(128);
    }
    picture.set_pts(Some(0));
    open.send_frame(&picture)?;
    open.send_eof()?;
    let mut packet = ff::Packet::empty();
    open.receive_packet(&mut packet)?;
    Ok(packet.data().and_then(written_version))
}

/// Reads x264's version out of the user data that it puts in front of its first picture: "x264 - core 164 r3095 baee400 -
/// H.264/MPEG-4 AVC codec - …".
fn written_version(packet: &[u8]) -> Option<String> {
    const START: &[u8] = b"x264 - ";
    let at = packet.windows(START.len()).position(|bytes| bytes == START)? + START.len();
    let text = packet.get(at..)?;
    let end = text.windows(3).position(|bytes| bytes == b" - ")?;
    std::str::from_utf8(text.get(..end)?).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoder_says_its_version() {
        let encoders = encoders().unwrap();
        let h264 = encoders.of("h264");
        assert!(h264.starts_with("libx264 core ") && h264.contains("(Lavc"), "{h264}");
        let aac = encoders.of("aac");
        assert!(aac.starts_with("aac (Lavc"), "{aac}");
    }

    #[test]
    fn a_version_is_read_only_where_one_is_written() {
        assert_eq!(
            written_version(b"\0x264 - core 164 r3095 baee400 - H.264"),
            Some("core 164 r3095 baee400".into())
        );
        assert_eq!(written_version(b"\0x264 - core 164"), None);
        assert_eq!(written_version(b""), None);
    }
}
