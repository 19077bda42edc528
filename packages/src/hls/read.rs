//! Reads the playlists of a package again.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    attributes::{Attributes, byte_range, integer},
    media::{KEY_FORMAT, SAMPLES, SEGMENTS},
};
use crate::{
    Error, MULTIVARIANT, Named, NamedKind, StatedKey, Text,
    encryption::read_digits,
    measure::{self, Stated},
    named::{self, End},
    names,
};

/// What a multivariant playlist names a media playlist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A variant's own.
    Variant,
    /// Audio beside it.
    Audio,
    Subtitles,
    IFrames,
}

/// Reads all playlists; nothing if there are none.
pub(crate) fn read(texts: &[Text]) -> Result<Vec<Named>, Error> {
    let playlists: BTreeMap<&str, &str> = texts
        .iter()
        .filter(|text| text.name.ends_with(".m3u8"))
        .map(|text| (text.name.as_str(), text.text.as_str()))
        .collect();
    if let Some(other) =
        texts.iter().find(|text| !text.name.ends_with(".m3u8") && !text.name.ends_with(".mpd"))
    {
        return Err(Error::read(&other.name, "its name isn't that of a manifest"));
    }
    if playlists.is_empty() {
        return Ok(Vec::new());
    }
    let Some(top) = playlists.get(MULTIVARIANT) else {
        return Err(Error::read(MULTIVARIANT, "it is missing"));
    };
    let named_playlists = read_multivariant(top).map_err(|reason| Error::read(MULTIVARIANT, reason))?;
    if let Some(unnamed) =
        playlists.keys().find(|name| **name != MULTIVARIANT && !named_playlists.contains_key(**name))
    {
        return Err(Error::read(unnamed, "no variant or rendition names it"));
    }
    let mut all = Vec::new();
    let (mut ends, mut whole, mut targets) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (name, role) in &named_playlists {
        let Some(text) = playlists.get(name.as_str()) else {
            return Err(Error::read(MULTIVARIANT, format!("it names '{name}', which is missing")));
        };
        all.push(Named {
            name: name.clone(),
            range: None,
            start: None,
            seconds: None,
            kind: NamedKind::Playlist,
            key: None,
            by: MULTIVARIANT.into(),
        });
        let list = read_media(name, text, *role).map_err(|reason| Error::read(name, reason))?;
        if matches!(role, Role::Variant | Role::Audio) {
            targets.insert(list.target);
        }
        // Sound may go on behind the pictures, and end before them.
        if !matches!(role, Role::Subtitles | Role::Audio) {
            ends.push(End { track: name.clone(), seconds: list.seconds });
        }
        if *role == Role::Variant {
            whole.push(list.seconds);
        }
        all.extend(list.named);
    }
    if targets.len() > 1 {
        return Err(Error::read(MULTIVARIANT, "its playlists have different target durations"));
    }
    // Variants are the same content, so each of them is as long as the whole.
    for whole in whole {
        named::check_ends(whole, &ends).map_err(|reason| Error::read(MULTIVARIANT, reason))?;
    }
    Ok(all)
}

/// Returns the lines behind `#EXTM3U` and the version, without comments.
fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str)>, String> {
    if text.contains('\r') || !text.ends_with('\n') {
        return Err("its lines don't end with a line feed alone".into());
    }
    let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    if lines.next() != Some((1, "#EXTM3U")) {
        return Err("it doesn't begin with #EXTM3U".into());
    }
    let mut lines = lines.filter(|(_, line)| !line.starts_with('#') || line.starts_with("#EXT"));
    let version = lines.next().and_then(|(_, line)| integer(line.strip_prefix("#EXT-X-VERSION:")?));
    match version {
        Some(1..=7) => Ok(lines),
        _ => Err("it has no protocol version".into()),
    }
}

