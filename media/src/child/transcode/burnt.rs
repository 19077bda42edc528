//! Text tracks of the source that are laid over its pictures: the texts that are shown in the ranges of a task.

use std::fs::File;

use ffmpeg_next::Packet;
use millrace_schemas::{Seek, SeekBy, VideoFilters};

use crate::{
    captions::Caption,
    child::{
        assets::Assets,
        codec,
        failure::Failure,
        source::{Depth, Source},
        texts::{MILLISECONDS, Texts},
    },
    protocol::TranscodeTask,
    timeline::rescale_timestamp,
};

/// For how long a text is shown at the most where texts lie between pictures, in milliseconds: one that begins earlier than that
/// before a range is over, so that it need not be looked for.
const LONGEST_SHOWN: i64 = 30_000;
/// How far from the pictures of its time a packet may lie, in milliseconds of the pictures.
const INTERLEAVED: i64 = 5000;
/// What is read around ranges, in milliseconds: pictures at their edges may be moved by a tick.
const AROUND: i64 = 1000;

/// Adds the texts of the tracks that are laid over pictures of a task.
///
/// # Errors
/// If the source can't be read, or has no such track.
pub(super) fn add_tracks(file: &File, task: &TranscodeTask, assets: &mut Assets) -> Result<(), Failure> {
    let filters = task.renditions.iter().filter_map(|rendition| rendition.video.as_ref()?.filters.as_ref());
    let track = |filters: &VideoFilters| {
        filters
            .subtitles
            .as_ref()
            .filter(|subtitles| subtitles.file.is_none())
            .map(|subtitles| subtitles.stream)
    };
    let mut streams: Vec<i32> = filters.filter_map(track).collect();
    streams.sort_unstable();
    streams.dedup();
    streams.into_iter().try_for_each(|stream| {
        assets.add_track(stream, read(file, task, stream)?);
        Ok(())
    })
}

/// Reads the texts of a stream that are shown in the ranges of a task, by another opening of the source.
fn read(file: &File, task: &TranscodeTask, stream: i32) -> Result<Vec<Caption>, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading the source"))?;
    let mut source = Source::open(copy, Depth::Decoding)?;
    source.set_discontinuities(&task.jumps);
    let encoder = codec::encoder(codec::text(), "")?;
    let mut texts = Texts::open((&source.parameters(stream)?, source.clock(stream)), encoder)?;
    let clock = source.clock(task.stream);
    let milliseconds = |ticks: i64| rescale_timestamp(ticks, clock, (0, MILLISECONDS), MILLISECONDS);
    let start = task.ranges.first().and_then(|range| range.start).map(milliseconds);
    let end = task.ranges.last().and_then(|range| range.end).map(milliseconds);
    // An mp4 lists each sample of a track with its time, and what is shown at a time is one sample. Elsewhere texts lie between
    // pictures, and only these say how far it has been read.
    let is_listed = source.is_movie();
    let (streams, by, before) = if is_listed {
        (vec![stream], stream, AROUND)
    } else {
        (vec![stream, task.stream], task.stream, LONGEST_SHOWN + INTERLEAVED)
    };
    source.only(&streams)?;
    if let Some(start) = start
        && task.jumps.is_empty()
        && (is_listed || source.is_matroska())
    {
        let at = rescale_timestamp(
            start.saturating_sub(before),
            MILLISECONDS,
            (0, source.clock(by)),
            source.clock(by),
        );
        if !source.seek(by, Seek { by: SeekBy::Time, at, state: 0 }) {
            source.rewind(by);
        }
    }
    let behind = if is_listed { AROUND } else { INTERLEAVED };
    let is_behind = |time: i64| end.is_some_and(|end| time >= end.saturating_add(behind));
    let mut packet = Packet::empty();
    while let Ok(Some(found)) = source.read_as_it_is(&streams, &mut packet) {
        source.apply_discontinuities(&mut packet, (found, found));
        if found != stream {
            if packet.dts().or(packet.pts()).is_some_and(|ticks| is_behind(milliseconds(ticks))) {
                break;
            }
            continue;
        }
        let Some(time) = texts.start(&packet) else { continue };
        if is_listed && is_behind(time) {
            break;
        }
        texts.push(&mut packet, time)?;
    }
    let mut captions = texts.take();
    if !is_listed {
        for caption in &mut captions {
            caption.end = caption.end.min(caption.start.saturating_add(LONGEST_SHOWN));
        }
    }
    Ok(captions)
}
