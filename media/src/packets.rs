//! Work objects: encoded packets with their exact times.
//!
//! Neither mp4 nor Matroska keeps any clock exactly and streams at the same time, and a merge reads thousands of these
//! one after the other out of a pipe; so this is a plain list.
//!
//! ```text
//! object  = "MLRP" version:u8 json-length:u32 header-json packet* decoded trailer
//! packet  = 'P' flags:u8 pts:i64 duration:i64 length:u32 bytes        flags: 1 = keyframe
//! decoded = 'D' json-length:u32 decoded-json                          how it was decoded; not in version 1
//! trailer = 'E' json-length:u32 facts-json digest:[u8; 8] json-length:u32 "MLRE"
//! ```
//!
//! Integers are little endian. The digest is the first eight bytes of the BLAKE3 hash of all before it.

use std::io::{self, Read, Write};

use millrace_schemas::{AudioSettings, Made, SideSettings, VideoSettings};
use millrace_topology::ports::Stored;
use serde::{Deserialize, Serialize};

use crate::seams::Decoded;

const MAGIC: &[u8; 4] = b"MLRP";
const END_MAGIC: &[u8; 4] = b"MLRE";
const VERSION: u8 = 2;
/// The longest header or trailer that is believed.
const MAX_JSON: u32 = 1 << 20;
/// The largest packet that is believed.
const MAX_PACKET: u32 = 1 << 28;
/// How many bytes are made room for before they are there.
const UNSEEN: u32 = 1 << 18;
/// Bytes of a trailer after its JSON: digest, length, magic.
const TAIL: u64 = 16;

/// What all packets of a work object have in common. Those of one rendition must agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The codec's private data, as the encoder gave it.
    pub extradata: Vec<u8>,
    /// The clock of the packets, seconds a tick.
    pub clock: (i32, i32),
    /// The settings of a video encoder.
    pub video: Option<VideoSettings>,
    /// The settings of an audio encoder.
    pub audio: Option<AudioSettings>,
    /// The settings of what lies beside.
    #[serde(default)]
    pub side: Option<SideSettings>,
    /// Of a cover: its size in pixels.
    #[serde(default)]
    pub size: Option<(i32, i32)>,
    /// Samples that an audio encoder puts before the first one.
    pub padding: i64,
    /// Samples in a packet of an audio encoder.
    pub frame_size: i64,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Whether decoding can begin here.
    pub key: bool,
    /// Presentation time, in the header's clock.
    pub pts: i64,
    /// How long it is shown or heard, in the header's clock; 0 where that is not known.
    pub duration: i64,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Facts in the trailer; `bytes` and `digest` are known once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The rendition.
    pub rendition: String,
    /// Pictures, or samples.
    pub units: i64,
    /// Packets.
    pub packets: i64,
    /// First presentation time.
    pub first: i64,
    /// First presentation time at or past the end.
    pub next: Option<i64>,
    /// Reorder depth.
    pub reorder: i32,
    /// What of the source was damaged or missing, and where.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Writes a work object.
pub struct Writer<W: Write> {
    out: W,
    hasher: blake3::Hasher,
    bytes: i64,
}

impl<W: Write> Writer<W> {
    /// Begins a work object.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new(), bytes: 0 };
        let json = serde_json::to_vec(header)?;
        writer.put(MAGIC)?;
        writer.put(&[VERSION])?;
        writer.put(&length(&json)?.to_le_bytes())?;
        writer.put(&json)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.out.write_all(bytes)
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn packet(&mut self, key: bool, pts: i64, duration: i64, data: &[u8]) -> io::Result<()> {
        self.put(&[b'P', u8::from(key)])?;
        self.put(&pts.to_le_bytes())?;
        self.put(&duration.to_le_bytes())?;
        self.put(&length(data)?.to_le_bytes())?;
        self.put(data)
    }

