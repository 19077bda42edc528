//! A part of a source whose packets are copied as they are. It begins at a keyframe.

use std::{collections::VecDeque, fs::File};

use ffmpeg_next::{
    self as ff, Packet, Rational,
    ffi::{AVMediaType, AVPacketSideDataType},
    format::context::{Output, StreamIo},
};
use millrace_formats::{Container, container::Contents};
use millrace_schemas::{Seek, SeekBy};

use super::{
    alive,
    codec::{dictionary, tables},
    failure::Failure,
    inspect::{duration_seconds, video_track},
    libav::{codec::name_of, metadata, stream},
    output_file::{FirstError, OutputFile},
    source::{Depth, Source},
};
use crate::{
    excerpt::{TOLERANCE, last_tick},
    protocol::{ClipTask, Clipped},
};

const WRITING: &str = "writing the clip";
/// What is copied of streams beside their packets: how pictures are turned, and what is said of their light.
const SIDE_DATA: [AVPacketSideDataType; 3] = [
    AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
    AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
    AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL,
];
/// How often an earlier start is tried.
const MOST_ATTEMPTS: usize = 8;
/// How many packets are read to name the keyframe that follows.
const MOST_AHEAD: usize = 20_000;
/// The most packets that an index has room for in front.
const MOST_PACKETS: i64 = 1_000_000;

/// A stream that is copied.
struct Copied {
    /// Its index in the source.
    index: i32,
    clock: Rational,
    is_video: bool,
    /// The end of the part, on its clock.
    end: i64,
    has_ended: bool,
    /// Packets behind the end, which others before it may need.
    beyond: VecDeque<Packet>,
}

pub(super) fn clip(source: File, task: &ClipTask, output: File) -> Result<Clipped, Failure> {
    let container = tables().container(&task.container).map_err(Failure::new)?;
    let mut source = Source::open(source, Depth::Header)?;
    let video = video_track(&source)?.stream;
    let (zero, seconds) = (source.start() as f64 / 1e6, duration_seconds(&source));
    if seconds > 0.0 && task.from >= seconds {
        return Err(Failure::new(format!("nothing begins at {:.3} s: it is {seconds:.3} s long", task.from)));
    }
    let tick = |source: &Source, stream: i32| {
        let clock = source.clock(stream);
        clock.num as f64 / clock.den as f64
    };
    let is_sound =
        |stream: &ff::Stream<'_>| stream::fields(stream).1.codec_type == AVMediaType::AVMEDIA_TYPE_AUDIO;
    let sounds = source.input.streams().filter(is_sound).map(|stream| stream::fields(&stream).0.index);
    let streams: Vec<i32> = std::iter::once(video).chain(sounds).collect();
    let to = task.to.unwrap_or(f64::INFINITY);
    let mut copied: Vec<Copied> = Vec::new();
    for index in &streams {
        let clock = source.clock(*index);
        copied.push(Copied {
            index: *index,
            clock: Rational::new(clock.num as i32, clock.den as i32),
            is_video: *index == video,
            // The cast saturates: an endless part has no end.
            end: ((zero + to - TOLERANCE) / tick(&source, *index)).ceil() as i64,
            has_ended: false,
            beyond: VecDeque::new(),
        });
    }
    source.only(&streams)?;
    let wanted = last_tick(zero + task.from, tick(&source, video));
    let (start, mut early) = find_start(&mut source, &streams, wanted)?;
    let begins = start as f64 * tick(&source, video) - zero;
    let is_exact = begins >= task.from - TOLERANCE;
    if !is_exact && !task.snaps {
        let next = keyframe_behind(&mut source, video, wanted);
        let next = next.map(|pts| pts as f64 * tick(&source, video) - zero).filter(|next| *next < to);
        return Err(no_keyframe(task.from, begins, next));
    }
    let mut writer = Writer::open(&source, container, &copied, output)?;
    let origin = zero + begins;
    let mut pictures = 0;
    let mut end = begins;
    let mut packet = Packet::empty();
    while copied.iter().any(|stream| !stream.has_ended) {
        let (mut next, index) = match early.pop_front() {
            Some(early) => early,
            None => match source.read_as_it_is(&streams, &mut packet) {
                Ok(Some(index)) => (std::mem::replace(&mut packet, Packet::empty()), index),
                // Where it can't be read on, the clip ends.
                Ok(None) | Err(_) => break,
            },
        };
        let Some(number) = copied.iter().position(|stream| stream.index == index) else { continue };
        let stream = &mut copied[number];
        let tick = f64::from(stream.clock.numerator()) / f64::from(stream.clock.denominator().max(1));
        let Some(pts) = next.pts().or(next.dts()) else { continue };
        // Sound that is heard before the first picture, and pictures that need those before it.
        if stream.has_ended || (pts as f64) * tick < origin - TOLERANCE {
            continue;
        }
        if next.dts().unwrap_or(pts) >= stream.end {
            stream.has_ended = true;
            continue;
        }
        if pts >= stream.end {
            stream.beyond.push_back(next);
            continue;
        }
        let needed: Vec<Packet> = stream.beyond.drain(..).collect();
        let clock = stream.clock;
        let is_video = stream.is_video;
        for mut needed in needed {
            pictures += u32::from(is_video);
            end = end.max(shown_until(&needed, tick) - zero);
            writer.write(number, &mut needed, clock, origin)?;
        }
        if is_video {
            pictures += 1;
            end = end.max(shown_until(&next, tick) - zero);
        }
        writer.write(number, &mut next, clock, origin)?;
    }
    writer.finish()?;
    if pictures == 0 {
        return Err(Failure::new(format!("there is no picture from {:.3} s on", task.from)));
    }
    Ok(Clipped { from: begins, to: end, pictures, sounds: u32::try_from(streams.len() - 1).unwrap_or(0) })
}

