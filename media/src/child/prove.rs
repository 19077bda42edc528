//! The proof of an output: it is read again, as any player would, and held to what was put in. What is found there
//! ([`found`]), and nothing else, is what its record says of it.

mod blocks;
mod expected;
mod found;
mod fragments;
mod frames;
mod movie;
mod sound;
mod stream;
mod tags;
mod transport;

use std::{collections::HashMap, fs::File, hash::Hasher as _, ops::Range};

use ffmpeg_next::{self as ff, Packet, ffi::AVMediaType};
use millrace_formats::{Container, container::Index};
use millrace_schemas::{Color, OutputPlan, VideoFacts, VideoSettings};

use self::{
    expected::{Differences, same_packets},
    found::{Found, Media, facts},
};
pub(crate) use self::{
    expected::{Expected, unproven},
    fragments::{ProvenTrack, facts_of_tracks, prove_fragments},
    transport::prove_stream,
};
use super::{
    codec::{self, Codec, Form, Kind},
    failure::Failure,
    libav::{color::LibavColor, metadata, stream::fields},
    light,
    read_back::{ReadPacket, ReadPackets},
    report::Reporter,
    source::{Depth, Source},
};
use crate::protocol::Merged;

/// Reads an output again and holds it to what was put in: FR-1, TS-1, AU-1. Gives what was found. `movie_ticks` are those a
/// second of its movie clock, of a container that has one; the packets of `read` were read while it was written.
pub(crate) fn prove(
    file: File,
    plan: &OutputPlan,
    container: &Container,
    (expected, movie_ticks, read): (&[Expected], i64, &ReadPackets),
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let copy = || file.try_clone().map_err(Failure::at("reading the output again"));
    let source = Source::open(copy()?, Depth::Header)?;
    streams(&source, plan, container, expected)?;
    let mut found = Vec::new();
    for (i, track) in expected.iter().enumerate() {
        let file = Found::of(&source, stream_of(&source, expected, i));
        let file = file.ok_or_else(|| unproven("a stream is missing".into()))?;
        parameters(&file, track, container)?;
        found.push(file);
    }
    let again = Source::open(copy()?, Depth::Packets)?;
    if let Index::Frames | Index::Samples = container.index {
        let (Some(track), Some(found)) = (expected.first(), found.first_mut()) else {
            return Err(unproven("it holds nothing".into()));
        };
        frames::prove((&source, again), container.index, (track, &mut *found), reporter)?;
        return Ok(facts(source.input.nb_chapters(), std::slice::from_ref(found), None));
    }
    packets(again, container.index, (expected, read), &mut found, reporter)?;
    for (track, found) in expected.iter().zip(&mut found) {
        if container.index == Index::Movie && movie::is_divided(track) {
            sound::same_samples(track, found)?;
        } else {
            same_packets(track, &found.packets)?;
        }
        // Where the container has no index that says otherwise, all is shown.
        found.first = found.first_packet();
    }
    let length = match container.index {
        Index::Movie => {
            movie::by_boxes(&source, (expected, movie_ticks), &mut found)?;
            None
        }
        Index::Tags => {
            tags::by_tags(&source, expected, &found)?;
            source.flv_duration()
        }
        Index::Blocks => Some(blocks::by_blocks(&source, expected, &mut found)?),
        Index::Stream => Some(stream::by_packets(&source, plan, expected, &mut found)?),
        // Without times, those of packets are not what was proven.
        Index::Frames | Index::Samples | Index::Fragments => None,
    };
    Ok(facts(source.input.nb_chapters(), &found, length))
}

