//! Matroska (RFC 9559): blocks of the first track, cues, and header fields.

use super::packets::{Flag, Form, Length, Packet, Timestamp};
use crate::common::media::mutate::Rng;

/// An EBML element.
struct Element {
    id: u32,
    start: usize,
    /// Offset and width of its length.
    length: (usize, usize),
    content: std::ops::Range<usize>,
}

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const VIDEO: u32 = 0xe0;
const CUES: u32 = 0x1c53_bb6b;
const CUE_POINT: u32 = 0xbb;
const CUE_TRACK_POSITIONS: u32 = 0xb7;

/// Returns the elements of a byte range, up to the first that can't be parsed.
fn children(bytes: &[u8], inside: std::ops::Range<usize>) -> Vec<Element> {
    let (mut at, mut found) = (inside.start, Vec::new());
    while at + 2 <= inside.end {
        let wide = bytes[at].leading_zeros() as usize + 1;
        let size = at + wide;
        let Some(first) = bytes.get(size).filter(|_| wide <= 4 && size < inside.end) else { break };
        let count = first.leading_zeros() as usize + 1;
        if count > 8 || size + count > inside.end {
            break;
        }
        let id = bytes[at..size].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let value =
            bytes[size..size + count].iter().fold(0, |sum, b| sum << 8 | u64::from(*b)) - (1 << (7 * count));
        let start = size + count;
        // An element of unknown length extends to the end.
        let end =
            usize::try_from(value).ok().and_then(|value| start.checked_add(value)).unwrap_or(inside.end);
        found.push(Element { id, start: at, length: (size, count), content: start..end.min(inside.end) });
        at = end;
    }
    found
}

/// Returns all elements with this path of identifiers.
fn on_path(bytes: &[u8], path: &[u32]) -> Vec<Element> {
    let mut level = children(bytes, 0..bytes.len());
    for (depth, id) in path.iter().enumerate() {
        level.retain(|element| element.id == *id);
        if depth + 1 < path.len() {
            level = level.iter().flat_map(|element| children(bytes, element.content.clone())).collect();
        }
    }
    level
}

/// Returns the simple blocks of the first track.
pub(super) fn packets(bytes: &[u8]) -> Vec<Packet> {
    let mut found = Vec::new();
    let segment = on_path(bytes, &[SEGMENT]).first().map(|segment| segment.length);
    for cluster in on_path(bytes, &[SEGMENT, CLUSTER]) {
        for block in children(bytes, cluster.content.clone()) {
            let at = block.content.start;
            if block.id == SIMPLE_BLOCK && bytes.get(at) == Some(&0x81) {
                let lengths = [segment, Some(cluster.length)].into_iter().flatten();
                found.push(Packet {
                    unit: block.start..block.content.end,
                    key: Some(Flag { at: at + 3, mask: 0x80, set: 0x80, clear: 0 }),
                    time: Some(Timestamp { at: at + 1, form: Form::Signed16, rate: 1000 }),
                    lengths: lengths.map(|(at, count)| Length::Variable(at, count)).collect(),
                });
            }
        }
    }
    found
}

fn write(bytes: &mut [u8], element: &Element, value: u64) {
    let range = element.content.clone();
    let width = range.len().min(8);
    bytes[range][..width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
}

fn number(bytes: &[u8], element: &Element) -> u64 {
    bytes[element.content.clone()].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Changes or removes cues. Returns a description, or `None` if there are no cues or nothing changed.
pub(super) fn change_cues(bytes: &mut [u8], rng: &mut Rng) -> Option<String> {
    let points = on_path(bytes, &[SEGMENT, CUES, CUE_POINT]);
    let cues = on_path(bytes, &[SEGMENT, CUES]);
    let cues = cues.first()?;
    let field = |bytes: &[u8], id| on_path(bytes, &[SEGMENT, CUES, CUE_POINT, CUE_TRACK_POSITIONS, id]);
    match rng.below(5) {
        0 => {
            // Demuxers skip elements with an unknown identifier.
            bytes[cues.start + 3] ^= 1;
            Some("the cues are removed".into())
        }
        1 => {
            let gone: Vec<usize> = (0..points.len()).filter(|_| rng.below(2) == 0).collect();
            gone.iter().for_each(|i| bytes[points[*i].start] = 0xec);
            (!gone.is_empty()).then(|| format!("cues {gone:?} are removed"))
        }
        2 => {
            let times = on_path(bytes, &[SEGMENT, CUES, CUE_POINT, 0xb3]);
            let off = 1 + rng.below(300) as u64;
            for time in &times {
                let value = number(bytes, time) + off;
                write(bytes, time, value);
            }
            Some(format!("cue times are {off} ms late"))
        }
        3 => {
            let places = field(bytes, 0xf1);
            let values: Vec<u64> = places.iter().map(|place| number(bytes, place)).collect();
            for (i, place) in places.iter().enumerate() {
                write(bytes, place, values[(i + 1) % values.len()]);
            }
            (values.windows(2).any(|pair| pair[0] != pair[1]))
                .then(|| "each cue has the cluster position of the next".into())
        }
        _ => {
            let places = field(bytes, 0xf0);
            let off = 1 + rng.below(200) as u64;
            for place in &places {
                let value = number(bytes, place) + off;
                write(bytes, place, value);
            }
            (!places.is_empty()).then(|| format!("the relative positions of cues are {off} bytes too large"))
        }
    }
}

/// Changes a header field. Returns a description, or `None` if the field is not there or keeps its value.
pub(super) fn change_header(bytes: &mut [u8], rng: &mut Rng) -> Option<String> {
    let cases: [(&str, &[u32]); 6] = [
        ("Duration", &[SEGMENT, INFO, 0x4489]),
        ("TimestampScale", &[SEGMENT, INFO, 0x002a_d7b1]),
        ("DefaultDuration", &[SEGMENT, TRACKS, TRACK_ENTRY, 0x0023_e383]),
        ("PixelWidth", &[SEGMENT, TRACKS, TRACK_ENTRY, VIDEO, 0xb0]),
        ("FlagInterlaced", &[SEGMENT, TRACKS, TRACK_ENTRY, VIDEO, 0x9a]),
        ("the Timestamp of a cluster", &[SEGMENT, CLUSTER, 0xe7]),
    ];
    let (name, path) = cases[rng.below(cases.len())];
    let all = on_path(bytes, path);
    let element = all.get(rng.below(all.len()))?;
    if name == "Duration" {
        let seconds = [0.0, 0.4, 1.1, 100.0][rng.below(4)];
        let range = element.content.clone();
        match range.len() {
            8 => bytes[range].copy_from_slice(&f64::to_be_bytes(seconds * 1000.0)),
            _ => bytes[range].copy_from_slice(&f32::to_be_bytes(seconds as f32 * 1000.0)),
        }
        return Some(format!("Duration is {seconds} s"));
    }
    let old = number(bytes, element);
    let new = match rng.below(4) {
        0 => old / 2,
        1 => old * 2,
        2 => old + 100,
        _ => 1,
    };
    write(bytes, element, new);
    (new != old).then(|| format!("{name} is {new} instead of {old}"))
}