const MEDIA: [&str; 11] = [
    "TYPE",
    "GROUP-ID",
    "NAME",
    "LANGUAGE",
    "DEFAULT",
    "AUTOSELECT",
    "FORCED",
    "CHARACTERISTICS",
    "CHANNELS",
    "URI",
    "ASSOC-LANGUAGE",
];
const VARIANT: [&str; 8] = [
    "BANDWIDTH",
    "AVERAGE-BANDWIDTH",
    "CODECS",
    "RESOLUTION",
    "FRAME-RATE",
    "VIDEO-RANGE",
    "AUDIO",
    "SUBTITLES",
];
const IFRAME_VARIANT: [&str; 6] =
    ["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "VIDEO-RANGE", "URI"];

/// Returns the media playlists that a multivariant playlist names, by name.
fn read_multivariant(text: &str) -> Result<BTreeMap<String, Role>, String> {
    let mut found = BTreeMap::new();
    let mut groups: BTreeSet<(String, String)> = BTreeSet::new();
    let mut references: Vec<(&str, String)> = Vec::new();
    let mut names: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut defaults: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut is_independent, mut is_variant, mut variants) = (false, false, 0);
    for (number, line) in lines(text)? {
        let in_line = |reason: String| format!("line {number}: {reason}");
        if is_variant {
            if line.starts_with('#') {
                return Err(in_line("a URL is missing".into()));
            }
            // Variants may share a video playlist, each with other audio.
            name_playlist(&mut found, line, Role::Variant, true).map_err(in_line)?;
            is_variant = false;
            continue;
        }
        let (tag, list) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-INDEPENDENT-SEGMENTS" if !is_independent && list.is_empty() => is_independent = true,
            "#EXT-X-MEDIA" => {
                let attributes = Attributes::read(list, &MEDIA).map_err(in_line)?;
                let mut read = || {
                    let kind = attributes.plain("TYPE")?.unwrap_or_default().to_owned();
                    let group = (kind.clone(), attributes.text("GROUP-ID")?.to_owned());
                    let name = attributes.text("NAME")?.to_owned();
                    if !names.insert((group.0.clone(), group.1.clone(), name.clone())) {
                        return Err(format!("two renditions of a group are named '{name}'"));
                    }
                    let is_default = attributes.yes("DEFAULT")?;
                    if is_default && !defaults.insert(group.clone()) {
                        return Err("a group has two default renditions".into());
                    }
                    if is_default && !attributes.yes("AUTOSELECT")? {
                        return Err("a default rendition isn't selected automatically".into());
                    }
                    let url = attributes.quoted("URI")?;
                    let role = match (kind.as_str(), attributes.yes("FORCED")?, url) {
                        ("AUDIO", false, _) => Role::Audio,
                        ("SUBTITLES", _, Some(_)) => Role::Subtitles,
                        _ => return Err(format!("a rendition of type '{kind}' without a URL, or forced")),
                    };
                    groups.insert(group);
                    url.map_or(Ok(()), |url| name_playlist(&mut found, url, role, false))
                };
                read().map_err(in_line)?;
            }
            "#EXT-X-STREAM-INF" => {
                let attributes = Attributes::read(list, &VARIANT).map_err(in_line)?;
                check_variant(&attributes).map_err(in_line)?;
                for (kind, group) in [("AUDIO", "AUDIO"), ("SUBTITLES", "SUBTITLES")] {
                    if let Some(id) = attributes.quoted(group).map_err(in_line)? {
                        references.push((kind, id.to_owned()));
                    }
                }
                is_variant = true;
                variants += 1;
            }
            "#EXT-X-I-FRAME-STREAM-INF" => {
                let attributes = Attributes::read(list, &IFRAME_VARIANT).map_err(in_line)?;
                check_variant(&attributes).map_err(in_line)?;
                let url = attributes.text("URI").map_err(in_line)?;
                name_playlist(&mut found, url, Role::IFrames, false).map_err(in_line)?;
            }
            _ => return Err(in_line(format!("'{tag}' is unknown here"))),
        }
    }
    if is_variant || variants == 0 || !is_independent {
        return Err("it has no variant, or its segments aren't independent".into());
    }
    let referred: BTreeSet<(String, String)> =
        references.into_iter().map(|(kind, id)| (kind.to_owned(), id)).collect();
    if referred != groups {
        return Err("its variants don't name its groups, all of them and no others".into());
    }
    Ok(found)
}