    /// Ends the work object; says the facts of it. How it was decoded is for the proof of its seams.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn finish(mut self, facts: Facts, decoded: &Decoded) -> io::Result<Made> {
        let json = serde_json::to_vec(decoded)?;
        self.put(b"D")?;
        self.put(&length(&json)?.to_le_bytes())?;
        self.put(&json)?;
        let json = serde_json::to_vec(&facts)?;
        let size = length(&json)?.to_le_bytes();
        self.put(b"E")?;
        self.put(&size)?;
        self.put(&json)?;
        let digest = self.digest();
        self.out.write_all(&digest)?;
        self.out.write_all(&size)?;
        self.out.write_all(END_MAGIC)?;
        self.out.flush()?;
        let tail = i64::try_from(TAIL).unwrap_or(0);
        Ok(made(facts, self.bytes + tail, digest))
    }

    fn digest(&self) -> [u8; 8] {
        first_eight(&self.hasher)
    }
}

fn first_eight(hasher: &blake3::Hasher) -> [u8; 8] {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    first
}

fn made(facts: Facts, bytes: i64, digest: [u8; 8]) -> Made {
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

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::other("a packet of 4 GiB"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a work object {what}"))
}

/// Reads the facts of a work object from its end, without its packets. `size` is the object's; `read_at` fills a
/// buffer from an offset.
///
/// # Errors
/// Where the object is cut off, is something else, or can't be read.
pub fn facts(size: u64, read_at: impl Fn(&mut [u8], u64) -> io::Result<()>) -> io::Result<Stored> {
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
    let mut facts: Facts = serde_json::from_slice(&json)?;
    let warnings = std::mem::take(&mut facts.warnings);
    Ok(Stored { made: made(facts, bytes, *digest), warnings })
}

/// Reads work objects, one after the other, out of one stream.
pub struct Reader<R: Read> {
    from: R,
    hasher: blake3::Hasher,
    bytes: i64,
    decoded: Decoded,
}

/// What comes next in a work object.
#[derive(Debug)]
pub enum Item {
    /// A packet.
    Packet(Packet),
    /// Its end; its digest was right.
    End(Box<End>),
}

/// What the end of a work object says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// Its facts.
    pub made: Made,
    /// What of the source was damaged or missing, and where.
    pub warnings: Vec<String>,
    /// How it was decoded.
    pub decoded: Decoded,
}

impl<R: Read> Reader<R> {
    /// Reads from this stream.
    pub fn new(from: R) -> Self {
        Self { from, hasher: blake3::Hasher::new(), bytes: 0, decoded: Decoded::default() }
    }

    /// The header of the next work object; `None` at the end of the stream.
    ///
    /// # Errors
    /// Where what comes is no work object.
    pub fn header(&mut self) -> io::Result<Option<Header>> {
        self.hasher = blake3::Hasher::new();
        self.bytes = 0;
        self.decoded = Decoded::default();
        let mut first = [0; 1];
        if self.from.read(&mut first)? == 0 {
            return Ok(None);
        }
        self.hasher.update(&first);
        self.bytes += 1;
        let rest: [u8; 4] = self.take()?;
        if first != MAGIC[..1] || rest[..3] != MAGIC[1..] || !(1..=VERSION).contains(&rest[3]) {
            return Err(broken("begins with something else"));
        }
        let json = self.take_json()?;
        Ok(Some(serde_json::from_slice(&json)?))
    }

