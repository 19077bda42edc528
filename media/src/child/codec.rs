//! The codecs that outputs hold, each in a file of its own: what `merge` and its proof must know of one.
//!
//! How a codec's headers and packets lie in a file is particular to it. So a codec without an entry here is refused before an
//! output is begun: its packets would be compared wrongly, and its headers not at all.

mod aac;
mod h264;
mod mov_text;
mod whole;

use ffmpeg_next::ffi::AVCodecID;

use super::failure::Failure;
use crate::packets::Header;

/// The form in which a codec's packets lie somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the encoder gives them, in work objects.
    Encoder,
    /// As they lie in an mp4 or an flv.
    File,
}

/// What the codec header of a sound track states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SoundHeader {
    /// Samples per second.
    pub(crate) sample_rate: i32,
    /// The number of channels; `None` if the header lists them one by one.
    pub(crate) channels: Option<i32>,
    /// Samples per packet, the same for all packets.
    pub(crate) frame_length: i64,
}

/// A codec of an output.
pub(crate) trait Codec: Sync {
    /// libavcodec's id of the codec.
    fn id(&self) -> AVCodecID;

    /// Returns `true` if the codec headers of a file are those that the encoder gave.
    fn is_same_header(&self, encoder: &[u8], file: &[u8]) -> bool;

    /// Returns an XXH3 digest of all bytes of a packet that a decoder gets; equal for both forms of the same packet.
    fn digest(&self, packet: &[u8], form: Form) -> u64;

    /// Returns `true` if decoding can begin at the packet.
    fn is_keyframe(&self, packet: &[u8], form: Form) -> bool;

    /// Reads the codec header of a sound track; `None` if it can't be read, or the codec is none of sound.
    fn read_sound_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let _ = header;
        None
    }
}

/// Each codec by the name that plans give it, which is libavcodec's.
const CODECS: [(&str, &dyn Codec); 5] = [
    ("h264", &h264::H264),
    ("aac", &aac::Aac),
    ("mov_text", &mov_text::MovText),
    ("mjpeg", &whole::Whole(AVCodecID::AV_CODEC_ID_MJPEG)),
    ("png", &whole::Whole(AVCodecID::AV_CODEC_ID_PNG)),
];

/// Returns the codec of this name.
///
/// # Errors
/// If it has no entry.
pub(crate) fn find(name: &str) -> Result<&'static dyn Codec, Failure> {
    let found = CODECS.iter().find(|(known, _)| *known == name).map(|(_, codec)| *codec);
    found.ok_or_else(|| Failure::new(format!("the proof knows no headers of {name}: no output can hold it")))
}

/// Returns the codec that a file's stream states; `None` if it has no entry.
pub(crate) fn find_by_id(id: AVCodecID) -> Option<&'static dyn Codec> {
    CODECS.iter().map(|(_, codec)| *codec).find(|codec| codec.id() == id)
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
/// If the header names no codec, or one without an entry.
pub(crate) fn of_header(header: &Header) -> Result<&'static dyn Codec, Failure> {
    match name(header) {
        "" => Err(Failure::new("a work object names no codec")),
        name => find(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_codec_is_found_by_libavcodecs_name_for_its_id() {
        for (name, codec) in CODECS {
            assert_eq!(crate::child::libav::codec::name_of(codec.id()), name);
        }
    }

    #[test]
    fn a_codec_without_an_entry_is_refused() {
        for name in ["hevc", "av1", "vp9", "opus", ""] {
            let Err(Failure(reason)) = find(name) else { panic!("{name} is known") };
            assert!(reason.starts_with(&format!("the proof knows no headers of {name}")), "{reason}");
        }
    }
}
