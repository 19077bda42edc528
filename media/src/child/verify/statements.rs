//! What an output states of itself, held to what is in it.

use std::fs::File;

use ffmpeg_next::{Packet, Stream};
use millrace_formats::{Codec, TABLES, container::Index};

use crate::{
    boxes::{Movie, Track},
    child::{
        failure::Failure,
        libav::{codec::codec_name, stream::fields},
        report::Reporter,
        source::{Depth, Source},
    },
    matroska::{Block, Cue, Segment},
};

/// The most samples of an mp4 whose times are looked at.
const MOST_SAMPLES: u64 = 50_000_000;
/// How far the length in an flv's metadata may be off, in seconds: writers count from the first packet or from zero.
const LENGTH_SLACK: f64 = 0.25;
/// How far behind its last block a Matroska file may say that it ends, in seconds: the last picture may be shown for long.
const MOST_BEHIND: f64 = 10.0;
/// The most bytes of attached files of a Matroska file that are read.
const MOST_ATTACHED: u64 = 64 << 20;

/// Returns what is not true, a line each.
pub(super) fn untrue(output: &File, reporter: &mut Reporter) -> Result<Vec<String>, Failure> {
    let copy = || output.try_clone().map_err(Failure::at("reading it"));
    let source = Source::open(copy()?, Depth::Header)?;
    let mut untrue = Vec::new();
    let index = TABLES.container_of_demuxer(&source.container()).map(|container| container.index);
    if index == Some(Index::Movie)
        && let Some(movie) = source.movie(MOST_SAMPLES)
    {
        untrue.extend(movie.tracks.iter().enumerate().filter_map(|(i, track)| overlong(&movie, i, track)));
        keyframes(Source::open(copy()?, Depth::Packets)?, &mut untrue, reporter);
    }
    if index == Some(Index::Tags)
        && let Some(says) = source.flv_duration().filter(|says| *says > 0.0)
    {
        let ends = last_time(Source::open(copy()?, Depth::Packets)?, reporter);
        if (says - ends).abs() > LENGTH_SLACK {
            untrue.push(format!("it says that it is {says:.3} s long, and its packets end at {ends:.3} s"));
        }
    }
    if index == Some(Index::Blocks)
        && let Some(segment) = source.matroska(MOST_SAMPLES, MOST_ATTACHED)
    {
        untrue.extend(length_of_blocks(&segment));
        untrue.extend(entries(&segment));
    }
    Ok(untrue)
}

/// A length that ends before a block begins, or long behind the last one.
fn length_of_blocks(segment: &Segment) -> Option<String> {
    let blocks = segment.tracks.iter().flat_map(|track| {
        // Where no length is stated, any may be meant.
        let usual = track.default_duration.unwrap_or(0) as f64 / segment.scale as f64;
        let end = move |block: &Block| block.duration.map_or(usual, |length| length as f64);
        track.blocks.iter().map(move |block| (block.time as f64, block.time as f64 + end(block)))
    });
    let (start, end) = blocks.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
    let says = segment.duration.filter(|says| *says > 0.0)?;
    let seconds = |ticks: f64| ticks * segment.scale as f64 / 1e9;
    (seconds(start - says) > LENGTH_SLACK || seconds(says - end) > MOST_BEHIND).then(|| {
        let (says, end) = (seconds(says), seconds(end));
        format!("it says that it is {says:.3} s long, and its blocks end at {end:.3} s")
    })
}

/// Entries of the index that name no keyframe.
fn entries(segment: &Segment) -> Option<String> {
    let is_there = |cue: &Cue| {
        let track = segment.tracks.iter().find(|track| track.number == cue.track);
        let blocks = track.map_or(&[][..], |track| &track.blocks);
        let at = blocks.binary_search_by_key(&cue.place, |block| block.place);
        // Writers may leave out where in its Cluster a block is.
        cue.place.1 == 0 || at.is_ok_and(|at| blocks[at].is_keyframe && blocks[at].time == cue.time)
    };
    let wrong = segment.cues.iter().filter(|cue| !is_there(cue)).count();
    (wrong > 0).then(|| format!("its index lists {wrong} blocks that are not there, or are no keyframes"))
}

/// A track that is shown for longer than its samples last.
fn overlong(movie: &Movie, number: usize, track: &Track) -> Option<String> {
    let shown = track.presentation(movie)?;
    let times = track.samples.times.iter();
    // Of PCM there is a sample for each time.
    let all = track.samples.is_each_tick.then(|| i64::try_from(track.samples.total).unwrap_or(i64::MAX));
    let end = all.or_else(|| times.clone().map(|(time, length)| time + i64::from(*length)).max())?;
    // Where pictures are decoded in another order, only the header says how long the last one is shown.
    let first = times.map(|(time, _)| *time).min().unwrap_or(0);
    let end = end.max(first.saturating_add(i64::try_from(track.media_duration).unwrap_or(0)));
    let seconds = |ticks: f64, timescale: u32| ticks / f64::from(timescale);
    let lasts = seconds((end - shown.media_time) as f64, track.timescale);
    let says = seconds(shown.length as f64, shown.length_timescale);
    // Lengths of edits are rounded, to milliseconds by most writers.
    (says > lasts + 0.0025)
        .then(|| format!("track {number} is shown for {says:.3} s, and its samples last {lasts:.3} s"))
}

/// Pictures of a codec that outputs hold that an index calls keyframes, though a decoder can't begin there.
fn keyframes(mut source: Source, untrue: &mut Vec<String>, reporter: &mut Reporter) {
    let video = source.input.streams().find_map(|stream| Some((stream.index(), codec(&stream)?)));
    let Some((stream, codec)) = video else { return };
    let mut enterable = Vec::new();
    let mut packet = Packet::empty();
    while source.next_packet(&mut packet).is_ok() {
        reporter.progress(0, 0);
        if packet.stream() == stream {
            enterable.push(codec.is_entry_point(packet.data().unwrap_or_default()));
        }
    }
    let Some(flagged) = source.listed_keyframes(stream) else { return };
    let wrong =
        flagged.iter().zip(&enterable).filter(|(flagged, enterable)| **flagged && !**enterable).count();
    if flagged.len() == enterable.len() && wrong > 0 {
        untrue.push(format!("its index calls {wrong} pictures keyframes that are none"));
    }
}

/// The codec of a stream of pictures, if outputs hold it.
fn codec(stream: &Stream<'_>) -> Option<&'static dyn Codec> {
    let name = codec_name(fields(stream).1);
    TABLES.codec(&name).ok().filter(|codec| codec.video().is_some())
}

/// When the last packet of any stream begins or ends, in seconds.
fn last_time(mut source: Source, reporter: &mut Reporter) -> f64 {
    let mut last = 0.0_f64;
    let mut packet = Packet::empty();
    while source.next_packet(&mut packet).is_ok() {
        reporter.progress(0, 0);
        let Some(pts) = packet.pts() else { continue };
        let clock = source.clock(i32::try_from(packet.stream()).unwrap_or(-1));
        last = last.max((pts + packet.duration()) as f64 * clock.num as f64 / clock.den as f64);
    }
    last
}
