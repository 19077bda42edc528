//! The proof of a transport stream: its packets are read, not what a demuxer makes of them.

use millrace_formats::container::STREAM_DELAY;
use millrace_schemas::OutputPlan;

use super::{
    expected::{Expected, unproven},
    found::{Found, Media},
    sound::as_many,
};
use crate::{
    child::{failure::Failure, source::Source},
    timeline::{Clock, rescale_timestamp},
    transport::Track,
};

const MICROSECONDS: Clock = Clock { num: 1, den: 1_000_000 };
/// Times have so many bits (ISO/IEC 13818-1, 2.4.3.7).
const TIME_BITS: u32 = 33;

/// Holds what the packets of a file state to what was put in. Returns its length in seconds, up to the end of its sound, and for as
/// long as pictures are shown on average behind the last one.
pub(super) fn by_packets(
    source: &Source,
    plan: &OutputPlan,
    expected: &[Expected],
    found: &mut [Found],
) -> Result<f64, Failure> {
    let packets = expected.iter().map(|track| track.packets.len() as u64).sum();
    let transport = source.transport(packets).map_err(unproven)?;
    if transport.provider != plan.mark {
        return Err(unproven(format!("its mark is '{}' instead of '{}'", transport.provider, plan.mark)));
    }
    if transport.tracks.len() != expected.len() {
        let tracks = transport.tracks.len();
        return Err(unproven(format!("its map lists {tracks} tracks instead of {}", expected.len())));
    }
    for (file, (track, found)) in transport.tracks.iter().zip(expected.iter().zip(&mut *found)) {
        language(file, track)?;
        times(file, track, found)?;
        if let Media::Audio(_) = found.media {
            // What is not heard of the priming, only the encoder knows.
            as_many(track, found, track.header.padding)?;
        }
    }
    let start = found.iter().map(|found| found.seconds(found.first_packet())).fold(f64::MAX, f64::min);
    Ok(found.iter().map(end).fold(0.0, f64::max) - start)
}

/// By how many ticks of a clock times of a stream are behind the output's time zero.
pub(super) fn delay(clock: Clock) -> i64 {
    rescale_timestamp(STREAM_DELAY, MICROSECONDS, (0, MICROSECONDS), clock)
}

/// When what was found of a track ends, in seconds.
fn end(found: &Found) -> f64 {
    if let Media::Audio(_) = found.media {
        return found.seconds(found.first_packet())
            + found.samples_in_packets() as f64 / f64::from(found.rate());
    }
    let last = found.packets.iter().map(|packet| packet.0).max().unwrap_or(0);
    let span = found.seconds(last - found.first_packet());
    let behind = found.packets.len().checked_sub(1).filter(|before| *before > 0);
    found.seconds(last) + behind.map_or(0.0, |before| span / before as f64)
}

/// The language of a track: three letters (2.6.18).
fn language(file: &Track, track: &Expected) -> Result<(), Failure> {
    let tags = track.sum.plan.tags.as_ref();
    let asked = tags.map(|tags| tags.language.as_str()).filter(|language| language.len() == 3);
    let asked = asked.filter(|_| track.header.audio.is_some()).unwrap_or_default();
    if file.language == asked {
        return Ok(());
    }
    Err(unproven(format!("the language of its {} is '{}' instead of '{asked}'", track.what(), file.language)))
}

/// TS-1: each packet has its time, behind its clock, and pictures say where decoding can begin.
fn times(file: &Track, track: &Expected, found: &Found) -> Result<(), Failure> {
    let what = track.what();
    if file.units.len() != track.packets.len() {
        return Err(unproven(format!(
            "{} {what} with a time instead of {}",
            file.units.len(),
            track.packets.len()
        )));
    }
    let delay = delay(track.clock);
    let keyframes = track.header.video.is_some().then_some(&found.keyframes);
    for (number, (unit, (put, _))) in file.units.iter().zip(&track.packets).enumerate() {
        let asked = put.saturating_add(delay);
        let is_time = u64::try_from(asked) == Ok(unit.pts) && unit.pts >> TIME_BITS == 0;
        if !is_time || unit.dts > unit.pts {
            return Err(unproven(format!("{what}: number {number} is at {} instead of {asked}", unit.pts)));
        }
        // Sound that begins before the pictures lies in front of the first clock reference.
        if unit.clock.is_some_and(|clock| clock > unit.dts) {
            return Err(unproven(format!("{what}: number {number} comes when its time is over")));
        }
        if keyframes.is_some_and(|keyframes| keyframes.get(number) != Some(&unit.is_entry)) {
            return Err(unproven(format!(
                "{what}: it is not said whether decoding can begin at number {number}"
            )));
        }
    }
    let first = |packets: &[(i64, u64)]| packets.first().map_or(0, |packet| packet.0);
    if first(&found.packets) != first(&track.packets).saturating_add(delay) {
        return Err(unproven(format!("{what} begin at {} for a reader", first(&found.packets))));
    }
    Ok(())
}
