//! Work objects: encoded packets with their exact times.
//!
//! A merge reads thousands of them one after the other from a pipe. Of the container formats, mp4 can't be read from a pipe as it
//! is written, and Matroska does not keep the times of every clock exactly. So this format is a plain list.
//!
//! ```text
//! object  = "MLRP" version:u8 json-length:u32 header-json packet* decoded trailer
//! packet  = 'P' flags:u8 pts:i64 duration:i64 length:u32 bytes        flags: 1 = keyframe
//! decoded = 'D' json-length:u32 decoded-json                          the `Decoded` of the segment; not in version 1
//! trailer = 'E' json-length:u32 facts-json digest:[u8; 8] json-length:u32 "MLRE"
//! ```
//!
//! Integers are little-endian. The digest is the first eight bytes of the BLAKE3 hash of all bytes in front of it.
//!
//! The work object of a copy has no packets: its header names the stream of the source that has them ([`Header::source_stream`]),
//! and its facts say how many a merge finds there.

use std::io::{self, Read, Write};

use millrace_schemas::{AudioSettings, Made, SideSettings, VideoSettings};
use millrace_topology::ports::Stored;
use serde::{Deserialize, Serialize};

use crate::seams::Decoded;

const MAGIC: &[u8; 4] = b"MLRP";
const END_MAGIC: &[u8; 4] = b"MLRE";
const VERSION: u8 = 2;
/// The longest header, decoded or trailer JSON that is read, in bytes.
const MAX_JSON: u32 = 1 << 20;
/// The largest packet that is read, in bytes.
const MAX_PACKET: u32 = 1 << 28;
/// How many bytes are allocated at most before they are read.
const MOST_UNREAD: u32 = 1 << 18;
/// The number of bytes of a trailer behind its JSON: digest, length, magic.
const TAIL: u64 = 16;

/// What all packets of a work object have in common. The headers of one rendition must be equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The encoder's codec configuration (`AVCodecContext.extradata`); of a copy, the source's.
    pub extradata: Vec<u8>,
    /// The clock of the packets: the length of a tick in seconds, as numerator and denominator.
    pub clock: (i32, i32),
    /// The settings of the video encoder, of a video track.
    pub video: Option<VideoSettings>,
    /// The settings of the audio encoder, of a sound track.
    pub audio: Option<AudioSettings>,
    /// The settings of an auxiliary track: text, or a cover.
    #[serde(default)]
    pub side: Option<SideSettings>,
    /// The width and height of a cover, in pixels.
    #[serde(default)]
    pub size: Option<(i32, i32)>,
    /// The number of samples that an audio encoder adds in front of the first one (priming).
    pub padding: i64,
    /// The number of samples in a packet of an audio encoder.
    pub frame_size: i64,
    /// Of a copy: the index of the stream of the source that has the packets. The work object has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_stream: Option<i32>,
}

impl Header {
    /// Returns `true` if the packets and the codec headers are those of the source's file, and no encoder's.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        let video = self.video.as_ref().is_some_and(VideoSettings::is_copy);
        video || self.audio.as_ref().is_some_and(AudioSettings::is_copy)
    }
}

/// An encoded packet, with its bytes as `D`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<D = Vec<u8>> {
    /// True if decoding can begin with this packet.
    pub key: bool,
    /// The presentation time, in ticks of the header's clock.
    pub pts: i64,
    /// The duration, in ticks of the header's clock; 0 if unknown.
    pub duration: i64,
    /// The encoded bytes.
    pub data: D,
}

/// The facts of a work object that its trailer holds. [`Made`] has two more, which are known once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailerFacts {
    /// The id of the rendition.
    pub rendition: String,
    /// The number of pictures, or of samples of a sound track.
    pub units: i64,
    /// The number of packets.
    pub packets: i64,
    /// The presentation time of the first picture or sample, in ticks of the header's clock.
    pub first: i64,
    /// The presentation time of the first picture at or past the end of the segment; `None` at the end of the source.
    pub next: Option<i64>,
    /// The reorder depth ([`reorder_depth`](crate::reorder_depth)).
    pub reorder: i32,
    /// Warnings: which parts of the source were damaged or missing.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A writer of one work object.
