//! The multivariant playlist: what players choose from.

use std::collections::BTreeSet;

use super::{
    groups::{self, Group, characteristics},
    line::{Attributes, head},
    media, playlist,
};
use crate::{
    Error, MULTIVARIANT, Media, Presentation, Purpose, Text, Track, VideoRange, language,
    measure::{self, Rates},
    names,
};

/// Returns the multivariant playlist: a variant for each video track and group of audio, or for each group of audio if there is no video.
pub(crate) fn multivariant(presentation: &Presentation, folder: &str) -> Result<Text, Error> {
    let audio = groups::audio(presentation);
    let subtitles = groups::subtitles(presentation);
    let videos: Vec<&Track> =
        presentation.tracks.iter().filter(|track| matches!(track.media, Media::Video { .. })).collect();
    let version = presentation.tracks.iter().map(media::version).max().unwrap_or(1);
    let mut text = head(&presentation.mark, version);
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    for group in &audio {
        for rendition in &group.renditions {
            // Without video the default rendition is the variant's own playlist.
            let is_within = videos.is_empty() && rendition.is_default;
            text.push_str(&media_tag("AUDIO", group, rendition, (!is_within).then_some(folder)));
        }
    }
    let subtitles = subtitles.as_ref();
    if let Some(group) = subtitles {
        for rendition in &group.renditions {
            text.push_str(&media_tag("SUBTITLES", group, rendition, Some(folder)));
        }
    }
    for group in &audio {
        if videos.is_empty() {
            let main = group.renditions.iter().find(|rendition| rendition.is_default);
            if let Some(main) = main.or(group.renditions.first()) {
                text.push_str(&variant(presentation, folder, main.track, Some(group), subtitles));
            }
        }
        for video in &videos {
            text.push_str(&variant(presentation, folder, video, Some(group), subtitles));
        }
    }
    if audio.is_empty() {
        for video in &videos {
            text.push_str(&variant(presentation, folder, video, None, subtitles));
        }
    }
    for video in &videos {
        if let Some(iframes) = &video.iframes {
            let stated = measure::stated(&iframes.frames);
            let rates = Rates::measure(&stated, measure::target_duration(stated.iter().copied()));
            let tag = Attributes::of("#EXT-X-I-FRAME-STREAM-INF")
                .number("BANDWIDTH", rates.peak)
                .number("AVERAGE-BANDWIDTH", rates.average)
                .quoted("CODECS", &video.codecs);
            let tag = pictures(tag, &video.media, false);
            let url = names::relative("", &playlist::iframes_name(folder, video));
            text.push_str(&tag.quoted("URI", &url).line());
        }
    }
    Ok(Text { name: MULTIVARIANT.into(), text })
}

/// Returns the tag of a rendition; without a folder it is in the playlist of its variant.
fn media_tag(kind: &str, group: &Group, rendition: &groups::Rendition, folder: Option<&str>) -> String {
    let track = rendition.track;
    let mut tag = Attributes::of("#EXT-X-MEDIA")
        .plain("TYPE", kind)
        .quoted("GROUP-ID", &group.id)
        .quoted("NAME", &rendition.name)
        .quoted("LANGUAGE", &language::tag(&track.language))
        .yes("DEFAULT", rendition.is_default)
        .yes("AUTOSELECT", rendition.is_selectable)
        .yes("FORCED", track.purpose == Purpose::Forced && track.media == Media::Text)
        .quoted("CHARACTERISTICS", characteristics(track.purpose));
    if let Media::Audio { channels, .. } = track.media
        && channels > 0
    {
        tag = tag.quoted("CHANNELS", &channels.to_string());
    }
    if let Some(folder) = folder {
        tag = tag.quoted("URI", &names::relative("", &playlist::name(folder, track)));
    }
    tag.line()
}

/// Returns the tag and the URL of a variant. Its bit rates are the largest sums of what can play together (RFC 8216, 4.3.4.2).
fn variant(
    presentation: &Presentation,
    folder: &str,
    track: &Track,
    audio: Option<&Group>,
    subtitles: Option<&Group>,
) -> String {
    let is_video = matches!(track.media, Media::Video { .. });
    let highest = |group: Option<&Group>| {
        let rates = group.into_iter().flat_map(|group| &group.renditions);
        rates.map(|rendition| playlist::rates(presentation, rendition.track)).fold(
            Rates::default(),
            |one, other| Rates { peak: one.peak.max(other.peak), average: one.average.max(other.average) },
        )
    };
    let own = if is_video { playlist::rates(presentation, track) } else { Rates::default() };
    let parts = [own, highest(audio), highest(subtitles)];
    let mut codecs = vec![track.codecs.as_str()];
    let mut seen: BTreeSet<&str> = codecs.iter().copied().collect();
    for rendition in audio.into_iter().flat_map(|group| &group.renditions) {
        if seen.insert(&rendition.track.codecs) {
            codecs.push(&rendition.track.codecs);
        }
    }
    let tag = Attributes::of("#EXT-X-STREAM-INF")
        .number("BANDWIDTH", parts.iter().map(|rates| rates.peak).sum::<u64>())
        .number("AVERAGE-BANDWIDTH", parts.iter().map(|rates| rates.average).sum::<u64>())
        .quoted("CODECS", &codecs.join(","));
    let tag = pictures(tag, &track.media, true)
        .quoted("AUDIO", audio.map_or("", |group| &group.id))
        .quoted("SUBTITLES", subtitles.map_or("", |group| &group.id));
    format!("{}{}\n", tag.line(), names::relative("", &playlist::name(folder, track)))
}

/// Adds what a player needs to know of pictures. I-frame playlists have no frame rate.
fn pictures(tag: Attributes, media: &Media, has_rate: bool) -> Attributes {
    let Media::Video { width, height, sample_aspect: (x, y), frame_rate: (rate, base), range } = *media
    else {
        return tag;
    };
    // The size at which pictures are shown.
    let shown = (u64::from(width) * u64::from(x) * 2 + u64::from(y)) / (2 * u64::from(y));
    let tag = tag.plain("RESOLUTION", format!("{}x{height}", shown.max(1)));
    let tag = if has_rate && rate > 0 {
        tag.plain("FRAME-RATE", format!("{:.3}", f64::from(rate) / f64::from(base)))
    } else {
        tag
    };
    let range = match range {
        VideoRange::Sdr => "SDR",
        VideoRange::Pq => "PQ",
        VideoRange::Hlg => "HLG",
    };
    tag.plain("VIDEO-RANGE", range)
}
