//! The media presentation description.

use super::{
    schemes::{CLEAR_KEY, ENCRYPTION, NAMESPACE, PROTECTION, SAMPLES, TRICK_MODE},
    segments,
    sets::sets,
    xml::Element,
};
use crate::{
    DESCRIPTION, Encryption, Error, Files, IFrames, Media, Presentation, Purpose, Segment, Text, Track,
    VideoRange,
    encryption::uuid,
    language,
    measure::{self, Rates},
    words,
};

/// Profiles (ISO/IEC 23009-1, 8): templates with a timeline, indexed objects, and anything.
const LIVE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
const ON_DEMAND: &str = "urn:mpeg:dash:profile:isoff-on-demand:2011";
const FULL: &str = "urn:mpeg:dash:profile:full:2011";

const ROLE: &str = "urn:mpeg:dash:role:2011";
/// Purposes of sound by TV-Anytime, of which 1 is a description for the blind.
const AUDIO_PURPOSE: &str = "urn:tva:metadata:cs:AudioPurposeCS:2007";
const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
const TRANSFER: &str = "urn:mpeg:mpegB:cicp:TransferCharacteristics";

/// Returns the description of a presentation: one period, all sets.
pub(crate) fn description(presentation: &Presentation) -> Result<Text, Error> {
    let is_whole = |track: &&Track| matches!(track.encryption, Some(Encryption::Segments { .. }));
    if let Some(track) = presentation.tracks.iter().find(is_whole) {
        return Err(Error::track(&track.id, "DASH knows no encryption of whole segments"));
    }
    let sets = sets(presentation);
    let mut elements = Vec::new();
    let mut profiles = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let element = adaptation_set(number, set, is_default(presentation, set));
        let profile = profile(&element);
        if !profiles.contains(&profile) {
            profiles.push(profile);
        }
        elements.push((element, profile));
    }
    for (number, set) in sets.iter().enumerate() {
        let frames: Vec<(&Track, &IFrames)> =
            set.iter().filter_map(|track| Some((*track, track.iframes.as_ref()?))).collect();
        if !frames.is_empty() {
            let element = trick_mode(elements.len(), number, &frames);
            let profile = profile(&element);
            elements.push((element, profile));
            if !profiles.contains(&profile) {
                profiles.push(profile);
            }
        }
    }
    // A player of one profile leaves out the sets that aren't of it (8.1).
    let several = profiles.len() > 1;
    let elements = elements.into_iter().map(|(element, profile)| {
        if several && profile != profiles[0] { element.with("profiles", profile) } else { element }
    });
    let period = Element::new("Period").with("id", "0").with("start", "PT0S").containing(elements);
    let timed = presentation.tracks.iter().filter(|track| track.media != Media::Text);
    let longest =
        timed.flat_map(|track| measure::stated(&track.segments)).map(|segment| segment.micros).max();
    // By a rate that no segment exceeds, a buffer of the longest segment never runs empty (5.3.5.2, bandwidth).
    let is_encrypted = presentation.tracks.iter().any(|track| track.encryption.is_some());
    let root = Element::new("MPD")
        .with("xmlns", NAMESPACE)
        .maybe("xmlns:cenc", if is_encrypted { ENCRYPTION } else { "" })
        .with("profiles", profiles.join(","))
        .with("type", "static")
        .with("mediaPresentationDuration", duration((presentation.seconds * 1e6).round() as u64))
        .with("minBufferTime", duration(longest.unwrap_or(0)))
        .containing([period]);
    let text = root.document(&presentation.mark).map_err(|error| Error::Presentation(error.to_string()))?;
    Ok(Text { name: DESCRIPTION.into(), text })
}

