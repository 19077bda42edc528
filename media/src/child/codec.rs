//! Codecs of work objects and outputs: found in the tables of formats by libavcodec's names, and what libav has of them.

use std::hash::Hasher as _;

use ffmpeg_next::{self as ff, Dictionary, ffi::AVCodecID};
use millrace_formats::Tables;
use millrace_schemas::{AudioSettings, VideoSettings};
use twox_hash::XxHash3_64;

use super::{failure::Failure, libav};
use crate::packets::Header;

pub(crate) use millrace_formats::codec::{
    AudioCodec, Codec, Form, Kind, SoundHeader, SoundPacket, VideoCodec,
};

/// The tables of formats; in unit tests, with what those plant.
pub(crate) fn tables() -> &'static Tables {
    #[cfg(not(test))]
    let tables = &millrace_formats::TABLES;
    #[cfg(test)]
    let tables = &millrace_formats::planted::TABLES;
    tables
}

/// Returns the codec of this name.
///
/// # Errors
/// If it has no entry.
pub(crate) fn find(name: &str) -> Result<&'static dyn Codec, Failure> {
    let found = tables().codec(name);
    found.map_err(|_| Failure::new(format!("the proof knows no headers of {name}: no output can hold it")))
}

/// Returns the name of the codec that text is of between inspection and plan, which gives each container its own: the first in
/// the table; empty if there is none.
pub(crate) fn text() -> &'static str {
    tables().codecs.iter().find(|codec| codec.is_text()).map_or("", |codec| codec.name())
}

/// Returns libavcodec's id of a codec.
///
/// # Errors
/// If libavcodec does not know its name.
pub(crate) fn id(codec: &dyn Codec) -> Result<AVCodecID, Failure> {
    libav::codec::id_of(codec.name())
        .ok_or_else(|| Failure::new(format!("this FFmpeg knows no codec '{}'; update it", codec.name())))
}

/// Returns the form of the packets behind a work object's header.
pub(crate) fn form(header: &Header) -> Form {
    if header.is_copy() { Form::File } else { Form::Encoder }
}

/// Returns `true` if the codec headers of a file are those of a work object.
pub(crate) fn headers_agree(codec: &dyn Codec, header: &Header, file: &[u8]) -> bool {
    // Those of a copy were in a file before.
    if header.is_copy() { header.extradata == file } else { codec.headers_agree(&header.extradata, file) }
}

/// Returns an XXH3 digest of all bytes of a packet that a decoder gets; equal for both forms of the same packet.
pub(crate) fn digest(codec: &dyn Codec, packet: &[u8], form: Form) -> u64 {
    let mut hasher = XxHash3_64::new();
    codec.content(packet, form, &mut |bytes| hasher.write(bytes));
    hasher.finish()
}

/// Returns the name of the codec of the packets behind a work object's header; empty if it names none.
pub(crate) fn name(header: &Header) -> &str {
    let video = header.video.as_ref().map(|video| video.codec.as_str());
    let audio = header.audio.as_ref().map(|audio| audio.codec.as_str());
    let side = header.side.as_ref().map(|side| side.codec.as_str());
    video.or(audio).or(side).unwrap_or_default()
}

/// Returns the codec of the packets behind a work object's header.
///
/// # Errors
/// If the header names no codec, one without an entry, or one of another kind than its settings.
pub(crate) fn of_header(header: &Header) -> Result<&'static dyn Codec, Failure> {
    let name = name(header);
    if name.is_empty() {
        return Err(Failure::new("a work object names no codec"));
    }
    let codec = find(name)?;
    let fits = match codec.kind() {
        Kind::Video(_) => header.video.is_some(),
        Kind::Audio(_) => header.audio.is_some() && header.video.is_none(),
        Kind::Text { .. } | Kind::Cover => header.video.is_none() && header.audio.is_none(),
    };
    if fits {
        Ok(codec)
    } else {
        Err(Failure::new(format!("a work object's codec {name} is of another kind")))
    }
}

