//! Encrypted tracks: what can't be decoded is refused by its name, before anything is made of noise.

use ffmpeg_next::ffi::AVPacketSideDataType;

use crate::child::{
    failure::Failure,
    libav::stream::{fields, side_data},
    source::Source,
};

/// Streams that are encrypted, each with the scheme's name.
pub(super) fn protected(source: &Source) -> Vec<(i32, String)> {
    let movie = source.movie(0).filter(|_| source.container().contains("mp4"));
    let mut protected = Vec::new();
    for stream in source.input.streams() {
        let (s, _) = fields(&stream);
        // libavformat takes an mp4 track's ID for the stream's.
        let track =
            movie.as_ref().and_then(|m| m.tracks.iter().find(|track| i64::from(track.id) == i64::from(s.id)));
        let scheme = track.and_then(|track| track.protection).map(|code| name(&code));
        let has_keys = side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INIT_INFO).is_some();
        protected.extend(
            scheme.or_else(|| has_keys.then(|| "common encryption".into())).map(|name| (s.index, name)),
        );
    }
    protected
}

/// The name of a protection scheme (ISO/IEC 23001-7; `itun` and `drm?` are FairPlay's).
fn name(code: &[u8; 4]) -> String {
    match code {
        b"cenc" | b"cens" | b"cbc1" | b"cbcs" => format!("CENC, {}", String::from_utf8_lossy(code)),
        b"itun" | b"drms" | b"drmi" | b"drmt" => "FairPlay".into(),
        b"encv" | b"enca" | b"sinf" => "an unknown scheme".into(),
        code => String::from_utf8_lossy(code).chars().filter(|c| !c.is_control()).collect(),
    }
}

/// Refuses a stream that is encrypted.
pub(super) fn refuse(protected: &[(i32, String)], stream: i32) -> Result<(), Failure> {
    match protected.iter().find(|(index, _)| *index == stream) {
        Some((_, scheme)) => {
            Err(Failure::new(format!("it is encrypted ({scheme}); give a copy without protection")))
        }
        None => Ok(()),
    }
}
