//! The packets of a video track by their offsets in a file, and edits that are the same for every container: keyframe flags,
//! timestamps, and packets that are repeated, swapped or removed.

use std::ops::Range;

use crate::common::media::mutate::Rng;

/// A packet of the video track.
#[derive(Debug, Clone, Default)]
pub(super) struct Packet {
    /// The byte range of the packet with its header. Empty if the packets of this container can't be moved.
    pub unit: Range<usize>,
    /// The keyframe flag, if the container has one for this packet.
    pub key: Option<Flag>,
    /// The presentation timestamp, if it can be changed in place.
    pub time: Option<Timestamp>,
    /// The length fields that include the bytes of `unit`.
    pub lengths: Vec<Length>,
}

/// A keyframe flag: the bits of `mask` at offset `at` are `set` for keyframes and `clear` for other packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub at: usize,
    pub mask: u8,
    pub set: u8,
    pub clear: u8,
}

impl Flag {
    fn is_set(self, bytes: &[u8]) -> bool {
        bytes[self.at] & self.mask == self.set
    }

    fn write(self, bytes: &mut [u8], key: bool) {
        bytes[self.at] = bytes[self.at] & !self.mask | if key { self.set } else { self.clear };
    }
}

/// A timestamp field at offset `at`, in ticks of 1/`rate` s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp {
    pub at: usize,
    pub form: Form,
    pub rate: i64,
}

/// The encoding of a timestamp field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Signed 16 bits, big-endian.
    Signed16,
    /// Unsigned 32 bits, big-endian.
    Big32,
    /// Unsigned 64 bits, big-endian.
    Big64,
    /// Unsigned 64 bits, little-endian.
    Little64,
    /// The lower 24 bits, big-endian, then the upper 8 (FLV).
    Tag,
    /// 33 bits with marker bits (ISO/IEC 13818-1, 2.4.3.6). With `decoding`, the decoding timestamp 5 bytes later is shifted by
    /// the same amount.
    Pes { decoding: bool },
}

impl Timestamp {
    fn read(self, bytes: &[u8]) -> i64 {
        let big =
            |count: usize| bytes[self.at..self.at + count].iter().fold(0, |sum, b| sum << 8 | i64::from(*b));
        match self.form {
            Form::Signed16 => i64::from(big(2) as i16),
            Form::Big32 => big(4),
            Form::Big64 => big(8),
            Form::Little64 => i64::from_le_bytes(bytes[self.at..self.at + 8].try_into().unwrap()),
            Form::Tag => big(3) | i64::from(bytes[self.at + 3]) << 24,
            Form::Pes { .. } => pes_time(bytes, self.at),
        }
    }

    /// Writes a value, clamped to the range of the field.
    fn write(self, bytes: &mut [u8], value: i64) {
        let positive = value.max(0);
        let (at, low) = (self.at, positive.to_be_bytes());
        match self.form {
            Form::Signed16 => bytes[at..at + 2].copy_from_slice(
                &(value.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16).to_be_bytes(),
            ),
            Form::Big32 => bytes[at..at + 4].copy_from_slice(&low[4..]),
            Form::Big64 => bytes[at..at + 8].copy_from_slice(&low),
            Form::Little64 => bytes[at..at + 8].copy_from_slice(&positive.to_le_bytes()),
            Form::Tag => {
                bytes[at..at + 3].copy_from_slice(&low[5..]);
                bytes[at + 3] = low[4];
            }
            Form::Pes { decoding } => {
                let moved = value - pes_time(bytes, at);
                set_pes_time(bytes, at, value);
                if decoding {
                    let value = pes_time(bytes, at + 5) + moved;
                    set_pes_time(bytes, at + 5, value);
                }
            }
        }
    }
}

fn pes_time(bytes: &[u8], at: usize) -> i64 {
    let byte = |i: usize| i64::from(bytes[at + i]);
    (byte(0) >> 1 & 7) << 30 | byte(1) << 22 | byte(2) >> 1 << 15 | byte(3) << 7 | byte(4) >> 1
}

