//! Compares an output with its source: both are decoded and measured. The parent decides which measurements are good enough.

mod channels;
mod pictures;
mod reading;
mod sound;
mod statements;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
};

use ffmpeg_next::{self as ff, Packet};

use super::{
    failure::Failure,
    report::Reporter,
    source::{Depth, Source},
};
use crate::{
    protocol::{ComparedStreams, FoundFragment, Verified, VerifyTask},
    timeline::seconds,
};

pub(crate) fn verify(
    source: &File,
    output: &File,
    task: &VerifyTask,
    reporter: &mut Reporter,
) -> Result<Verified, Failure> {
    let mut measured = Verified {
        disorder: disorder(output, reporter)?,
        texts: (texts(source, reporter)?, texts(output, reporter)?),
        untrue: statements::untrue(output, reporter)?,
        fragments: fragments(output)?,
        ..Verified::default()
    };
    if !task.source.video.is_empty() && !task.output.video.is_empty() {
        let mut source = pictures::Reader::open(open(source, &task.source)?, &task.source.video, task.trim)?;
        let mut output = pictures::Reader::open(open(output, &task.output)?, &task.output.video, None)?;
        let settings = (task.video.as_ref(), task.source.shape.as_ref());
        let (pictures, likeness) =
            pictures::measure(&mut source, &mut output, settings, task.pictures, reporter)?;
        (measured.pictures, measured.likeness) = (Some(pictures), likeness);
    }
    for (track, (a, b)) in task.source.sounds.iter().zip(&task.output.sounds).enumerate() {
        let heard = sound::measure(open(source, &task.source)?, a, task.trim, reporter)?;
        let again = sound::measure(open(output, &task.output)?, b, None, reporter)?;
        if task.sound {
            // Both are counted from the first picture; sound alone from its own start.
            let first = measured.pictures.as_ref();
            // What an output has before time zero is priming, which is not heard.
            let alone = (heard.start, again.start.max(0.0));
            let from = first.map_or(alone, |p| (p.source_first, p.output_first));
            let a = sound::Mono::open(open(source, &task.source)?, a, from.0)?;
            let b = sound::Mono::open(open(output, &task.output)?, b, from.1)?;
            // Of a part no more than that; otherwise to the end of the source.
            let until = task.trim.and_then(|trim| trim.to).map(|to| to as f64 / 1e6 - from.0);
            measured.seconds.extend(sound::compare(a, b, (track, until), reporter)?);
            if task.trim.is_none() && heard.channels == again.channels && heard.channels > 1 {
                let a = channels::levels(open(source, &task.source)?, &task.source.sounds[track], reporter)?;
                let b = channels::levels(open(output, &task.output)?, &task.output.sounds[track], reporter)?;
                measured.channels.extend(channels::compare(&a, &b, track));
            }
        }
        measured.sounds.push(crate::protocol::SoundMeasured { source: heard, output: again });
    }
    Ok(measured)
}

/// Opens one side anew, from its start.
fn open(file: &File, side: &ComparedStreams) -> Result<Source, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading it"))?;
    let mut source = Source::open(copy, Depth::Header)?;
    source.set_discontinuities(&side.jumps);
    Ok(source)
}

/// The most fragments that are reported: one a second of a day, and as many again.
const MOST_FRAGMENTS: usize = 200_000;

/// Returns the movie fragments of a file of one track.
fn fragments(file: &File) -> Result<Vec<FoundFragment>, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading it"))?;
    let source = Source::open(copy, Depth::Header)?;
    let mut found = Vec::new();
    if !source.is_movie() {
        return Ok(found);
    }
    let clock = source.clock(0);
    let time = |ticks: i64| seconds((ticks, clock));
    // What can't be read is missing from the list, by which the caller finds it.
    let _ = source.fragments(&mut |fragment| {
        found.push(FoundFragment {
            offset: fragment.offset,
            bytes: fragment.end() - fragment.offset,
            start: time(fragment.start.cast_signed()),
            seconds: time(fragment.duration().cast_signed()),
            shown: (time(fragment.times().min().unwrap_or(0)), time(fragment.times().max().unwrap_or(0))),
            is_key: fragment.samples.first().is_some_and(|sample| sample.is_keyframe),
        });
        if found.len() < MOST_FRAGMENTS { Ok(()) } else { Err("there are too many".into()) }
    });
    Ok(found)
}

/// How many text tracks have packets.
fn texts(file: &File, reporter: &mut Reporter) -> Result<usize, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading it"))?;
    let mut source = Source::open(copy, Depth::Header)?;
    let is_text = |stream: &ff::Stream<'_>| stream.parameters().medium() == ff::media::Type::Subtitle;
    let mut empty: HashSet<usize> =
        source.input.streams().filter(is_text).map(|stream| stream.index()).collect();
    let all = empty.len();
    let mut packet = Packet::empty();
    while !empty.is_empty() && source.next_packet(&mut packet).is_ok() {
        reporter.progress(0, 0);
        empty.remove(&packet.stream());
    }
    Ok(all - empty.len())
}

/// TS-1: where decoding times of a stream do not increase.
fn disorder(file: &File, reporter: &mut Reporter) -> Result<Option<String>, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading it"))?;
    let mut source = Source::open(copy, Depth::Header)?;
    let mut last: HashMap<usize, i64> = HashMap::new();
    let mut packet = Packet::empty();
    while source.next_packet(&mut packet).is_ok() {
        reporter.progress(0, 0);
        let Some(dts) = packet.dts() else { continue };
        if let Some(before) = last.insert(packet.stream(), dts)
            && before >= dts
        {
            return Ok(Some(format!("stream {}: {dts} after {before}", packet.stream())));
        }
    }
    Ok(None)
}
