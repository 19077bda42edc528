//! MXF: the footer that the header names, and the last KLV triplet.

use super::bytes::{Bytes, cut_off, grouped, partial};
use super::frames::{Frame, partial_frame};

/// How far into the file the header partition may begin, in bytes (SMPTE ST 377-1: run-in).
const RUN_IN: usize = 64 << 10;
/// The start of the key of a partition pack, up to its kind (SMPTE ST 377-1).
const PARTITION: &[u8] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01";
/// The start of every key of SMPTE.
const KEY: &[u8] = b"\x06\x0e\x2b\x34";
/// How many triplets in a row distinguish triplets from other bytes.
const LEAST_TRIPLETS: u32 = 2;
/// How many triplets of the footer are visited.
const MOST_TRIPLETS: u32 = 1 << 12;

/// The header of a KLV triplet: a key, and the length of a value (SMPTE ST 336).
struct Triplet {
    /// The bytes of the key and the length.
    header: u64,
    /// The bytes of the value.
    length: u64,
}

impl Triplet {
    /// The triplet at the start of `rest`; `None` if none is there, or its header is not whole.
    fn parse(rest: &[u8]) -> Option<Self> {
        rest.starts_with(KEY).then_some(())?;
        let (first, more) = rest.get(16..)?.split_first()?;
        let count = usize::from(first & 0x7f);
        if first & 0x80 == 0 {
            return Some(Self { header: 17, length: count as u64 });
        }
        (1..=8).contains(&count).then_some(())?;
        let length = more
            .get(..count)?
            .iter()
            .try_fold(0u64, |length, byte| Some(length.checked_mul(256)? | u64::from(*byte)))?;
        Some(Self { header: 17 + count as u64, length })
    }
}

/// Returns what is missing at the end of an MXF file.
///
/// A header partition that names no footer states nothing, also if it is closed and complete: a footer is optional
/// (SMPTE ST 377-1). The last triplet of the file is then whole.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let start = bytes.read(0, RUN_IN)?;
    let header = start.windows(PARTITION.len()).position(|bytes| bytes == PARTITION)?;
    let pack = start.get(header..)?;
    // Versions and KAG size, then the offsets of this partition, of the previous one and of the footer.
    let footer = usize::try_from(Triplet::parse(pack)?.header).ok()? + 24;
    let footer = u64::from_be_bytes(*pack.get(footer..)?.first_chunk()?);
    if footer == 0 {
        return partial_frame(bytes, "last part", LEAST_TRIPLETS, triplet);
    }
    let footer = footer.checked_add(header as u64)?;
    if footer >= bytes.size() {
        return Some(cut_off(&format!(
            "its header says that its footer begins at byte {}, and {} bytes are there",
            grouped(footer),
            grouped(bytes.size())
        )));
    }
    let mut at = footer;
    for _ in 0..MOST_TRIPLETS {
        let triplet = Triplet::parse(&bytes.near(at, 25)?)?;
        let length = triplet.header.checked_add(triplet.length)?;
        if let Some(message) = partial("footer", bytes.size() - at, length) {
            return Some(message);
        }
        at += length;
    }
    None
}

/// The triplet at the start of `rest`.
fn triplet(rest: &[u8]) -> Option<Frame> {
    let Triplet { header, length } = Triplet::parse(rest)?;
    Some(Frame { length: usize::try_from(header.checked_add(length)?).ok()?, stream: 0, value: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::PARTITION;

    fn triplet(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut triplet = key.to_vec();
        triplet.resize(16, 1);
        [&triplet, [0x83, 0, 0, value.len() as u8].as_slice(), value].concat()
    }

    /// A header partition that names a footer.
    fn header(footer: u64) -> Vec<u8> {
        triplet(PARTITION, &[[0; 24].as_slice(), &footer.to_be_bytes(), &[0; 56]].concat())
    }

    fn essence() -> Vec<u8> {
        triplet(b"\x06\x0e\x2b\x34\x01\x02\x01\x01", &[7; 100])
    }

    #[test]
    fn a_cut_mxf_file_is_missing_the_footer_that_its_header_names() {
        let run_in = vec![0; 10];
        let whole = [run_in, header(468), essence().repeat(3), header(468)].concat();
        let why = "its header says that its footer begins at byte 478, and 300 bytes are there";
        assert_cut("mxf", &whole, 300, why);
        let why = "its footer is not whole (98 of 108 bytes)";
        assert_cut("mxf", &whole, whole.len() - 10, why);
    }

    #[test]
    fn an_mxf_file_without_a_footer_ends_with_a_whole_part() {
        let whole = [header(0), essence().repeat(3)].concat();
        assert_cut("mxf", &whole, whole.len() - 1, "its last part is not whole (119 of 120 bytes)");
        assert_eq!(message("mxf", &[whole, vec![0; 50]].concat()), None);
    }
}
