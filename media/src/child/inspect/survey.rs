//! Reads all packets of a source once: what its header does not tell, or tells wrongly.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{AVFrameSideDataType, AVMediaType},
};
use millrace_schemas::{Light, PictureShape};

use crate::child::{
    decode::Decoder,
    failure::Failure,
    graph::shape,
    libav::{codec::KeyframeParser, frame::side_data, packet::new_headers, stream::fields},
    light,
    orientation::Orientation,
    report::Reporter,
    source::{DiscontinuityFinder, Source, is_header},
};

/// A packet of pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    pub(super) stream: i32,
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    /// 0 where it is not told.
    pub(super) duration: i64,
    pub(super) is_key: bool,
    /// Its offset in bytes; -1 where it is not told.
    pub(super) at: i64,
    /// Which of the codec headers between packets holds for it, from 1; 0 for none.
    pub(super) state: i32,
}

/// What was seen of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) packets: u64,
    /// The numbers of its first and last packet among all packets.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Times and lengths of all packets but those of pictures: for discontinuities of sound alone.
    times: Vec<(Option<i64>, Option<i64>, i64)>,
    /// The first picture that could be decoded.
    pub(super) picture: Option<First>,
}

/// The first picture of a track.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub(super) shape: PictureShape,
    /// What is said of its light.
    pub(super) light: Option<Light>,
}

/// All packets of a source.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) streams: BTreeMap<i32, Seen>,
    /// The packets of all videos, in the order of the file.
    pub(super) pictures: Vec<Note>,
    /// How often a packet of one stream followed one of another of the same kind.
    switches: BTreeMap<(i32, i32), u64>,
    /// Codec headers that lie between packets.
    pub(super) states: Vec<Vec<u8>>,
    /// Whether there were more of them, or larger ones, than are kept.
    pub(super) too_many_states: bool,
}

/// How many codec headers between packets are kept, and how many bytes: they travel in records.
const MOST_STATES: usize = 32;
const LARGEST_STATE: usize = 4096;
/// Packets that are tried for a first picture, for how long, and of how many streams at a time: each decoder holds pictures.
const MOST_TRIES: u64 = 2000;
pub(super) const LONGEST_TRIES: Duration = Duration::from_secs(15);
const MOST_DECODERS: usize = 16;

impl Survey {
    /// Reads all packets from where the source stands; of some streams alone, if they are named.
    pub(super) fn take(
        source: &mut Source,
        only: Option<(&[i32], Option<KeyframeParser>)>,
        reporter: &mut Reporter,
    ) -> Result<Self, Failure> {
        let (streams, keys) = only.map_or((None, None), |(streams, keys)| (Some(streams), keys));
        if let Some(streams) = streams {
            source.only(streams)?;
        }
        let mut survey = Self::default();
        let mut decoders: BTreeMap<i32, Option<Decoder<ff::frame::Video>>> = BTreeMap::new();
        let mut last_of_kind: BTreeMap<i32, i32> = BTreeMap::new();
        let mut states: BTreeMap<i32, i32> = BTreeMap::new();
        let mut packet = Packet::empty();
        let mut number = 0;
        let mut tried = Duration::ZERO;
        // Where it can't be read on, it ends for everybody.
        while source.next_packet(&mut packet).is_ok() {
            reporter.progress(0, 0);
            let Ok(stream) = i32::try_from(packet.stream()) else { continue };
            if is_header(&packet) || streams.is_some_and(|streams| !streams.contains(&stream)) {
                continue;
            }
            number += 1;
            let kind = kind(source, stream);
            if let Some(last) = last_of_kind.insert(kind, stream).filter(|last| *last != stream) {
                *survey.switches.entry((last.min(stream), last.max(stream))).or_default() += 1;
            }
            if let Some(headers) = new_headers(&packet) {
                states.insert(stream, survey.keep(&headers));
            }
            let seen =
                survey.streams.entry(stream).or_insert_with(|| Seen { first: number, ..Seen::default() });
            seen.packets += 1;
            seen.last = number;
            if kind != AVMediaType::AVMEDIA_TYPE_VIDEO as i32 {
                seen.times.push((packet.pts(), packet.dts(), packet.duration().max(0)));
                continue;
            }
            let may_try = decoders.contains_key(&stream) || decoders.len() < MOST_DECODERS;
            if seen.picture.is_none() && seen.packets <= MOST_TRIES && may_try && tried < LONGEST_TRIES {
                let begun = Instant::now();
                let decoder = decoders.entry(stream).or_insert_with(|| Decoder::open(source, stream, 1).ok());
                seen.picture = decoder.as_mut().and_then(|decoder| first_picture(decoder, &packet));
                tried += begun.elapsed();
            } else {
                decoders.remove(&stream);
            }
            survey.pictures.push(Note {
                stream,
                pts: packet.pts(),
                dts: packet.dts(),
                duration: packet.duration().max(0),
                is_key: keys.as_ref().map_or(packet.is_key(), |keys| keys.is_key(&packet)),
                at: i64::try_from(packet.position()).unwrap_or(-1),
                state: states.get(&stream).copied().unwrap_or(0),
            });
        }
        for (stream, decoder) in decoders {
            // A decoder may hold the only picture.
            if let (Some(mut decoder), Some(seen)) = (decoder, survey.streams.get_mut(&stream)) {
                decoder.end();
                seen.picture = seen.picture.take().or_else(|| received(&mut decoder));
            }
        }
        Ok(survey)
    }

