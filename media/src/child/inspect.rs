//! Headers and index of a source: what it holds, and keyframes near the asked cuts. No frame is decoded beyond what
//! libav needs to know the codecs, and of an indexed container no frame is read.

mod choice;
mod keyframes;
mod pictures;
mod protection;
mod sides;
mod sound;
mod survey;

use std::fs::File;

pub(crate) use pictures::rotation_of;
pub(crate) use sound::COUNTED;

use ffmpeg_next::{
    self as ff, codec,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_CAPTIONS, AV_DISPOSITION_COMMENT, AV_DISPOSITION_DEFAULT,
        AV_DISPOSITION_DUB, AV_DISPOSITION_FORCED, AV_DISPOSITION_HEARING_IMPAIRED, AV_DISPOSITION_ORIGINAL,
        AV_DISPOSITION_VISUAL_IMPAIRED, AV_NOPTS_VALUE, AVCodecID, AVCodecParameters, AVMediaType,
        AVPixelFormat, AVRational, AVStream, av_get_pix_fmt_name, avcodec_find_decoder, avcodec_get_name,
    },
};
use millrace_schemas::{Ratio, TrackTags};

use super::{
    Failure, Reporter,
    source::{Depth, Source},
    text,
};
use crate::protocol::{InspectTask, Inspected, ProbedStream};
use survey::Survey;

pub(crate) fn inspect(file: File, task: &InspectTask, reporter: &mut Reporter) -> Result<Inspected, Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    let container = source.container();
    let streams: Vec<ProbedStream> = source.input.streams().map(|stream| probed(&stream)).collect();
    let format = &source.input;
    let mut found = Inspected {
        duration_seconds: (format.duration() as f64 / f64::from(ff::ffi::AV_TIME_BASE)).max(0.0),
        bit_rate: format.bit_rate(),
        streams,
        metadata: text::metadata(format),
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
    found.warnings.extend(source.ended_early());
    let protected = protection::protected(&source);
    // Where the header does not tell all, the packets do.
    let survey = (task.segment_seconds.is_some() && choice::needs_survey(&source))
        .then(|| Survey::take(&mut source, None, reporter))
        .transpose()?;
    let video = choice::video(&source, survey.as_ref(), &mut found);
    sides::take(&source, &mut found);
    sound::take(&mut source, task, survey.as_ref(), &protected, &mut found)?;
    if let Some(video) = video {
        protection::refuse(&protected, video[0])?;
        found.video = pictures::find(&mut source, task, (&video, survey), &mut found, reporter)?;
    } else if task.segment_seconds.is_some()
        && let Some(sound) = found.sounds.first()
    {
        let streams = sound.streams();
        found.jumps = match survey {
            Some(survey) => survey.jumps(&source, &streams),
            None => keyframes::jumps(&mut source, &streams, reporter)?,
        };
    }
    if found.video.is_none() && found.sounds.is_empty() && task.segment_seconds.is_some() {
        return Err(nothing(&found));
    }
    found.bytes_read = source.bytes_read();
    Ok(found)
}

/// Why there is nothing to make of a source.
fn nothing(found: &Inspected) -> Failure {
    let empty = found.warnings.iter().filter(|warning| warning.contains(HOLDS_NONE)).count();
    match empty {
        0 => Failure::new("there is neither video nor sound in it"),
        1 => Failure::new("its only track holds no packets that can be read"),
        tracks => Failure::new(format!("none of its {tracks} tracks holds a packet")),
    }
}

/// What is said of a track without packets.
const HOLDS_NONE: &str = "holds no packets and is left out";

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

pub(crate) fn codec_name(parameters: &AVCodecParameters) -> String {
    // A codec that libavcodec has no id for still has the container's four letters.
    let letters = parameters.codec_tag.to_le_bytes();
    if parameters.codec_id == AVCodecID::AV_CODEC_ID_NONE && letters.iter().all(|b| (0x20..0x7f).contains(b))
    {
        return String::from_utf8_lossy(&letters).trim_end().to_owned();
    }
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
    let tag = |key: &str, most: usize| {
        let value = text::of(stream, key).unwrap_or_default();
        value.chars().filter(|c| !c.is_control()).take(most).collect::<String>()
    };
    let language = tag("language", 16);
    TrackTags {
        language: if language == "und" { String::new() } else { language },
        title: tag("title", 200),
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
        language: text::of(stream, "language"),
    }
}

pub(crate) fn pixel_format_name(format: i32) -> Option<String> {
    // The formats of this libav, from 0 on without a gap: no other number becomes a value of the enum.
    if !(0..AVPixelFormat::AV_PIX_FMT_NB as i32).contains(&format) {
        return None;
    }
    // SAFETY: the number is that of a format, as the line above sees to; libav gives null for one without a name.
    unsafe {
        let name = av_get_pix_fmt_name(std::mem::transmute::<i32, AVPixelFormat>(format));
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
