//! Headers and index of a source: what it holds, and keyframes near the asked cuts. No frame is decoded beyond what
//! libav needs to know the codecs, and of an indexed container no frame is read.

mod keyframes;
mod pictures;
mod sides;
mod sound;

use std::fs::File;

pub(crate) use sound::COUNTED;

use ffmpeg_next::{
    self as ff, codec,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_CAPTIONS, AV_DISPOSITION_COMMENT, AV_DISPOSITION_DEFAULT,
        AV_DISPOSITION_DUB, AV_DISPOSITION_FORCED, AV_DISPOSITION_HEARING_IMPAIRED, AV_DISPOSITION_ORIGINAL,
        AV_DISPOSITION_VISUAL_IMPAIRED, AV_NOPTS_VALUE, AVCodecParameters, AVMediaType, AVPixelFormat,
        AVRational, AVStream, av_get_pix_fmt_name, avcodec_find_decoder, avcodec_get_name,
    },
};
use millrace_schemas::{Ratio, TrackTags};

use super::{
    Failure, Reporter,
    source::{Depth, Source},
};
use crate::protocol::{InspectTask, Inspected, ProbedStream};

pub(crate) fn inspect(file: File, task: &InspectTask, reporter: &mut Reporter) -> Result<Inspected, Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    let container = source.container();
    let streams: Vec<ProbedStream> = source.input.streams().map(|stream| probed(&stream)).collect();
    let metadata = source.input.metadata().iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let format = &source.input;
    let mut found = Inspected {
        duration_seconds: (format.duration() as f64 / f64::from(ff::ffi::AV_TIME_BASE)).max(0.0),
        bit_rate: format.bit_rate(),
        streams,
        metadata,
        video: None,
        sounds: Vec::new(),
        sides: Vec::new(),
        chapters: sides::chapters(&source),
        timecode: sides::timecode(&source),
        jumps: Vec::new(),
        warnings: Vec::new(),
        left_out: Vec::new(),
        bytes_read: 0,
        container,
    };
    let video = main_video(&source);
    sides::take(&source, video, &mut found);
    sound::take(&mut source, task, &mut found)?;
    if let Some(index) = video {
        let mut facts = pictures::facts(&source, index)?;
        if task.segment_seconds.is_some() {
            keyframes::find(&mut source, task, &mut facts, &mut found, reporter)?;
        }
        found.video = Some(facts);
    } else if task.segment_seconds.is_some()
        && let Some(sound) = found.sounds.first()
    {
        found.jumps = keyframes::jumps(&mut source, sound.stream, reporter)?;
    }
    found.bytes_read = source.bytes_read();
    Ok(found)
}

/// The video that a player takes: pictures that are no cover, the default one first, then the largest.
fn main_video(source: &Source) -> Option<usize> {
    source
        .input
        .streams()
        .filter(|stream| is(stream, AVMediaType::AVMEDIA_TYPE_VIDEO))
        .max_by_key(|stream| {
            let (stream, parameters) = raw(stream);
            let default = stream.disposition & AV_DISPOSITION_DEFAULT != 0;
            let size = i64::from(parameters.width) * i64::from(parameters.height);
            (default, size, std::cmp::Reverse(stream.index))
        })
        .map(|stream| stream.index())
}

/// Whether a stream is of a kind, and no cover.
fn is(stream: &ff::Stream<'_>, kind: AVMediaType) -> bool {
    let (stream, parameters) = raw(stream);
    parameters.codec_type == kind && stream.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
}

/// A stream's own fields and its codec's parameters.
fn raw<'a>(stream: &'a ff::Stream<'_>) -> (&'a AVStream, &'a AVCodecParameters) {
    // SAFETY: a stream of an open context has parameters, and both live as long as the context, which is borrowed.
    unsafe {
        let stream = &*stream.as_ptr();
        (stream, &*stream.codecpar)
    }
}

fn ratio(r: AVRational) -> Ratio {
    Ratio { num: r.num, den: r.den }
}

fn codec_name(parameters: &AVCodecParameters) -> String {
    // SAFETY: the name is a static string of libavcodec, also for unknown ids.
    unsafe { std::ffi::CStr::from_ptr(avcodec_get_name(parameters.codec_id)).to_string_lossy().into_owned() }
}

fn seconds(ticks: i64, tb: AVRational) -> f64 {
    if ticks == AV_NOPTS_VALUE || tb.den == 0 {
        0.0
    } else {
        ticks as f64 * f64::from(tb.num) / f64::from(tb.den)
    }
}

/// What a container says of a track. Titles that come from no person (`handler_name`) are none.
fn tags(stream: &ff::Stream<'_>) -> TrackTags {
    const KEPT: i32 = AV_DISPOSITION_DEFAULT
        | AV_DISPOSITION_DUB
        | AV_DISPOSITION_ORIGINAL
        | AV_DISPOSITION_COMMENT
        | AV_DISPOSITION_FORCED
        | AV_DISPOSITION_HEARING_IMPAIRED
        | AV_DISPOSITION_VISUAL_IMPAIRED
        | AV_DISPOSITION_CAPTIONS;
    let text = |key: &str, most: usize| {
        let value = stream.metadata().get(key).unwrap_or_default().to_owned();
        value.chars().filter(|c| !c.is_control()).take(most).collect::<String>()
    };
    let language = text("language", 16);
    TrackTags {
        language: if language == "und" { String::new() } else { language },
        title: text("title", 200),
        dispositions: raw(stream).0.disposition & KEPT,
    }
}

fn probed(stream: &ff::Stream<'_>) -> ProbedStream {
    let (s, parameters) = raw(stream);
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
        frame_rate: (is_video && rate > 0.0).then_some(rate),
        pixel_format: is_video.then(|| pixel_format_name(parameters.format)).flatten(),
        sample_rate: is_audio.then_some(parameters.sample_rate),
        channels: is_audio.then_some(parameters.ch_layout.nb_channels),
        duration_seconds: seconds(s.duration, s.time_base),
        language: stream.metadata().get("language").map(str::to_owned),
    }
}

pub(crate) fn pixel_format_name(format: i32) -> Option<String> {
    // SAFETY: libav gives null for what is no pixel format; the transmuted value is only compared there.
    unsafe {
        let name = av_get_pix_fmt_name(std::mem::transmute::<i32, AVPixelFormat>(format.max(-1)));
        (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

fn has_decoder(parameters: &AVCodecParameters) -> bool {
    // SAFETY: libavcodec looks an id up, whatever it is.
    unsafe { !avcodec_find_decoder(parameters.codec_id).is_null() }
}

fn need_decoder(parameters: &AVCodecParameters) -> Result<(), Failure> {
    if has_decoder(parameters) {
        return Ok(());
    }
    Err(Failure::new(format!("this FFmpeg has no decoder for {}", codec_name(parameters))))
}

/// The codec's parameters of a stream, for a decoder.
pub(crate) fn parameters(source: &Source, stream: i32) -> Result<codec::Parameters, Failure> {
    usize::try_from(stream)
        .ok()
        .and_then(|index| source.input.stream(index).map(|stream| stream.parameters()))
        .ok_or_else(|| Failure::new(format!("the source has no stream {stream}")))
}
