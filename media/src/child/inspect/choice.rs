//! Which tracks people mean: of several videos the one that plays, and streams that are one track.

use ffmpeg_next::{
    self as ff,
    ffi::{AV_DISPOSITION_DEFAULT, AVMediaType},
};

use super::{
    streams::{HOLDS_NONE, is, seconds},
    survey::Survey,
};
use crate::{
    child::{
        libav::{
            codec::has_decoder,
            metadata,
            stream::{fields, index_length, ratio},
        },
        source::Source,
    },
    protocol::Inspected,
};

/// A track that plays for so much of the longest one's time is as good as it.
const AS_LONG: f64 = 0.9;

/// Whether only the packets tell what is in a source: streams may turn up late, or of several videos nothing tells which is
/// the long one.
pub(super) fn needs_survey(source: &Source) -> bool {
    let length = |stream: &ff::Stream<'_>| length(source, stream);
    let videos: Vec<_> =
        source.input.streams().filter(|stream| is(stream, AVMediaType::AVMEDIA_TYPE_VIDEO)).collect();
    source.is_headless() || (videos.len() > 1 && videos.iter().any(|stream| length(stream).is_none()))
}

/// For how long a stream plays, in seconds, as far as its container tells.
pub(super) fn length(source: &Source, stream: &ff::Stream<'_>) -> Option<f64> {
    let (s, _) = fields(stream);
    let told = seconds(s.duration, s.time_base);
    // Of Matroska libavformat tells the whole file's.
    if told > 0.0 && !source.container().contains("matroska") {
        return Some(told);
    }
    // What mkvmerge and libavformat write of a Matroska track: hours:minutes:seconds.
    let tag = metadata::of_stream(stream, "DURATION").and_then(|tag| {
        let mut parts = tag.splitn(3, ':').map(|part| part.trim().parse::<f64>().ok());
        Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
    });
    let rate = ratio(s.avg_frame_rate).as_f64();
    let counted = (s.nb_frames > 0 && rate > 0.0).then(|| s.nb_frames as f64 / rate);
    tag.filter(|tag| *tag > 0.0).or(counted)
}

/// Streams of one kind that are one track: each with the streams in which it goes on, in the order of the file.
pub(super) fn tracks(source: &Source, kind: AVMediaType, survey: Option<&Survey>) -> Vec<Vec<i32>> {
    let mut tracks: Vec<Vec<i32>> = Vec::new();
    let index = |stream: &ff::Stream<'_>| i32::try_from(stream.index()).unwrap_or(-1);
    let language = |stream: i32| {
        let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
        stream.and_then(|stream| metadata::of_stream(&stream, "language")).unwrap_or_default()
    };
    for stream in source.input.streams().filter(|stream| is(stream, kind)).map(|stream| index(&stream)) {
        let survey = survey.filter(|_| source.is_headless());
        let joined = survey.and_then(|survey| {
            tracks.iter_mut().find(|track| {
                let follows = |other: &i32| survey.follow_each_other(*other, stream);
                track.iter().all(follows) && language(track[0]) == language(stream)
            })
        });
        match joined {
            Some(track) => track.push(stream),
            None => tracks.push(vec![stream]),
        }
    }
    if let Some(survey) = survey {
        let first = |stream: &i32| survey.streams.get(stream).map_or(u64::MAX, |seen| seen.first);
        for track in &mut tracks {
            track.sort_by_key(first);
        }
    }
    tracks
}

/// What a choice of tracks goes by: enabled and default, then the most of the presentation, then the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rank {
    pub(super) is_default: bool,
    pub(super) seconds: f64,
    pub(super) size: i64,
}