fn set_pes_time(bytes: &mut [u8], at: usize, value: i64) {
    let value = value.rem_euclid(1 << 33);
    bytes[at] = bytes[at] & 0xf1 | (value >> 29) as u8 & 0x0e;
    bytes[at + 1] = (value >> 22) as u8;
    bytes[at + 2] = (value >> 14) as u8 | 1;
    bytes[at + 3] = (value >> 7) as u8;
    bytes[at + 4] = (value << 1) as u8 | 1;
}

/// A length field of an element that contains packets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    /// Unsigned 32 bits, little-endian, at this offset.
    Little32(usize),
    /// A variable-length integer of EBML: its offset and its width in bytes.
    Variable(usize, usize),
}

impl Length {
    /// Adds `more` to the length. Leaves it unchanged if the sum does not fit.
    fn add(self, bytes: &mut [u8], more: i64) {
        match self {
            Self::Little32(at) => {
                let sum = i64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())) + more;
                bytes[at..at + 4].copy_from_slice(&(sum as u32).to_le_bytes());
            }
            Self::Variable(at, count) => {
                let mark = 1_i64 << (7 * count);
                let value =
                    bytes[at..at + count].iter().fold(0, |sum, b| sum << 8 | i64::from(*b)) - mark + more;
                if (0..mark - 1).contains(&value) {
                    bytes[at..at + count].copy_from_slice(&(value | mark).to_be_bytes()[8 - count..]);
                }
            }
        }
    }
}