/// A duration of XML Schema, without trailing zeros.
fn duration(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    format!("PT{}S", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Whether a set has the track of its kind that plays by default.
fn is_default(presentation: &Presentation, set: &[&Track]) -> bool {
    let kind = |track: &Track| std::mem::discriminant(&track.media);
    let Some(first) = set.first() else { return false };
    let mut of_kind = presentation.tracks.iter().filter(|track| kind(track) == kind(first));
    match of_kind.clone().find(|track| track.is_default) {
        Some(default) => set.iter().any(|track| track.id == default.id),
        None => first.media != Media::Text && of_kind.next().is_some_and(|track| track.id == first.id),
    }
}

/// The first profile that a set can be of.
fn profile(set: &Element) -> &'static str {
    let has = |name: &'static str| {
        set.all("Representation").all(|representation| representation.all(name).next().is_some())
    };
    match set.attribute("contentType") {
        Some("text") => LIVE,
        _ if has("SegmentTemplate") => LIVE,
        _ if has("SegmentBase") => ON_DEMAND,
        _ => FULL,
    }
}

/// Whether all tracks of a set are cut at the same times.
fn is_aligned<'a>(mut all: impl Iterator<Item = &'a [Segment]>) -> bool {
    let starts = |segments: &[Segment]| -> Vec<u64> {
        segments.iter().map(|segment| measure::micros(segment.start, segment.timescale)).collect()
    };
    let first = all.next().map(starts);
    all.all(|segments| Some(starts(segments)) == first)
}

/// Says that segments are aligned and begin with access points; of indexed objects their parts are, not the object.
fn with_alignment(set: Element, is_indexed: bool, is_aligned: bool) -> Element {
    let (alignment, start) = match is_indexed {
        true => ("subsegmentAlignment", "subsegmentStartsWithSAP"),
        false => ("segmentAlignment", "startWithSAP"),
    };
    let set = if is_aligned { set.with(alignment, "true") } else { set };
    set.with(start, "1")
}

fn adaptation_set(number: usize, set: &[&Track], is_default: bool) -> Element {
    let mut element = Element::new("AdaptationSet").with("id", number as u64);
    let Some(first) = set.first() else { return element };
    let (kind, format) = match first.media {
        Media::Video { .. } => ("video", "video/mp4"),
        Media::Audio { .. } => ("audio", "audio/mp4"),
        Media::Text => ("text", "text/vtt"),
    };
    element = element.with("contentType", kind).with("mimeType", format);
    element = element.maybe("lang", &language::tag(&first.language));
    if first.media != Media::Text {
        let is_indexed = matches!(first.files, Files::Single { index: Some(_), .. });
        element = with_alignment(
            element,
            is_indexed,
            is_aligned(set.iter().map(|track| track.segments.as_slice())),
        );
    }
    let sizes = set.iter().filter_map(|track| match track.media {
        Media::Video { width, height, .. } => Some((width, height)),
        Media::Audio { .. } | Media::Text => None,
    });
    if let Some((width, height)) = sizes.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1))) {
        element = element.with("maxWidth", width).with("maxHeight", height);
    }
    element = element.containing(protection(first));
    if let Media::Video { range: range @ (VideoRange::Pq | VideoRange::Hlg), .. } = first.media {
        // ISO/IEC 23091-2, 8.2.
        let transfer = if range == VideoRange::Pq { "16" } else { "18" };
        element = element.containing([Element::descriptor("SupplementalProperty", TRANSFER, transfer)]);
    }
    let title = words::clean(&first.title);
    if !title.is_empty() {
        element = element.containing([Element::text("Label", title)]);
    }
    if first.purpose == Purpose::Description {
        element = element.containing([Element::descriptor("Accessibility", AUDIO_PURPOSE, "1")]);
    }
    element = element
        .containing(roles(first, is_default).into_iter().map(|role| Element::descriptor("Role", ROLE, role)));
    let common = common_target(set);
    element.containing(set.iter().map(|track| representation(track, common)))
}

/// Returns what is said of the encryption of a track: its scheme with the id of its key, and that players may be given the key as it is.
fn protection(track: &Track) -> Vec<Element> {
    let Some(Encryption::Samples { key_id, .. }) = &track.encryption else { return Vec::new() };
    vec![
        Element::descriptor("ContentProtection", PROTECTION, SAMPLES).with("cenc:default_KID", uuid(*key_id)),
        Element::descriptor("ContentProtection", CLEAR_KEY, "ClearKey1.0"),
    ]
}

