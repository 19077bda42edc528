//! The proof of an output: it is read again, as any player would, and held to what was put in. What is found there, and
//! nothing else, is what its record says of it.

mod headers;

use std::fs::File;

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{AVCodecParameters, AVFieldOrder, AVMediaType, AVStream},
};
use millrace_schemas::{AudioFacts, Color, OutputPlan, TrackSum, VideoFacts};
use millrace_topology::invariants::as_many_samples;

use super::{
    Failure, Reporter,
    inspect::{codec_name, pixel_format_name},
    layout::{Layout, describe},
    mux::{Container, is_cover},
    source::{Depth, Source},
    text,
    units::{digest_of_packet, framed_units},
};
use crate::{
    boxes::{Movie, Track},
    packets::Header,
    protocol::Merged,
    timeline::{Clock, place},
};

/// What the output must show of a track.
pub(crate) struct Expected {
    pub(crate) header: Header,
    pub(crate) sum: TrackSum,
    /// Each packet in decoding order: its presentation time in `clock`, counted from the output's time zero, and the
    /// digest of what is in it.
    pub(crate) packets: Vec<(i64, u64)>,
    /// The clock of the output's stream.
    pub(crate) clock: Clock,
    /// When the track ends, in `clock`.
    pub(crate) ends: i64,
    /// The length of its last packet in decoding order, in `clock`.
    pub(crate) last_length: i64,
    /// When the last of its packets ends, heard or not, in `clock`.
    pub(crate) media_end: i64,
}

impl Expected {
    /// What its packets are, in words.
    fn what(&self) -> &'static str {
        match &self.header {
            Header { video: Some(_), .. } => "pictures",
            Header { audio: Some(_), .. } => "packets of sound",
            _ => "texts",
        }
    }

    fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 * self.clock.num as f64 / self.clock.den as f64
    }
}

/// What was found of a track; times in the track's clock, counted from the output's time zero where the container says so.
#[derive(Default)]
struct Found {
    /// As in [`Expected::packets`].
    packets: Vec<(i64, u64)>,
    first_dts: Option<i64>,
    last_dts: Option<i64>,
    /// Whether each is a picture that nothing before it is needed for.
    keyframes: Vec<bool>,
    /// The time of the first picture, or of the first sample that is heard.
    first: i64,
    /// The end; `None` where the container can't say.
    end: Option<i64>,
}

/// Reads an output again and holds it to what was put in: FR-1, TS-1, AU-1. Gives what was found. `movie_ticks` are those a
/// second of its movie clock, of a container that has one.
pub(crate) fn prove(
    file: File,
    plan: &OutputPlan,
    container: Container,
    expected: (&[Expected], i64),
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let (expected, movie_ticks) = expected;
    let copy = || file.try_clone().map_err(Failure::at("reading the output again"));
    let source = Source::open(copy()?, Depth::Header)?;
    streams(&source, plan, container, expected)?;
    for (i, track) in expected.iter().enumerate() {
        parameters(&source, i, track)?;
    }
    let mut found = packets(Source::open(copy()?, Depth::Packets)?, expected, reporter)?;
    for (track, found) in expected.iter().zip(&mut found) {
        same_packets(track, &found.packets)?;
        // Where the container has no edit lists, all is moved behind zero, and shown.
        found.first = found.packets.iter().map(|packet| packet.0).min().unwrap_or(0);
    }
    if container.edit_lists {
        let movie = movie(&source, expected)?;
        if i64::from(movie.timescale) != movie_ticks {
            return Err(unproven(format!(
                "its clock has {} ticks instead of {movie_ticks}",
                movie.timescale
            )));
        }
        let longest = movie.tracks.iter().map(|track| track.tkhd_duration).max().unwrap_or(0);
        // Tracks of other clocks are rounded.
        if movie.duration.abs_diff(longest) > u64::from(movie.timescale / 1000) {
            let says = movie.duration;
            return Err(unproven(format!("it says that it is {says} ticks long instead of {longest}")));
        }
        // A cover is no track, but lies in the header.
        let in_movie = expected.iter().zip(&mut found).filter(|(track, _)| !is_cover(&track.header));
        for (i, (track, found)) in in_movie.enumerate() {
            presentation(&movie, i, track, found)?;
        }
    } else {
        in_step(expected, &found)?;
        length(&source, expected, &found)?;
    }
    Ok(facts(&source, expected, &found))
}

