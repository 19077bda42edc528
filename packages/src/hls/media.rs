//! Media playlists: one for each track, and one for the keyframes of each that has some.

use std::fmt::Write as _;

use super::{
    line::{Attributes, head, seconds},
    playlist,
};
use crate::{
    Encryption, Error, Files, IFrames, Presentation, Segment, Text, Track, encryption::hexadecimal, measure,
    names,
};

/// Protocol versions by what a playlist has (RFC 8216, 7): fractions in durations; byte ranges and I-frames; an initialization segment,
/// in I-frame playlists and in others.
const FRACTIONS: u32 = 3;
const RANGES: u32 = 4;
const IFRAME_MAP: u32 = 5;
const MAP: u32 = 6;

/// Methods of encryption: of whole segments, and of samples; and the format of a key that is 16 bytes (RFC 8216, 4.3.2.4).
pub(super) const SEGMENTS: &str = "AES-128";
pub(super) const SAMPLES: &str = "SAMPLE-AES";
pub(super) const KEY_FORMAT: &str = "identity";

/// Returns the protocol version of a track's media playlist.
pub(super) fn version(track: &Track) -> u32 {
    let has_map = !matches!(&track.files, Files::Many { init: None }) && !is_bare(track);
    if has_map { MAP } else { FRACTIONS.max(if has_ranges(track) { RANGES } else { FRACTIONS }) }
}

/// Whether a track has no initialization segment.
fn is_bare(track: &Track) -> bool {
    matches!(&track.files, Files::Single { init_bytes: 0, .. } | Files::Many { init: None })
}

/// Whether segments are ranges of an object. A single segment that is the whole object is none.
fn has_ranges(track: &Track) -> bool {
    match &track.files {
        Files::Single { .. } => track.segments.len() > 1 || !is_bare(track),
        Files::Many { .. } => track.segments.iter().any(|segment| segment.offset > 0),
    }
}

/// Returns the media playlists and I-frame playlists of all tracks.
pub(crate) fn media_playlists(presentation: &Presentation, folder: &str) -> Result<Vec<Text>, Error> {
    let is_without_url = |track: &&Track| track.encryption.as_ref().is_some_and(|key| key.uri().is_empty());
    if let Some(track) = presentation.tracks.iter().find(is_without_url) {
        return Err(Error::track(&track.id, "players of HLS get the key from a URL, and there is none"));
    }
    let common = playlist::target_duration(presentation);
    let mut texts = Vec::new();
    for track in &presentation.tracks {
        let name = playlist::name(folder, track);
        let stated = measure::stated(&track.segments);
        let target = match track.media {
            crate::Media::Text => measure::target_duration(stated),
            crate::Media::Video { .. } | crate::Media::Audio { .. } => common,
        };
        let mut text = head(&presentation.mark, version(track));
        let _ = write!(text, "#EXT-X-TARGETDURATION:{target}\n#EXT-X-PLAYLIST-TYPE:VOD\n");
        let base = names::folder(&name);
        match &track.files {
            Files::Many { init: Some(init) } => text.push_str(&map(base, init, None)),
            Files::Single { name, init_bytes, .. } if *init_bytes > 0 => {
                text.push_str(&map(base, name, Some(*init_bytes)));
            }
            Files::Many { init: None } | Files::Single { .. } => {}
        }
        text.push_str(&key(track));
        text.push_str(&segments(base, &track.segments, has_ranges(track)));
        texts.push(Text { name, text });
        if let Some(iframes) = &track.iframes {
            texts.push(iframe_playlist(presentation, folder, track, iframes));
        }
    }
    Ok(texts)
}

fn iframe_playlist(presentation: &Presentation, folder: &str, track: &Track, iframes: &IFrames) -> Text {
    let name = playlist::iframes_name(folder, track);
    let target = measure::target_duration(measure::stated(&iframes.frames));
    let mut text = head(&presentation.mark, IFRAME_MAP);
    let _ = write!(text, "#EXT-X-TARGETDURATION:{target}\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n");
    let base = names::folder(&name);
    text.push_str(&map(base, &iframes.init, Some(iframes.init_bytes)));
    text.push_str(&key(track));
    text.push_str(&segments(base, &iframes.frames, true));
    Text { name, text }
}

/// The tag of an initialization segment: the whole object, or its first bytes.
fn map(folder: &str, name: &str, bytes: Option<u64>) -> String {
    let tag = Attributes::of("#EXT-X-MAP").quoted("URI", &names::relative(folder, name));
    match bytes {
        Some(bytes) => tag.quoted("BYTERANGE", &format!("{bytes}@0")).line(),
        None => tag.line(),
    }
}

/// The tag of the key of all segments behind it; nothing if they are not encrypted. It is behind that of the initialization segment, which
/// is not encrypted, so that it does not apply to it (RFC 8216, 4.3.2.4).
fn key(track: &Track) -> String {
    let tag =
        |method: &str, uri: &str| Attributes::of("#EXT-X-KEY").plain("METHOD", method).quoted("URI", uri);
    match &track.encryption {
        None => String::new(),
        Some(Encryption::Segments { uri, vector }) => {
            let tag = tag(SEGMENTS, uri);
            match vector {
                Some(vector) => tag.plain("IV", hexadecimal(*vector)).line(),
                None => tag.line(),
            }
        }
        Some(Encryption::Samples { uri, vector, .. }) => {
            tag(SAMPLES, uri).plain("IV", hexadecimal(*vector)).quoted("KEYFORMAT", KEY_FORMAT).line()
        }
    }
}

fn segments(folder: &str, segments: &[Segment], has_ranges: bool) -> String {
    let mut text = String::new();
    for (segment, stated) in segments.iter().zip(measure::stated(segments)) {
        let _ = writeln!(text, "#EXTINF:{},", seconds(stated.micros));
        if has_ranges {
            let _ = writeln!(text, "#EXT-X-BYTERANGE:{}@{}", segment.bytes, segment.offset);
        }
        let _ = writeln!(text, "{}", names::relative(folder, &segment.name));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
