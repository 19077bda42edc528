//! MPEG transport streams (ISO/IEC 13818-1), with packets of 188 bytes, or of 192 bytes with a timestamp before each (M2TS).

use super::packets::{Flag, Form, Packet, Timestamp};
use crate::common::media::mutate::Rng;

const SYNC: u8 = 0x47;

/// Returns the size of packets and the offset of the sync byte in them.
fn packet_layout(bytes: &[u8]) -> Option<(usize, usize)> {
    let is = |size: usize, at: usize| (0..4).all(|i| bytes.get(at + i * size) == Some(&SYNC));
    [(188, 0), (192, 4)].into_iter().find(|(size, at)| is(*size, *at))
}

fn pid(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
}

/// Returns the offset of the payload in a packet.
fn payload_offset(packet: &[u8]) -> usize {
    if packet[3] & 0x20 == 0 { 4 } else { (5 + usize::from(packet[4])).min(packet.len()) }
}

fn starts_picture(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// Returns the PID of the first video track.
fn video_pid(bytes: &[u8], (size, sync): (usize, usize)) -> Option<u16> {
    let mut packets = bytes.chunks_exact(size).map(|packet| &packet[sync..]);
    let is = |packet: &&[u8]| {
        let start = &packet[payload_offset(packet)..];
        starts_picture(packet)
            && start.starts_with(&[0, 0, 1])
            && start.get(3).is_some_and(|id| id & 0xf0 == 0xe0)
    };
    packets.find(is).map(pid)
}

/// Reorders the packets so that those of each picture are adjacent, and pictures can be moved.
pub(super) fn group_pictures(bytes: &mut Vec<u8>) {
    let Some(layout @ (size, sync)) = packet_layout(bytes) else { return };
    let Some(track) = video_pid(bytes, layout) else { return };
    let (mut gathered, mut others) = (Vec::with_capacity(bytes.len()), Vec::new());
    for packet in bytes.chunks_exact(size) {
        let is_video = pid(&packet[sync..]) == track;
        if is_video && starts_picture(&packet[sync..]) {
            gathered.append(&mut others);
        }
        if is_video { &mut gathered } else { &mut others }.extend_from_slice(packet);
    }
    gathered.append(&mut others);
    *bytes = gathered;
}

/// Returns the pictures of the video track, after `group_pictures`.
pub(super) fn packets(bytes: &[u8]) -> Vec<Packet> {
    let Some(layout @ (size, sync)) = packet_layout(bytes) else { return Vec::new() };
    let Some(track) = video_pid(bytes, layout) else { return Vec::new() };
    let mut found: Vec<Packet> = Vec::new();
    for (i, packet) in bytes.chunks_exact(size).enumerate() {
        let (start, packet) = (i * size, &packet[sync..]);
        if pid(packet) != track {
            continue;
        }
        let end = start + size;
        if !starts_picture(packet) {
            if let Some(last) = found.last_mut().filter(|last| last.unit.end == start) {
                last.unit.end = end;
            }
            continue;
        }
        let has_field = packet[3] & 0x20 != 0 && packet[4] > 0;
        let key = has_field.then_some(Flag { at: start + sync + 5, mask: 0x40, set: 0x40, clear: 0 });
        let pes = payload_offset(packet);
        let flags = packet.get(pes + 7).copied().unwrap_or_default();
        let form = Form::Pes { decoding: flags & 0x40 != 0 };
        let room = flags & 0x80 != 0 && pes + 19 < packet.len();
        let time = room.then_some(Timestamp { at: start + sync + pes + 9, form, rate: 90_000 });
        found.push(Packet { unit: start..end, key, time, lengths: Vec::new() });
    }
    found
}

/// Renumbers the continuity counters of the video track, so that demuxers accept moved packets.
pub(super) fn renumber(bytes: &mut [u8]) {
    let Some(layout @ (size, sync)) = packet_layout(bytes) else { return };
    let Some(track) = video_pid(bytes, layout) else { return };
    let mut next = 0;
    for packet in bytes.chunks_exact_mut(size) {
        let packet = &mut packet[sync..];
        if pid(packet) == track && packet[3] & 0x10 != 0 {
            packet[3] = packet[3] & 0xf0 | next;
            next = (next + 1) & 15;
        }
    }
}

/// Changes the program clock. Returns a description, or `None` if there is none.
pub(super) fn change_clock(bytes: &mut [u8], rng: &mut Rng) -> Option<String> {
    let (size, sync) = packet_layout(bytes)?;
    let clocks = bytes.chunks_exact(size).enumerate().filter(|(_, packet)| {
        let packet = &packet[sync..];
        packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0
    });
    let clocks: Vec<usize> = clocks.map(|(i, _)| i * size + sync).collect();
    let from = rng.below(clocks.len());
    if clocks.is_empty() {
        return None;
    }
    if rng.below(2) == 0 {
        bytes[clocks[from] + 5] |= 0x80;
        return Some(format!("clock reference {from} has the discontinuity indicator"));
    }
    let seconds = 1 + rng.below(20) as u32;
    for at in &clocks[from..] {
        // The upper 32 of its 33 bits at 90 kHz.
        let at = at + 6;
        let value = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()).wrapping_add(seconds * 45_000);
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    Some(format!("clock references jump ahead by {seconds} s at number {from}"))
}