/// Returns the roles of a track (ISO/IEC 23009-1, 5.8.5.5).
fn roles(track: &Track, is_default: bool) -> Vec<&'static str> {
    let role = match (track.purpose, &track.media) {
        (Purpose::Main | Purpose::Alternate, Media::Text) => Some("subtitle"),
        (Purpose::Captions, _) => Some("caption"),
        (Purpose::Forced, _) => Some("forced-subtitle"),
        (Purpose::Commentary, _) => Some("commentary"),
        (Purpose::Description | Purpose::Alternate, _) => Some("alternate"),
        (Purpose::Main, _) if !is_default => Some("alternate"),
        (Purpose::Main, _) => None,
    };
    is_default.then_some("main").into_iter().chain(role).collect()
}

/// The target duration by which the peaks of a set are measured, in seconds.
fn common_target(set: &[&Track]) -> u64 {
    measure::target_duration(set.iter().flat_map(|track| measure::stated(&track.segments)))
}

fn representation(track: &Track, target: u64) -> Element {
    let rates = Rates::measure(&measure::stated(&track.segments), target);
    let mut element = Element::new("Representation").with("id", &track.id).maybe("codecs", &track.codecs);
    element = element.with("bandwidth", rates.peak);
    match track.media {
        Media::Video { frame_rate, .. } => {
            element = with_size(element, &track.media);
            if let (rate @ 1.., base) = frame_rate {
                element = element
                    .with("frameRate", if base == 1 { rate.to_string() } else { format!("{rate}/{base}") });
            }
        }
        Media::Audio { sample_rate, channels } => {
            element = element.with("audioSamplingRate", sample_rate);
            if let Some(configuration) = channel_configuration(channels) {
                let configuration = Element::descriptor("AudioChannelConfiguration", CHANNELS, configuration);
                element = element.containing([configuration]);
            }
        }
        Media::Text => {}
    }
    element.containing(segments::of_track(track))
}

fn with_size(element: Element, media: &Media) -> Element {
    match *media {
        Media::Video { width, height, sample_aspect: (x, y), .. } => {
            element.with("width", width).with("height", height).with("sar", format!("{x}:{y}"))
        }
        Media::Audio { .. } | Media::Text => element,
    }
}

/// The configuration of a number of channels, as they usually are (ISO/IEC 23091-3, table 3): 6.1 is 11, and 7.1 is 12.
fn channel_configuration(channels: u32) -> Option<u32> {
    match channels {
        1..=6 => Some(channels),
        7 => Some(11),
        8 => Some(12),
        _ => None,
    }
}

/// Returns the set of keyframes of the video tracks in another set.
fn trick_mode(number: usize, of: usize, frames: &[(&Track, &IFrames)]) -> Element {
    let is_indexed = frames.iter().all(|(_, iframes)| iframes.index.is_some());
    let element = Element::new("AdaptationSet")
        .with("id", number as u64)
        .with("contentType", "video")
        .with("mimeType", "video/mp4");
    let aligned = is_aligned(frames.iter().map(|(_, iframes)| iframes.frames.as_slice()));
    let element = with_alignment(element, is_indexed, aligned)
        .with("codingDependency", "false")
        .containing(frames.first().into_iter().flat_map(|(track, _)| protection(track)))
        .containing([Element::descriptor("EssentialProperty", TRICK_MODE, of as u64)]);
    element.containing(frames.iter().map(|(track, iframes)| {
        let stated = measure::stated(&iframes.frames);
        let rates = Rates::measure(&stated, measure::target_duration(stated.iter().copied()));
        let element = Element::new("Representation")
            .with("id", format!("{}-iframes", track.id))
            .with("codecs", &track.codecs)
            .with("bandwidth", rates.peak);
        with_size(element, &track.media).containing(segments::of_iframes(iframes))
    }))
}
