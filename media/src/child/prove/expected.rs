//! What an output must show, and how what it shows otherwise is said.

use millrace_schemas::TrackSum;

use crate::{
    child::{codec::Codec, failure::Failure, mux::is_cover},
    packets::Header,
    timeline::Clock,
};

/// What the output must show of a track.
pub(crate) struct Expected {
    pub(crate) header: Header,
    pub(crate) codec: &'static dyn Codec,
    pub(crate) sum: TrackSum,
    /// Each packet in decoding order: its presentation time in `clock`, counted from the output's time zero, and the
    /// digest of what is in it.
    pub(crate) packets: Vec<(i64, u64)>,
    /// Of a copy: whether each packet is a keyframe in the source.
    pub(crate) keys: Vec<bool>,
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
    /// Of text: the length of each packet, in `clock`.
    pub(crate) lengths: Vec<i64>,
    /// Of a cover: the digest of what is in it.
    pub(crate) cover: Option<u64>,
}

impl Expected {
    /// What its packets are, in words.
    pub(super) fn what(&self) -> &'static str {
        match &self.header {
            Header { video: Some(_), .. } => "pictures",
            Header { audio: Some(_), .. } => "packets of sound",
            _ => "texts",
        }
    }

    /// What it holds, in the words of `Found::kind`.
    pub(super) fn kind(&self) -> &'static str {
        match &self.header {
            Header { video: Some(_), .. } => "pictures",
            Header { audio: Some(_), .. } => "sound",
            header if is_cover(header) => "a cover",
            _ => "text",
        }
    }
}

/// Returns the error of an output that is not as it must be.
pub(crate) fn unproven(what: String) -> Failure {
    Failure::new(format!("the output could not be proven right and was not published: {what}"))
}

/// FR-1, TS-1: the packets are those that were put in, in their order, and as far from each other.
pub(super) fn same_packets(track: &Expected, found: &[(i64, u64)]) -> Result<(), Failure> {
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

/// Facts that differ from what they must be, each with both.
#[derive(Default)]
pub(super) struct Differences(pub(super) Vec<String>);

impl Differences {
    pub(super) fn hold<T: PartialEq + std::fmt::Display>(&mut self, fact: &str, found: T, asked: T) {
        if found != asked {
            self.0.push(format!("{fact} {found} instead of {asked}"));
        }
    }

    pub(super) fn none(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(unproven(self.0.join(", "))) }
    }
}
