//! Which encoding an output has, and by which codec.

use millrace_formats::{Codec, Container, Tables};

use crate::{bounds::NONE, problems::Problems, wanted::Chosen};

/// Which encoding an output has.
pub(super) enum Choice<'a, T> {
    /// None at all.
    None,
    /// The container's usual one.
    Usual,
    /// One that the profile has.
    Asked(&'a T),
}

pub(super) fn choose<'a, T>(
    all: &'a std::collections::BTreeMap<String, T>,
    named: Option<&String>,
    kind: &str,
    key: &str,
    problems: &mut Problems,
) -> Choice<'a, T> {
    let names = || all.keys().cloned().collect::<Vec<_>>().join(", ");
    match named {
        Some(name) if name == NONE => Choice::None,
        Some(name) => match all.get(name) {
            Some(asked) => Choice::Asked(asked),
            None => {
                problems.add(
                    format!("{key}.{kind}"),
                    format!("there is no [{kind}.{name}]; there are: {}", names()),
                );
                Choice::None
            }
        },
        None => match all.len() {
            0 => Choice::Usual,
            1 => all.values().next().map_or(Choice::Usual, Choice::Asked),
            _ => {
                problems.add(format!("{key}.{kind}"), format!("which one? there are: {}", names()));
                Choice::None
            }
        },
    }
}

/// Returns the codec and encoder of a track of an output. A container that holds no such tracks at all leaves it out, unless it was
/// named there.
pub(super) fn held(
    tables: &Tables,
    container: &Container,
    key: &str,
    (kind, codec): (&str, &str),
    is_named: bool,
    problems: &mut Problems,
) -> Option<Chosen> {
    // An unknown codec was reported with its encoding.
    let (found, encoder) = find_codec(tables, codec).ok()?;
    let tracks = if found.video().is_some() { container.video } else { container.audio };
    if tracks.codecs.iter().any(|held| held.name() == found.name()) {
        return Some((found, encoder));
    }
    if tracks.codecs.is_empty() && !is_named {
        return None;
    }
    let holds: Vec<&str> = tracks.codecs.iter().map(|codec| codec.name()).collect();
    let others: Vec<&str> = tables
        .containers
        .iter()
        .filter(|container| container.codecs().any(|held| held.name() == found.name()))
        .map(|container| container.name)
        .collect();
    let list = |names: &[&str], none: &str| if names.is_empty() { none.to_owned() } else { names.join(", ") };
    problems.add(
        format!("{key}.{kind}"),
        format!(
            "{} does not hold {}; it holds {kind} of: {}; {} is held by: {}",
            container.name,
            found.name(),
            list(&holds, "no codec"),
            found.name(),
            list(&others, "no format")
        ),
    );
    None
}

/// Returns the codec of this name, or of an encoder of this name. The encoder is given as people write it, such as `x264`.
///
/// # Errors
/// If there is none, with the known ones.
pub(crate) fn find_codec(tables: &Tables, name: &str) -> Result<Chosen, String> {
    let encoded = || tables.codecs.iter().copied().filter(|codec| !codec.encoders().is_empty());
    if let Some(codec) =
        encoded().find(|codec| codec.name() == name && (codec.video().is_some() || codec.audio().is_some()))
    {
        return Ok((codec, None));
    }
    let plain = |name: &str| name.trim_start_matches("lib").replace(['-', '_'], "");
    for codec in encoded() {
        // The library alone, such as `libvpx` of `libvpx-vp9`.
        let library = |encoder: &str| {
            let plain_name = plain(encoder);
            plain_name
                .strip_suffix(&plain(codec.name()))
                .filter(|library| !library.is_empty())
                .map(str::to_owned)
        };
        let is_it = |encoder: &&&str| {
            **encoder == name || plain(encoder) == plain(name) || library(encoder) == Some(plain(name))
        };
        if let Some(encoder) = codec.encoders().iter().find(is_it) {
            return Ok((codec, Some(encoder)));
        }
    }
    Err(format!("'{name}' is no codec and no encoder that is known"))
}

/// What libavcodec's encoders on hardware end in, and what that is called.
const HARDWARE: [(&str, &str); 8] = [
    ("nvenc", "NVENC"),
    ("vaapi", "VA-API"),
    ("qsv", "Quick Sync"),
    ("amf", "AMF"),
    ("videotoolbox", "VideoToolbox"),
    ("v4l2m2m", "V4L2"),
    ("mediacodec", "MediaCodec"),
    ("omx", "OpenMAX"),
];

/// Returns why an encoder on hardware can't be asked for, with what would work; `None` if the name is of none.
pub(super) fn hardware_refusal(tables: &Tables, name: &str) -> Option<String> {
    let (codec, ending) = name.split_once('_').unwrap_or(("", name));
    let (_, called) = HARDWARE.iter().find(|(known, _)| *known == ending)?;
    let made = |codec: &&&'static dyn Codec| codec.video().is_some();
    let instead = match tables.codecs.iter().filter(made).find(|known| known.name() == codec) {
        Some(known) => format!("{codec} ({})", known.encoders().join(", ")),
        None => format!("one of {}", names(tables, |codec| codec.video().is_some())),
    };
    Some(format!(
        "'{name}' encodes on hardware ({called}), and media processes have no access to devices; set codec to {instead}, which \
         encodes on the processor"
    ))
}

/// The names of the codecs that encodings can be of.
pub(super) fn names(tables: &Tables, is_kind: fn(&dyn Codec) -> bool) -> String {
    let all = tables.codecs.iter().copied().filter(|codec| is_kind(*codec));
    all.map(Codec::name).collect::<Vec<_>>().join(", ")
}

/// Checks an encoding of no codec, of which nothing else can be asked.
pub(super) fn check_none(key: &str, asked: &impl serde::Serialize, problems: &mut Problems) {
    let keys = serde_json::to_value(asked).ok().and_then(|value| value.as_object().map(serde_json::Map::len));
    if keys != Some(1) {
        problems.add(key, format!("the codec '{NONE}' makes nothing; leave its other keys out"));
    }
}
