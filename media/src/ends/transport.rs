//! MPEG transport streams: the last packet.

use super::bytes::{Bytes, partial};

/// The bytes of a packet from its sync byte on (ISO/IEC 13818-1, 2.4.3.2).
const PACKET: usize = 188;
/// The bytes of a packet behind its time of arrival (Blu-ray BDAV).
const TIMED_PACKET: usize = 192;
/// The bytes of a packet with error correction behind it (DVB).
const CORRECTED_PACKET: usize = 204;
/// The first byte of every packet.
const SYNC: u8 = 0x47;
/// How many bytes at either end of the file are looked at.
const WINDOW: usize = 16 << 10;
/// How many packets in a row distinguish packets from other bytes.
const LEAST_PACKETS: usize = 5;

/// Returns what is missing at the end of a transport stream: its last packet is whole.
///
/// A stream that is cut between two packets states nothing.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let distance = distance(&bytes.read(0, WINDOW)?)?;
    // The packets near the end may be shifted against the first ones.
    let (_, tail) = bytes.tail(WINDOW)?;
    let nearest = tail.len().saturating_sub(distance);
    let last = (nearest..tail.len()).find(|last| {
        let syncs = tail.get(..=*last).unwrap_or_default().iter().rev().step_by(distance);
        is_row(syncs)
    })?;
    let there = tail.len() - last;
    // The time of arrival is in front of the sync byte.
    let in_front = if distance == TIMED_PACKET { 4 } else { 0 };
    (there < PACKET).then(|| partial("last transport packet", (there + in_front) as u64, distance as u64))?
}

/// Finds the distance from one packet to the next, in bytes.
fn distance(start: &[u8]) -> Option<usize> {
    (0..start.len()).find_map(|first| {
        let from_first = start.get(first..)?;
        [PACKET, TIMED_PACKET, CORRECTED_PACKET]
            .into_iter()
            .find(|distance| is_row(from_first.iter().step_by(*distance)))
    })
}

/// Whether the first bytes are the sync bytes of enough packets.
fn is_row<'a>(mut bytes: impl Iterator<Item = &'a u8>) -> bool {
    (0..LEAST_PACKETS).all(|_| bytes.next() == Some(&SYNC))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    fn packets(in_front: usize, behind: usize) -> Vec<u8> {
        [vec![1; in_front], vec![0x47], vec![7; 187 + behind]].concat().repeat(20)
    }

    #[test]
    fn a_cut_transport_stream_ends_in_a_packet() {
        assert_cut(
            "mpegts",
            &packets(0, 0),
            188 * 15 + 76,
            "its last transport packet is not whole (76 of 188 bytes)",
        );
        assert_cut(
            "mpegts",
            &packets(4, 0),
            192 * 15 + 76,
            "its last transport packet is not whole (76 of 192 bytes)",
        );
        assert_cut(
            "mpegts",
            &packets(0, 16),
            204 * 15 + 76,
            "its last transport packet is not whole (76 of 204 bytes)",
        );
    }

    #[test]
    fn packets_may_begin_anywhere() {
        let whole = [vec![9; 1000], packets(0, 0), vec![9; 50], packets(0, 0)].concat();
        assert_cut(
            "mpegts",
            &whole,
            whole.len() - 1,
            "its last transport packet is not whole (187 of 188 bytes)",
        );
    }

    #[test]
    fn bytes_behind_the_last_packet_are_not_a_packet() {
        assert_eq!(message("mpegts", &[packets(0, 0), vec![0; 50]].concat()), None);
    }

    #[test]
    fn a_stream_that_is_cut_between_packets_states_nothing() {
        assert_eq!(message("mpegts", &packets(0, 0)[..188 * 10]), None);
    }
}
