//! Ogg: the last page.

use super::bytes::{Bytes, cut_off, partial};

/// How many bytes at the end are looked at: a page has up to 65,307.
const TAIL: usize = 192 << 10;
/// How many pages are known by their checksum: the others are followed by a page, or by nothing.
const MOST_CHECKSUMS: u32 = 16;
/// The bytes of the header of a page, in front of the lengths of its segments.
const HEADER: usize = 27;
/// The flag of the last page of a logical stream.
const END_OF_STREAM: u8 = 4;

/// A page (RFC 3533, 6).
struct Page {
    flags: u8,
    serial: [u8; 4],
    /// Its length in bytes; the least that it can have, if its header is not whole.
    length: usize,
}

impl Page {
    /// The page at the start of `rest`.
    fn at(rest: &[u8]) -> Option<Self> {
        let header = rest.first_chunk::<HEADER>()?;
        let [b'O', b'g', b'g', b'S', 0, flags @ 0..=7, ..] = *header else { return None };
        let segments = usize::from(header[26]);
        let body: usize = rest[HEADER..].iter().take(segments).map(|length| usize::from(*length)).sum();
        let serial = *header[14..].first_chunk()?;
        Some(Self { flags, serial, length: HEADER + segments + body })
    }

    /// Whether the bytes of the page, at the start of `rest`, have the checksum that it states.
    fn is_intact(&self, rest: &[u8]) -> bool {
        let Some(page) = rest.get(..self.length) else { return false };
        page[22..].first_chunk().is_some_and(|stated| u32::from_le_bytes(*stated) == checksum(page))
    }
}

/// The checksum of a page, whose own bytes count as 0: a CRC with the polynomial 0x04c11db7 (RFC 3533, 6).
fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |checksum, (index, byte)| {
        let byte = if (22..26).contains(&index) { 0 } else { *byte };
        (0..8).fold(checksum ^ u32::from(byte) << 24, |checksum, _| {
            let carry = checksum >> 31;
            (checksum << 1) ^ (carry * 0x04c1_1db7)
        })
    })
}

/// Returns what is missing at the end of an Ogg file: its last page is whole, and a page near the end of the file says
/// that the same logical stream ends.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let (_, tail) = bytes.tail(TAIL)?;
    let mut last: Option<Page> = None;
    let mut ended = Vec::new();
    let mut at = 0;
    let mut checksums = MOST_CHECKSUMS;
    // Whether a page ends at `at`.
    let mut follows = false;
    while let Some(offset) = tail.get(at..)?.windows(4).position(|word| word == b"OggS") {
        follows &= offset == 0;
        at += offset;
        let rest = tail.get(at..)?;
        let Some(page) = Page::at(rest) else {
            at += 4;
            follows = false;
            continue;
        };
        let behind = rest.get(page.length..);
        let is_page = match behind {
            None if follows => {
                return partial("last page", rest.len() as u64, page.length as u64);
            }
            None => false,
            Some([] | [b'O', b'g', b'g', b'S', ..]) => true,
            Some(_) if checksums == 0 => false,
            Some(_) => {
                checksums -= 1;
                page.is_intact(rest)
            }
        };
        follows = is_page;
        if !is_page {
            at += 4;
            continue;
        }
        at += page.length;
        if page.flags & END_OF_STREAM != 0 {
            ended.push(page.serial);
        }
        last = Some(page);
    }
    (!ended.contains(&last?.serial)).then(|| cut_off("its last page does not say that the stream ends"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    /// A page of one segment of 100 bytes.
    fn page(serial: u8, flags: u8) -> Vec<u8> {
        let mut page = [b"OggS\0".to_vec(), vec![flags; 1], vec![0; 20], vec![1, 100], vec![7; 100]].concat();
        page[14] = serial;
        page
    }

    #[test]
    fn a_cut_ogg_file_has_no_page_that_ends_its_stream() {
        let whole = [page(1, 2), page(1, 0), page(1, 4)].concat();
        assert_cut("ogg", &whole, 256, "its last page does not say that the stream ends");
        assert_cut("ogg", &whole, 300, "its last page is not whole (44 of 128 bytes)");
        assert_eq!(message("ogg", &[whole, b"OggS or so".to_vec()].concat()), None);
    }

    #[test]
    fn streams_end_one_after_the_other() {
        assert_eq!(message("ogg", &[page(1, 2), page(2, 2), page(1, 4), page(2, 4)].concat()), None);
        assert_eq!(message("ogg", &[page(1, 2), page(1, 4), page(2, 2), page(2, 4)].concat()), None);
    }

    #[test]
    fn a_page_in_front_of_damage_is_known_by_its_checksum() {
        let mut last = page(1, 4);
        let checksum = super::checksum(&last);
        last[22..26].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(message("ogg", &[page(1, 2), page(1, 0), last, b"TAG".to_vec()].concat()), None);
    }

    #[test]
    fn the_checksum_matches_the_standard() {
        // The check value of CRC-32/CKSUM, which is this CRC without its last inversion.
        assert_eq!(super::checksum(b"123456789"), 0x89a1_897f);
    }
}
