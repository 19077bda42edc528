//! Headers and index of a source: what it holds, and keyframes near the asked cuts. No frame is decoded beyond what
//! libav needs to know the codecs, and of an indexed container no frame is read.

mod auxiliary;
mod choice;
mod coded;
mod keyframes;
mod pictures;
mod protection;
mod sound;
mod streams;
mod survey;

use std::fs::File;

use ffmpeg_next as ff;
use millrace_formats::container::Index;
use millrace_schemas::{SourceFacts, VideoTrack};

use super::{
    codec,
    failure::Failure,
    libav::metadata,
    report::Reporter,
    source::{Depth, Source},
};
use crate::protocol::{InspectTask, Inspected, ProbedStream};
pub(crate) use pictures::apply_shape;
use streams::{HOLDS_NONE, probed};
use survey::Survey;

pub(crate) fn inspect(file: File, task: &InspectTask, reporter: &mut Reporter) -> Result<Inspected, Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    let container = source.container();
    let streams: Vec<ProbedStream> = source.input.streams().map(|stream| probed(&stream)).collect();
    let format = &source.input;
    let mut found = Inspected {
        streams,
        facts: SourceFacts {
            metadata: metadata::of_input_all(format).into_iter().chain(mark(format, &container)).collect(),
            chapters: auxiliary::chapters(&source),
            timecode: auxiliary::timecode(&source),
            ..SourceFacts::default()
        },
        ..empty(&source)
    };
    found.facts.warnings.extend(source.ended_early());
    let protected = protection::protected(&source);
    // Where the header does not tell all, the packets do.
    let survey = (task.segment_seconds.is_some() && choice::needs_survey(&source))
        .then(|| Survey::take(&mut source, None, reporter))
        .transpose()?;
    let video = choice::video(&source, survey.as_ref(), &mut found);
    auxiliary::find(&source, &mut found);
    sound::take(&mut source, task, survey.as_ref(), &protected, &mut found)?;
    if let Some(video) = video {
        protection::refuse(&protected, video[0])?;
        found.facts.video = pictures::find(&mut source, task, (&video, survey), &mut found, reporter)?;
    } else if task.segment_seconds.is_some()
        && let Some(sound) = found.facts.audio.first()
    {
        let streams = sound.streams();
        found.facts.discontinuities = match survey {
            Some(survey) => survey.discontinuities(&source, &streams),
            None => keyframes::discontinuities(&mut source, &streams, reporter)?,
        };
    }
    if found.facts.video.is_none() && found.facts.audio.is_empty() && task.segment_seconds.is_some() {
        return Err(nothing(&found));
    }
    if task.segment_seconds.is_some() {
        coded::find(&source, &mut found.facts);
    }
    found.bytes_read = source.bytes_read();
    Ok(found)
}

/// Returns the video track that plays, as the container states it, without a look at packets.
///
/// # Errors
/// If there is none, or it is encrypted, or this FFmpeg can't decode it.
pub(crate) fn video_track(source: &Source) -> Result<VideoTrack, Failure> {
    let mut found = empty(source);
    let streams = choice::video(source, None, &mut found);
    let stream = streams.and_then(|streams| streams.first().copied());
    let stream = stream.ok_or_else(|| Failure::new("there is no video in it"))?;
    protection::refuse(&protection::protected(source), stream)?;
    pictures::facts(source, usize::try_from(stream).unwrap_or(usize::MAX))
}

/// What is found in a source before anything is looked at.
fn empty(source: &Source) -> Inspected {
    Inspected {
        duration_seconds: duration_seconds(source),
        bit_rate: source.input.bit_rate(),
        streams: Vec::new(),
        facts: SourceFacts::default(),
        bytes_read: 0,
        container: source.container(),
    }
}

/// Returns how long a source is, in seconds; 0 if it does not say.
pub(crate) fn duration_seconds(source: &Source) -> f64 {
    (source.input.duration() as f64 / f64::from(ff::ffi::AV_TIME_BASE)).max(0.0)
}

/// The text that says where an output came from, of a container that has it elsewhere than in a comment, as if it were one.
fn mark(input: &ff::format::context::Input, container: &str) -> Option<(String, String)> {
    let index = codec::tables().container_of_demuxer(container)?.index;
    let mark = metadata::of_program(input, index.mark_key())?;
    Some((Index::COMMENT.to_owned(), mark))
}

/// Why there is nothing to make of a source.
fn nothing(found: &Inspected) -> Failure {
    let empty = found.facts.warnings.iter().filter(|warning| warning.contains(HOLDS_NONE)).count();
    match empty {
        0 => Failure::new("there is neither video nor sound in it"),
        1 => Failure::new("its only track holds no packets that can be read"),
        tracks => Failure::new(format!("none of its {tracks} tracks holds a packet")),
    }
}