fn check_variant(attributes: &Attributes) -> Result<(), String> {
    if attributes.number("BANDWIDTH")? < attributes.number("AVERAGE-BANDWIDTH")? {
        return Err("its peak is below its average".into());
    }
    attributes.text("CODECS")?;
    if let Some(size) = attributes.plain("RESOLUTION")? {
        let sides =
            size.split_once('x').and_then(|(width, height)| Some((integer(width)?, integer(height)?)));
        if !sides.is_some_and(|(width, height)| width > 0 && height > 0) {
            return Err(format!("RESOLUTION is '{size}'"));
        }
    }
    if let Some(rate) = attributes.plain("FRAME-RATE")?
        && !rate.parse().is_ok_and(|rate: f64| rate > 0.0 && rate.is_finite())
    {
        return Err(format!("FRAME-RATE is '{rate}'"));
    }
    match attributes.plain("VIDEO-RANGE")? {
        None | Some("SDR" | "PQ" | "HLG") => Ok(()),
        Some(range) => Err(format!("VIDEO-RANGE is '{range}'")),
    }
}

/// Notes a playlist that is named by its URL; only variants may name one again.
fn name_playlist(
    found: &mut BTreeMap<String, Role>,
    url: &str,
    role: Role,
    again: bool,
) -> Result<(), String> {
    let name = names::resolve("", url).filter(|name| name.ends_with(".m3u8"));
    let name = name.ok_or_else(|| format!("'{url}' is no URL of a playlist"))?;
    match found.insert(name, role) {
        Some(before) if !(again && before == role) => Err(format!("'{url}' is named twice")),
        _ => Ok(()),
    }
}

/// What a media playlist says.
struct List {
    named: Vec<Named>,
    target: u64,
    /// Its whole duration in seconds.
    seconds: f64,
}

/// Reads a duration with six decimals; returns microseconds.
fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let part = Some(part).filter(|part| part.len() == 6)?;
    integer(whole)?.checked_mul(1_000_000)?.checked_add(integer(part)?)
}

/// The extension of segments of transport streams.
const STREAM: &str = ".ts";

/// Reads what a playlist says of the key of its segments.
fn read_key(list: &str) -> Result<StatedKey, String> {
    let attributes = Attributes::read(list, &["METHOD", "URI", "IV", "KEYFORMAT"])?;
    let method = attributes.plain("METHOD")?.unwrap_or_default();
    let of_samples = method == SAMPLES;
    let format = attributes.quoted("KEYFORMAT")?;
    if ![SEGMENTS, SAMPLES].contains(&method) || format != of_samples.then_some(KEY_FORMAT) {
        return Err(format!("a key of method '{method}' and format '{}'", format.unwrap_or_default()));
    }
    let read = |vector: &str| vector.strip_prefix("0x").and_then(read_digits);
    let vector = attributes.plain("IV")?.map(|vector| read(vector).ok_or(format!("IV is '{vector}'")));
    let vector = vector.transpose()?;
    if of_samples && vector.is_none() {
        return Err("a key of samples has no IV".into());
    }
    let uri = Some(attributes.text("URI")?.to_owned());
    Ok(StatedKey { of_samples, uri, vector, key_id: None })
}