/// Reads all packets, as they lie in the file: what a demuxer makes of an edit list is not the file's word.
fn packets(
    mut source: Source,
    index: Index,
    (expected, read): (&[Expected], &ReadPackets),
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
    let read = already_read(&source, expected, read);
    let mut packet = Packet::empty();
    loop {
        match source.next_packet(&mut packet) {
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
        // Where a file states no decoding times, its order is held, and a demuxer's guess of them is not.
        let dts = if index.has_decoding_times() { packet.dts() } else { packet.pts() };
        let (Some(pts), Some(dts)) = (packet.pts(), dts) else {
            return Err(unproven("a packet has no time".into()));
        };
        if index.has_decoding_times() && track.last_dts.is_some_and(|last| last >= dts) {
            return Err(unproven(format!("decoding times don't increase at {dts}")));
        }
        track.first_dts.get_or_insert(dts);
        track.last_dts = Some(dts);
        if packet.side_data().any(|data| data.kind() == ff::packet::side_data::Type::NewExtraData) {
            return Err(unproven(format!("its codec headers change at {dts}")));
        }
        if let Some(read) = read.get(&packet.stream()) {
            let number = track.packets.len();
            let (Some(before), Some(key)) = (read.get(number), asked.keys.get(number)) else {
                return Err(unproven(format!("it has more packets than its index lists, at {dts}")));
            };
            if u64::try_from(packet.position()) != Ok(before.start) || packet.size() != before.size {
                return Err(unproven(format!("a packet is not where its index lists it, at {dts}")));
            }
            track.keyframes.push(*key);
            track.packets.push((pts, before.digest));
            continue;
        }
        let data = packet.data().unwrap_or_default();
        let form = index.form();
        if index == Index::Movie && movie::is_divided(asked) {
            sound::follows(track, pts)?;
            sound::samples(asked, track, data)?;
            track.bytes.write(data);
        } else {
            sound::packet(asked, track, form, data)?;
        }
        if form == Form::Stream && !asked.codec.is_framed(data, &asked.header.extradata) {
            return Err(unproven(format!("codec headers are not where decoding needs them, at {dts}")));
        }
        // A copy has the keyframes of the source, at some of which decoding begins without all that comes behind.
        let number = track.keyframes.len();
        let is_key = || asked.codec.is_keyframe(data, form);
        track.keyframes.push(asked.keys.get(number).copied().unwrap_or_else(is_key));
        track.packets.push((pts, codec::digest(asked.codec, data, form)));
    }
    for (i, (track, found)) in expected.iter().zip(&*found).enumerate() {
        let listed = source.listed_keyframes(i).filter(|_| track.header.video.is_some());
        if listed.is_some_and(|listed| listed.len() == found.keyframes.len() && listed != found.keyframes) {
            return Err(unproven("its index lists other keyframes than it has".into()));
        }
    }
    Ok(())
}

/// Returns the packets of streams that need not be read once more: pictures that were copied, were read again where the index of the file
/// lists them, and are not read otherwise. Their bytes are blank from here on.
fn already_read<'a>(
    source: &Source,
    expected: &[Expected],
    read: &'a ReadPackets,
) -> HashMap<usize, &'a [ReadPacket]> {
    let mut streams = HashMap::new();
    for (i, track) in expected.iter().enumerate() {
        if track.header.video.is_none() || track.keys.len() != track.packets.len() {
            continue;
        }
        let listed = source.listed_places(i).unwrap_or_default();
        if let Some(packets) = read.of_stream(i, &listed) {
            streams.insert(i, packets);
        }
    }
    let mut blank: Vec<Range<u64>> = streams.values().copied().flatten().map(ReadPacket::range).collect();
    blank.sort_unstable_by_key(|range| range.start);
    // Packets that overlap are none that a muxer wrote.
    if blank.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return HashMap::new();
    }
    if !blank.is_empty() {
        source.make_blank(blank);
    }
    streams
}

/// Whether a packet is of no track that is proven packet by packet: a cover, or what stands where there is no text.
fn is_nothing(codec: &dyn Codec, packet: &[u8]) -> bool {
    match codec.kind() {
        Kind::Cover => true,
        Kind::Text { empty } => packet.len() <= empty.len(),
        Kind::Video(_) | Kind::Audio(_) => false,
    }
}

/// The stream that a track is in a file: covers come last, behind what a container makes of chapters and timecode.
fn stream_of(source: &Source, expected: &[Expected], track: usize) -> usize {
    let (count, covers) = (source.input.nb_streams() as usize, covers(expected));
    let tracks = expected.len() - covers;
    if track < tracks { track } else { (count + track).saturating_sub(expected.len()) }
}

fn covers(expected: &[Expected]) -> usize {
    expected.iter().filter(|track| track.codec.is_cover()).count()
}

/// The streams are those that were put in, chapters and title, too; in front of covers only what a container makes of chapters
/// and timecode.
fn streams(
    source: &Source,
    plan: &OutputPlan,
    container: &Container,
    expected: &[Expected],
) -> Result<(), Failure> {
    let count = source.input.nb_streams() as usize;
    let made = count.saturating_sub(expected.len());
    let made = source.input.streams().skip(expected.len() - covers(expected)).take(made).all(|stream| {
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

/// Holds what the headers of a file state of a track to its plan.
fn parameters(file: &Found, track: &Expected, container: &Container) -> Result<(), Failure> {
    let mut wrong = Differences::default();
    wrong.hold("stream kind", file.kind(), track.kind());
    wrong.hold("codec", file.codec.as_str(), codec::name(&track.header));
    if !wrong.0.is_empty() {
        // Whatever else differs follows from that.
        return wrong.none();
    }
    let form = container.index.form();
    match (&file.media, &track.header.video, &track.header.audio) {
        (Media::Video(stated), Some(asked), _) => {
            wrong.hold("display matrices", file.display_matrices, 0);
            wrong.hold(
                "light",
                light::described(file.light.as_ref()),
                light::described(asked.light.as_ref()),
            );
            pictures(&mut wrong, stated, asked, container.index.aspect_slack(asked.width));
        }
        (Media::Audio(stated), _, Some(asked)) => {
            sound::parameters(&mut wrong, (stated, file), asked, (track, container.index))?;
        }
        _ => {}
    }
    let agree = match form {
        Form::Stream => track.codec.stream_headers_agree(&track.header.extradata, &file.headers),
        Form::Encoder | Form::File => codec::headers_agree(track.codec, &track.header, &file.headers),
    };
    if !agree {
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

fn pictures(wrong: &mut Differences, stated: &VideoFacts, asked: &VideoSettings, aspect_slack: f64) {
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
    if (found - asked).abs() > (0.001 * asked).max(aspect_slack) {
        wrong.0.push(format!("sample aspect {found:.4} instead of {asked:.4}"));
    }
}