/// The position of the track that plays. Pure.
pub(super) fn best(ranks: &[Rank]) -> Option<usize> {
    let some_default = ranks.iter().any(|rank| rank.is_default);
    let asked = |rank: &&Rank| rank.is_default == some_default;
    let longest = ranks.iter().filter(asked).map(|rank| rank.seconds).fold(0.0, f64::max);
    let candidates = ranks.iter().enumerate().filter(|(_, rank)| asked(rank));
    // The first of those that are alike.
    candidates
        .filter(|(_, rank)| rank.seconds >= AS_LONG * longest)
        .max_by_key(|(position, rank)| (rank.size, std::cmp::Reverse(*position)))
        .map(|(position, _)| position)
}

/// The streams of the video to take, the first one first. Others are left out with a warning, as are those without packets.
pub(super) fn video(source: &Source, survey: Option<&Survey>, found: &mut Inspected) -> Option<Vec<i32>> {
    let tracks = tracks(source, AVMediaType::AVMEDIA_TYPE_VIDEO, survey);
    let is_empty = |track: &Vec<i32>| {
        survey.is_some_and(|survey| track.iter().all(|stream| !survey.streams.contains_key(stream)))
            || track.iter().all(|stream| holds_nothing(source, *stream))
    };
    let (empty, tracks): (Vec<_>, Vec<_>) = tracks.into_iter().partition(is_empty);
    found.facts.warnings.extend(empty.iter().map(|track| format!("video track {} {HOLDS_NONE}", track[0])));
    let rank = |track: &Vec<i32>| {
        let streams = track.iter().filter_map(|stream| source.input.stream(usize::try_from(*stream).ok()?));
        let mut rank = Rank { is_default: false, seconds: 0.0, size: 0 };
        for stream in streams {
            let (s, p) = fields(&stream);
            rank.is_default |= s.disposition & AV_DISPOSITION_DEFAULT != 0;
            rank.size = rank.size.max(i64::from(p.width) * i64::from(p.height));
            rank.seconds += length(source, &stream).unwrap_or_else(|| {
                let packets = survey.and_then(|survey| survey.streams.get(&s.index)).map_or(0, |s| s.packets);
                packets as f64 / ratio(s.avg_frame_rate).as_f64().max(1.0)
            });
            // What can't be decoded is taken only where nothing else is there, and refused then.
            rank.is_default &= has_decoder(p.codec_id);
        }
        rank
    };
    let ranks: Vec<Rank> = tracks.iter().map(rank).collect();
    let chosen = best(&ranks)?;
    for (i, track) in tracks.iter().enumerate().filter(|(i, _)| *i != chosen) {
        let why = format!(
            "video track {} ({:.1} s, {}) is left out: track {} plays",
            track[0],
            ranks[i].seconds,
            if ranks[i].is_default { "default" } else { "not default" },
            tracks[chosen][0],
        );
        found.facts.warnings.push(why);
    }
    tracks.into_iter().nth(chosen)
}

/// Whether a container's own index says that a stream has no packets.
pub(super) fn holds_nothing(source: &Source, stream: i32) -> bool {
    let Some(stream) = usize::try_from(stream).ok().and_then(|index| source.input.stream(index)) else {
        return true;
    };
    let (s, _) = fields(&stream);
    let entries = index_length(&stream);
    let fragmented = s.duration > 0;
    source.container().contains("mp4") && entries == 0 && s.nb_frames == 0 && !fragmented
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_track_that_plays_is_the_default_one_then_the_long_one_then_the_large_one() {
        let rank = |is_default, seconds, size| Rank { is_default, seconds, size };
        assert_eq!(best(&[]), None);
        assert_eq!(best(&[rank(false, 9.0, 9), rank(true, 1.0, 1)]), Some(1));
        assert_eq!(best(&[rank(true, 0.1, 9), rank(true, 2.0, 1)]), Some(1), "a phone's motion photo");
        assert_eq!(best(&[rank(true, 2.0, 1), rank(true, 1.95, 9)]), Some(1));
        assert_eq!(best(&[rank(false, 2.0, 4), rank(false, 2.0, 4)]), Some(0), "the first of equals");
        assert_eq!(best(&[rank(false, 0.0, 4), rank(false, 0.0, 9)]), Some(1), "nothing tells their length");
    }
}
