//! The proof of a track of movie fragments (ISO/IEC 14496-12, 8.8): its boxes are read, not what a demuxer makes of them.

use std::{fs::File, ops::Range};

use millrace_formats::{Container, container::Index};
use millrace_schemas::OutputPlan;

use super::{
    expected::{Expected, same_packets, unproven},
    found::{Found, Media, facts},
    movie, packets, parameters, sound, streams,
};
use crate::{
    child::{
        failure::Failure,
        read_back::ReadPackets,
        report::Reporter,
        source::{Depth, Source},
    },
    protocol::Merged,
};

/// A track that was read again and is what was put in.
pub(crate) struct ProvenTrack {
    pub(super) found: Found,
    /// Its fragments; of a transport stream its segments.
    pub(crate) fragments: Vec<ProvenFragment>,
}

/// A fragment of a track. Times are media times in ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenFragment {
    /// Where it lies in the track's bytes.
    pub(crate) bytes: Range<u64>,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    /// Whether it begins with a keyframe, behind which nothing is shown before it.
    pub(crate) is_entry: bool,
    /// The digest of its first packet.
    pub(crate) first: u64,
}

impl ProvenTrack {
    /// Returns its codec headers, as files have them.
    pub(crate) fn headers(&self) -> &[u8] {
        &self.found.headers
    }

    /// When it ends, in seconds.
    pub(crate) fn end_seconds(&self) -> f64 {
        self.found.end.map_or(0.0, |end| self.found.seconds(end))
    }
}

/// Reads a track of fragments again, which is a part of a file, and holds it to what was put in: FR-1, TS-1, AU-1. `shift` is by how
/// many ticks its media times are behind the output's time zero.
pub(crate) fn prove_fragments(
    (file, part): (&File, Range<u64>),
    (plan, container): (&OutputPlan, &Container),
    (track, shift): (&Expected, i64),
    reporter: &mut Reporter,
) -> Result<ProvenTrack, Failure> {
    let open = |depth| {
        let copy = file.try_clone().map_err(Failure::at("reading the output again"))?;
        Source::open_part(copy, part.clone(), depth)
    };
    let source = open(Depth::Header)?;
    let expected = std::slice::from_ref(track);
    streams(&source, plan, container, expected)?;
    let mut found = Found::of(&source, 0).ok_or_else(|| unproven("a stream is missing".into()))?;
    parameters(&found, track, container)?;
    let read = ReadPackets::default();
    packets(
        open(Depth::Packets)?,
        Index::Fragments,
        (expected, &read),
        std::slice::from_mut(&mut found),
        reporter,
    )?;
    same_packets(track, &found.packets)?;
    let fragments = by_fragments(&source, (track, shift), &mut found)?;
    Ok(ProvenTrack { found, fragments })
}

/// Holds what the boxes of a track state to what was put in.
fn by_fragments(
    source: &Source,
    (track, shift): (&Expected, i64),
    found: &mut Found,
) -> Result<Vec<ProvenFragment>, Failure> {
    let what = track.what();
    let unread = || unproven(format!("the boxes of its {what} can't be read"));
    let file = source.movie(0).ok_or_else(unread)?;
    let [stated] = &file.tracks[..] else { return Err(unread()) };
    movie::entry(stated, track)?;
    let edits: Vec<(u64, i64)> = stated.edits.iter().map(|edit| (edit.duration, edit.media_time)).collect();
    let asked: Vec<(u64, i64)> = (shift > 0).then_some((0, shift)).into_iter().collect();
    if edits != asked {
        return Err(unproven(format!("the edit list of its {what} is {edits:?} instead of {asked:?}")));
    }
    let mut fragments = Vec::new();
    let mut number = 0;
    let mut end = None;
    source
        .fragments(&mut |fragment| {
            let start = fragment.start;
            if end.is_some_and(|end| end != start) {
                return Err(format!("{what} of a fragment begin at {start} ticks instead of {end:?}"));
            }
            end = Some(start + fragment.duration());
            let first = number;
            let mut earliest = i64::MAX;
            for (time, sample) in fragment.times().zip(&fragment.samples) {
                let Some((asked, _)) = track.packets.get(number) else { break };
                if time - shift != *asked {
                    return Err(format!(
                        "{what}: number {number} is at {} ticks instead of {asked}",
                        time - shift
                    ));
                }
                if found.keyframes.get(number) != Some(&sample.is_keyframe) {
                    return Err(format!(
                        "{what}: it is not said whether decoding can begin at number {number}"
                    ));
                }
                earliest = earliest.min(time);
                number += 1;
            }
            fragments.push(ProvenFragment {
                bytes: fragment.offset..fragment.end(),
                start,
                duration: fragment.duration(),
                is_entry: found.keyframes.get(first) == Some(&true) && u64::try_from(earliest) == Ok(start),
                first: found.packets.get(first).map_or(0, |packet| packet.1),
            });
            Ok(())
        })
        .map_err(unproven)?;
    if number != track.packets.len() {
        return Err(unproven(format!("{number} {what} in fragments instead of {}", track.packets.len())));
    }
    let end = i64::try_from(end.unwrap_or(0)).unwrap_or(i64::MAX) - shift;
    held_end(track, end)?;
    found.first = found.first_packet() - shift + track.header.padding;
    found.end = Some(end.min(track.ends));
    if let Media::Audio(_) = found.media {
        sound::as_many(track, found, track.header.padding)?;
    }
    Ok(fragments)
}

/// Fragments end where the track does: that of sound with the last packet in which some is heard.
fn held_end(track: &Expected, end: i64) -> Result<(), Failure> {
    let last = track.packets.last().map_or(0, |packet| packet.0.saturating_add(1));
    let asked = track.ends.clamp(last, track.media_end.max(last));
    if end == asked || (track.header.video.is_some() && end == track.ends) {
        return Ok(());
    }
    Err(unproven(format!("its {} end at {end} ticks instead of {asked}", track.what())))
}

/// Returns the facts of all tracks of a package, for its record.
pub(crate) fn facts_of_tracks(tracks: Vec<ProvenTrack>) -> Merged {
    let found: Vec<Found> = tracks.into_iter().map(|track| track.found).collect();
    facts(0, &found, None)
}
