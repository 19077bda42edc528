//! Work objects: the reader of whole ones, several in a row, and the reader of the facts at their end.

use std::io;

use fastrand::Rng;
use millrace_media::{
    packets::{End, Header, Item, Packet, Reader, TrailerFacts, Writer, read_trailer},
    seams::{Decoded, Overlap, PictureDigest},
};
use millrace_schemas::{AudioSettings, Color, Made, Ratio, Seek, SeekBy, SideSettings, VideoSettings};

use crate::Target;

/// Work objects.
pub const TARGET: Target = Target {
    name: "work_object",
    check,
    seeds,
    words: &[
        "MLRP\u{2}",
        "MLRP\u{1}",
        "MLRE",
        "P\u{1}",
        "P\0",
        "D",
        "E",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"extradata\":",
        "\"clock\":[",
        "\"crf\":",
        "\"warnings\":[",
        "\"pictures\":[",
        "\"next\":null",
        "0.1000000000000000055511151231257827",
        "1e999",
        "-1",
        "9223372036854775807",
        "18446744073709551615",
    ],
    memory: (4 << 20, 100),
    longest: 128 << 10,
};

/// Bytes of a trailer after its JSON: digest, length, magic.
const TAIL: usize = 16;

fn check(bytes: &[u8]) -> bool {
    let is_whole = check_object(bytes);
    // A change breaks the digest. What comes behind that check is reached with the right one.
    is_whole || repaired(bytes).is_some_and(|bytes| check_object(&bytes))
}

/// The bytes with the digest that a single object of them has.
fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(TAIL)?;
    let mut bytes = bytes.to_vec();
    let digest = blake3::hash(&bytes[..end]);
    bytes[end..end + 8].copy_from_slice(&digest.as_bytes()[..8]);
    Some(bytes)
}

/// Returns `true` if the bytes are whole work objects, at least one.
fn check_object(bytes: &[u8]) -> bool {
    let facts = read_facts(bytes);
    let Ok(objects) = read_all(bytes) else { return false };
    for (header, packets, end) in &objects {
        check_round_trip(header, packets, end);
    }
    if let [(_, _, end)] = &objects[..] {
        match facts {
            Ok((made, warnings)) => {
                assert_eq!((&made, &warnings), (&end.made, &end.warnings), "facts differ");
            }
            Err(error) => panic!("an object is read as a whole, but not its facts: {error}"),
        }
    }
    !objects.is_empty()
}

fn read_facts(bytes: &[u8]) -> io::Result<(Made, Vec<String>)> {
    let read_at = |buffer: &mut [u8], at: u64| {
        let at = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let from = bytes.get(at..).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    let stored = read_trailer(bytes.len() as u64, read_at)?;
    Ok((stored.made, stored.warnings))
}

type Object = (Header, Vec<Packet>, Box<End>);

fn read_all(bytes: &[u8]) -> io::Result<Vec<Object>> {
    let (mut reader, mut objects) = (Reader::new(bytes), Vec::new());
    while let Some(header) = reader.next_header()? {
        let mut packets = Vec::new();
        let end = loop {
            match reader.next_item()? {
                Item::Packet(packet) => packets.push(packet),
                Item::End(end) => break end,
            }
        };
        objects.push((header, packets, end));
    }
    let data: usize =
        objects.iter().flat_map(|(_, packets, _)| packets).map(|packet| packet.data.len()).sum();
    assert!(data <= bytes.len(), "{} bytes hold packets of {data}", bytes.len());
    Ok(objects)
}

/// What was read can be written, and is then read as the same.
#[expect(clippy::expect_used)]
fn check_round_trip(header: &Header, packets: &[Packet], end: &End) {
    let made = &end.made;
    let facts = TrailerFacts {
        rendition: made.rendition.clone(),
        units: made.units,
        packets: made.packets,
        first: made.first,
        next: made.next,
        reorder: made.reorder,
        warnings: end.warnings.clone(),
    };
    let written = write(header, packets, facts, &end.decoded).expect("what was read can be written");
    let again = read_all(&written).expect("what was written can be read");
    let [(header_again, packets_again, end_again)] = &again[..] else {
        panic!("one object became {}", again.len())
    };
    assert_eq!((header_again, &packets_again[..]), (header, packets));
    // JSON may have been written with other spaces: that changes the size and the digest, and nothing else.
    let same = Made { bytes: made.bytes, digest: made.digest, ..end_again.made.clone() };
    assert_eq!((&same, &end_again.warnings, &end_again.decoded), (made, &end.warnings, &end.decoded));
    assert_eq!(read_facts(&written).expect("its facts can be read").0, end_again.made);
}

fn write(header: &Header, packets: &[Packet], facts: TrailerFacts, decoded: &Decoded) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, header)?;
    for packet in packets {
        writer.write_packet(packet.key, packet.pts, packet.duration, &packet.data)?;
    }
    writer.finish(facts, decoded)?;
    Ok(bytes)
}