    /// Keeps codec headers; gives their number, from 1.
    fn keep(&mut self, headers: &[u8]) -> i32 {
        let known = self.states.iter().position(|state| state == headers);
        let index = known.unwrap_or(self.states.len());
        if known.is_none() {
            if self.states.len() >= MOST_STATES || headers.len() > LARGEST_STATE {
                self.too_many_states = true;
                return 0;
            }
            self.states.push(headers.to_vec());
        }
        i32::try_from(index + 1).unwrap_or(0)
    }

    /// Whether one of two streams of a kind goes on where the other pauses: their packets hardly alternate.
    pub(super) fn follow_each_other(&self, a: i32, b: i32) -> bool {
        let packets = |stream: i32| self.streams.get(&stream).map_or(0, |seen| seen.packets);
        let switches = self.switches.get(&(a.min(b), a.max(b))).copied().unwrap_or(0);
        let fewer = packets(a).min(packets(b));
        fewer > 0 && switches * 10 <= fewer.max(20)
    }

    /// Returns by how many microseconds each part behind a discontinuity is moved, of a track without pictures.
    pub(super) fn discontinuities(&self, source: &Source, streams: &[i32]) -> Vec<i64> {
        let Some(first) = streams.first() else { return Vec::new() };
        let mut finder = DiscontinuityFinder::new(source.clock(*first), source.is_discontinuous());
        // Streams of one track follow each other: in the order of their first packets.
        let mut seen: Vec<&Seen> = streams.iter().filter_map(|stream| self.streams.get(stream)).collect();
        seen.sort_by_key(|seen| seen.first);
        for (pts, dts, duration) in seen.iter().flat_map(|seen| &seen.times) {
            finder.step(*pts, *dts, *duration);
        }
        finder.moves()
    }
}

fn kind(source: &Source, stream: i32) -> i32 {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    stream.map_or(-1, |stream| fields(&stream).1.codec_type as i32)
}

/// The first picture that a decoder gives, if this packet brings it forth.
pub(super) fn first_picture(decoder: &mut Decoder<ff::frame::Video>, packet: &Packet) -> Option<First> {
    // A packet that is damaged, or comes before the first header, brings none.
    decoder.send(packet).ok()?;
    received(decoder)
}

/// The next picture of a decoder.
pub(super) fn received(decoder: &mut Decoder<ff::frame::Video>) -> Option<First> {
    use AVFrameSideDataType::{AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA};
    let picture = decoder.frame()?;
    let of = |kind| side_data(&picture, kind);
    let light =
        light::read(of(AV_FRAME_DATA_MASTERING_DISPLAY_METADATA), of(AV_FRAME_DATA_CONTENT_LIGHT_LEVEL));
    Some(First { shape: shape::of(&picture, &mut { Orientation::UPRIGHT }), light })
}