/// Reads all packets, as they lie in the file: what a demuxer makes of an edit list is not the file's word.
fn packets(
    mut source: Source,
    expected: &[Expected],
    reporter: &mut Reporter,
) -> Result<Vec<Found>, Failure> {
    let mut found: Vec<Found> = expected.iter().map(|_| Found::default()).collect();
    for (i, track) in expected.iter().enumerate() {
        let clock = i32::try_from(i).map(|i| source.clock(i)).ok();
        let same = |c: Clock| c.num * track.clock.den == c.den * track.clock.num;
        if !clock.is_some_and(same) && !track.packets.is_empty() {
            return Err(unproven("its clock is another".into()));
        }
    }
    let mut packet = Packet::empty();
    loop {
        match packet.read(&mut source.input) {
            Ok(()) => {}
            Err(ff::Error::Eof) => break,
            Err(error) => return Err(unproven(format!("it can't be read again: {error}"))),
        }
        reporter.progress(0, 0);
        let Some(track) = found.get_mut(packet.stream()) else { continue };
        let Some(asked) = expected.get(packet.stream()) else { continue };
        if asked.header.side.is_some() && (is_cover(&asked.header) || packet.size() <= EMPTY_TEXT) {
            continue;
        }
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
            return Err(unproven("a packet has no time".into()));
        };
        if track.last_dts.is_some_and(|last| last >= dts) {
            return Err(unproven(format!("decoding times don't increase at {dts}")));
        }
        track.first_dts.get_or_insert(dts);
        track.last_dts = Some(dts);
        if packet.side_data().any(|data| data.kind() == ff::packet::side_data::Type::NewExtraData) {
            return Err(unproven(format!("its codec headers change at {dts}")));
        }
        track.keyframes.push(is_keyframe(&packet));
        let digest = digest_of_packet(packet.data().unwrap_or_default(), asked.header.video.is_some(), true);
        track.packets.push((pts, digest));
    }
    for (i, (track, found)) in expected.iter().zip(&found).enumerate() {
        let listed = source.listed_keyframes(i).filter(|_| track.header.video.is_some());
        if listed.is_some_and(|listed| listed.len() == found.keyframes.len() && listed != found.keyframes) {
            return Err(unproven("its index lists other keyframes than it has".into()));
        }
    }
    Ok(found)
}

/// FR-1, TS-1: the packets are those that were put in, in their order, and as far from each other.
fn same_packets(track: &Expected, found: &[(i64, u64)]) -> Result<(), Failure> {
    let what = track.what();
    if found.len() != track.packets.len() {
        return Err(unproven(format!("{} {what} instead of {}", found.len(), track.packets.len())));
    }
    let (Some(first), Some(asked)) = (found.first(), track.packets.first()) else { return Ok(()) };
    for (number, (found, put)) in found.iter().zip(&track.packets).enumerate() {
        if found.1 != put.1 {
            return Err(unproven(format!("{what}: number {number} is not the one that was put in")));
        }
        // Where time zero lies is held apart from this: it is the container's affair.
        if found.0 - first.0 != put.0 - asked.0 {
            return Err(unproven(format!(
                "{what}: one at {} ticks should be at {}",
                found.0 - first.0,
                put.0 - asked.0
            )));
        }
    }
    Ok(())
}

/// Whether a packet of H.264 is of a picture that nothing before it is needed for (IDR).
fn is_keyframe(packet: &Packet) -> bool {
    let units = framed_units(packet.data().unwrap_or_default());
    units.iter().any(|unit| unit.first().is_some_and(|byte| byte & 31 == 5))
}

/// Where a container has no edit lists, all tracks are moved by as much, to a tick.
fn in_step(expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    let moved = expected.iter().zip(found).filter_map(|(track, found)| {
        let (found, put) = (found.packets.first()?, track.packets.first()?);
        Some(track.seconds(found.0 - put.0))
    });
    let moved: Vec<f64> = moved.collect();
    let (least, most) = (moved.iter().copied().reduce(f64::min), moved.iter().copied().reduce(f64::max));
    let apart = most.zip(least).map_or(0.0, |(most, least)| most - least);
    if apart > 0.0015 {
        return Err(unproven(format!("its tracks are moved against each other by {apart:.3} s")));
    }
    Ok(())
}

/// What an mp4's own boxes say.
fn movie(source: &Source, expected: &[Expected]) -> Result<Movie, Failure> {
    // Between two texts lies an empty one.
    let most = expected.iter().map(|track| 2 * track.packets.len() as u64 + 2).sum();
    let tracks = expected.iter().filter(|track| !is_cover(&track.header)).count();
    let movie = source.movie(most).filter(|movie| movie.tracks.len() >= tracks);
    movie.ok_or_else(|| unproven("its boxes can't be read".into()))
}