/// Returns up to `most` distinct packet numbers below `count`, sorted.
fn random_numbers(rng: &mut Rng, count: usize, most: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..=rng.below(most)).map(|_| rng.below(count)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Changes keyframe flags. Returns a description, or `None` if there are no flags or nothing changed.
pub(super) fn change_keyframe_flags(bytes: &mut [u8], packets: &[Packet], rng: &mut Rng) -> Option<String> {
    let flags: Vec<Flag> = packets.iter().filter_map(|packet| packet.key).collect();
    if flags.len() < 3 {
        return None;
    }
    let old: Vec<bool> = flags.iter().map(|flag| flag.is_set(bytes)).collect();
    let mut new = old.clone();
    let description = match rng.below(6) {
        0 => {
            new.fill(true);
            "every packet is flagged as a keyframe".into()
        }
        1 => {
            new.fill(false);
            "no packet is flagged as a keyframe".into()
        }
        2 => {
            new[1..].fill(false);
            "only the first packet is flagged as a keyframe".into()
        }
        3 => {
            let some = random_numbers(rng, flags.len(), 6);
            some.iter().for_each(|i| new[*i] = true);
            format!("packets {some:?} are flagged as keyframes, too")
        }
        4 => {
            new.rotate_right(1);
            "keyframe flags are one packet late".into()
        }
        _ => {
            new.rotate_left(1);
            "keyframe flags are one packet early".into()
        }
    };
    for (flag, key) in flags.iter().zip(&new) {
        flag.write(bytes, *key);
    }
    (new != old).then_some(description)
}

/// Repeats, swaps or removes packets. Indexes that refer to them are not updated. Returns a description, or `None` if packets
/// can't be moved.
pub(super) fn move_packets(bytes: &mut Vec<u8>, packets: &[Packet], rng: &mut Rng) -> Option<String> {
    if packets.iter().any(|packet| packet.unit.is_empty()) || packets.len() < 4 {
        return None;
    }
    let at = rng.below(packets.len() - 2);
    let (one, next) = (packets[at].clone(), packets[at + 1].clone());
    let size = one.unit.len() as i64;
    match rng.below(5) {
        0 => {
            let copy = bytes[one.unit.clone()].to_vec();
            bytes.splice(one.unit.end..one.unit.end, copy);
            one.lengths.iter().for_each(|length| length.add(bytes, size));
            Some(format!("packet {at} is repeated"))
        }
        1 => {
            let to = packets[(at + 2 + rng.below(10)).min(packets.len() - 1)].unit.end;
            let copy = bytes[one.unit.clone()].to_vec();
            let lengths = packets.iter().rev().find(|packet| packet.unit.end <= to).unwrap().lengths.clone();
            bytes.splice(to..to, copy);
            lengths.iter().for_each(|length| length.add(bytes, size));
            Some(format!("packet {at} is repeated some packets later"))
        }
        which @ (2 | 3) => {
            if which == 3 {
                let times = (one.time?, next.time?);
                let (first, second) = (times.0.read(bytes), times.1.read(bytes));
                times.0.write(bytes, second);
                times.1.write(bytes, first);
            }
            swap(bytes, &one, &next);
            let with = if which == 3 { "but not their timestamps" } else { "with their timestamps" };
            Some(format!("packets {at} and {} are swapped, {with}", at + 1))
        }
        _ => {
            bytes.drain(one.unit.clone());
            one.lengths.iter().for_each(|length| length.add(bytes, -size));
            Some(format!("packet {at} is removed"))
        }
    }
}

/// Swaps two packets. Bytes between them stay between them.
fn swap(bytes: &mut Vec<u8>, one: &Packet, other: &Packet) {
    let between = bytes[one.unit.end..other.unit.start].to_vec();
    let swapped = [&bytes[other.unit.clone()], &between, &bytes[one.unit.clone()]].concat();
    bytes.splice(one.unit.start..other.unit.end, swapped);
    let grown = other.unit.len() as i64 - one.unit.len() as i64;
    one.lengths.iter().for_each(|length| length.add(bytes, grown));
    other.lengths.iter().for_each(|length| match length {
        // This field is between the packets, so that it has moved.
        Length::Variable(at, count) if *at > one.unit.start => {
            Length::Variable(at.saturating_add_signed(grown as isize), *count).add(bytes, -grown);
        }
        length => length.add(bytes, -grown),
    });
}

/// Changes timestamps. Returns a description, or `None` if they can't be changed or nothing changed.
pub(super) fn change_timestamps(bytes: &mut [u8], packets: &[Packet], rng: &mut Rng) -> Option<String> {
    let times: Vec<Timestamp> = packets.iter().filter_map(|packet| packet.time).collect();
    if times.len() < 4 {
        return None;
    }
    let old: Vec<i64> = times.iter().map(|time| time.read(bytes)).collect();
    let rate = times[0].rate;
    let from = 1 + rng.below(times.len() - 1);
    let mut new = old.clone();
    let description = match rng.below(6) {
        0 => {
            let back = old[from] - old[0];
            new[from..].iter_mut().for_each(|time| *time -= back);
            format!("timestamps restart at packet {from}")
        }
        1 => {
            let ms = [80, 300, 1500, 11_000, 60_000][rng.below(5)];
            new[from..].iter_mut().for_each(|time| *time += rate * ms / 1000);
            format!("timestamps jump ahead by {ms} ms at packet {from}")
        }
        2 => {
            let ms = [60, 200, 700][rng.below(3)];
            new[from..].iter_mut().for_each(|time| *time -= rate * ms / 1000);
            format!("timestamps go back by {ms} ms at packet {from}")
        }
        3 => {
            let end = (from + 1 + rng.below(6)).min(new.len());
            new[from..end].fill(old[from]);
            format!("packets {from} to {} have the same timestamp", end - 1)
        }
        4 => {
            let ms = 2 + rng.below(30);
            for time in &mut new {
                *time += rate * (rng.below(2 * ms + 1) as i64 - ms as i64) / 1000;
            }
            format!("timestamps are off by up to {ms} ms")
        }
        _ => {
            let ms = [900, -900, 7000][rng.below(3)];
            new[from] += rate * ms / 1000;
            format!("the timestamp of packet {from} is off by {ms} ms")
        }
    };
    for (time, value) in times.iter().zip(&new) {
        time.write(bytes, *value);
    }
    (new != old).then_some(description)
}
