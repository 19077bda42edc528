//! NUT: the packets and frames behind the last syncpoint.

use super::bytes::{Bytes, partial};

/// The bytes in front of the first packet.
const FILE_ID: &[u8] = b"nut/multimedia container\0";
/// Start codes of packets (NUT Open Container Format, "start codes").
const MAIN: [u8; 8] = *b"NMzV\x1f\x5f\x04\xad";
const STREAM: [u8; 8] = *b"NS\x11\x40\x5b\xf2\xf9\xdb";
const SYNCPOINT: [u8; 8] = *b"NK\xe4\xad\xee\xca\x45\x69";
const INDEX: [u8; 8] = *b"NX\xdd\x67\x2f\x23\xe6\x4e";
const INFO: [u8; 8] = *b"NI\xab\x68\xb5\x96\xba\x78";
/// Flags of a frame ("frame flags"): what its header holds.
mod flag {
    pub(super) const CODED_PTS: u64 = 8;
    pub(super) const STREAM_ID: u64 = 16;
    pub(super) const SIZE_MSB: u64 = 32;
    pub(super) const CHECKSUM: u64 = 64;
    pub(super) const RESERVED: u64 = 128;
    pub(super) const HEADER_IDX: u64 = 1024;
    pub(super) const MATCH_TIME: u64 = 2048;
    pub(super) const CODED: u64 = 4096;
    pub(super) const INVALID: u64 = 8192;
}

/// How many bytes of the main header are read.
const MOST_HEADER: usize = 64 << 10;
/// How many bytes of the header of a frame or a packet are read.
const MOST_FRAME_HEADER: usize = 128;
/// How far from the end the last syncpoint is searched, in bytes: the format has one every 64 KiB, or behind a frame
/// that is longer.
const LAST_SYNCPOINT: u64 = 8 << 20;
/// How many frames and packets behind the last syncpoint are visited.
const MOST_FRAMES: u32 = 1 << 16;
/// Frames longer than this have no elision header.
const MOST_ELIDED: u64 = 4096;

/// Returns what is missing at the end of a NUT file: its last frame, or the index behind it, is whole.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let start = bytes.read(0, MOST_HEADER)?;
    let main = start.strip_prefix(FILE_ID)?.strip_prefix(&MAIN)?;
    let codes = FrameCodes::parse(main)?;
    let mut at = bytes.find_last(&SYNCPOINT, LAST_SYNCPOINT, |_| true)?;
    for _ in 0..MOST_FRAMES {
        let header = bytes.near(at, MOST_FRAME_HEADER)?;
        let mut reader = Reader(&header);
        let is_packet = header.first()? == &b'N';
        let length = if is_packet {
            let code = header.first_chunk::<8>()?;
            [MAIN, STREAM, SYNCPOINT, INDEX, INFO].contains(code).then_some(())?;
            reader.0 = header.get(8..)?;
            let length = reader.number()?;
            if length > 4096 {
                reader.skip(4)?;
            }
            length
        } else {
            codes.frame_length(&mut reader)?
        };
        let length = length.checked_add((header.len() - reader.0.len()) as u64)?;
        let name = if is_packet { "last packet" } else { "last frame" };
        if let Some(message) = partial(name, bytes.size() - at, length) {
            return Some(message);
        }
        at += length;
    }
    None
}

/// Reads numbers of a variable length, of 7 bits a byte ("type v").
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number = number.checked_mul(128)? | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

/// What the first byte of a frame states.
#[derive(Clone, Copy, Default)]
struct FrameCode {
    flags: u64,
    size_multiplier: u64,
    size_low: u64,
    reserved: u64,
    elision: u64,
}

/// The table of frame codes of the main header.
struct FrameCodes {
    codes: Vec<FrameCode>,
    /// The lengths of the elision headers: bytes that frames leave out.
    elided: Vec<u64>,
}

