//! ASF (Windows Media): the length of the file and of its data object.

use super::bytes::{Bytes, partial, shorter};

/// Ids of objects (Advanced Systems Format Specification 1.20.03, 10).
const HEADER: [u8; 16] = *b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";
const FILE_PROPERTIES: [u8; 16] = *b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
const DATA: [u8; 16] = *b"\x36\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";

/// How many objects of the header are visited.
const MOST_OBJECTS: u32 = 256;
/// The flag of a live stream, whose lengths are not valid.
const BROADCAST: u32 = 1;
/// The bytes of a data object in front of its first packet.
const DATA_HEADER: u64 = 50;

/// Returns what is missing at the end of an ASF file: the file properties object (3.2) states its length, and the data
/// object (5) the length of all packets. In a live stream they do not, and the last packet is whole.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == HEADER).then_some(())?;
    let data = bytes.le64(16)?;
    let (mut at, mut properties) = (30, None);
    for _ in 0..MOST_OBJECTS {
        let (id, length) = (bytes.array::<16>(at)?, bytes.le64(at + 16)?);
        if id == FILE_PROPERTIES {
            properties = Some(at);
            break;
        }
        at = at.checked_add(length.max(24))?;
        (at < data).then_some(())?;
    }
    let properties = properties?;
    if bytes.le32(properties + 88)? & BROADCAST != 0 {
        return partial_packet(bytes, data, properties);
    }
    if let Some(message) = shorter(bytes.le64(properties + 40)?, bytes.size()) {
        return Some(message);
    }
    (bytes.array(data)? == DATA).then_some(())?;
    partial("packet data (data object)", bytes.size() - data, bytes.le64(data + 16)?)
}

/// The message for a live stream whose last packet is not whole. All of its packets are of one length, and begin with
/// the same flags of error correction.
fn partial_packet(bytes: &Bytes<'_>, data: u64, properties: u64) -> Option<String> {
    let (least, most) = (bytes.le32(properties + 92)?, bytes.le32(properties + 96)?);
    (least == most && least > 0).then_some(())?;
    let first = data.checked_add(DATA_HEADER)?;
    let there = bytes.size().checked_sub(first)? % u64::from(most);
    let last = bytes.size() - there;
    (last > first && bytes.array::<3>(last)? == bytes.array::<3>(first)?).then_some(())?;
    partial("last packet", there, u64::from(most))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::*;

    /// A file of 6 packets of 50 bytes, which states a length.
    fn asf(length: u64, flags: u8) -> Vec<u8> {
        let mut properties = [&FILE_PROPERTIES, 104u64.to_le_bytes().as_slice(), &[0; 80]].concat();
        properties[40..48].copy_from_slice(&length.to_le_bytes());
        (properties[88], properties[92], properties[96]) = (flags, 50, 50);
        let header = [&HEADER, 134u64.to_le_bytes().as_slice(), &[1, 0, 0, 0, 1, 2], &properties].concat();
        let packets = [&[0x82, 0, 0], [7; 47].as_slice()].concat().repeat(6);
        let data = if flags == 0 { 350u64 } else { 0 };
        [header, [&DATA, data.to_le_bytes().as_slice(), &[0; 26], &packets].concat()].concat()
    }

    #[test]
    fn a_cut_asf_file_has_fewer_bytes_than_its_properties_state() {
        assert_cut("asf", &asf(484, 0), 400, "its header says that it is 484 bytes long, and 400 are there");
    }

    #[test]
    fn a_cut_asf_file_is_missing_packets() {
        assert_cut("asf", &asf(0, 0), 400, "its packet data (data object) is not whole (266 of 350 bytes)");
    }

    #[test]
    fn the_last_packet_of_a_live_asf_file_is_whole() {
        let whole = asf(9999, 1);
        assert_cut("asf", &whole, 474, "its last packet is not whole (40 of 50 bytes)");
        assert_eq!(message("asf", &[whole, vec![0; 30]].concat()), None, "an index");
    }
}