    /// The next packet, or the object's end.
    ///
    /// # Errors
    /// Where the object is cut off or damaged.
    pub fn item(&mut self) -> io::Result<Item> {
        let [mut tag] = self.take()?;
        if tag == b'D' {
            let json = self.take_json()?;
            self.decoded = serde_json::from_slice(&json)?;
            [tag] = self.take()?;
        }
        match tag {
            b'P' => {
                let [flags] = self.take()?;
                let pts = i64::from_le_bytes(self.take()?);
                let duration = i64::from_le_bytes(self.take()?);
                let size = u32::from_le_bytes(self.take()?);
                if size > MAX_PACKET {
                    return Err(broken("has a packet of an impossible size"));
                }
                let data = self.take_bytes(size)?;
                Ok(Item::Packet(Packet { key: flags & 1 == 1, pts, duration, data }))
            }
            b'E' => {
                let json = self.take_json()?;
                let known = first_eight(&self.hasher);
                let mut tail = [0; TAIL as usize];
                self.from.read_exact(&mut tail)?;
                if tail[..8] != known {
                    return Err(broken("is damaged: its digest differs"));
                }
                // What `facts` finds the trailer by: both must read the same.
                if tail[8..12] != length(&json)?.to_le_bytes() || tail[12..] != END_MAGIC[..] {
                    return Err(broken("is damaged at its end"));
                }
                let bytes = self.bytes + i64::try_from(TAIL).unwrap_or(0);
                let mut facts: Facts = serde_json::from_slice(&json)?;
                let warnings = std::mem::take(&mut facts.warnings);
                let decoded = std::mem::take(&mut self.decoded);
                Ok(Item::End(Box::new(End { made: made(facts, bytes, known), warnings, decoded })))
            }
            _ => Err(broken("is damaged")),
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        self.bytes += i64::try_from(N).unwrap_or(0);
        Ok(bytes)
    }

    fn take_bytes(&mut self, size: u32) -> io::Result<Vec<u8>> {
        // Room grows with the bytes that come: a size that is claimed may be far more than there are.
        let mut bytes = Vec::with_capacity(size.min(UNSEEN) as usize);
        self.from.by_ref().take(size.into()).read_to_end(&mut bytes)?;
        if bytes.len() < size as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&bytes);
        self.bytes += i64::from(size);
        Ok(bytes)
    }

    fn take_json(&mut self) -> io::Result<Vec<u8>> {
        let size = u32::from_le_bytes(self.take()?);
        if size > MAX_JSON { Err(broken("has an impossible header")) } else { self.take_bytes(size) }
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
        }
    }

    fn object(packets: &[(i64, &[u8])]) -> (Vec<u8>, Made) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header()).unwrap();
        for (pts, data) in packets {
            writer.packet(*pts == 0, *pts, 1, data).unwrap();
        }
        let facts = Facts {
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
        facts(bytes.len() as u64, |buffer, at| {
            let from = bytes.get(at as usize..).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    #[test]
    fn objects_in_a_row_are_read_back() {
        let (mut bytes, made) = object(&[(0, b"key"), (-5, b"")]);
        assert_eq!(made.bytes, bytes.len() as i64);
        let stored = read_facts(&bytes).unwrap();
        assert_eq!((stored.made, stored.warnings.len()), (made.clone(), 1));
        bytes.extend(object(&[]).0);
        let mut reader = Reader::new(bytes.as_slice());
        assert_eq!(reader.header().unwrap(), Some(header()));
        let Item::Packet(packet) = reader.item().unwrap() else { panic!("a packet") };
        assert_eq!((packet.key, packet.pts, packet.data.as_slice()), (true, 0, b"key".as_slice()));
        assert!(matches!(reader.item().unwrap(), Item::Packet(Packet { pts: -5, key: false, .. })));
        assert!(
            matches!(reader.item().unwrap(), Item::End(end) if end.made == made && end.warnings.len() == 1 && end.decoded.start == Some(4))
        );
        assert_eq!(reader.header().unwrap(), Some(header()));
        assert!(matches!(reader.item().unwrap(), Item::End(_)));
        assert_eq!(reader.header().unwrap(), None);
    }

    #[test]
    fn a_packet_that_claims_more_bytes_than_there_are_takes_no_room_for_them() {
        /// Gives what it has, and notes the largest buffer that it was to fill.
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
        reader.header().unwrap();
        assert_eq!(reader.item().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(reader.from.1 <= UNSEEN as usize, "room for {} bytes", reader.from.1);
    }

    #[test]
    fn a_cut_or_changed_object_is_an_error() {
        let (bytes, _) = object(&[(0, b"key"), (1, b"more")]);
        let read_all = |bytes: &[u8]| -> io::Result<()> {
            let mut reader = Reader::new(bytes);
            reader.header()?;
            loop {
                if let Item::End(_) = reader.item()? {
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