impl FrameCodes {
    /// Parses the main header behind its start code ("main header").
    fn parse(main: &[u8]) -> Option<Self> {
        let mut reader = Reader(main);
        let length = usize::try_from(reader.number()?).ok()?;
        if length > 4096 {
            reader.skip(4)?;
        }
        // The header ends with a checksum.
        reader.0 = reader.0.get(..length.checked_sub(4)?)?;
        if reader.number()? > 3 {
            reader.number()?;
        }
        // Streams, the distance of syncpoints, and time bases.
        reader.number()?;
        reader.number()?;
        for _ in 0..reader.number()? {
            reader.number()?;
            reader.number()?;
        }
        let mut codes: Vec<FrameCode> = Vec::with_capacity(256);
        let mut code = FrameCode { size_multiplier: 1, ..FrameCode::default() };
        while codes.len() < 256 {
            code.flags = reader.number()?;
            let fields = reader.number()?;
            let mut field = |index: u64, otherwise: u64| {
                if fields > index { reader.number() } else { Some(otherwise) }
            };
            field(0, 0)?;
            code.size_multiplier = field(1, code.size_multiplier)?;
            field(2, 0)?;
            let first_size = field(3, 0)?;
            code.reserved = field(4, 0)?;
            let count = field(5, code.size_multiplier.saturating_sub(first_size))?;
            field(6, 0)?;
            code.elision = field(7, code.elision)?;
            for index in 8..fields {
                field(index, 0)?;
            }
            (1..=256).contains(&count).then_some(())?;
            for offset in 0..count {
                // `N` begins a start code.
                if codes.len() == usize::from(b'N') {
                    codes.push(FrameCode { flags: flag::INVALID, ..FrameCode::default() });
                }
                code.size_low = first_size.checked_add(offset)?;
                codes.push(code);
            }
        }
        let mut elided = vec![0];
        if let Some(count) = reader.number() {
            for _ in 0..count.min(127) {
                let length = reader.number()?;
                reader.skip(usize::try_from(length).ok()?)?;
                elided.push(length);
            }
        }
        Some(Self { codes, elided })
    }

    /// Reads the header of a frame, and returns the bytes that follow it ("frame header").
    fn frame_length(&self, reader: &mut Reader<'_>) -> Option<u64> {
        let code = self.codes.get(usize::from(*reader.0.first()?))?;
        reader.skip(1)?;
        let mut flags = code.flags;
        (flags & flag::INVALID == 0).then_some(())?;
        if flags & flag::CODED != 0 {
            flags ^= reader.number()?;
        }
        for coded in [flag::STREAM_ID, flag::CODED_PTS] {
            if flags & coded != 0 {
                reader.number()?;
            }
        }
        let mut length = code.size_low;
        if flags & flag::SIZE_MSB != 0 {
            length = length.checked_add(code.size_multiplier.checked_mul(reader.number()?)?)?;
        }
        if flags & flag::MATCH_TIME != 0 {
            reader.number()?;
        }
        let elision = if flags & flag::HEADER_IDX != 0 { reader.number()? } else { code.elision };
        let reserved = if flags & flag::RESERVED != 0 { reader.number()? } else { code.reserved };
        for _ in 0..reserved {
            reader.number()?;
        }
        if flags & flag::CHECKSUM != 0 {
            reader.skip(4)?;
        }
        let elided =
            if length > MOST_ELIDED { 0 } else { *self.elided.get(usize::try_from(elision).ok()?)? };
        length.checked_sub(elided)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::*;

    /// A packet with a length that is coded in one byte.
    fn packet(code: &[u8], data: &[u8]) -> Vec<u8> {
        [code, &[data.len() as u8], data].concat()
    }

    /// A file whose frames are of stream 0, have a coded size, and leave out 2 bytes; frame code 1 is such a frame.
    fn nut(frames: &[Vec<u8>]) -> Vec<u8> {
        let version_streams_distance_time_base = [3, 1, 0x80 | 0x10, 0, 1, 1, 25];
        // Flags and 6 fields: 1 code without a meaning, then 254 of the same kind.
        let codes =
            [0x80 | (8192u16 >> 7) as u8, 0, 6, 0, 1, 0, 0, 0, 1, 32, 8, 0, 100, 0, 5, 0, 0x81, 0x7e, 0, 1];
        let elision = [1, 2, b'a', b'b'];
        let main = [version_streams_distance_time_base.as_slice(), &codes, &elision, &[0; 4]].concat();
        [FILE_ID.to_vec(), packet(&MAIN, &main), packet(&SYNCPOINT, &[0; 6]), frames.concat()].concat()
    }

    /// A frame of 105 bytes, 2 of which are left out.
    fn frame() -> Vec<u8> {
        [vec![1, 1], vec![7; 103]].concat()
    }

    #[test]
    fn a_cut_nut_file_ends_in_a_frame_or_an_index() {
        let index = packet(&INDEX, &[0; 20]);
        let whole = nut(&[frame(), frame(), index]);
        let end = whole.len();
        assert_cut("nut", &whole, end - 29 - 5, "its last frame is not whole (100 of 105 bytes)");
        assert_cut("nut", &whole, end - 5, "its last packet is not whole (24 of 29 bytes)");
    }

    #[test]
    fn bytes_that_are_no_frame_state_nothing() {
        assert_eq!(message("nut", &nut(&[frame(), vec![0; 10]])), None);
        assert_eq!(message("nut", &nut(&[frame(), b"NN".to_vec()])), None);
    }
}
