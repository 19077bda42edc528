//! The sound of a clip: packets that are copied, of which an edit list hides what is not heard.

use std::collections::VecDeque;

use ffmpeg_next::{Packet, packet::side_data::Type};
use millrace_schemas::{Seek, SeekBy};

use super::{
    start::{MOST_AHEAD, Read},
    writer::ClipPacket,
};
use crate::{
    child::{
        alive,
        codec::{AudioCodec, Codec, tables},
        libav::{codec::name_of, stream::fields},
        source::Source,
    },
    clip::{heard, is_nearest},
    timeline::{Clock, rescale_timestamp},
};

/// How long before a clip reading begins to find packets that a decoder needs before its start, in seconds.
const EARLIER: f64 = 0.3;
/// The packets that a decoder needs before one, of a codec that has no entry.
const USUAL_LEAD_IN: usize = 2;

/// A track of sound of a clip.
pub(super) struct SoundTrack {
    pub(super) index: i32,
    clock: Clock,
    rate: Clock,
    /// When the clip begins and ends, in ticks of the track.
    range: (i64, i64),
    /// Whether the container says which samples are heard; else whole packets are.
    hides: bool,
    /// How many packets a decoder needs before the first one.
    lead_in: usize,
    /// Packets that are over before the clip begins.
    before: VecDeque<Packet>,
    /// The last packet that was taken.
    taken: Option<i64>,
    has_begun: bool,
    pub(super) has_ended: bool,
}

impl SoundTrack {
    /// Returns the track of a stream, in a clip of this range of its ticks. If the container `hides` samples, it begins and ends at a
    /// sample.
    pub(super) fn new(source: &Source, index: i32, range: (i64, i64), hides: bool) -> Self {
        let stream = usize::try_from(index).ok().and_then(|index| source.input.stream(index));
        let parameters = stream.as_ref().map(|stream| fields(stream).1);
        let name = parameters.map(|parameters| name_of(parameters.codec_id)).unwrap_or_default();
        let codec = tables().codec(&name).ok().and_then(<dyn Codec>::audio);
        let rate = parameters.map_or(1, |parameters| parameters.sample_rate.max(1));
        Self {
            index,
            clock: source.clock(index),
            rate: Clock { num: 1, den: i64::from(rate) },
            range,
            hides,
            lead_in: codec.map_or(USUAL_LEAD_IN, <dyn AudioCodec>::decoder_lead_in),
            before: VecDeque::new(),
            taken: None,
            has_begun: false,
            has_ended: false,
        }
    }

    /// Takes the next packet. Returns the packets that are written for it.
    pub(super) fn take(&mut self, packet: Packet) -> Vec<ClipPacket> {
        let Some(pts) = packet.pts().or(packet.dts()).filter(|_| !self.has_ended) else { return Vec::new() };
        // What was read before the clip's pictures were is read again with them.
        if self.taken.is_some_and(|taken| pts <= taken) {
            return Vec::new();
        }
        self.taken = Some(pts);
        let (skipped, discarded) = unheard(&packet);
        let in_ticks = |samples| rescale_timestamp(samples, self.rate, (0, self.rate), self.clock);
        let end = pts.saturating_add(packet.duration().max(1));
        let own = (pts.saturating_add(in_ticks(skipped)), end.saturating_sub(in_ticks(discarded)));
        if pts >= self.range.1 {
            self.has_ended = true;
            return Vec::new();
        }
        let part = heard(own, self.range).filter(|_| self.hides || is_nearest((pts, end), self.range));
        let Some(part) = part else {
            if !self.has_begun && self.hides && self.lead_in > 0 {
                self.before.push_back(packet);
                while self.before.len() > self.lead_in {
                    self.before.pop_front();
                }
            }
            return Vec::new();
        };
        self.has_begun = true;
        // Where the container says so, the last packet is as long as what is heard of it.
        let until = if self.hides { end.min(self.range.1) } else { end };
        let mut all: Vec<ClipPacket> =
            self.before.drain(..).filter_map(|before| whole(before, (part.0, part.0))).collect();
        let duration = until.saturating_sub(pts);
        all.extend(whole(packet, part).map(|packet| ClipPacket { duration, ..packet }));
        all
    }
}

/// Returns a packet of sound as it is written.
fn whole(packet: Packet, part: (i64, i64)) -> Option<ClipPacket> {
    let pts = packet.pts().or(packet.dts())?;
    Some(ClipPacket { pts, dts: Some(pts), duration: packet.duration(), is_key: true, packet, part })
}

/// Returns how many samples at the start and at the end of a packet are not heard (libavcodec, `AV_PKT_DATA_SKIP_SAMPLES`).
fn unheard(packet: &Packet) -> (i64, i64) {
    let data = packet.side_data().find(|data| data.kind() == Type::SkipSamples);
    let number = |at: usize| {
        let bytes = data.as_ref()?.data().get(at..)?.first_chunk().copied()?;
        Some(i64::from(u32::from_le_bytes(bytes)))
    };
    (number(0).unwrap_or(0), number(4).unwrap_or(0))
}

/// Reads what decoders of sound need before the clip's start, up to each track's first packet in it: it may lie before the keyframe from
/// which on pictures are read. Returns the packets.
pub(super) fn read_ahead(source: &mut Source, video: i32, tracks: &[SoundTrack]) -> Vec<Read> {
    let Some(first) = tracks.first().filter(|track| track.hides) else { return Vec::new() };
    // A movie has an index of each track; others may have one of pictures alone.
    let (stream, clock) =
        if source.is_movie() { (first.index, first.clock) } else { (video, source.clock(video)) };
    let earlier = (EARLIER * clock.den as f64 / clock.num.max(1) as f64) as i64;
    let at = rescale_timestamp(first.range.0, first.clock, (0, clock), clock).saturating_sub(earlier);
    if !source.seek(stream, Seek { by: SeekBy::Time, at, state: 0 }) {
        return Vec::new();
    }
    let indexes: Vec<i32> = tracks.iter().map(|track| track.index).collect();
    let mut waiting = indexes.clone();
    let mut read = Vec::new();
    let mut packet = Packet::empty();
    while !waiting.is_empty() && read.len() < MOST_AHEAD {
        let Ok(Some(index)) = source.read_as_it_is(&indexes, &mut packet) else { break };
        alive::sign();
        let start = tracks.iter().find(|track| track.index == index).map_or(0, |track| track.range.0);
        let packet = std::mem::replace(&mut packet, Packet::empty());
        let end = packet.pts().map(|pts| pts.saturating_add(packet.duration()));
        if end.is_some_and(|end| end > start) {
            waiting.retain(|other| *other != index);
        }
        read.push((packet, index));
    }
    read
}
