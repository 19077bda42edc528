//! Copies the packets of a track, as they are. Nothing is decoded.
//!
//! A copy's work object names the stream of the source that has the packets, and says how many there are and when they are shown: of a
//! movie by its index alone. The merge reads the packets themselves ([`SharedSource`]), so that the bytes of a source are read once and
//! written once.

mod shared;
mod track;

use std::fs::File;

use ffmpeg_next::Packet;
use millrace_schemas::{AudioSettings, Made, Rendition, VideoSettings};

pub(crate) use self::{shared::SharedSource, track::CopiedTrack};
use self::{
    shared::read,
    track::{Counts, changed, codec_headers, heard, shown, start},
};
use super::{
    codec,
    failure::Failure,
    report::Reporter,
    sink::{WRITING, begin},
    source::{Depth, Source},
};
use crate::{
    coded::Shown,
    packets::{Header, TrailerFacts},
    protocol::TranscodeTask,
    seams::Decoded,
};

/// Writes the work object of a task whose rendition is a copy.
pub(super) fn copy(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let ([rendition], [_]) = (task.renditions.as_slice(), task.ranges.as_slice()) else {
        return Err(Failure::new("a copy is one rendition in one segment"));
    };
    let output = outputs.into_iter().next().ok_or_else(|| Failure::new("a copy has no work object"))?;
    let mut source = Source::open(file, Depth::Packets)?;
    source.only(&[task.stream])?;
    let shown = shown(&source, task.stream)?;
    let (header, first) = match (&rendition.video, &rendition.audio) {
        (Some(video), _) => (of_pictures(&source, task.stream, video)?, None),
        (None, Some(audio)) => of_sound(&mut source, task.stream, audio, shown.as_ref())?,
        (None, None) => return Err(Failure::new("a copy is of pictures or of sound")),
    };
    let mut track = CopiedTrack::of(&source, shown, header)?;
    let counts = match track.listed() {
        Some(counts) => counts?,
        None => count(&mut source, &mut track, first, reporter)?,
    };
    let made = write(output, track.header(), rendition, counts)?;
    reporter.made(0, vec![made]);
    Ok(())
}

/// Reads all packets of a source whose index does not list them. `first` is the one that was read already.
fn count(
    source: &mut Source,
    track: &mut CopiedTrack,
    first: Option<Packet>,
    reporter: &mut Reporter,
) -> Result<Counts, Failure> {
    let stream = track.stream();
    let mut next = first.map_or_else(|| read(source, &[stream]), |packet| Ok(Some(packet)))?;
    let mut done = 0;
    while let Some(packet) = next {
        track.take(packet)?;
        done += 1;
        reporter.progress(0, done);
        next = read(source, &[stream])?;
    }
    track.counted()
}

fn write(output: File, header: &Header, rendition: &Rendition, counts: Counts) -> Result<Made, Failure> {
    let Counts { units, packets, first, reorder } = counts;
    let rendition = rendition.id.clone();
    let facts = TrailerFacts { rendition, units, packets, first, next: None, reorder, warnings: Vec::new() };
    let writer = begin(output, header)?;
    writer.finish(facts, &Decoded::default()).map_err(Failure::at(WRITING))
}

fn of_pictures(source: &Source, stream: i32, settings: &VideoSettings) -> Result<Header, Failure> {
    Ok(Header {
        extradata: codec_headers(source, stream)?,
        clock: (settings.time_base.num, settings.time_base.den),
        video: Some(settings.clone()),
        audio: None,
        side: None,
        size: None,
        padding: 0,
        frame_size: 0,
        source_stream: Some(stream),
    })
}

/// Returns the header of a track of sound, which depends on its first packet, and that packet.
fn of_sound(
    source: &mut Source,
    stream: i32,
    settings: &AudioSettings,
    shown: Option<&Shown>,
) -> Result<(Header, Option<Packet>), Failure> {
    let codec = codec::sound(settings)?;
    let extradata = if codec.has_header() { codec_headers(source, stream)? } else { Vec::new() };
    let nothing = || changed("it holds no packets of sound");
    let packet = read(source, &[stream])?.ok_or_else(nothing)?;
    let stated = codec.read_packet(packet.data().unwrap_or_default(), settings.channels);
    let frame_size = codec.read_header(&extradata).map(|header| header.frame_length);
    let frame_size = frame_size.or(stated.and_then(|stated| stated.samples)).ok_or_else(nothing)?;
    // By the first packet, where no index counts samples.
    let begins = match shown {
        Some(shown) => heard(source, stream, shown, settings.sample_rate)?,
        None => start(source, stream, &packet, settings.sample_rate)?,
    };
    let header = Header {
        extradata,
        clock: (1, settings.sample_rate),
        video: None,
        audio: Some(settings.clone()),
        side: None,
        size: None,
        padding: begins.priming,
        frame_size,
        source_stream: Some(stream),
    };
    Ok((header, Some(packet)))
}
