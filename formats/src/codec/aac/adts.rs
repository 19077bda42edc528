//! AAC in streams: each packet has a header of its own (ADTS; ISO/IEC 14496-3, 1.A.2.2), in which the fields of the encoder's codec
//! header (`AudioSpecificConfig`) are said again.

use crate::{bits::Bits, codec::SoundPacket};

/// Samples in a packet (ISO/IEC 14496-3: AAC-LC).
pub(super) const FRAME_SIZE: i64 = 1024;
/// The object type of AAC-LC (table 1.17).
pub(super) const LOW_COMPLEXITY: u32 = 2;
/// Samples per second by their index in the header (1.6.3.4), the highest first.
pub(super) const RATES: [i32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// The word of synchronization.
const SYNC: u32 = 0xfff;
/// The bytes of a header without a checksum.
const HEADER: usize = 7;
/// The id of a `program_config_element` (4.4.2.1, table 4.85), which lists channels that have no configuration of their own.
const PROGRAM_CONFIG: u32 = 5;

/// What a header states.
#[derive(Debug, PartialEq, Eq)]
struct Stated {
    /// The index of the rate in [`RATES`].
    rate: u32,
    /// The channel configuration; 0 if channels are listed one by one.
    channels: u32,
    /// Where channels are listed: all fields of the list.
    list: Vec<u32>,
    /// The bytes in front of the sound.
    length: usize,
}

/// Reads the header of a packet that is whole, and holds one block of AAC-LC without a checksum.
fn stated(packet: &[u8]) -> Option<Stated> {
    let mut bits = Bits::new(packet);
    let is_synchronous = bits.number(12)? == SYNC;
    let (_version, layer, has_checksum) = (bits.number(1)?, bits.number(2)?, !bits.flag()?);
    let (profile, rate) = (bits.number(2)?, bits.number(4)?);
    let (_private, channels) = (bits.number(1)?, bits.number(3)?);
    // Original, home, and two bits of a copyright.
    bits.skip(4)?;
    let length = bits.number(13)?;
    let (_fullness, more_blocks) = (bits.number(11)?, bits.number(2)?);
    let is_one = is_synchronous && layer == 0 && !has_checksum && more_blocks == 0;
    if !is_one || profile + 1 != LOW_COMPLEXITY || usize::try_from(length) != Ok(packet.len()) {
        return None;
    }
    let mut stated = Stated { rate, channels, list: Vec::new(), length: HEADER };
    if channels == 0 {
        if bits.number(3)? != PROGRAM_CONFIG {
            return None;
        }
        stated.list = list(&mut bits)?;
        stated.length = bits.align();
    }
    Some(stated)
}

/// The fields of a `program_config_element` (4.4.1.1, table 4.2).
fn list(bits: &mut Bits<'_>) -> Option<Vec<u32>> {
    let mut fields = vec![bits.number(10)?];
    // Elements of channels in front, at the sides, at the back, of LFEs, of data, and of coupling.
    let counts = [4, 4, 4, 2, 3, 4].map(|width| bits.number(width));
    let [front, side, back, lfe, data, coupling] = counts;
    let (fives, fours) = (front? + side? + back? + coupling?, lfe? + data?);
    fields.extend(counts.into_iter().flatten());
    // A mono, a stereo and a matrix mix.
    for width in [4, 4, 3] {
        let is_there = bits.flag()?;
        fields.push(is_there.into());
        if is_there {
            fields.push(bits.number(width)?);
        }
    }
    for _bit in 0..fives * 5 + fours * 4 {
        fields.push(bits.number(1)?);
    }
    bits.align();
    let comment = bits.number(8)?;
    fields.push(comment);
    for _byte in 0..comment {
        fields.push(bits.number(8)?);
    }
    Some(fields)
}

/// Reads what a packet states.
pub(super) fn read(packet: &[u8]) -> Option<SoundPacket> {
    let stated = stated(packet)?;
    let channels = match stated.channels {
        0 => None,
        7 => Some(8),
        channels => i32::try_from(channels).ok(),
    };
    let sample_rate = *RATES.get(usize::try_from(stated.rate).ok()?)?;
    Some(SoundPacket { sample_rate: Some(sample_rate), channels, samples: Some(FRAME_SIZE) })
}

/// Returns the sound behind the header.
pub(super) fn payload(packet: &[u8]) -> Option<&[u8]> {
    packet.get(stated(packet)?.length..)
}

/// Returns `true` if a packet's header says what the encoder's codec header does.
pub(super) fn agrees(packet: &[u8], encoder: &[u8]) -> bool {
    let Some(stated) = stated(packet) else { return false };
    let of_encoder = || {
        let mut bits = Bits::new(encoder);
        let (kind, rate, channels) = (bits.number(5)?, bits.number(4)?, bits.number(4)?);
        // Three flags (`GASpecificConfig`, 4.4.1).
        bits.skip(3)?;
        let list = if channels == 0 { list(&mut bits)? } else { Vec::new() };
        (kind == LOW_COMPLEXITY).then_some((rate, channels, list))
    };
    of_encoder() == Some((stated.rate, stated.channels, stated.list))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of 48 kHz with this channel configuration, and this behind its header.
    fn packet(channels: u8, behind: &[u8]) -> Vec<u8> {
        let length = (HEADER + behind.len()) as u8;
        let head = [0xff, 0xf1, 0x4c, channels << 6, length >> 3, length << 5 | 0x1f, 0xfc];
        [&head[..], behind].concat()
    }

    #[test]
    fn a_packet_states_its_rate_its_channels_and_where_its_sound_begins() {
        let stereo = packet(2, &[1, 2, 3]);
        let expected = SoundPacket { sample_rate: Some(48_000), channels: Some(2), samples: Some(1024) };
        assert_eq!((read(&stereo), payload(&stereo)), (Some(expected), Some(&[1, 2, 3][..])));
        assert!(agrees(&stereo, &[0x11, 0x90]));
        assert!(!agrees(&stereo, &[0x11, 0x88]) && !agrees(&stereo, &[0x12, 0x10]) && !agrees(&stereo, &[]));
    }

    #[test]
    fn a_packet_that_is_cut_off_or_of_another_kind_is_not_read() {
        let whole = packet(2, &[1, 2, 3]);
        for at in 0..whole.len() {
            assert_eq!(read(&whole[..at]), None, "{at}");
        }
        // Synchronization, a layer, a checksum, a profile, and another block.
        for (at, bit) in [(0, 1), (1, 2), (1, 1), (2, 0x40), (6, 1)] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            assert_eq!(read(&changed), None, "{at}");
        }
    }

    #[test]
    fn channels_that_are_listed_are_those_of_the_encoder() {
        // 2.1: a pair in front and an LFE, as libavcodec's encoder lists them, with an empty comment.
        let list = [(0, 4), (1, 2), (3, 4), (1, 4), (0, 4), (0, 4), (1, 2), (0, 3), (0, 4), (0, 3), (16, 5), (0, 4)];
        let bytes = |head: &[(u32, usize)]| {
            let fields = head.iter().chain(&list);
            let bits: String = fields.map(|(value, width)| format!("{value:0width$b}")).collect();
            let padded = format!("{bits:0<width$}00000000", width = bits.len().next_multiple_of(8));
            padded.as_bytes().chunks(8).map(|byte| {
                u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()
            }).collect::<Vec<u8>>()
        };
        let header = bytes(&[(2, 5), (3, 4), (0, 4), (0, 3)]);
        let packet = packet(0, &[bytes(&[(PROGRAM_CONFIG, 3)]), vec![7, 8]].concat());
        assert!(agrees(&packet, &header));
        assert_eq!(payload(&packet), Some(&[7, 8][..]));
        assert_eq!(read(&packet).unwrap().channels, None);
        let mut other = header.clone();
        other[4] ^= 0x10;
        assert!(!agrees(&packet, &other));
    }
}
