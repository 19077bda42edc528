//! Finds the packets of a video track in containers whose packets follow one another: FLV, AVI, IVF, RealMedia, Ogg, ASF; and the
//! index entries of MXF.

use super::packets::{Flag, Form, Length, Packet, Timestamp};

fn little(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(usize::MAX / 4, |b| u32::from_le_bytes(b.try_into().unwrap()) as usize)
}

fn big(bytes: &[u8], at: usize, count: usize) -> usize {
    bytes[at..at + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Returns the offset of the first occurrence of `what`.
pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Returns the video tags of an FLV. The frame type is the upper half of the payload's first byte: 1 for keyframes, 2 for others.
pub(super) fn flv(bytes: &[u8]) -> Vec<Packet> {
    let (mut at, mut found) = (13, Vec::new());
    while at + 16 < bytes.len() {
        let end = at + 11 + big(bytes, at + 1, 3) + 4;
        // An AVC sequence header holds no picture.
        let is_header = bytes[at + 11] & 15 == 7 && bytes[at + 12] == 0;
        if bytes[at] == 9 && !is_header && end <= bytes.len() {
            found.push(Packet {
                unit: at..end,
                key: Some(Flag { at: at + 11, mask: 0xf0, set: 0x10, clear: 0x20 }),
                time: Some(Timestamp { at: at + 4, form: Form::Tag, rate: 1000 }),
                lengths: Vec::new(),
            });
        }
        at = end;
    }
    found
}

/// Returns the chunks of the first stream of an AVI. Keyframe flags are those of its index (`idx1`).
pub(super) fn avi(bytes: &[u8]) -> Vec<Packet> {
    let Some(movie) = find(bytes, b"movi") else { return Vec::new() };
    let is_video = |at: usize| matches!(bytes.get(at..at + 4), Some(b"00dc" | b"00db"));
    let end = (movie - 4 + 4 + little(bytes, movie - 4)).min(bytes.len());
    let mut flags = Vec::new();
    if let Some(index) = find(bytes, b"idx1") {
        let entries = (little(bytes, index + 4) / 16).min((bytes.len() - index) / 16);
        let of_video = (0..entries).map(|i| index + 8 + 16 * i).filter(|at| is_video(*at));
        flags.extend(of_video.map(|at| Flag { at: at + 4, mask: 0x10, set: 0x10, clear: 0 }));
    }
    let (mut at, mut found) = (movie + 4, Vec::new());
    while at + 8 < end {
        let next = at + 8 + little(bytes, at + 4).next_multiple_of(2);
        if is_video(at) && next <= end {
            found.push(Packet {
                unit: at..next,
                key: flags.get(found.len()).copied(),
                time: None,
                lengths: vec![Length::Little32(4), Length::Little32(movie - 4)],
            });
        }
        at = next;
    }
    found
}

/// Returns the frames of an IVF: size, timestamp, data.
pub(super) fn ivf(bytes: &[u8]) -> Vec<Packet> {
    let (mut at, mut found) = (32, Vec::new());
    let rate = little(bytes, 16) as i64;
    while at + 12 < bytes.len() {
        let end = at + 12 + little(bytes, at);
        if end <= bytes.len() {
            let time = Some(Timestamp { at: at + 4, form: Form::Little64, rate });
            found.push(Packet { unit: at..end, time, ..Packet::default() });
        }
        at = end;
    }
    found
}

/// Returns the packets of the first stream of a RealMedia file: version, length, stream, timestamp, group, flags.
pub(super) fn rm(bytes: &[u8]) -> Vec<Packet> {
    let Some(data) = find(bytes, b"DATA") else { return Vec::new() };
    let (mut at, mut found) = (data + 18, Vec::new());
    while at + 12 < bytes.len() && bytes[at] == 0 && bytes[at + 1] == 0 {
        let end = at + big(bytes, at + 2, 2).max(12);
        if big(bytes, at + 4, 2) == 0 && end <= bytes.len() {
            found.push(Packet {
                unit: at..end,
                key: Some(Flag { at: at + 11, mask: 2, set: 2, clear: 0 }),
                time: Some(Timestamp { at: at + 6, form: Form::Big32, rate: 1000 }),
                lengths: Vec::new(),
            });
        }
        at = end;
    }
    found
}

/// Returns the pages of the first Ogg stream, without its headers. Their timestamps are protected by a checksum.
pub(super) fn ogg(bytes: &[u8]) -> Vec<Packet> {
    let (mut at, mut found) = (0, Vec::new());
    while at + 27 < bytes.len() && bytes[at..].starts_with(b"OggS") {
        let segments = usize::from(bytes[at + 26]);
        let body: usize = bytes[at + 27..].iter().take(segments).map(|size| usize::from(*size)).sum();
        let end = at + 27 + segments + body;
        let (time, serial) = (&bytes[at + 6..at + 14], &bytes[at + 14..at + 18]);
        if serial == &bytes[14..18] && time.iter().any(|byte| *byte != 0) && end <= bytes.len() {
            found.push(Packet { unit: at..end, ..Packet::default() });
        }
        at = end;
    }
    found
}

/// Returns the payloads of the first stream of an ASF, one for each picture, with their keyframe flags.
pub(super) fn asf(bytes: &[u8]) -> Vec<Packet> {
    const PACKET_BYTES: usize = 3200;
    const DATA: [u8; 16] =
        [0x36, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0, 0xaa, 0, 0x62, 0xce, 0x6c];
    let Some(data) = find(bytes, &DATA) else { return Vec::new() };
    let mut found = Vec::new();
    for start in (data + 50..).step_by(PACKET_BYTES).take_while(|start| start + PACKET_BYTES <= bytes.len()) {
        // 3 bytes of error correction data, length type flags, property flags, padding length, send time and duration.
        let flags = bytes[start + 3];
        let mut at = start + 5 + usize::from(flags >> 3 & 3) + 6;
        if bytes[start] != 0x82 || flags >> 3 & 3 > 2 {
            continue;
        }
        let several = flags & 1 == 1;
        let count = if several { bytes[at] & 0x3f } else { 1 };
        at += usize::from(several);
        for _ in 0..count {
            if at + 17 > start + PACKET_BYTES || at + 17 + usize::from(bytes[at + 6]) > bytes.len() {
                break;
            }
            let begins = little(bytes, at + 2) == 0;
            if bytes[at] & 0x7f == 1 && begins {
                let key = Some(Flag { at, mask: 0x80, set: 0x80, clear: 0 });
                found.push(Packet { key, ..Packet::default() });
            }
            at += 7 + usize::from(bytes[at + 6]);
            if several {
                at += 2 + usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            }
        }
    }
    found
}

/// Returns the entries of the index tables of an MXF (SMPTE ST 377-1, 11.2), with their random access flags.
pub(super) fn mxf(bytes: &[u8]) -> Vec<Packet> {
    const INDEX: [u8; 13] = [6, 14, 43, 52, 2, 83, 1, 1, 13, 1, 2, 1, 1];
    let starts: Vec<usize> =
        (0..bytes.len().saturating_sub(40)).filter(|at| bytes[*at..].starts_with(&INDEX)).collect();
    let mut found = Vec::new();
    for start in starts.into_iter().filter(|at| bytes[at + 13..at + 15] == [1, 16]) {
        let width = usize::from(bytes[start + 16] & 0x7f);
        let (mut at, size) = match bytes[start + 16] {
            0x80.. => (start + 17 + width, big(bytes, start + 17, width)),
            size => (start + 17, usize::from(size)),
        };
        let end = (at + size).min(bytes.len());
        while at + 12 < end {
            let (tag, size) = (big(bytes, at, 2), big(bytes, at + 2, 2));
            if tag == 0x3f0a {
                let (count, each) = (big(bytes, at + 4, 4), big(bytes, at + 8, 4));
                let entries = (0..count).map(|i| at + 12 + i * each.max(11)).take_while(|at| at + 3 < end);
                let flags = entries.map(|at| Flag { at: at + 2, mask: 0xc0, set: 0x80, clear: 0 });
                found.extend(flags.map(|flag| Packet { key: Some(flag), ..Packet::default() }));
            }
            at += 4 + size;
        }
    }
    found
}
