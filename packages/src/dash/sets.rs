//! Adaptation sets: tracks that a player may switch between while it plays.

use crate::{Media, Presentation, Purpose, Track, VideoRange, language, words};

/// What tracks of one set have in common.
#[derive(PartialEq, Eq)]
struct Key {
    kind: Kind,
    /// The codec: of video its family, for its profile and level change with the size; of audio all of it.
    codec: String,
    language: String,
    title: String,
    purpose: Purpose,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Video(VideoRange),
    Audio {
        sample_rate: u32,
        channels: u32,
    },
    /// The number of the track: text is never switched.
    Text(usize),
}

fn key(number: usize, track: &Track) -> Key {
    let family = track.codecs.split('.').next().unwrap_or_default();
    let (kind, codec) = match track.media {
        Media::Video { range, .. } => (Kind::Video(range), family),
        Media::Audio { sample_rate, channels } => {
            (Kind::Audio { sample_rate, channels }, track.codecs.as_str())
        }
        Media::Text => (Kind::Text(number), ""),
    };
    Key {
        kind,
        codec: codec.to_owned(),
        language: language::tag(&track.language),
        title: words::clean(&track.title),
        purpose: track.purpose,
    }
}

/// Returns the tracks in sets: those of the same kind, codec, language, title and purpose, in the order of their first tracks.
pub(super) fn sets(presentation: &Presentation) -> Vec<Vec<&Track>> {
    let mut found: Vec<(Key, Vec<&Track>)> = Vec::new();
    for (number, track) in presentation.tracks.iter().enumerate() {
        let key = key(number, track);
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, set)) => set.push(track),
            None => found.push((key, vec![track])),
        }
    }
    found.into_iter().map(|(_, set)| set).collect()
}
