//! FLV: the length in its metadata, and its last tag.

use super::bytes::{Bytes, shorter};
use super::frames::{Frame, partial_frame};

/// How many bytes of metadata are looked at.
const METADATA: usize = 256 << 10;
/// How many tags in a row distinguish the tags of an FLV file from other bytes.
const LEAST_TAGS: u32 = 2;
/// The bytes of the header of a tag.
const HEADER: usize = 11;

/// Returns what is missing at the end of an FLV file (Adobe Flash Video File Format Specification 10.1, annex E).
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let [b'F', b'L', b'V', ..] = bytes.array::<9>(0)? else { return None };
    if let Some(length) = stated_length(bytes)
        && let Some(message) = shorter(length, bytes.size())
    {
        return Some(message);
    }
    partial_frame(bytes, "last tag", LEAST_TAGS, tag)
}

/// The tag at the start of `rest`, with the number behind it that states its length.
fn tag(rest: &[u8]) -> Option<Frame> {
    let header = rest.first_chunk::<HEADER>()?;
    let [kind, a, b, c, _, _, _, _, 0, 0, 0] = *header else { return None };
    // 0x20 marks an encrypted tag.
    matches!(kind & !0x20, 8 | 9 | 18).then_some(())?;
    let length = u32::from_be_bytes([0, a, b, c]) + HEADER as u32;
    let data = usize::try_from(length).ok()?;
    let Some(behind) = rest.get(data..).filter(|behind| !behind.is_empty()) else {
        // Without the number, the tag itself is whole.
        return Some(Frame { length: data, stream: 0, value: 0 });
    };
    match behind.first_chunk() {
        Some(stated) if u32::from_be_bytes(*stated) != length => None,
        _ => Some(Frame { length: (data + 4).min(rest.len()), stream: 0, value: 0 }),
    }
}

/// The `filesize` of the metadata, in bytes (annex E.5, `onMetaData`).
fn stated_length(bytes: &Bytes<'_>) -> Option<u64> {
    let first_tag = u64::from(bytes.be32(5)?) + 4;
    let [18, a, b, c] = bytes.array(first_tag)? else { return None };
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    let metadata = bytes.read(first_tag + HEADER as u64, length.min(METADATA))?;
    // A name of 8 characters, and a number (AMF 0, 2.2).
    let key = b"\0\x08filesize\0";
    let at = metadata.windows(key.len()).position(|bytes| bytes == key)? + key.len();
    let stated = f64::from_be_bytes(*metadata.get(at..)?.first_chunk()?);
    // Up to here, a double holds every whole number.
    (0.0..9_007_199_254_740_992.0).contains(&stated).then_some(stated as u64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    fn tag(kind: u8, data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u32).to_be_bytes();
        let header = [kind, length[1], length[2], length[3], 0, 0, 0, 0, 0, 0, 0];
        [&header, data, &(data.len() as u32 + 11).to_be_bytes()].concat()
    }

    fn flv(tags: &[Vec<u8>]) -> Vec<u8> {
        [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tags.concat()].concat()
    }

    fn metadata(length: f64) -> Vec<u8> {
        tag(
            18,
            &[b"\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x08filesize\0".as_slice(), &length.to_be_bytes()]
                .concat(),
        )
    }

    #[test]
    fn a_cut_flv_file_has_fewer_bytes_than_its_metadata_state() {
        let frame = tag(9, &[7; 100]);
        let whole = flv(&[metadata(295.0), frame.repeat(2)]);
        let why = "its header says that it is 295 bytes long, and 180 are there";
        assert_cut("flv", &whole, 295 - frame.len(), why);
    }

    #[test]
    fn a_length_that_is_no_number_of_bytes_states_nothing() {
        for length in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(message("flv", &flv(&[metadata(length), tag(9, &[7; 100])])), None);
        }
    }

    #[test]
    fn the_last_tag_of_a_live_flv_file_is_whole() {
        let whole = flv(&[tag(9, &[7; 100]).repeat(5)]);
        let end = whole.len();
        assert_cut("live_flv", &whole, end - 15, "its last tag is not whole (100 of 111 bytes)");
        // Only the number behind the last tag is missing.
        assert_eq!(message("flv", &whole[..end - 4]), None);
        assert_eq!(message("flv", &[whole, vec![0; 20]].concat()), None);
    }

    #[test]
    fn a_second_flv_file_behind_the_first_is_whole() {
        let part = flv(&[metadata(178.0), tag(8, &[7; 30]).repeat(3)]);
        let whole = part.repeat(2);
        assert_cut("flv", &whole, whole.len() - 6, "its last tag is not whole (39 of 41 bytes)");
    }
}
