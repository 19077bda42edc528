//! What a presentation must be before manifests are made of it.

use crate::{
    Encryption, Error, Files, Media, Presentation, Segment, Track,
    named::{self, End},
    names,
};

/// The most segments of a presentation, keyframes not counted.
const MOST_SEGMENTS: usize = 1_000_000;

/// Checks a presentation, and the folder of its media playlists.
pub(crate) fn presentation(presentation: &Presentation, folder: &str) -> Result<(), Error> {
    let refused = |reason: String| Err(Error::Presentation(reason));
    if !names::is_name(folder) {
        return refused(format!("the folder '{}' is no relative path", folder.escape_debug()));
    }
    let mark = &presentation.mark;
    if mark.chars().any(char::is_control) || mark.contains("--") || mark.ends_with('-') || mark.len() > 1000 {
        return refused(format!("its mark '{}' can't be a comment of XML", mark.escape_debug()));
    }
    if !(presentation.seconds.is_finite() && presentation.seconds > 0.0 && presentation.seconds < 1e9) {
        return refused(format!("its duration is {} seconds", presentation.seconds));
    }
    if !presentation.tracks.iter().any(|track| track.media != Media::Text) {
        return refused("it has neither video nor audio".into());
    }
    let mut ids: Vec<&str> = presentation.tracks.iter().map(|track| track.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return refused(format!("two of its tracks are '{}'", twice[0]));
    }
    if presentation.tracks.iter().map(|track| track.segments.len()).sum::<usize>() > MOST_SEGMENTS {
        return refused(format!("it has more than {MOST_SEGMENTS} segments"));
    }
    let mut ends = Vec::new();
    for track in &presentation.tracks {
        let seconds = check_track(track).map_err(|reason| Error::track(&track.id, reason))?;
        if track.media != Media::Text {
            ends.push(End { track: track.id.clone(), seconds });
        }
    }
    named::check_ends(presentation.seconds, &ends).map_err(Error::Presentation)
}

/// Checks a track; returns where it ends, in seconds.
fn check_track(track: &Track) -> Result<f64, String> {
    if !names::is_id(&track.id) {
        return Err("its id isn't letters, digits, '-', '_' and '.'".into());
    }
    let is_codec = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !track.codecs.bytes().all(is_codec) || track.codecs.is_empty() != (track.media == Media::Text) {
        return Err(format!("its codec is '{}'", track.codecs.escape_debug()));
    }
    if let Media::Video { width: 0, .. }
    | Media::Video { height: 0, .. }
    | Media::Video { sample_aspect: (0, _) | (_, 0), .. }
    | Media::Video { frame_rate: (_, 0), .. } = track.media
    {
        return Err("it has no size, no shape or no frame rate".into());
    }
    let end = check_segments(&track.segments)?;
    match &track.files {
        Files::Many { init } => {
            if init.is_some() == is_bare(track) {
                return Err("text and transport streams alone have no initialization segment".into());
            }
            if let Some(init) = init.as_ref().filter(|init| !names::is_name(init)) {
                return Err(format!("the name '{}' is no relative path", init.escape_debug()));
            }
        }
        Files::Single { name, init_bytes, index } => {
            if let Some(segment) = track.segments.iter().find(|segment| segment.name != *name) {
                return Err(format!("a segment is in '{}' and not in '{name}'", segment.name.escape_debug()));
            }
            check_single(&track.segments, if is_bare(track) { 0 } else { *init_bytes }, *index)?;
            if *init_bytes == 0 && !is_bare(track) {
                return Err("its initialization segment is empty".into());
            }
        }
    }
    check_encryption(track)?;
    if let Some(iframes) = &track.iframes {
        if !matches!(track.media, Media::Video { .. }) {
            return Err("only video has keyframes".into());
        }
        check_segments(&iframes.frames)?;
        if iframes.init_bytes == 0 || !names::is_name(&iframes.init) {
            return Err("its keyframes have no initialization segment".into());
        }
        let is_one = iframes.frames.iter().all(|frame| frame.name == iframes.init);
        if is_one {
            check_single(&iframes.frames, iframes.init_bytes, iframes.index)?;
        } else if iframes.index.is_some() {
            return Err("there is an index, and more than one object".into());
        }
    }
    Ok(end)
}

/// Returns `true` for a track that can be read without an initialization segment: text, and transport streams.
fn is_bare(track: &Track) -> bool {
    track.media == Media::Text || track.segments.iter().all(|segment| segment.name.ends_with(".ts"))
}

/// Checks how a track is encrypted: whole segments are objects, and text has no samples.
fn check_encryption(track: &Track) -> Result<(), String> {
    let is_uri =
        |uri: &str| uri.len() <= 4096 && uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    match &track.encryption {
        None => Ok(()),
        Some(encryption) if !is_uri(encryption.uri()) => Err("the URL of its key is none".into()),
        Some(Encryption::Segments { .. })
            if track.iframes.is_some() || !matches!(track.files, Files::Many { .. }) =>
        {
            Err("its segments are ranges of bytes, which can't be encrypted as a whole".into())
        }
        Some(Encryption::Samples { .. }) if track.media == Media::Text => {
            Err("text has no samples that are encrypted".into())
        }
        Some(_) => Ok(()),
    }
}

/// Checks that segments have names, sizes and times, and follow each other; returns where the last one ends, in seconds.
fn check_segments(segments: &[Segment]) -> Result<f64, String> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Err("it has no segments".into());
    };
    let mut at = first.start;
    for (number, segment) in segments.iter().enumerate() {
        let broken = |reason: &str| Err(format!("segment {number}, at {}: {reason}", segment.start));
        if !names::is_name(&segment.name) {
            return broken(&format!("the name '{}' is no relative path", segment.name.escape_debug()));
        }
        if segment.timescale == 0 || segment.timescale != first.timescale {
            return broken("its timescale is 0, or not that of the others");
        }
        if segment.duration == 0 || segment.bytes == 0 {
            return broken("it is empty");
        }
        if segment.start != at {
            return broken(&format!("the segment before it ends at {at}"));
        }
        let (Some(end), Some(_)) =
            (segment.start.checked_add(segment.duration), segment.offset.checked_add(segment.bytes))
        else {
            return broken("its numbers are too large");
        };
        at = end;
    }
    Ok(at as f64 / f64::from(last.timescale))
}

/// Checks that the segments of one object follow each other in it, behind what precedes them.
fn check_single(segments: &[Segment], init_bytes: u64, index: Option<(u64, u64)>) -> Result<(), String> {
    let mut at = init_bytes;
    if let Some((offset, bytes)) = index {
        if offset < at || bytes == 0 {
            return Err("its index isn't behind its initialization segment".into());
        }
        at = offset.saturating_add(bytes);
    }
    for (number, segment) in segments.iter().enumerate() {
        if segment.offset < at {
            return Err(format!("segment {number} overlaps what is before it in its object"));
        }
        at = segment.offset + segment.bytes;
    }
    Ok(())
}