/// Returns an encoder of a codec: the one that is named, or the first of the table's that this FFmpeg has.
///
/// # Errors
/// If it has none, or the one that is named is none of the codec's.
pub(crate) fn encoder(codec: &str, named: &str) -> Result<ff::Codec, Failure> {
    let names = find(codec)?.encoders();
    let mut names: Vec<&str> =
        names.iter().copied().filter(|name| named.is_empty() || *name == named).collect();
    let found = names.iter().find_map(|name| ff::encoder::find_by_name(name));
    if names.is_empty() && !named.is_empty() {
        names.push(named);
    }
    let names = names.join("' or '");
    found.ok_or_else(|| Failure::new(format!("this FFmpeg has no encoder '{names}'; install one that has")))
}

/// Returns what is particular to the codec of pictures of these settings.
///
/// # Errors
/// If it is none.
pub(crate) fn video(settings: &VideoSettings) -> Result<&'static dyn VideoCodec, Failure> {
    let codec = find(&settings.codec)?;
    codec.video().ok_or_else(|| Failure::new(format!("{} is no codec of pictures", codec.name())))
}

/// Returns what is particular to a codec of sound.
///
/// # Errors
/// If it is none.
pub(crate) fn sound(settings: &AudioSettings) -> Result<&'static dyn AudioCodec, Failure> {
    let name = &settings.codec;
    let codec = tables().codec(name).ok().and_then(<dyn Codec>::audio);
    codec.ok_or_else(|| Failure::new(format!("sound of codec '{name}' is not cut")))
}

/// Returns the samples that the encoder of these settings takes.
pub(crate) fn samples(settings: &AudioSettings) -> Result<libav::sound::Samples, Failure> {
    let codec = sound(settings)?;
    let format = libav::codec::sample_format(codec.sample_format_of(settings));
    // A lossy codec that takes whole numbers takes all bits of them.
    let bits = codec.bits_of(settings).unwrap_or(8 * u32::try_from(format.bytes()).unwrap_or(0));
    Ok(libav::sound::Samples { format, bits })
}

/// Returns what the encoder of these settings is told beside rate, channels and bit rate.
pub(crate) fn audio_options(settings: &AudioSettings) -> Result<Dictionary<'static>, Failure> {
    Ok(dictionary(&sound(settings)?.options(settings)))
}

/// Options as libav takes them.
pub(crate) fn dictionary(options: &[(&'static str, String)]) -> Dictionary<'static> {
    let mut all = Dictionary::new();
    for (key, value) in options {
        all.set(key, value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libav_knows_each_codec_and_has_an_encoder_for_it() {
        for codec in tables().codecs {
            assert_eq!(libav::codec::name_of(id(*codec).unwrap()), codec.name());
            assert_eq!(encoder(codec.name(), "").is_ok(), !codec.encoders().is_empty(), "{}", codec.name());
        }
    }

    #[test]
    fn a_codec_without_an_entry_is_refused() {
        for name in ["theora", "vp8", "vorbis", ""] {
            let Err(Failure(reason)) = find(name) else { panic!("{name} is known") };
            assert!(reason.starts_with(&format!("the proof knows no headers of {name}")), "{reason}");
        }
    }

    #[test]
    fn an_encoder_that_is_not_there_is_named() {
        let Err(Failure(reason)) = encoder("png", "") else { panic!("covers are copied") };
        assert_eq!(reason, "this FFmpeg has no encoder ''; install one that has");
    }

    #[test]
    fn other_bytes_of_a_packet_have_another_digest() {
        for codec in tables().codecs {
            let of = |packet: &[u8]| digest(*codec, packet, Form::File);
            assert_eq!(of(&[0, 0, 0, 1, 9]), of(&[0, 0, 0, 1, 9]));
            assert_ne!(of(&[0, 0, 0, 1, 9]), of(&[0, 0, 0, 1, 8]), "{}", codec.name());
            assert_ne!(of(&[0, 0, 0, 1, 9]), of(&[0, 0, 0, 1, 9, 0]), "{}", codec.name());
        }
    }
}
