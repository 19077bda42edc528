//! Groups of renditions: which audio tracks a player chooses among, and what it sees of them.

use std::collections::BTreeSet;

use crate::{Media, Presentation, Purpose, Track, language, words};

/// A group of renditions of one kind.
pub(super) struct Group<'a> {
    pub(super) id: String,
    pub(super) renditions: Vec<Rendition<'a>>,
}

/// A track in a group, with what all tracks of its group have different.
pub(super) struct Rendition<'a> {
    pub(super) track: &'a Track,
    /// The name that people choose by, which no other of the group has.
    pub(super) name: String,
    pub(super) is_default: bool,
    /// Whether a player may choose it by the language of its user.
    pub(super) is_selectable: bool,
}

/// What makes two tracks the same content in other encodings.
fn content(track: &Track) -> (String, Purpose, String) {
    (language::tag(&track.language), track.purpose, words::clean(&track.title))
}

/// Returns the groups of audio: one for each codec, and for each further encoding in the same codec.
///
/// All groups must have the same members (RFC 8216, 4.3.4.1.1). So where one language isn't there in each codec, all tracks are in one
/// group.
pub(super) fn audio(presentation: &Presentation) -> Vec<Group<'_>> {
    let tracks: Vec<&Track> =
        presentation.tracks.iter().filter(|track| matches!(track.media, Media::Audio { .. })).collect();
    let mut sets: Vec<(String, Vec<&Track>)> = Vec::new();
    for track in &tracks {
        let open = sets.iter_mut().find(|(codecs, members)| {
            *codecs == track.codecs && members.iter().all(|member| content(member) != content(track))
        });
        match open {
            Some((_, members)) => members.push(track),
            None => sets.push((track.codecs.clone(), vec![track])),
        }
    }
    let members = |set: &[&Track]| {
        let mut all: Vec<_> = set.iter().map(|track| content(track)).collect();
        all.sort();
        all
    };
    let are_equal = sets.iter().all(|(_, set)| members(set) == members(&sets[0].1));
    if !are_equal {
        return vec![Group { id: "audio".into(), renditions: renditions(&tracks, &tracks) }];
    }
    let mut ids = BTreeSet::new();
    let mut named = |codecs: &str| {
        let base = format!("audio-{}", codecs.to_ascii_lowercase());
        let id = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") });
        let id = id.into_iter().find(|id| !ids.contains(id)).unwrap_or(base.clone());
        ids.insert(id.clone());
        id
    };
    let order: Vec<_> =
        sets.first().map(|(_, set)| set.iter().map(|track| content(track)).collect()).unwrap_or_default();
    sets.iter()
        .map(|(codecs, set)| {
            let mut set = set.clone();
            set.sort_by_key(|track| order.iter().position(|content_of| *content_of == content(track)));
            Group { id: named(codecs), renditions: renditions(&set, &tracks) }
        })
        .collect()
}

/// Returns the group of subtitles, if there are any.
pub(super) fn subtitles(presentation: &Presentation) -> Option<Group<'_>> {
    let tracks: Vec<&Track> = presentation.tracks.iter().filter(|track| track.media == Media::Text).collect();
    (!tracks.is_empty()).then(|| Group { id: "subtitles".into(), renditions: renditions(&tracks, &tracks) })
}

/// Names the tracks of a group. One is the default: the first that asks for it among `all` tracks of its kind, so that it is the same in
/// each group; of audio the first if none does.
fn renditions<'a>(tracks: &[&'a Track], all: &[&Track]) -> Vec<Rendition<'a>> {
    let is_audio = tracks.first().is_some_and(|track| track.media != Media::Text);
    let wanted = all.iter().find(|track| track.is_default).or(if is_audio { all.first() } else { None });
    let default = wanted.map(|track| content(track));
    let (mut names, mut choices) = (BTreeSet::new(), BTreeSet::new());
    let mut has_default = false;
    let mut found = Vec::new();
    for (number, track) in tracks.iter().enumerate() {
        let (language, purpose, title) = content(track);
        let words = if !title.is_empty() {
            words::quotable(&title)
        } else if let Some(name) = language::autonym(&language) {
            name
        } else if !language.is_empty() {
            language.clone()
        } else {
            format!("{} {}", if is_audio { "Audio" } else { "Text" }, number + 1)
        };
        let mut name = words.clone();
        for further in 2.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{words} ({further})");
        }
        // Those that a player may choose by itself differ in what it chooses by (RFC 8216, 4.3.4.1.1).
        let is_first = choices.insert((language, characteristics(purpose), purpose == Purpose::Forced));
        let is_default = !has_default && default.as_ref() == Some(&content(track));
        has_default |= is_default;
        let is_selectable = is_default || (is_first && purpose != Purpose::Commentary);
        found.push(Rendition { track, name, is_default, is_selectable });
    }
    found
}

/// Returns the media characteristics of a purpose, by Apple's names; empty if there are none.
pub(super) fn characteristics(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Description => "public.accessibility.describes-video",
        Purpose::Captions => {
            "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
        }
        Purpose::Main | Purpose::Alternate | Purpose::Commentary | Purpose::Forced => "",
    }
}
