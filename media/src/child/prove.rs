//! The proof of an output: it is read again, as any player would, and held to what was put in. What is found there
//! ([`found`]), and nothing else, is what its record says of it.

mod found;
mod frames;
mod sound;

use std::fs::File;

use ffmpeg_next::{self as ff, Packet, ffi::AVMediaType};
use millrace_formats::{Container, container::Index};
use millrace_schemas::{Color, OutputPlan, TrackSum, VideoFacts, VideoSettings};

use self::{
    found::{Found, Media, facts},
    sound::as_many,
};
use super::{
    codec::{self, Codec, Form, Kind},
    failure::Failure,
    libav::{color::LibavColor, metadata, stream::fields},
    mux::is_cover,
    report::Reporter,
    source::{Depth, Source},
};
use crate::{
    boxes::{Movie, Presentation, Track},
    packets::Header,
    protocol::Merged,
    timeline::{Clock, rescale_timestamp},
};

/// What the output must show of a track.
pub(crate) struct Expected {
    pub(crate) header: Header,
    pub(crate) codec: &'static dyn Codec,
    pub(crate) sum: TrackSum,
    /// Each packet in decoding order: its presentation time in `clock`, counted from the output's time zero, and the
    /// digest of what is in it.
    pub(crate) packets: Vec<(i64, u64)>,
    /// The digest of all bytes of its packets, of sound.
    pub(crate) bytes: u64,
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

    /// What it holds, in the words of [`Found::kind`].
    fn kind(&self) -> &'static str {
        match &self.header {
            Header { video: Some(_), .. } => "pictures",
            Header { audio: Some(_), .. } => "sound",
            header if is_cover(header) => "a cover",
            _ => "text",
        }
    }
}

/// Reads an output again and holds it to what was put in: FR-1, TS-1, AU-1. Gives what was found. `movie_ticks` are those a
/// second of its movie clock, of a container that has one.
pub(crate) fn prove(
    file: File,
    plan: &OutputPlan,
    container: &Container,
    expected: (&[Expected], i64),
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let (expected, movie_ticks) = expected;
    let copy = || file.try_clone().map_err(Failure::at("reading the output again"));
    let source = Source::open(copy()?, Depth::Header)?;
    streams(&source, plan, container, expected)?;
    let mut found = Vec::new();
    for (i, track) in expected.iter().enumerate() {
        let file = Found::of(&source, i).ok_or_else(|| unproven("a stream is missing".into()))?;
        parameters(&file, track)?;
        found.push(file);
    }
    if let Index::Frames | Index::Samples = container.index {
        let again = Source::open(copy()?, Depth::Packets)?;
        let (Some(track), Some(found)) = (expected.first(), found.first_mut()) else {
            return Err(unproven("it holds nothing".into()));
        };
        frames::prove((&source, again), container.index, (track, &mut *found), reporter)?;
        return Ok(facts(&source, std::slice::from_ref(found)));
    }
    packets(Source::open(copy()?, Depth::Packets)?, expected, &mut found, reporter)?;
    for (track, found) in expected.iter().zip(&mut found) {
        same_packets(track, &found.packets)?;
        // Where the container has no index that says otherwise, all is shown.
        found.first = found.first_packet();
    }
    match container.index {
        Index::Movie => by_boxes(&source, (expected, movie_ticks), &mut found)?,
        Index::Tags => by_tags(&source, expected, &found)?,
        // Without times, those of packets are not what was proven.
        Index::Frames | Index::Samples => {}
    }
    Ok(facts(&source, &found))
}

/// Holds what the boxes of a movie state to what was put in.
fn by_boxes(
    source: &Source,
    (expected, movie_ticks): (&[Expected], i64),
    found: &mut [Found],
) -> Result<(), Failure> {
    let movie = movie(source, expected)?;
    if i64::from(movie.timescale) != movie_ticks {
        return Err(unproven(format!("its clock has {} ticks instead of {movie_ticks}", movie.timescale)));
    }
    // A cover is no track, but lies in the header.
    let in_movie = expected.iter().zip(found).filter(|(track, _)| !is_cover(&track.header));
    for (i, (track, found)) in in_movie.enumerate() {
        presentation(&movie, i, track, found)?;
    }
    let longest = movie.tracks.iter().map(|track| track.tkhd_duration).max().unwrap_or(0);
    // Tracks of other clocks are rounded.
    if movie.duration.abs_diff(longest) > u64::from(movie.timescale / 1000) {
        let says = movie.duration;
        return Err(unproven(format!("it says that it is {says} ticks long instead of {longest}")));
    }
    Ok(())
}

/// Holds what a container without an index states to what was put in.
fn by_tags(source: &Source, expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    in_step(expected, found)?;
    length(source, expected, found)?;
    for (track, found) in expected.iter().zip(found) {
        // What is not heard of the priming, only the encoder knows.
        as_many(track, found, track.header.padding)?;
    }
    Ok(())
}

