//! The proof of a container without an index: its packets, and the one length that it states.

use super::{
    expected::{Expected, unproven},
    found::Found,
    sound::as_many,
};
use crate::child::{failure::Failure, source::Source};

/// Holds what a container without an index states to what was put in.
pub(super) fn by_tags(source: &Source, expected: &[Expected], found: &[Found]) -> Result<(), Failure> {
    in_step(expected, found)?;
    length(source, expected, found)?;
    for (track, found) in expected.iter().zip(found) {
        // What is not heard of the priming, only the encoder knows.
        as_many(track, found, track.header.padding)?;
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