/// AU-1: what an mp4's edit list shows of a track is what was put in: from its first picture or sample to the end of its last.
fn presentation(movie: &Movie, i: usize, track: &Expected, found: &mut Found) -> Result<(), Failure> {
    if track.header.side.is_some() {
        return Ok(());
    }
    let what = track.what();
    let file = movie.tracks.get(i).ok_or_else(|| unproven("a track is missing".into()))?;
    let shown = file.presentation(movie);
    let shown = shown.ok_or_else(|| unproven(format!("the edit list of its {what} is not as written")))?;
    if i128::from(file.timescale) * i128::from(track.clock.num) != i128::from(track.clock.den) {
        return Err(unproven(format!("the clock of its {what} is another")));
    }
    if file.samples.times.len() != track.packets.len() {
        let (found, asked) = (file.samples.times.len(), track.packets.len());
        return Err(unproven(format!("its index lists {found} {what} instead of {asked}")));
    }
    let ticks = |time: u64, timescale: u32| {
        let clock = Clock { num: 1, den: i64::from(timescale) };
        place(i64::try_from(time).unwrap_or(i64::MAX), clock, (0, clock), track.clock)
    };
    let start = ticks(shown.start, movie.timescale);
    let at_zero = |pts: i64| pts - shown.media_time + start;
    for ((pts, _), (asked, _)) in file.samples.times.iter().zip(&track.packets) {
        if at_zero(*pts) != *asked {
            return Err(unproven(format!(
                "its index has {what} at {} ticks instead of {asked}",
                at_zero(*pts)
            )));
        }
    }
    let first = track.packets.iter().map(|packet| packet.0).min().unwrap_or(0) + track.header.padding;
    let end = ticks(shown.start, movie.timescale) + ticks(shown.length, shown.length_timescale);
    // A movie clock that is no multiple of the track's is rounded.
    let slack = i64::from(!u64::from(movie.timescale).is_multiple_of(u64::from(file.timescale)));
    if (start - first).abs() > slack || (end - track.ends).abs() > slack {
        return Err(unproven(format!(
            "its {what} are shown from {start} to {end} ticks instead of {first} to {}",
            track.ends
        )));
    }
    lengths(movie, file, end, track)?;
    (found.first, found.end) = (start, Some(end));
    Ok(())
}

/// An mp4 says in several places how long a track is: all of them are true. `end` is when it ends in ticks of the track.
fn lengths(movie: &Movie, file: &Track, end: i64, track: &Expected) -> Result<(), Failure> {
    let what = track.what();
    let first = track.packets.iter().map(|packet| packet.0).min().unwrap_or(0);
    let wrong = |where_: &str, found: i64, asked: i64| {
        Err(unproven(format!("{where_} of its {what} is {found} ticks instead of {asked}")))
    };
    let last = file.samples.times.last().map_or(0, |(_, length)| i64::from(*length));
    if last != track.last_length {
        return wrong("the length of the last", last, track.last_length);
    }
    let (media, asked) = (i64::try_from(file.media_duration).unwrap_or(i64::MAX), track.media_end - first);
    if media != asked {
        return wrong("the length in the media header", media, asked);
    }
    let clock = Clock { num: 1, den: i64::from(movie.timescale) };
    let (whole, asked) =
        (i64::try_from(file.tkhd_duration).unwrap_or(i64::MAX), place(end, track.clock, (0, clock), clock));
    // A coarse clock of the source is rounded.
    if (whole - asked).abs() > i64::from(movie.timescale / 1000) {
        return wrong("the length in the track header", whole, asked);
    }
    Ok(())
}

/// A container without edit lists says in its header how long it is.
fn length(source: &Source, expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    let says = source.flv_duration().ok_or_else(|| unproven("it does not say how long it is".into()))?;
    // It is counted from the first decoding time to where the last track ends, with all that the tracks were moved by.
    let ends = expected.iter().zip(found).filter_map(|(track, found)| {
        let moved = found.packets.first()?.0 - track.packets.first()?.0;
        Some(track.seconds(track.ends + moved))
    });
    let starts =
        expected.iter().zip(found).filter_map(|(track, found)| Some(track.seconds(found.first_dts?)));
    let asked = ends.fold(0.0, f64::max) - starts.reduce(f64::min).unwrap_or(0.0);
    let frame = expected.iter().map(|t| t.header.frame_size as f64 / f64::from(t.header.clock.1.max(1)));
    // Times are rounded to milliseconds, and the last packet of sound may count in full.
    let slack = 0.02 + frame.fold(0.0, f64::max);
    if (says - asked).abs() > slack {
        return Err(unproven(format!("it says that it is {says:.3} s long instead of {asked:.3} s")));
    }
    Ok(())
}