pub struct Writer<W: Write> {
    out: W,
    hasher: blake3::Hasher,
    bytes: i64,
}

impl<W: Write> Writer<W> {
    /// Writes the start of a work object with this header.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new(), bytes: 0 };
        let json = serde_json::to_vec(header)?;
        writer.write(MAGIC)?;
        writer.write(&[VERSION])?;
        writer.write(&length(&json)?.to_le_bytes())?;
        writer.write(&json)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.out.write_all(bytes)
    }

    /// Writes a packet. See [`Packet`] for the arguments.
    ///
    /// # Errors
    /// If `out` can't be written, and if the packet has 4 GiB or more.
    pub fn write_packet(&mut self, key: bool, pts: i64, duration: i64, data: &[u8]) -> io::Result<()> {
        self.write(&[b'P', u8::from(key)])?;
        self.write(&pts.to_le_bytes())?;
        self.write(&duration.to_le_bytes())?;
        self.write(&length(data)?.to_le_bytes())?;
        self.write(data)
    }

    /// Writes the end of the work object, and returns its facts. `decoded` is what the proof of its seams compares.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn finish(mut self, facts: TrailerFacts, decoded: &Decoded) -> io::Result<Made> {
        let json = serde_json::to_vec(decoded)?;
        self.write(b"D")?;
        self.write(&length(&json)?.to_le_bytes())?;
        self.write(&json)?;
        let json = serde_json::to_vec(&facts)?;
        let size = length(&json)?.to_le_bytes();
        self.write(b"E")?;
        self.write(&size)?;
        self.write(&json)?;
        let digest = digest_of(&self.hasher);
        self.out.write_all(&digest)?;
        self.out.write_all(&size)?;
        self.out.write_all(END_MAGIC)?;
        self.out.flush()?;
        let tail = i64::try_from(TAIL).unwrap_or(0);
        Ok(made(facts, self.bytes + tail, digest))
    }
}

/// Returns the digest of the bytes so far: the first eight bytes of their hash.
fn digest_of(hasher: &blake3::Hasher) -> [u8; 8] {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    first
}

/// Adds the size and the digest of a work object to the facts in its trailer.
fn made(facts: TrailerFacts, bytes: i64, digest: [u8; 8]) -> Made {
    Made {
        rendition: facts.rendition,
        units: facts.units,
        packets: facts.packets,
        bytes,
        first: facts.first,
        next: facts.next,
        reorder: facts.reorder,
        digest: i64::from_le_bytes(digest),
    }
}

/// Returns a length as the format stores it; an error if it has more than 32 bits.
fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::other("a packet of 4 GiB"))
}

/// The error for a work object that can't be read.
fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a work object {what}"))
}

/// Reads the facts of a work object of `size` bytes from its trailer, without its packets. `read_at` fills a buffer with the bytes
/// at an offset.
///
/// # Errors
/// If the object is cut off, is not a work object, or can't be read.
pub fn read_trailer(size: u64, read_at: impl Fn(&mut [u8], u64) -> io::Result<()>) -> io::Result<Stored> {
    let mut tail = [0; TAIL as usize];
    let at = size.checked_sub(TAIL).ok_or_else(|| broken("is cut off"))?;
    read_at(&mut tail, at)?;
    let (digest, rest) = tail.split_first_chunk::<8>().ok_or_else(|| broken("is cut off"))?;
    let (json_length, end) = rest.split_first_chunk::<4>().ok_or_else(|| broken("is cut off"))?;
    let json_length = u32::from_le_bytes(*json_length);
    if end != END_MAGIC || json_length > MAX_JSON {
        return Err(broken("is cut off"));
    }
    let at = at.checked_sub(u64::from(json_length)).ok_or_else(|| broken("is cut off"))?;
    let mut json = vec![0; json_length as usize];
    read_at(&mut json, at)?;
    let bytes = i64::try_from(size).map_err(|_| broken("is too large"))?;
    let mut facts: TrailerFacts = serde_json::from_slice(&json)?;
    let warnings = std::mem::take(&mut facts.warnings);
    Ok(Stored { made: made(facts, bytes, *digest), warnings })
}

