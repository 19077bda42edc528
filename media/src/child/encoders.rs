//! The encoders of this FFmpeg, with their versions: what a rendition's id says of who made it.

use ffmpeg_next::{self as ff, Rational, codec, format::Pixel, frame};
use millrace_formats::{INTERMEDIATES, codec::VideoCodec};
use millrace_schemas::Encoders;

use super::{
    codec::{dictionary, tables},
    failure::Failure,
};

/// Returns the encoders that this FFmpeg has of the table's. Another version of one, or of the library that drives it, may make other
/// bytes of the same settings, which must not be joined with those of this one.
///
/// # Errors
/// If an encoder can't be opened.
pub(super) fn encoders() -> Result<Encoders, Failure> {
    let mut found = Vec::new();
    for codec in tables().codecs.iter().chain(INTERMEDIATES) {
        if let Some(version) = codec.own_version() {
            found.push((codec.name().to_owned(), format!("{} {version}", codec.name())));
        }
        let mut is_first = true;
        for encoder in codec.encoders().iter().filter_map(|name| ff::encoder::find_by_name(name)) {
            let described = describe(encoder, codec.video())?;
            if std::mem::take(&mut is_first) {
                found.push((codec.name().to_owned(), described.clone()));
            }
            found.push((encoder.name().to_owned(), described));
        }
    }
    Ok(found.into_iter().collect())
}

fn describe(encoder: ff::Codec, codec: Option<&dyn VideoCodec>) -> Result<String, Failure> {
    let name = encoder.name();
    let version = codec::version();
    let library = format!("Lavc{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
    let own = match codec.and_then(|codec| Some((codec.version_options(), codec.version_text()?))) {
        Some((options, ends)) => own_version(encoder, &options, ends).map_err(Failure::at(name))?,
        None => None,
    };
    Ok(match own {
        Some(own) => format!("{name} {own} ({library})"),
        None => format!("{name} ({library})"),
    })
}

/// Encodes one small picture, and returns the version that the encoder writes into its stream, if it writes one.
fn own_version(
    encoder: ff::Codec,
    options: &[(&'static str, String)],
    ends: (&str, &str),
) -> Result<Option<String>, ff::Error> {
    let mut context = codec::Context::new_with_codec(encoder);
    context.set_threading(codec::threading::Config::count(1));
    let mut context = context.encoder().video()?;
    context.set_width(64);
    context.set_height(64);
    context.set_format(Pixel::YUV420P);
    context.set_time_base(Rational::new(1, 25));
    let mut open = context.open_with(dictionary(options))?;
    let mut picture = frame::Video::new(Pixel::YUV420P, 64, 64);
    for plane in 0..picture.planes() {
        picture.data_mut(plane).fill(128);
    }
    picture.set_pts(Some(0));
    open.send_frame(&picture)?;
    open.send_eof()?;
    let mut packet = ff::Packet::empty();
    open.receive_packet(&mut packet)?;
    Ok(packet.data().and_then(|packet| written_version(packet, ends)))
}

/// Reads a version out of the user data that an encoder puts in front of its first picture, such as "x264 - core 164 r3095 baee400 -
/// H.264/MPEG-4 AVC codec - …": what stands between the two texts.
fn written_version(packet: &[u8], (start, end): (&str, &str)) -> Option<String> {
    let at = packet.windows(start.len()).position(|bytes| bytes == start.as_bytes())? + start.len();
    let text = packet.get(at..)?;
    let end = text.windows(end.len()).position(|bytes| bytes == end.as_bytes())?;
    std::str::from_utf8(text.get(..end)?).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoder_says_its_version() {
        let encoders = encoders().unwrap();
        let h264 = encoders.of("", "h264");
        assert_eq!(encoders.of("libx264", "h264"), h264);
        assert!(h264.starts_with("libx264 core ") && h264.contains("(Lavc"), "{h264}");
        let aac = encoders.of("", "aac");
        assert!(aac.starts_with("aac (Lavc"), "{aac}");
    }

    const ENDS: (&str, &str) = ("x264 - ", " - ");

    #[test]
    fn a_version_is_read_only_where_one_is_written() {
        assert_eq!(
            written_version(b"\0x264 - core 164 r3095 baee400 - H.264", ENDS),
            Some("core 164 r3095 baee400".into())
        );
        assert_eq!(written_version(b"\0x264 - core 164", ENDS), None);
        assert_eq!(written_version(b"", ENDS), None);
    }
}