/// A text of no length, which says that the one before it goes: two bytes of length.
const EMPTY_TEXT: usize = 2;

fn unproven(what: String) -> Failure {
    Failure::new(format!("the output could not be proven right and was not published: {what}"))
}

/// The streams are those that were put in, chapters and title, too; behind them only what a container makes of chapters
/// and timecode.
fn streams(
    source: &Source,
    plan: &OutputPlan,
    container: Container,
    expected: &[Expected],
) -> Result<(), Failure> {
    let count = source.input.nb_streams() as usize;
    let made = source.input.streams().skip(expected.len()).all(|stream| {
        // SAFETY: a stream of an open context has parameters.
        let kind = unsafe { (*(*stream.as_ptr()).codecpar).codec_type };
        kind == AVMediaType::AVMEDIA_TYPE_DATA || kind == AVMediaType::AVMEDIA_TYPE_SUBTITLE
    });
    if count < expected.len() || !made {
        return Err(unproven(format!("{count} streams instead of {}", expected.len())));
    }
    let Some(extras) = plan.extras.as_ref().filter(|_| container.edit_lists) else { return Ok(()) };
    let chapters = source.input.nb_chapters() as usize;
    if chapters != extras.chapters.len() {
        return Err(unproven(format!("{chapters} chapters instead of {}", extras.chapters.len())));
    }
    let title = extras.metadata.get("title");
    if title.is_some_and(|title| text::of_input(&source.input, "title").as_ref() != Some(title)) {
        return Err(unproven("its title is another".into()));
    }
    Ok(())
}

/// A stream's own fields and its codec's parameters.
fn raw<'a>(stream: &'a ff::Stream<'_>) -> (&'a AVStream, &'a AVCodecParameters) {
    // SAFETY: a stream of an open context has parameters, and both live as long as the context, which is borrowed.
    unsafe { (&*stream.as_ptr(), &*(*stream.as_ptr()).codecpar) }
}

fn extradata(parameters: &AVCodecParameters) -> &[u8] {
    let size = usize::try_from(parameters.extradata_size).unwrap_or(0);
    if parameters.extradata.is_null() {
        return &[];
    }
    // SAFETY: the private data is of the size that it says, and lives as long as the parameters.
    unsafe { std::slice::from_raw_parts(parameters.extradata, size) }
}

fn field_order(parameters: &AVCodecParameters) -> i32 {
    match parameters.field_order {
        AVFieldOrder::AV_FIELD_TT | AVFieldOrder::AV_FIELD_BT => 1,
        AVFieldOrder::AV_FIELD_BB | AVFieldOrder::AV_FIELD_TB => 2,
        _ => 0,
    }
}

