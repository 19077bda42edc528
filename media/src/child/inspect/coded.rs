//! How the tracks of a source are coded, and whether their packets can be copied.

use ffmpeg_next::{self as ff, ffi::AVPacketSideDataType};
use millrace_schemas::{CodedStream, SourceFacts};

use crate::{
    bounds::LARGEST_HEADERS,
    boxes::Movie,
    child::{
        libav::{
            codec::{codec_name, has_references},
            stream::{extradata, fields, index, ratio, side_data},
        },
        orientation::Orientation,
        source::Source,
    },
    coded,
};

/// What a container says of pictures beside what an output says of them, and a copy would lose.
const LOST: [(AVPacketSideDataType, &str); 4] = [
    (AVPacketSideDataType::AV_PKT_DATA_STEREO3D, "how its pictures are seen in three dimensions"),
    (AVPacketSideDataType::AV_PKT_DATA_SPHERICAL, "how its pictures lie on a sphere"),
    (AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF, "layers of Dolby Vision"),
    (AVPacketSideDataType::AV_PKT_DATA_ICC_PROFILE, "a colour profile"),
];

/// Looks at all tracks that were found.
pub(super) fn find(source: &Source, facts: &mut SourceFacts) {
    let movie = source.is_movie().then(|| source.movie(coded::MOST_PACKETS)).flatten();
    let is_cut_off = source.ended_early().is_some();
    let is_uneven = !facts.discontinuities.is_empty();
    let obstacle = |streams: usize| {
        if !source.is_movie() && !source.is_matroska() && !source.is_flv() {
            return Some("copies are made of mp4, mov, mkv, webm and flv alone");
        }
        if is_cut_off || source.is_concatenated() {
            return Some("the file is cut off, or another one follows in it");
        }
        (is_uneven || streams > 1).then_some("its times jump, or it goes on in another stream")
    };
    if let Some(video) = &mut facts.video {
        let of_file = obstacle(video.streams().len()).map(str::to_owned);
        video.coded = stream(source, video.stream);
        let untrusted = || {
            let untrusted = !video.trusted || !video.states.is_empty();
            untrusted.then(|| "its index and its packets differ, or its times repeat".to_owned())
        };
        let lost = of_file.or_else(untrusted).or_else(|| lost(source, video.stream));
        video.coded.obstacle = video.coded.obstacle.take().or(lost).or_else(|| {
            let shown = of_movie(source, movie.as_ref(), video.stream)?;
            shown.and_then(|(shown, _)| coded::all_shown(&shown)).err()
        });
    }
    for audio in &mut facts.audio {
        let of_file = obstacle(audio.streams().len()).map(str::to_owned);
        audio.coded = stream(source, audio.stream);
        audio.coded.obstacle = audio.coded.obstacle.take().or(of_file).or_else(|| {
            let shown = of_movie(source, movie.as_ref(), audio.stream)?;
            let rate = audio.sound.sample_rate;
            shown.and_then(|(shown, timescale)| coded::heard(&shown, timescale, rate)).err()
        });
    }
}

/// When a stream is shown, by the movie box, and the ticks a second; `None` of a container that has none.
fn of_movie(
    source: &Source,
    movie: Option<&Movie>,
    stream: i32,
) -> Option<Result<(coded::Shown, u32), String>> {
    if !source.is_movie() {
        return None;
    }
    let unreadable = || String::from("its index can't be read");
    let shown = || {
        let movie = movie.ok_or_else(unreadable)?;
        let track = source.track_of(movie, stream).ok_or_else(unreadable)?;
        Ok((coded::shown(movie, track)?, track.timescale))
    };
    Some(shown())
}

/// What the container states of a stream.
fn stream(source: &Source, number: i32) -> CodedStream {
    let Some(stream) = usize::try_from(number).ok().and_then(|number| source.input.stream(number)) else {
        return CodedStream::default();
    };
    let (_, parameters) = fields(&stream);
    let headers = extradata(parameters);
    let is_too_large = headers.len() > LARGEST_HEADERS;
    CodedStream {
        codec: codec_name(parameters),
        headers: if is_too_large { Vec::new() } else { headers.to_vec() },
        bit_rate: parameters.bit_rate.max(0),
        width: parameters.width,
        height: parameters.height,
        keyframe_seconds: keyframe_seconds(&stream),
        obstacle: is_too_large.then(|| "its codec headers are too large".into()),
    }
}

/// The longest time from one keyframe of the index to the next, or to the end, in seconds; `None` where the index says nothing.
fn keyframe_seconds(stream: &ff::Stream<'_>) -> Option<f64> {
    let (s, parameters) = fields(stream);
    let entries = index(stream)?;
    let keys = || entries.iter().filter(|entry| entry.is_keyframe).map(|entry| entry.timestamp);
    // An index of an mp4 without a list of keyframes calls each picture one (ISO/IEC 14496-12, 8.6.2).
    if keys().count() == entries.len() && has_references(parameters.codec_id) && s.nb_frames > 1 {
        return None;
    }
    // An index has decoding times, so the end is counted from the first of them.
    let (first, last) = (entries.first()?.timestamp, entries.last()?.timestamp);
    let ends = if s.duration > 0 { first.saturating_add(s.duration) } else { last };
    let longest =
        keys().zip(keys().skip(1).chain([ends])).map(|(key, next)| next.saturating_sub(key)).max()?;
    Some(longest as f64 * ratio(s.time_base).as_f64())
}

/// What would be lost of pictures, as a reason.
fn lost(source: &Source, stream: i32) -> Option<String> {
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    let matrix = side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX);
    if matrix.is_some_and(|matrix| Orientation::of_matrix(matrix) != Orientation::UPRIGHT) {
        return Some("players rotate or mirror its pictures, which only an encode keeps".into());
    }
    let (_, what) = LOST.iter().find(|(kind, _)| side_data(&stream, *kind).is_some())?;
    Some(format!("its container states {what}, which only an encode keeps"))
}