/// Returns until when a picture is shown, in seconds of its clock.
fn shown_until(packet: &Packet, tick: f64) -> f64 {
    packet.pts().unwrap_or(0).saturating_add(packet.duration().max(0)) as f64 * tick
}

/// A packet that was read, with its stream.
type Read = (Packet, i32);

/// Goes to the last keyframe whose picture is shown at or before a tick. Returns its time, and the packets that were read up to it.
fn find_start(source: &mut Source, streams: &[i32], wanted: i64) -> Result<(i64, VecDeque<Read>), Failure> {
    let video = streams.first().copied().unwrap_or(-1);
    let mut place = Some(wanted);
    for _ in 0..MOST_ATTEMPTS {
        let at = place.unwrap_or(i64::MIN);
        if place.is_none() || !source.seek(video, Seek { by: SeekBy::Time, at, state: 0 }) {
            source.rewind(video);
            place = None;
        }
        let mut read = VecDeque::new();
        let mut packet = Packet::empty();
        while let Ok(Some(index)) = source.read_as_it_is(streams, &mut packet) {
            alive::sign();
            let packet = std::mem::replace(&mut packet, Packet::empty());
            let key = packet.pts().filter(|_| index == video && packet.is_key());
            // Before a keyframe no picture can be decoded, and sound is needed from there on.
            if index == video && key.is_none() {
                continue;
            }
            read.push_back((packet, index));
            match key {
                Some(pts) if pts <= wanted || place.is_none() => return Ok((pts, read)),
                Some(_) => break,
                None if read.len() > MOST_AHEAD => break,
                None => {}
            }
        }
        let stream = usize::try_from(video).ok().and_then(|index| source.input.stream(index));
        let before = stream.and_then(|stream| {
            let own = stream::keyframe_before(&stream, at)?;
            stream::keyframe_before(&stream, own.timestamp.checked_sub(1)?)
        });
        place = before.map(|entry| entry.timestamp).filter(|before| *before < at);
    }
    Err(Failure::new("no keyframe is found before that time"))
}

/// Returns the time of the first keyframe behind a tick.
fn keyframe_behind(source: &mut Source, video: i32, tick: i64) -> Option<i64> {
    let mut packet = Packet::empty();
    for _ in 0..MOST_AHEAD {
        alive::sign();
        if source.read_as_it_is(&[video], &mut packet).ok()?.is_some()
            && let Some(pts) = packet.pts().filter(|pts| packet.is_key() && *pts > tick)
        {
            return Some(pts);
        }
    }
    None
}

