//! What a container states of its streams.

use ffmpeg_next::{
    self as ff,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_CAPTIONS, AV_DISPOSITION_COMMENT, AV_DISPOSITION_DEFAULT,
        AV_DISPOSITION_DUB, AV_DISPOSITION_FORCED, AV_DISPOSITION_HEARING_IMPAIRED, AV_DISPOSITION_ORIGINAL,
        AV_DISPOSITION_VISUAL_IMPAIRED, AV_NOPTS_VALUE, AVCodecParameters, AVMediaType, AVRational,
    },
};
use millrace_schemas::TrackTags;

use crate::{
    child::{
        failure::Failure,
        libav::{
            codec::{codec_name, has_decoder, pixel_format_name},
            metadata,
            stream::{fields, ratio},
        },
    },
    protocol::ProbedStream,
};

/// The warning about a track without packets, behind its name.
pub(super) const HOLDS_NONE: &str = "holds no packets and is left out";

/// Returns `true` if a stream is of a kind, and no cover.
pub(super) fn is(stream: &ff::Stream<'_>, kind: AVMediaType) -> bool {
    let (stream, parameters) = fields(stream);
    parameters.codec_type == kind && stream.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
}

/// Returns ticks of a clock in seconds; 0 if they or the clock are unknown.
pub(super) fn seconds(ticks: i64, tb: AVRational) -> f64 {
    if ticks == AV_NOPTS_VALUE || tb.den == 0 {
        0.0
    } else {
        ticks as f64 * f64::from(tb.num) / f64::from(tb.den)
    }
}

/// Returns what a container says of a track. A title that a program wrote (`handler_name`) is not one.
pub(super) fn tags(stream: &ff::Stream<'_>) -> TrackTags {
    const KEPT: i32 = AV_DISPOSITION_DEFAULT
        | AV_DISPOSITION_DUB
        | AV_DISPOSITION_ORIGINAL
        | AV_DISPOSITION_COMMENT
        | AV_DISPOSITION_FORCED
        | AV_DISPOSITION_HEARING_IMPAIRED
        | AV_DISPOSITION_VISUAL_IMPAIRED
        | AV_DISPOSITION_CAPTIONS;
    let tag = |key: &str, most: usize| {
        let value = metadata::of_stream(stream, key).unwrap_or_default();
        value.chars().filter(|c| !c.is_control()).take(most).collect::<String>()
    };
    let language = tag("language", 16);
    TrackTags {
        language: if language == "und" { String::new() } else { language },
        title: tag("title", 200),
        dispositions: fields(stream).0.disposition & KEPT,
    }
}

/// Returns a stream as `millrace probe` shows it.
pub(super) fn probed(stream: &ff::Stream<'_>) -> ProbedStream {
    let (s, parameters) = fields(stream);
    let kind = match parameters.codec_type {
        AVMediaType::AVMEDIA_TYPE_VIDEO => "video",
        AVMediaType::AVMEDIA_TYPE_AUDIO => "audio",
        AVMediaType::AVMEDIA_TYPE_SUBTITLE => "subtitle",
        AVMediaType::AVMEDIA_TYPE_ATTACHMENT => "attachment",
        _ => "data",
    };
    let is_video = kind == "video";
    let is_audio = kind == "audio";
    let rate = ratio(s.avg_frame_rate).as_f64();
    ProbedStream {
        index: s.index,
        kind: kind.into(),
        codec: codec_name(parameters),
        width: is_video.then_some(parameters.width),
        height: is_video.then_some(parameters.height),
        frames: (is_video && s.nb_frames > 0).then_some(s.nb_frames),
        frame_rate: (is_video && rate > 0.0).then_some(rate),
        pixel_format: is_video.then(|| pixel_format_name(parameters.format)).flatten(),
        sample_rate: is_audio.then_some(parameters.sample_rate),
        channels: is_audio.then_some(parameters.ch_layout.nb_channels),
        duration_seconds: seconds(s.duration, s.time_base),
        language: metadata::of_stream(stream, "language"),
    }
}

/// Refuses a codec that this FFmpeg can't decode.
pub(super) fn need_decoder(parameters: &AVCodecParameters) -> Result<(), Failure> {
    if has_decoder(parameters.codec_id) {
        return Ok(());
    }
    Err(Failure::new(format!("this FFmpeg has no decoder for {}", codec_name(parameters))))
}