/// Reads all packets, as they lie in the file: what a demuxer makes of an edit list is not the file's word.
fn packets(
    mut source: Source,
    expected: &[Expected],
    found: &mut [Found],
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    for (i, (track, found)) in expected.iter().zip(&mut *found).enumerate() {
        found.clock = source.clock(i32::try_from(i).unwrap_or(-1));
        let (file, asked) = (found.clock, track.clock);
        if file.num * asked.den != asked.num * file.den && !track.packets.is_empty() {
            return Err(unproven(format!(
                "the clock of its {} has ticks of {}/{} s instead of {}/{} s",
                track.what(),
                file.num,
                file.den,
                asked.num,
                asked.den
            )));
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
        if asked.header.side.is_some() && is_nothing(asked.codec, packet.data().unwrap_or_default()) {
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
        let data = packet.data().unwrap_or_default();
        sound::packet(asked, track, data)?;
        track.keyframes.push(asked.codec.is_keyframe(data, Form::File));
        track.packets.push((pts, codec::digest(asked.codec, data, Form::File)));
    }
    for (i, (track, found)) in expected.iter().zip(&*found).enumerate() {
        let listed = source.listed_keyframes(i).filter(|_| track.header.video.is_some());
        if listed.is_some_and(|listed| listed.len() == found.keyframes.len() && listed != found.keyframes) {
            return Err(unproven("its index lists other keyframes than it has".into()));
        }
    }
    Ok(())
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

/// Where a container has no edit lists, all tracks are moved by as much, to a tick.
fn in_step(expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    let moved = expected.iter().zip(found).filter_map(|(track, found)| {
        Some(found.seconds(found.packets.first()?.0 - track.packets.first()?.0))
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
        let (found, asked) = (file.timescale, track.clock);
        return Err(unproven(format!(
            "the clock of its {what} has {found} ticks a second instead of {}/{}",
            asked.den, asked.num
        )));
    }
    if let Some(audio) = &track.header.audio {
        // A rate beyond its 16 bits is not stated there (ISO/IEC 14496-12, 12.2.3).
        let asked = u16::try_from(audio.sample_rate).unwrap_or(0);
        if file.sample_rate != Some(asked) {
            let found = file.sample_rate.map_or("none".into(), |rate| rate.to_string());
            return Err(unproven(format!(
                "the sample rate in the sample entry of its sound is {found} instead of {asked}"
            )));
        }
    }
    if file.samples.times.len() != track.packets.len() {
        let (found, asked) = (file.samples.times.len(), track.packets.len());
        return Err(unproven(format!("its index lists {found} {what} instead of {asked}")));
    }
    let ticks = |time: u64, timescale: u32| {
        let clock = Clock { num: 1, den: i64::from(timescale) };
        rescale_timestamp(i64::try_from(time).unwrap_or(i64::MAX), clock, (0, clock), track.clock)
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
    skipped_samples(&shown, file, found).map_or(Ok(()), |skipped| as_many(track, found, skipped))
}

/// How many samples of an mp4's packets its edit list does not show before the first one; `None` without packets.
fn skipped_samples(shown: &Presentation, file: &Track, found: &Found) -> Option<i64> {
    let (first, _) = file.samples.times.first()?;
    Some(found.samples(shown.media_time - first))
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
    let (whole, asked) = (
        i64::try_from(file.tkhd_duration).unwrap_or(i64::MAX),
        rescale_timestamp(end, track.clock, (0, clock), clock),
    );
    // A coarse clock of the source is rounded.
    if (whole - asked).abs() > i64::from(movie.timescale / 1000) {
        return wrong("the length in the track header", whole, asked);
    }
    Ok(())
}

/// A container without edit lists states one length: from its first decoding time to the end of its last packet.
fn length(source: &Source, expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    let says = source.flv_duration().ok_or_else(|| unproven("it does not say how long it is".into()))?;
    let ends = expected.iter().zip(found).filter_map(|(track, found)| {
        let moved = found.packets.first()?.0 - track.packets.first()?.0;
        Some(found.seconds(track.media_end + moved))
    });
    let starts = found.iter().filter_map(|found| Some(found.seconds(found.first_dts?)));
    let asked = ends.fold(0.0, f64::max) - starts.reduce(f64::min).unwrap_or(0.0);
    // All of them are whole milliseconds.
    if (says - asked).abs() > 0.0005 {
        return Err(unproven(format!("it says that it is {says:.3} s long instead of {asked:.3} s")));
    }
    Ok(())
}

/// Whether a packet is of no track that is proven packet by packet: a cover, or what stands where there is no text.
fn is_nothing(codec: &dyn Codec, packet: &[u8]) -> bool {
    match codec.kind() {
        Kind::Cover => true,
        Kind::Text { empty } => packet.len() <= empty.len(),
        Kind::Video(_) | Kind::Audio(_) => false,
    }
}

fn unproven(what: String) -> Failure {
    Failure::new(format!("the output could not be proven right and was not published: {what}"))
}

/// The streams are those that were put in, chapters and title, too; behind them only what a container makes of chapters
/// and timecode.
fn streams(
    source: &Source,
    plan: &OutputPlan,
    container: &Container,
    expected: &[Expected],
) -> Result<(), Failure> {
    let count = source.input.nb_streams() as usize;
    let made = source.input.streams().skip(expected.len()).all(|stream| {
        let kind = fields(&stream).1.codec_type;
        kind == AVMediaType::AVMEDIA_TYPE_DATA || kind == AVMediaType::AVMEDIA_TYPE_SUBTITLE
    });
    if count < expected.len() || !made {
        return Err(unproven(format!("{count} streams instead of {}", expected.len())));
    }
    let Some(extras) = plan.extras.as_ref().filter(|_| container.chapters) else { return Ok(()) };
    let chapters = source.input.nb_chapters() as usize;
    if chapters != extras.chapters.len() {
        return Err(unproven(format!("{chapters} chapters instead of {}", extras.chapters.len())));
    }
    let title = extras.metadata.get("title");
    if title.is_some_and(|title| metadata::of_input(&source.input, "title").as_ref() != Some(title)) {
        return Err(unproven("its title is another".into()));
    }
    Ok(())
}

/// Facts that differ from what they must be, each with both.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn hold<T: PartialEq + std::fmt::Display>(&mut self, fact: &str, found: T, asked: T) {
        if found != asked {
            self.0.push(format!("{fact} {found} instead of {asked}"));
        }
    }

    fn none(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(unproven(self.0.join(", "))) }
    }
}

/// Holds what the headers of a file state of a track to its plan.
fn parameters(file: &Found, track: &Expected) -> Result<(), Failure> {
    let mut wrong = Differences::default();
    wrong.hold("stream kind", file.kind(), track.kind());
    wrong.hold("codec", file.codec.as_str(), codec::name(&track.header));
    if !wrong.0.is_empty() {
        // Whatever else differs follows from that.
        return wrong.none();
    }
    match (&file.media, &track.header.video, &track.header.audio) {
        (Media::Video(stated), Some(asked), _) => {
            wrong.hold("display matrices", file.display_matrices, 0);
            pictures(&mut wrong, stated, asked);
        }
        (Media::Audio(stated), _, Some(asked)) => {
            sound::parameters(&mut wrong, (stated, file), asked, track)?;
        }
        _ => {}
    }
    if !track.codec.headers_agree(&track.header.extradata, &file.headers) {
        let (found, asked) = (file.headers.len(), track.header.extradata.len());
        wrong.0.push(format!(
            "codec headers {} ({found} bytes) instead of those of the encoder ({asked} bytes)",
            file.headers_digest()
        ));
    }
    wrong.none()
}

/// Colour of which nothing is stated.
const UNSPECIFIED: Color = Color { primaries: 2, transfer: 2, matrix: 2, range: 0, chroma: 0 };

fn pictures(wrong: &mut Differences, stated: &VideoFacts, asked: &VideoSettings) {
    wrong.hold("width", stated.width, asked.width);
    wrong.hold("height", stated.height, asked.height);
    wrong.hold("field order", stated.field_order, asked.field_order);
    // libavcodec has names of their own for pixel formats of full range, which is held below.
    let pixel_format = |name: &str| name.replacen("yuvj", "yuv", 1);
    // libavformat learns it by decoding, from the headers that are held, too; where a picture is too large for that, it is none.
    if !stated.pixel_format.is_empty() {
        wrong.hold("pixel format", pixel_format(&stated.pixel_format), pixel_format(&asked.pixel_format));
    }
    let color = LibavColor::of(asked.color);
    let found = stated.color.unwrap_or(UNSPECIFIED);
    // 0 is reserved, and of the matrix RGB, which no output is.
    let specified = |point: i32| if point == 0 { 2 } else { point };
    for (what, found, asked) in [
        ("colour primaries", found.primaries, color.primaries as i32),
        ("transfer", found.transfer, color.transfer as i32),
        ("colour matrix", found.matrix, color.matrix as i32),
    ] {
        wrong.hold(what, specified(found), specified(asked));
    }
    wrong.hold("range", found.range.max(1), asked.color.range.max(1));
    // Pixels are square where nothing else is stated.
    let aspect = |aspect: f64| if aspect > 0.0 { aspect } else { 1.0 };
    let (found, asked) = (aspect(stated.sample_aspect), aspect(asked.sample_aspect.as_f64()));
    if (found - asked).abs() > 0.001 * asked {
        wrong.0.push(format!("sample aspect {found:.4} instead of {asked:.4}"));
    }
}