fn read_media(name: &str, text: &str, role: Role) -> Result<List, String> {
    let folder = names::folder(name);
    let resolve =
        |url: &str| names::resolve(folder, url).ok_or_else(|| format!("'{url}' is no URL of an object"));
    let new = |name: String, range: Option<(u64, u64)>, kind: NamedKind| Named {
        name,
        range,
        start: None,
        seconds: None,
        kind,
        key: None,
        by: String::new(),
    };
    let (mut target, mut is_vod, mut is_iframes, mut is_ended) = (None, false, false, false);
    let (mut duration, mut bytes): (Option<u64>, Option<(u64, u64)>) = (None, None);
    let (mut all, mut at): (Vec<Named>, u64) = (Vec::new(), 0);
    let mut key = None;
    for (number, line) in lines(text)? {
        let in_line = |reason: String| format!("line {number}: {reason}");
        if is_ended {
            return Err(in_line("something follows the end".into()));
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-TARGETDURATION" if target.is_none() => {
                let seconds = integer(value).filter(|seconds| *seconds > 0);
                target = Some(seconds.ok_or_else(|| in_line("no target duration".into()))?);
            }
            "#EXT-X-PLAYLIST-TYPE" if value == "VOD" && !is_vod => is_vod = true,
            "#EXT-X-I-FRAMES-ONLY" if value.is_empty() && role == Role::IFrames && !is_iframes => {
                is_iframes = true;
            }
            "#EXT-X-MAP" if all.is_empty() && key.is_none() && role != Role::Subtitles => {
                let attributes = Attributes::read(value, &["URI", "BYTERANGE"]).map_err(in_line)?;
                let url = attributes.text("URI").and_then(resolve).map_err(in_line)?;
                let range = attributes.quoted("BYTERANGE").map_err(in_line)?;
                all.push(new(url, range.map(byte_range).transpose().map_err(in_line)?, NamedKind::Init));
            }
            "#EXT-X-KEY" if at == 0 && duration.is_none() && key.is_none() => {
                key = Some(read_key(value).map_err(in_line)?);
            }
            "#EXTINF" if duration.is_none() => {
                let length = value.strip_suffix(',').and_then(micros).filter(|length| *length > 0);
                let length = length.ok_or_else(|| in_line(format!("'{value}' is no duration")))?;
                let rounded = measure::target_duration([Stated { bytes: 0, micros: length }]);
                if target.is_none_or(|target| rounded > target) {
                    return Err(in_line("the segment is longer than the target duration".into()));
                }
                duration = Some(length);
            }
            "#EXT-X-BYTERANGE" if duration.is_some() && bytes.is_none() => {
                bytes = Some(byte_range(value).map_err(in_line)?);
            }
            "#EXT-X-ENDLIST" if value.is_empty() && duration.is_none() => is_ended = true,
            _ if !line.starts_with('#') => {
                let length = duration.take().ok_or_else(|| in_line("a segment has no duration".into()))?;
                let kind = match role {
                    Role::Variant | Role::Audio => NamedKind::Segment,
                    Role::Subtitles => NamedKind::Text,
                    Role::IFrames => NamedKind::IFrame,
                };
                let mut segment = new(resolve(line).map_err(in_line)?, bytes.take(), kind);
                segment.key.clone_from(&key);
                segment.start = Some(at as f64 / 1e6);
                segment.seconds = Some(length as f64 / 1e6);
                at = at.saturating_add(length);
                all.push(segment);
            }
            _ => return Err(in_line(format!("'{tag}' is unknown here, or there twice"))),
        }
    }
    let Some(target) = target else { return Err("it has no target duration".into()) };
    if !is_vod || !is_ended || at == 0 || is_iframes != (role == Role::IFrames) {
        return Err(
            "it isn't whole: type, segments or end are missing, or the kind of its segments is wrong".into(),
        );
    }
    // Segments of a transport stream say all that decoding needs themselves.
    let is_stream = role != Role::IFrames && all.iter().all(|one| one.name.ends_with(STREAM));
    let needs_init = role != Role::Subtitles && !is_stream;
    if needs_init && all.first().is_none_or(|first| first.kind != NamedKind::Init) {
        return Err("it has no initialization segment".into());
    }
    for one in &mut all {
        name.clone_into(&mut one.by);
    }
    Ok(List { named: all, target, seconds: at as f64 / 1e6 })
}