/// A reader of work objects that follow each other in one stream.
pub struct Reader<R: Read> {
    from: R,
    hasher: blake3::Hasher,
    bytes: i64,
    decoded: Decoded,
}

/// A part of a work object behind its header.
#[derive(Debug)]
pub enum Item {
    /// A packet.
    Packet(Packet),
    /// The end. The digest of the work object is correct.
    End(Box<End>),
}

/// The end of a work object.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// The facts of the work object.
    pub made: Made,
    /// Warnings: which parts of the source were damaged or missing.
    pub warnings: Vec<String>,
    /// How the segment was decoded; empty in version 1.
    pub decoded: Decoded,
}

impl<R: Read> Reader<R> {
    /// A reader of this stream.
    pub fn new(from: R) -> Self {
        Self { from, hasher: blake3::Hasher::new(), bytes: 0, decoded: Decoded::default() }
    }

    /// Reads the header of the next work object; `None` at the end of the stream.
    ///
    /// # Errors
    /// If the next bytes are no work object, and if the stream can't be read.
    pub fn next_header(&mut self) -> io::Result<Option<Header>> {
        self.hasher = blake3::Hasher::new();
        self.bytes = 0;
        self.decoded = Decoded::default();
        let mut first = [0; 1];
        if self.from.read(&mut first)? == 0 {
            return Ok(None);
        }
        self.hasher.update(&first);
        self.bytes += 1;
        let rest: [u8; 4] = self.read_array()?;
        if first != MAGIC[..1] || rest[..3] != MAGIC[1..] || !(1..=VERSION).contains(&rest[3]) {
            return Err(broken("begins with something else"));
        }
        let json = self.read_json()?;
        Ok(Some(serde_json::from_slice(&json)?))
    }

    /// Reads the next packet, or the end of the work object.
    ///
    /// # Errors
    /// If the work object is cut off or damaged, and if the stream can't be read.
    pub fn next_item(&mut self) -> io::Result<Item> {
        let [mut tag] = self.read_array()?;
        if tag == b'D' {
            let json = self.read_json()?;
            self.decoded = serde_json::from_slice(&json)?;
            [tag] = self.read_array()?;
        }
        match tag {
            b'P' => {
                let [flags] = self.read_array()?;
                let pts = i64::from_le_bytes(self.read_array()?);
                let duration = i64::from_le_bytes(self.read_array()?);
                let size = u32::from_le_bytes(self.read_array()?);
                if size > MAX_PACKET {
                    return Err(broken("has a packet of an impossible size"));
                }
                let data = self.read_bytes(size)?;
                Ok(Item::Packet(Packet { key: flags & 1 == 1, pts, duration, data }))
            }
            b'E' => {
                let json = self.read_json()?;
                let digest = digest_of(&self.hasher);
                let mut tail = [0; TAIL as usize];
                self.from.read_exact(&mut tail)?;
                if tail[..8] != digest {
                    return Err(broken("is damaged: its digest differs"));
                }
                // `read_trailer` finds the trailer by these bytes.
                if tail[8..12] != length(&json)?.to_le_bytes() || tail[12..] != END_MAGIC[..] {
                    return Err(broken("is damaged at its end"));
                }
                let bytes = self.bytes + i64::try_from(TAIL).unwrap_or(0);
                let mut facts: TrailerFacts = serde_json::from_slice(&json)?;
                let warnings = std::mem::take(&mut facts.warnings);
                let decoded = std::mem::take(&mut self.decoded);
                Ok(Item::End(Box::new(End { made: made(facts, bytes, digest), warnings, decoded })))
            }
            _ => Err(broken("is damaged")),
        }
    }

