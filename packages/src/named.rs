//! What manifests name.

use std::collections::BTreeMap;

use crate::{Error, StatedKey};

/// An object, or a range of one, that a manifest names.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The object's name, relative to the package's top.
    pub name: String,
    /// The offset and the size in bytes; `None` for the whole object.
    pub range: Option<(u64, u64)>,
    /// The start of a segment or keyframe in seconds; `None` where only the index (`sidx`) of its object says it.
    pub start: Option<f64>,
    /// The duration in seconds, as `start`.
    pub seconds: Option<f64>,
    /// What it is.
    pub kind: NamedKind,
    /// How the manifest says that it is encrypted; `None` for not at all.
    pub key: Option<StatedKey>,
    /// The name of the text that names it.
    pub by: String,
}

/// What a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedKind {
    /// An initialization segment.
    Init,
    /// A `sidx` box.
    Index,
    /// A segment of video or audio; the whole object where segments are listed in its index alone.
    Segment,
    /// A keyframe that can be shown alone.
    IFrame,
    /// A media playlist.
    Playlist,
    /// A file of WebVTT.
    Text,
}

/// Checks that each text names an object or a range once, that ranges don't overlap, and that segments follow each other.
pub(crate) fn check(named: &[Named]) -> Result<(), Error> {
    let mut by_object: BTreeMap<(&str, &str), Vec<&Named>> = BTreeMap::new();
    for one in named {
        by_object.entry((&one.by, &one.name)).or_default().push(one);
    }
    for ((by, name), mut all) in by_object {
        all.sort_by_key(|one| one.range);
        // An index stands for segments that aren't named: the whole object is then one of several names.
        let has_index = all.iter().any(|one| one.kind == NamedKind::Index);
        for pair in all.windows(2) {
            let overlap = match (pair[0].range, pair[1].range) {
                (Some((offset, bytes)), Some((next, _))) => offset.saturating_add(bytes) > next,
                (None, Some(_)) => {
                    !(has_index && matches!(pair[0].kind, NamedKind::Segment | NamedKind::IFrame))
                }
                _ => true,
            };
            if overlap {
                return Err(Error::read(by, format!("it names '{name}' twice, or ranges that overlap")));
            }
        }
    }
    Ok(())
}

/// The longest that a track may last beyond the whole, and that the whole may last beyond its longest track, in seconds.
const SLACK: f64 = 1.0;

/// A track of a manifest, and where it ends in seconds.
pub(crate) struct End {
    pub(crate) track: String,
    pub(crate) seconds: f64,
}

/// Checks that a presentation ends with its longest track. Others may end earlier: sound that is shorter than the pictures.
pub(crate) fn check_ends(whole: f64, ends: &[End]) -> Result<(), String> {
    if let Some(end) = ends.iter().find(|end| end.seconds > whole + SLACK) {
        return Err(format!("'{}' ends at {} s of {whole} s", end.track, end.seconds));
    }
    match ends.iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds)) {
        Some(longest) if longest.seconds < whole - SLACK => {
            Err(format!("the longest track, '{}', ends at {} s of {whole} s", longest.track, longest.seconds))
        }
        _ => Ok(()),
    }
}