fn no_keyframe(from: f64, before: f64, next: Option<f64>) -> Failure {
    let next = next.map_or_else(String::new, |next| format!(", and the one behind at {next:.3} s"));
    Failure::new(format!(
        "the picture at {from:.3} s is no keyframe, and packets are copied from a keyframe on: the one before is at {before:.3} s{next}. \
         Give one of these, or --from-keyframe for the one before. To begin between keyframes pictures must be encoded, and a \
         player takes the codec headers of one encoder for a track: 'millrace run' with a profile that has [source] trim encodes \
         the whole part"
    ))
}

/// A clip that is being written.
struct Writer {
    output: Output,
    error: FirstError,
}

impl Writer {
    fn open(source: &Source, container: &Container, copied: &[Copied], file: File) -> Result<Self, Failure> {
        let error = FirstError::default();
        let file = OutputFile::new(file, error.clone()).map_err(Failure::at(WRITING))?;
        let io = StreamIo::from_write_seek_with_capacity(file, 256 << 10).map_err(Failure::at(WRITING))?;
        let mut output =
            ff::format::output_to_stream(io, None, Some(container.muxer)).map_err(Failure::at(WRITING))?;
        for (number, copied) in copied.iter().enumerate() {
            let index = usize::try_from(copied.index).unwrap_or(usize::MAX);
            let of_source =
                source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
            let name = name_of(stream::fields(&of_source).1.codec_id);
            let tag = tables().codec(&name).ok().and_then(|codec| codec.tag(container.muxer));
            stream::add_copy(&mut output, &of_source, tag)?;
            for kind in SIDE_DATA {
                if let Some(data) = stream::side_data(&of_source, kind) {
                    stream::add_side_data(&mut output, number, kind, data)?;
                }
            }
        }
        let mut metadata = ff::Dictionary::new();
        // Where the source was recorded is private.
        let all = metadata::of_input_all(&source.input).into_iter();
        for (key, value) in all.filter(|(key, _)| !key.to_ascii_lowercase().contains("location")) {
            metadata.set(&key, &value);
        }
        output.set_metadata(metadata);
        // The clock of the movie, as fine as players of old can hold.
        let contents = Contents { packets: MOST_PACKETS, text: 1 << 16, covers: 0, movie_ticks: 90_000 };
        let options = dictionary(&(container.options)(&contents));
        let mut writer = Self { output, error };
        let begun = writer.output.write_header_with(options).map(drop);
        begun.map_err(|error| writer.failure(error))?;
        Ok(writer)
    }

    fn failure(&self, error: ff::Error) -> Failure {
        self.error.take().map_or_else(|| Failure::at(WRITING)(error), Failure::at(WRITING))
    }

    /// Writes a packet, whose times are counted from `origin`, in seconds.
    fn write(
        &mut self,
        stream: usize,
        packet: &mut Packet,
        clock: Rational,
        origin: f64,
    ) -> Result<(), Failure> {
        let tick = f64::from(clock.numerator()) / f64::from(clock.denominator().max(1));
        // The cast saturates.
        let moved = (origin / tick).round() as i64;
        packet.set_pts(packet.pts().map(|pts| pts.saturating_sub(moved)));
        packet.set_dts(packet.dts().map(|dts| dts.saturating_sub(moved)));
        let of_file = self.output.stream(stream).map_or(clock, |stream| stream.time_base());
        packet.rescale_ts(clock, of_file);
        packet.set_stream(stream);
        packet.set_position(-1);
        alive::sign();
        let written = packet.write_interleaved(&mut self.output);
        written.map_err(|error| self.failure(error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let ended = self.output.write_trailer();
        ended.map_err(|error| self.failure(error))?;
        let error = self.error.clone();
        // Waits until all is written.
        drop(self);
        error.take().map_or(Ok(()), |error| Err(Failure::at(WRITING)(error)))
    }
}