fn parameters(source: &Source, index: usize, track: &Expected) -> Result<(), Failure> {
    let stream = source.input.stream(index).ok_or_else(|| unproven("a stream is missing".into()))?;
    let (s, p) = raw(&stream);
    let mut wrong = Vec::new();
    let hold = |wrong: &mut Vec<String>, what: &str, found: i64, asked: i64| {
        if found != asked {
            wrong.push(format!("{what} {found} instead of {asked}"));
        }
    };
    if let Some(video) = &track.header.video {
        hold(&mut wrong, "stream kind", p.codec_type as i64, AVMediaType::AVMEDIA_TYPE_VIDEO as i64);
        hold(&mut wrong, "width", p.width.into(), video.width.into());
        hold(&mut wrong, "height", p.height.into(), video.height.into());
        hold(&mut wrong, "display matrices", turns(s), 0);
        hold(&mut wrong, "field order", field_order(p).into(), video.field_order.into());
        let unspecified = |n: i32| n == 2 || n == 0;
        for (what, found, asked) in [
            ("colour primaries", p.color_primaries as i32, video.color.primaries),
            ("transfer", p.color_trc as i32, video.color.transfer),
            ("colour matrix", p.color_space as i32, video.color.matrix),
            ("range", (p.color_range as i32).max(1), video.color.range.max(1)),
        ] {
            if !unspecified(asked) || what == "range" {
                hold(&mut wrong, what, found.into(), asked.into());
            }
        }
        let aspect = sample_aspect(s, p);
        let asked = video.sample_aspect.as_f64();
        if video.sample_aspect.num > 0 && aspect > 0.0 && (aspect - asked).abs() > 0.001 * asked {
            wrong.push(format!("sample aspect {aspect:.4} instead of {asked:.4}"));
        }
    }
    if let Some(audio) = &track.header.audio {
        hold(&mut wrong, "stream kind", p.codec_type as i64, AVMediaType::AVMEDIA_TYPE_AUDIO as i64);
        hold(&mut wrong, "sample rate", p.sample_rate.into(), audio.sample_rate.into());
        hold(&mut wrong, "channels", p.ch_layout.nb_channels.into(), audio.channels.into());
        let (found, asked) = (describe(&p.ch_layout), Layout::of(audio)?.name());
        if found != asked {
            wrong.push(format!("channel layout {found} instead of {asked}"));
        }
        // AU-1: what the packets hold, less priming, is what went in, to within one codec frame.
        let held = track.packets.len() as i64 * track.header.frame_size - track.header.padding;
        if let Err(violation) = as_many_samples(track.sum.units, held, track.header.frame_size.max(1)) {
            wrong.push(violation.what);
        }
    }
    if track.header.side.is_none()
        && !headers::same(&track.header.extradata, extradata(p), track.header.video.is_some())
    {
        wrong.push("its codec headers are not the encoder's".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(unproven(wrong.join(", "))) }
}

/// How many display matrices a stream has.
fn turns(stream: &AVStream) -> i64 {
    // SAFETY: the side data is of an open context's stream, and only asked for.
    let matrix = unsafe {
        let kind = ff::ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        ff::ffi::av_stream_get_side_data(stream, kind, std::ptr::null_mut())
    };
    i64::from(!matrix.is_null())
}

fn sample_aspect(s: &AVStream, p: &AVCodecParameters) -> f64 {
    let aspect = if s.sample_aspect_ratio.num > 0 { s.sample_aspect_ratio } else { p.sample_aspect_ratio };
    f64::from(aspect.num) / f64::from(aspect.den.max(1))
}

/// What the file shows.
fn facts(source: &Source, expected: &[Expected], found: &[Found]) -> Merged {
    let ends = expected.iter().zip(found).filter_map(|(track, found)| Some(track.seconds(found.end?)));
    let says = source.flv_duration().unwrap_or(0.0);
    let mut merged = Merged {
        duration_seconds: ends.reduce(f64::max).unwrap_or(says),
        video: None,
        audio: None,
        more_audio: Vec::new(),
        text: Vec::new(),
        chapters: i32::try_from(source.input.nb_chapters()).unwrap_or(i32::MAX),
        warnings: Vec::new(),
    };
    for (i, (track, found)) in expected.iter().zip(found).enumerate() {
        let Some(stream) = source.input.stream(i) else { continue };
        let (s, p) = raw(&stream);
        let headers = blake3::hash(extradata(p)).to_hex()[..16].to_owned();
        let language = text::of(&stream, "language").filter(|l| l != "und").unwrap_or_default();
        let first_seconds = track.seconds(found.first);
        let end_seconds = found.end.map_or(0.0, |end| track.seconds(end));
        if track.header.video.is_some() {
            let last = track.seconds(found.first + last_behind_first(&found.packets));
            let frames = found.packets.len();
            let span = last - first_seconds;
            merged.video = Some(VideoFacts {
                codec: codec_name(p),
                width: p.width,
                height: p.height,
                frames: i64::try_from(frames).unwrap_or(i64::MAX),
                first_seconds,
                last_seconds: last,
                end_seconds,
                frame_rate: if span > 0.0 { (frames - 1) as f64 / span } else { 0.0 },
                pixel_format: pixel_format_name(p.format).unwrap_or_default(),
                sample_aspect: sample_aspect(s, p),
                color: Some(Color {
                    primaries: p.color_primaries as i32,
                    transfer: p.color_trc as i32,
                    matrix: p.color_space as i32,
                    range: p.color_range as i32,
                    chroma: p.chroma_location as i32,
                }),
                field_order: field_order(p),
                headers,
            });
        } else if track.header.audio.is_some() {
            let held = found.packets.len() as i64 * track.header.frame_size;
            let audio = AudioFacts {
                codec: codec_name(p),
                sample_rate: p.sample_rate,
                // Containers without edit lists can't say that an encoder's priming and padding are not heard.
                samples: found.end.map_or(held, |end| end - found.first),
                channels: p.ch_layout.nb_channels,
                layout: describe(&p.ch_layout),
                first_seconds,
                end_seconds,
                language,
                headers,
            };
            match merged.audio {
                None => merged.audio = Some(audio),
                Some(_) => merged.more_audio.push(audio),
            }
        } else if !is_cover(&track.header) {
            merged.text.push(language);
        }
    }
    merged
}

/// How far the last picture is behind the first, in ticks.
fn last_behind_first(packets: &[(i64, u64)]) -> i64 {
    let times = || packets.iter().map(|packet| packet.0);
    times().max().unwrap_or(0) - times().min().unwrap_or(0)
}