    fn read_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        self.bytes += i64::try_from(N).unwrap_or(0);
        Ok(bytes)
    }

    fn read_bytes(&mut self, size: u32) -> io::Result<Vec<u8>> {
        // Memory grows with the bytes that are read: a size may claim far more bytes than there are.
        let mut bytes = Vec::with_capacity(size.min(MOST_UNREAD) as usize);
        self.from.by_ref().take(size.into()).read_to_end(&mut bytes)?;
        if bytes.len() < size as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&bytes);
        self.bytes += i64::from(size);
        Ok(bytes)
    }

    fn read_json(&mut self) -> io::Result<Vec<u8>> {
        let size = u32::from_le_bytes(self.read_array()?);
        if size > MAX_JSON { Err(broken("has an impossible header")) } else { self.read_bytes(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            extradata: vec![1, 2, 3],
            clock: (1, 90_000),
            video: None,
            audio: None,
            side: None,
            size: None,
            padding: 1024,
            frame_size: 1024,
            source_stream: None,
        }
    }

    fn object(packets: &[(i64, &[u8])]) -> (Vec<u8>, Made) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header()).unwrap();
        for (pts, data) in packets {
            writer.write_packet(*pts == 0, *pts, 1, data).unwrap();
        }
        let facts = TrailerFacts {
            rendition: "v".into(),
            units: packets.len() as i64,
            packets: packets.len() as i64,
            first: 0,
            next: Some(9),
            reorder: 2,
            warnings: vec!["a picture is damaged".into()],
        };
        let decoded = Decoded { start: Some(4), ..Decoded::default() };
        let made = writer.finish(facts, &decoded).unwrap();
        (bytes, made)
    }

    fn read_facts(bytes: &[u8]) -> io::Result<Stored> {
        read_trailer(bytes.len() as u64, |buffer, at| {
            let from = bytes.get(at as usize..).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    #[test]
    fn work_objects_that_follow_each_other_are_read_back() {
        let (mut bytes, made) = object(&[(0, b"key"), (-5, b"")]);
        assert_eq!(made.bytes, bytes.len() as i64);
        let stored = read_facts(&bytes).unwrap();
        assert_eq!((stored.made, stored.warnings.len()), (made.clone(), 1));
        bytes.extend(object(&[]).0);
        let mut reader = Reader::new(bytes.as_slice());
        assert_eq!(reader.next_header().unwrap(), Some(header()));
        let Item::Packet(packet) = reader.next_item().unwrap() else { panic!("a packet") };
        assert_eq!((packet.key, packet.pts, packet.data.as_slice()), (true, 0, b"key".as_slice()));
        assert!(matches!(reader.next_item().unwrap(), Item::Packet(Packet { pts: -5, key: false, .. })));
        assert!(
            matches!(reader.next_item().unwrap(), Item::End(end) if end.made == made && end.warnings.len() == 1 && end.decoded.start == Some(4))
        );
        assert_eq!(reader.next_header().unwrap(), Some(header()));
        assert!(matches!(reader.next_item().unwrap(), Item::End(_)));
        assert_eq!(reader.next_header().unwrap(), None);
    }

    #[test]
    fn a_packet_that_claims_more_bytes_than_there_are_allocates_no_memory_for_them() {
        /// A slice that records the length of the largest buffer that it was asked to fill.
        struct Measured<'a>(&'a [u8], usize);
        impl Read for Measured<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = self.1.max(buffer.len());
                self.0.read(buffer)
            }
        }
        let (mut bytes, _) = object(&[(0, b"key")]);
        let at = bytes.windows(3).position(|three| three == b"key").unwrap() - 4;
        bytes[at..at + 4].copy_from_slice(&MAX_PACKET.to_le_bytes());
        let mut reader = Reader::new(Measured(&bytes, 0));
        reader.next_header().unwrap();
        assert_eq!(reader.next_item().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(reader.from.1 <= MOST_UNREAD as usize, "a buffer of {} bytes", reader.from.1);
    }

    #[test]
    fn a_work_object_that_is_cut_off_or_changed_is_an_error() {
        let (bytes, _) = object(&[(0, b"key"), (1, b"more")]);
        let read_all = |bytes: &[u8]| -> io::Result<()> {
            let mut reader = Reader::new(bytes);
            reader.next_header()?;
            loop {
                if let Item::End(_) = reader.next_item()? {
                    return Ok(());
                }
            }
        };
        assert!(read_all(&bytes).is_ok());
        for cut in 1..bytes.len() {
            assert!(read_all(&bytes[..cut]).is_err(), "cut at {cut}");
            assert!(read_facts(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for changed in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[changed] ^= 1;
            assert!(read_all(&bytes).is_err(), "changed at {changed}");
        }
    }
}
