//! Auxiliary tracks: a text track is read to its end, a cover is in the headers.

use std::fs::File;

use ffmpeg_next::Packet;
use millrace_schemas::{Made, Rendition, SideSettings};

use crate::{
    child::{
        codec,
        failure::Failure,
        libav::stream::{attached_picture, fields},
        report::Reporter,
        sink::{Cover, CoverSink, Sink as _, TextSink},
        source::{Depth, Source},
    },
    protocol::TranscodeTask,
};

pub(super) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    source.only(&[task.stream])?;
    source.set_discontinuities(&task.jumps);
    let mut made = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        let settings =
            rendition.side.clone().ok_or_else(|| Failure::new("a rendition without settings of its own"))?;
        made.extend(if codec::find(&settings.codec)?.is_text() {
            text(&mut source, task, (rendition, settings, output), reporter)?
        } else {
            cover(&source, task.stream, (rendition, settings, output))?
        });
    }
    reporter.made(0, made);
    Ok(())
}

fn text(
    source: &mut Source,
    task: &TranscodeTask,
    (rendition, settings, output): (&Rendition, SideSettings, File),
    reporter: &mut Reporter,
) -> Result<Vec<Made>, Failure> {
    let stream = task.stream;
    let track = (&source.parameters(stream)?, source.clock(stream));
    let mut sink = TextSink::open(rendition, (settings, task.trim), output, track)?;
    let mut packet = Packet::empty();
    while !sink.is_full()
        && let Ok(Some(_)) = source.read(&[stream], &mut packet)
    {
        reporter.progress(0, 0);
        sink.push(&mut packet)?;
    }
    sink.finish(())
}

fn cover(
    source: &Source,
    stream: i32,
    (rendition, settings, output): (&Rendition, SideSettings, File),
) -> Result<Vec<Made>, Failure> {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let stream = stream.ok_or_else(|| Failure::new("the cover is gone"))?;
    let parameters = fields(&stream).1;
    let size = (parameters.width, parameters.height);
    let mut sink = CoverSink::new(rendition, settings, output);
    sink.push(Cover { data: attached_picture(&stream).unwrap_or_default(), size })?;
    sink.finish(())
}
