//! What is said of a media playlist elsewhere than in it: its name, its target duration and its bit rates.

use crate::{
    Media, Presentation, Track,
    measure::{self, Rates},
};

/// Returns the name of a track's media playlist.
pub(super) fn name(folder: &str, track: &Track) -> String {
    format!("{folder}/{}/media.m3u8", track.id)
}

/// Returns the name of the I-frame playlist of a track.
pub(super) fn iframes_name(folder: &str, track: &Track) -> String {
    format!("{folder}/{}/iframes.m3u8", track.id)
}

/// Returns the target duration that the playlists of all video and audio have, in seconds. RFC 8216 (6.2.4) wants the same for all
/// but subtitles and I-frames.
pub(super) fn target_duration(presentation: &Presentation) -> u64 {
    let timed = presentation.tracks.iter().filter(|track| track.media != Media::Text);
    measure::target_duration(timed.flat_map(|track| measure::stated(&track.segments)))
}

/// Returns the bit rates of a track by the target duration of its playlist.
pub(super) fn rates(presentation: &Presentation, track: &Track) -> Rates {
    let stated = measure::stated(&track.segments);
    let target = match track.media {
        Media::Text => measure::target_duration(stated.iter().copied()),
        Media::Video { .. } | Media::Audio { .. } => target_duration(presentation),
    };
    Rates::measure(&stated, target)
}
