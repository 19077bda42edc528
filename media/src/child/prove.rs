//! The proof of an output: it is read again, as any player would, and held to what was put in.

use std::fs::File;

use ffmpeg_next::{self as ff, Packet, ffi::AVMediaType};
use millrace_schemas::TrackSum;
use millrace_topology::invariants::as_many_samples;

use super::{
    Failure, Reporter,
    source::{Depth, Source},
};
use crate::{packets::Header, timeline::Clock};

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

/// Reads an output again and holds it to what was put in: FR-1, TS-1, AU-1.
pub(crate) fn prove(file: File, expected: &[Expected], reporter: &mut Reporter) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    if source.input.nb_streams() as usize != expected.len() {
        return Err(unproven(format!("{} streams instead of {}", source.input.nb_streams(), expected.len())));
    }
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
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
            return Err(unproven("a packet has no time".into()));
        };
        if track.last_dts.is_some_and(|last| last >= dts) {
            return Err(unproven(format!("decoding times don't increase at {dts}")));
        }
        track.last_dts = Some(dts);
        track.times.push(pts);
    }
    for (i, (track, mut found)) in expected.iter().zip(found).enumerate() {
        found.times.sort_unstable();
        let clock = source.input.stream(i).map(|stream| stream.time_base());
        let same_clock = clock.is_some_and(|c| {
            i64::from(c.numerator()) * track.clock.den == i64::from(c.denominator()) * track.clock.num
        });
        times(track, &found.times, same_clock)?;
    }
    Ok(())
}

fn unproven(what: String) -> Failure {
    Failure::new(format!("the output could not be proven right and was not published: {what}"))
}

fn times(track: &Expected, found: &[i64], same_clock: bool) -> Result<(), Failure> {
    let what = if track.header.video.is_some() { "pictures" } else { "packets of sound" };
    if found.len() != track.times.len() {
        return Err(unproven(format!("{} {what} instead of {}", found.len(), track.times.len())));
    }
    if !same_clock {
        return Err(unproven("its clock is another".into()));
    }
    let (Some(first), Some(asked)) = (found.first(), track.times.first()) else { return Ok(()) };
    // Counted from the first: how a demuxer sets time zero is the container's affair.
    let off = found.iter().zip(&track.times).find(|(f, t)| ((**f - first) - (**t - asked)).abs() > 1);
    off.map_or(Ok(()), |(found, asked)| {
        Err(unproven(format!("{what}: one at {found} ticks should be at {asked}")))
    })
}

fn parameters(source: &Source, index: usize, track: &Expected) -> Result<(), Failure> {
    let stream = source.input.stream(index).ok_or_else(|| unproven("a stream is missing".into()))?;
    // SAFETY: pointers of an open context.
    let (s, p) = unsafe { (&*stream.as_ptr(), &*(*stream.as_ptr()).codecpar) };
    let mut wrong = Vec::new();
    let mut hold = |what: &str, found: i64, asked: i64| {
        if found != asked {
            wrong.push(format!("{what} {found} instead of {asked}"));
        }
    };
    if let Some(video) = &track.header.video {
        hold("stream kind", p.codec_type as i64, AVMediaType::AVMEDIA_TYPE_VIDEO as i64);
        hold("width", p.width.into(), video.width.into());
        hold("height", p.height.into(), video.height.into());
        let unspecified = |n: i32| n == 2 || n == 0;
        for (what, found, asked) in [
            ("colour primaries", p.color_primaries as i32, video.color.primaries),
            ("transfer", p.color_trc as i32, video.color.transfer),
            ("colour matrix", p.color_space as i32, video.color.matrix),
        ] {
            if !unspecified(asked) {
                hold(what, found.into(), asked.into());
            }
        }
        let aspect =
            if s.sample_aspect_ratio.num > 0 { s.sample_aspect_ratio } else { p.sample_aspect_ratio };
        if video.sample_aspect.num > 0 && track.header.clock.1 > 0 {
            let (found, asked) =
                (f64::from(aspect.num) / f64::from(aspect.den.max(1)), video.sample_aspect.as_f64());
            if aspect.num > 0 && (found - asked).abs() > 0.001 * asked {
                wrong.push(format!("sample aspect {found:.4} instead of {asked:.4}"));
            }
        }
    }
    if let Some(audio) = &track.header.audio {
        let mut hold = |what: &str, found: i64, asked: i64| {
            if found != asked {
                wrong.push(format!("{what} {found} instead of {asked}"));
            }
        };
        hold("stream kind", p.codec_type as i64, AVMediaType::AVMEDIA_TYPE_AUDIO as i64);
        hold("sample rate", p.sample_rate.into(), audio.sample_rate.into());
        hold("channels", p.ch_layout.nb_channels.into(), audio.channels.into());
        // AU-1: what the packets hold, less priming, is what went in, to within one codec frame.
        let held = track.sum.packets * track.header.frame_size - track.header.padding;
        if let Err(violation) = as_many_samples(track.sum.units, held, track.header.frame_size.max(1)) {
            wrong.push(violation.what);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(unproven(wrong.join(", "))) }
}