fn seeds(rng: &mut Rng) -> Vec<Vec<u8>> {
    let color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
    let video = VideoSettings {
        codec: "h264".into(),
        preset: "medium".into(),
        crf: 23.0,
        width: 1920,
        height: 1080,
        pixel_format: "yuv420p".into(),
        time_base: Ratio { num: 1, den: 90_000 },
        frame_rate: Ratio { num: 30_000, den: 1001 },
        sample_aspect: Ratio { num: 1, den: 1 },
        color,
        rotation: 90,
        mirrored: true,
        field_order: 1,
        source_color: Some(color),
        tone_map: true,
        encoder: "libx264".into(),
        keyframe_seconds: 2.0,
        filters: None,
        light: None,
        bit_rate: None,
        keyframe_grid: Some(-3600),
        instants: None,
    };
    let audio = AudioSettings {
        codec: "aac".into(),
        bit_rate: 128_000,
        sample_rate: 48_000,
        channels: 2,
        layout: "stereo".into(),
        encoder: String::new(),
        filters: None,
        bits: 0,
    };
    let empty = Header {
        extradata: vec![1, 100, 0, 31],
        clock: (1, 1000),
        video: None,
        audio: None,
        side: None,
        size: None,
        padding: 0,
        frame_size: 0,
        source_stream: None,
    };
    let headers = [
        Header { video: Some(video), clock: (1, 90_000), ..empty.clone() },
        Header { audio: Some(audio), padding: 1024, frame_size: 1024, ..empty.clone() },
        Header { side: Some(SideSettings { codec: "mov_text".into() }), size: Some((600, 400)), ..empty },
    ];
    let mut seeds: Vec<Vec<u8>> = headers.iter().filter_map(|header| object(header, rng).ok()).collect();
    seeds.push(seeds.concat());
    seeds
}

fn object(header: &Header, rng: &mut Rng) -> io::Result<Vec<u8>> {
    let packets: Vec<Packet> = (0..4)
        .map(|at| Packet {
            key: at == 0,
            pts: at * 3000,
            duration: 3000,
            data: vec![rng.u8(..); rng.usize(0..60)],
        })
        .collect();
    let shown = |at: i64| PictureDigest { pts: at * 3000, digest: 0x0123_4567_89ab_cdef };
    let decoded = Decoded {
        start: Some(0),
        end: Some(12_000),
        from: Some(Seek { by: SeekBy::Time, at: -9, state: 0 }),
        planned: Some(Seek { by: SeekBy::Time, at: -3, state: 0 }),
        head: Overlap { before: vec![shown(0)], pictures: (0..3).map(shown).collect(), ..Overlap::default() },
        tail: Overlap { samples: vec![1, -2, 3], ended: true, ..Overlap::default() },
    };
    let facts = TrailerFacts {
        rendition: "v-0123456789abcdef".into(),
        units: 4,
        packets: 4,
        first: 0,
        next: Some(12_000),
        reorder: 2,
        warnings: vec!["a picture at 1.5 s is damaged".into()],
    };
    write(header, &packets, facts, &decoded)
}
