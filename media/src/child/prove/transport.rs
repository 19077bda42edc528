//! The proof of a track of a package that is a transport stream of its own.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};

use millrace_formats::Container;
use millrace_schemas::OutputPlan;

use super::{
    expected::{Expected, same_packets, unproven},
    found::{Found, Media},
    fragments::{ProvenFragment, ProvenTrack},
    packets, parameters,
    stream::{by_packets, delay},
    streams,
};
use crate::child::{
    failure::Failure,
    read_back::ReadPackets,
    report::Reporter,
    source::{Depth, Source},
};

/// Reads a track of a package again, which is a transport stream of its own and a part of a file, and holds it to what was put in: FR-1,
/// TS-1, AU-1. Each of its segments can be read by itself: it begins with the tables of its program.
pub(crate) fn prove_stream(
    (file, part): (&File, Range<u64>),
    (plan, container): (&OutputPlan, &Container),
    (track, segments): (&Expected, &[Range<u64>]),
    reporter: &mut Reporter,
) -> Result<ProvenTrack, Failure> {
    const READING: &str = "reading the output again";
    let copy = || file.try_clone().map_err(Failure::at(READING));
    let source = Source::open_part(copy()?, part.clone(), Depth::Header)?;
    let expected = std::slice::from_ref(track);
    streams(&source, plan, container, expected)?;
    let mut found = Found::of(&source, 0).ok_or_else(|| unproven("a stream is missing".into()))?;
    parameters(&found, track, container)?;
    let again = Source::open_part(copy()?, part.clone(), Depth::Packets)?;
    packets(
        again,
        container.index,
        (expected, &ReadPackets::default()),
        std::slice::from_mut(&mut found),
        reporter,
    )?;
    same_packets(track, &found.packets)?;
    by_packets(&source, plan, expected, std::slice::from_mut(&mut found))?;
    let delay = delay(track.clock);
    let mut fragments = Vec::new();
    let (mut number, mut end) = (0, part.start);
    for segment in segments {
        let wrong = |what: String| unproven(format!("the segment at byte {}: {what}", segment.start));
        let mut front = [0; 3 * PACKET];
        file.read_exact_at(&mut front, segment.start).map_err(Failure::at(READING))?;
        if !begins_with_tables(&front) || segment.start != end {
            return Err(wrong("it does not begin with the tables of its program".into()));
        }
        end = segment.end;
        let left = track.packets.len().saturating_sub(number) as u64;
        let transport = Source::transport_of_part(copy()?, segment.clone(), left).map_err(wrong)?;
        let [of_track] = &transport.tracks[..] else { return Err(wrong("it has other tracks".into())) };
        let first = of_track.units.first().ok_or_else(|| wrong("it is empty".into()))?;
        fragments.push(ProvenFragment {
            bytes: segment.start - part.start..segment.end - part.start,
            start: first.pts.saturating_sub(delay.unsigned_abs()),
            duration: 0,
            is_entry: first.is_entry && found.keyframes.get(number) == Some(&true),
            first: found.packets.get(number).map_or(0, |packet| packet.1),
        });
        number += of_track.units.len();
    }
    if number != track.packets.len() || end != part.end {
        return Err(unproven(format!(
            "{number} {} in segments instead of {}",
            track.what(),
            track.packets.len()
        )));
    }
    found.first = found.first_packet() - delay;
    found.end = Some(track.ends);
    if let Media::Audio(_) = found.media {
        // Nothing says what of it is priming and padding.
        found.samples = Some(found.samples_in_packets());
        found.end = Some(track.media_end);
    }
    Ok(ProvenTrack { found, fragments })
}

/// The bytes of a packet (2.4.3.2).
const PACKET: usize = 188;

/// Returns `true` if these packets are the tables of a program, in front of which its description may be: first that of programs, which
/// has the identifier 0 (table 2-3), then another one.
fn begins_with_tables(front: &[u8]) -> bool {
    let (packets, _) = front.as_chunks::<PACKET>();
    let is_programs = |packet: &&[u8; PACKET]| packet.starts_with(&[0x47, 0x40, 0]);
    let is_description = |packet: &&[u8; PACKET]| packet.starts_with(&[0x47, 0x40, 0x11]);
    let mut packets = packets.iter().skip_while(is_description);
    // A packet of an elementary stream begins with a start code, which no table does (2.4.3.6).
    packets.next().filter(is_programs).is_some()
        && packets.next().is_some_and(|packet| packet[1] & 0x40 != 0 && packet[4..7] != [0, 0, 1])
}
