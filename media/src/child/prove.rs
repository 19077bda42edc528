//! The proof of an output: it is read again, as any player would, and held to what was put in. What is found there, and
//! nothing else, is what its record says of it.

use std::fs::File;

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{AVCodecParameters, AVFieldOrder, AVMediaType, AVStream},
};
use millrace_schemas::{AudioFacts, Color, OutputPlan, TrackSum, VideoFacts};
use millrace_topology::invariants::as_many_samples;

use super::{
    Failure, Reporter,
    inspect::pixel_format_name,
    mux::{Container, is_cover},
    source::{Depth, Source},
};
use crate::{packets::Header, protocol::Merged, timeline::Clock};

/// What the output must show of a track.
pub(crate) struct Expected {
    pub(crate) header: Header,
    pub(crate) sum: TrackSum,
    /// Presentation times, sorted, in `clock`.
    pub(crate) times: Vec<i64>,
    /// The clock of the output's stream.
    pub(crate) clock: Clock,
    /// When the track ends, in seconds from time zero.
    pub(crate) ends_at: f64,
}

/// What was found of a track.
#[derive(Default)]
struct Found {
    times: Vec<i64>,
    last_dts: Option<i64>,
}

/// Reads an output again and holds it to what was put in: FR-1, TS-1, AU-1. Gives what was found.
pub(crate) fn prove(
    file: File,
    plan: &OutputPlan,
    container: Container,
    expected: &[Expected],
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    streams(&source, plan, container, expected)?;
    for (i, track) in expected.iter().enumerate() {
        parameters(&source, i, track)?;
    }
    let mut found: Vec<Found> = expected.iter().map(|_| Found::default()).collect();
    loop {
        let mut packet = Packet::empty();
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
        track.last_dts = Some(dts);
        track.times.push(pts);
    }
    for (i, (track, found)) in expected.iter().zip(&mut found).enumerate() {
        found.times.sort_unstable();
        let clock = source.input.stream(i).map(|stream| stream.time_base());
        let same_clock = clock.is_some_and(|c| {
            i64::from(c.numerator()) * track.clock.den == i64::from(c.denominator()) * track.clock.num
        });
        times(track, &found.times, same_clock)?;
    }
    Ok(facts(&source, container, expected, &found))
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
    if title.is_some_and(|title| source.input.metadata().get("title") != Some(title)) {
        return Err(unproven("its title is another".into()));
    }
    Ok(())
}

fn times(track: &Expected, found: &[i64], same_clock: bool) -> Result<(), Failure> {
    let what = match &track.header {
        Header { video: Some(_), .. } => "pictures",
        Header { audio: Some(_), .. } => "packets of sound",
        _ => "texts",
    };
    if found.len() != track.times.len() {
        return Err(unproven(format!("{} {what} instead of {}", found.len(), track.times.len())));
    }
    if !same_clock && !found.is_empty() {
        return Err(unproven("its clock is another".into()));
    }
    let (Some(first), Some(asked)) = (found.first(), track.times.first()) else { return Ok(()) };
    // Counted from the first: how a demuxer sets time zero is the container's affair.
    let off = found.iter().zip(&track.times).find(|(f, t)| ((**f - first) - (**t - asked)).abs() > 1);
    off.map_or(Ok(()), |(found, asked)| {
        Err(unproven(format!("{what}: one at {found} ticks should be at {asked}")))
    })
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

/// Whether the codec headers of a file are those that the encoder gave: each unit of H.264's byte stream (Annex B) lies in
/// the file's record whole; other codecs' are the same bytes.
fn same_headers(encoder: &[u8], file: &[u8], is_video: bool) -> bool {
    if !is_video {
        return encoder == file;
    }
    let contains = |unit: &[u8]| unit.is_empty() || file.windows(unit.len()).any(|window| window == unit);
    units(encoder)
        .into_iter()
        .filter(|unit| matches!(unit.first().map(|b| b & 31), Some(7 | 8)))
        .all(contains)
}

/// The units of a byte stream, without their start codes (ITU-T H.264, Annex B).
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = Vec::new();
    for i in 0..stream.len().saturating_sub(2) {
        if stream[i..i + 3] == [0, 0, 1] {
            starts.push(i + 3);
        }
    }
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &stream[*start..end];
            // The zeros of a start code of four bytes, and others that trail.
            let long = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            &unit[..long]
        })
        .collect()
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
        // AU-1: what the packets hold, less priming, is what went in, to within one codec frame.
        let held = track.sum.packets * track.header.frame_size - track.header.padding;
        if let Err(violation) = as_many_samples(track.sum.units, held, track.header.frame_size.max(1)) {
            wrong.push(violation.what);
        }
    }
    if track.header.side.is_none()
        && !same_headers(&track.header.extradata, extradata(p), track.header.video.is_some())
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
fn facts(source: &Source, container: Container, expected: &[Expected], found: &[Found]) -> Merged {
    let mut merged = Merged {
        duration_seconds: expected.iter().map(|track| track.ends_at).fold(0.0, f64::max),
        video: None,
        audio: None,
        more_audio: Vec::new(),
        text: Vec::new(),
        chapters: i32::try_from(source.input.nb_chapters()).unwrap_or(i32::MAX),
    };
    for (i, (track, found)) in expected.iter().zip(found).enumerate() {
        let Some(stream) = source.input.stream(i) else { continue };
        let (s, p) = raw(&stream);
        let tick = track.clock.num as f64 / track.clock.den as f64;
        let at = |ticks: Option<&i64>| ticks.map_or(0.0, |ticks| *ticks as f64 * tick);
        let headers = blake3::hash(extradata(p)).to_hex()[..16].to_owned();
        let language =
            stream.metadata().get("language").filter(|l| *l != "und").unwrap_or_default().to_owned();
        if let Some(settings) = &track.header.video {
            let (first, last) = (at(found.times.first()), at(found.times.last()));
            let frames = found.times.len();
            merged.video = Some(VideoFacts {
                codec: settings.codec.clone(),
                width: p.width,
                height: p.height,
                frames: i64::try_from(frames).unwrap_or(i64::MAX),
                first_seconds: first,
                last_seconds: last,
                frame_rate: if last > first { (frames - 1) as f64 / (last - first) } else { 0.0 },
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
        } else if let Some(settings) = &track.header.audio {
            // Containers with edit lists say that the encoder's priming is not heard.
            let skipped = if container.edit_lists { track.header.padding as f64 } else { 0.0 };
            let audio = AudioFacts {
                codec: settings.codec.clone(),
                sample_rate: p.sample_rate,
                samples: track.sum.units,
                channels: p.ch_layout.nb_channels,
                first_seconds: at(found.times.first()) + skipped / f64::from(p.sample_rate.max(1)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_the_encoders_or_others() {
        let sps = [0x67, 1, 2, 3];
        let pps = [0x68, 9];
        let stream = [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1], &pps].concat();
        assert_eq!(units(&stream), [&sps[..], &pps[..]]);
        let file = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        assert!(same_headers(&stream, &file, true));
        assert!(!same_headers(&stream, &file[..file.len() - 1], true));
        assert!(same_headers(&[0x12, 0x10], &[0x12, 0x10], false));
        assert!(!same_headers(&[0x12, 0x10], &[0x12, 0x08], false));
    }
}
