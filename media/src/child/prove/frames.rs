//! The proof of a container without an index and times: one sound track, whose packets, or samples alone, lie one behind the
//! other. So a packet's time is the number of samples in front of it.

use std::hash::Hasher as _;

use ffmpeg_next::{self as ff, Packet, packet::side_data::Type};
use millrace_formats::container::Index;
use twox_hash::XxHash3_64;

use super::{
    expected::{Expected, same_packets, unproven},
    found::Found,
    sound,
};
use crate::{
    child::{
        codec::{self, Form},
        failure::Failure,
        libav::stream::fields,
        report::Reporter,
        source::Source,
    },
    timeline::{Clock, rescale_timestamp},
};

/// Reads all packets of a file, and holds them, what of them is heard, and the length that its headers state to what was put in. The
/// sources are its headers and, once more, its packets.
pub(super) fn prove(
    (headers, mut packets): (&Source, Source),
    index: Index,
    (track, found): (&Expected, &mut Found),
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    found.clock = Clock { num: 1, den: i64::from(found.rate()) };
    let (mut first, mut last) = (0, 0);
    let mut bytes = XxHash3_64::new();
    let mut packet = Packet::empty();
    loop {
        match packets.next_packet(&mut packet) {
            Ok(()) => {}
            Err(ff::Error::Eof) => break,
            Err(error) => return Err(unproven(format!("it can't be read again: {error}"))),
        }
        reporter.progress(0, 0);
        let at = found.samples_in_packets();
        let (skipped, padding) = skipped(&packet);
        if last > 0 || (at > 0 && skipped > 0) {
            return Err(unproven(format!("samples in the middle, at {at}, are not heard")));
        }
        (first, last) = (first + skipped, padding);
        let data = packet.data().unwrap_or_default();
        match index {
            Index::Samples => sound::samples(track, found, data)?,
            _ => sound::packet(track, found, Form::File, data)?,
        }
        found.keyframes.push(true);
        found.packets.push((at, codec::digest(track.codec, data, Form::File)));
        bytes.write(data);
    }
    if index != Index::Samples {
        same_packets(track, &found.packets)?;
    }
    if bytes.finish() != track.bytes {
        return Err(unproven("its sound is not the one that was put in".into()));
    }
    sound::as_many(track, found, first)?;
    // The first sample that is heard is at time zero.
    let heard = found.samples_in_packets() - first - last;
    if heard != track.sum.units {
        return Err(unproven(format!("{heard} samples of it are heard instead of {}", track.sum.units)));
    }
    for (at, _) in &mut found.packets {
        *at -= first;
    }
    (found.first, found.end) = (0, Some(heard));
    length(headers, found, heard)
}

/// What the headers say of the length: that of all samples, or of those that are heard.
fn length(source: &Source, found: &Found, heard: i64) -> Result<(), Failure> {
    let stream = source.input.stream(0).ok_or_else(|| unproven("a stream is missing".into()))?;
    let stated = fields(&stream).0.duration;
    let says = rescale_timestamp(stated, source.clock(0), (0, source.clock(0)), found.clock);
    if (heard..=found.samples_in_packets()).contains(&says) {
        return Ok(());
    }
    Err(unproven(format!("it says that it has {says} samples instead of {heard}")))
}

/// How many samples at the begin and at the end of a packet are not heard, as libavformat reads it of the file's headers.
fn skipped(packet: &Packet) -> (i64, i64) {
    let mut data = packet.side_data();
    let both = data.find(|data| data.kind() == Type::SkipSamples).and_then(|data| {
        let [a, b, c, d, e, f, g, h] = *data.data().first_chunk()?;
        Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
    });
    both.map_or((0, 0), |(first, last)| (first.into(), last.into()))
}
