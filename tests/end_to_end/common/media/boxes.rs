//! Changes boxes of an mp4 (ISO/IEC 14496-12) in ways that the ffmpeg command has no option for. The index must lie behind
//! the frames, as ffmpeg writes it, so that nothing that it points to moves.

use std::path::Path;

/// Where a box begins and ends.
type Span = (usize, usize);

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The boxes in a range.
fn children(bytes: &[u8], (start, end): Span) -> Vec<([u8; 4], Span)> {
    let (mut found, mut at) = (Vec::new(), start);
    while at + 8 <= end {
        let size = match number(bytes, at) {
            0 => end - at,
            1 => usize::try_from(u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap())).unwrap(),
            size => size,
        };
        found.push((bytes[at + 4..at + 8].try_into().unwrap(), (at, at + size)));
        at += size;
    }
    found
}

/// The first box on a path of names, with all that it lies in, the outermost first. A sample description begins behind its
/// count, an entry of video in it behind its fields.
fn find(bytes: &[u8], path: &[&str]) -> Vec<Span> {
    let (mut inside, mut spans) = ((0, bytes.len()), Vec::new());
    for name in path {
        let of_it = children(bytes, inside).into_iter().find(|(found, _)| found == name.as_bytes());
        let span = of_it.unwrap_or_else(|| panic!("no box {name} of {path:?}")).1;
        spans.push(span);
        let fields = match *name {
            "stsd" => 16,
            "avc1" | "hvc1" | "hev1" => 86,
            _ => 8,
        };
        inside = (span.0 + fields, span.1);
    }
    spans
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Replaces a part of the last box of a path, and makes all that it lies in as much larger.
fn splice(bytes: &mut Vec<u8>, spans: &[Span], part: Span, new: &[u8]) {
    let grown = new.len() as i64 - (part.1 - part.0) as i64;
    for span in spans {
        let size = u32::try_from(number(bytes, span.0) as i64 + grown).unwrap();
        bytes[span.0..span.0 + 4].copy_from_slice(&size.to_be_bytes());
    }
    bytes.splice(part.0..part.1, new.iter().copied());
}

/// Lays pictures down by another matrix: `[a, b, c, d]` takes (x, y) to (ax + cy, bx + dy).
pub fn lay(path: &Path, matrix: [i32; 4]) {
    change(path, |bytes| {
        let header = *find(bytes, &["moov", "trak", "tkhd"]).last().unwrap();
        let at = header.0 + 8 + 40;
        for (value, word) in matrix.into_iter().zip([0, 1, 3, 4]) {
            bytes[at + 4 * word..at + 4 * word + 4].copy_from_slice(&(value << 16).to_be_bytes());
        }
    });
}

/// Gives the first track another edit list: `(length in ticks of the movie, first in ticks of the track or -1)`.
pub fn edit(path: &Path, edits: &[(u32, i32)]) {
    change(path, |bytes| {
        let spans = find(bytes, &["moov", "trak", "edts", "elst"]);
        let list = *spans.last().unwrap();
        let mut new = u32::try_from(edits.len()).unwrap().to_be_bytes().to_vec();
        for (length, first) in edits {
            new.extend(length.to_be_bytes());
            new.extend(first.to_be_bytes());
            new.extend([0, 1, 0, 0]);
        }
        splice(bytes, &spans, (list.0 + 12, list.1), &new);
    });
}

/// Adds a box to the description of the first track's pictures.
pub fn describe(path: &Path, entry: &str, name: &[u8; 4], content: &[u8]) {
    change(path, |bytes| {
        let spans = find(bytes, &["moov", "trak", "mdia", "minf", "stbl", "stsd", entry]);
        let end = spans.last().unwrap().1;
        let size = u32::try_from(8 + content.len()).unwrap().to_be_bytes();
        splice(bytes, &spans, (end, end), &[&size[..], &name[..], content].concat());
    });
}

/// Takes the list of keyframes out of the first track.
pub fn without_keyframes(path: &Path) {
    change(path, |bytes| {
        let list = *find(bytes, &["moov", "trak", "mdia", "minf", "stbl", "stss"]).last().unwrap();
        bytes[list.0 + 4..list.0 + 8].copy_from_slice(b"free");
    });
}

/// Says that the frames are longer than the file.
pub fn overlong(path: &Path) {
    change(path, |bytes| {
        let frames = *find(bytes, &["mdat"]).last().unwrap();
        bytes[frames.0..frames.0 + 4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    });
}

/// Overwrites bytes of the frames with others.
pub fn damage_frames(path: &Path, from: f64, to: f64) {
    change(path, |bytes| {
        let frames = *find(bytes, &["mdat"]).last().unwrap();
        let at = |part: f64| frames.0 + ((frames.1 - frames.0) as f64 * part) as usize;
        for (i, byte) in bytes[at(from)..at(to)].iter_mut().enumerate() {
            *byte = (i * 7919 % 251) as u8;
        }
    });
}

/// Names in the list of keyframes of the first track not the keyframes, but as many samples behind them; the first stays.
pub fn shift_keyframes(path: &Path, by: u32) {
    change(path, |bytes| {
        let list = *find(bytes, &["moov", "trak", "mdia", "minf", "stbl", "stss"]).last().unwrap();
        for at in (list.0 + 20..list.1).step_by(4) {
            let sample = u32::try_from(number(bytes, at)).unwrap() + by;
            bytes[at..at + 4].copy_from_slice(&sample.to_be_bytes());
        }
    });
}

/// Sets the ticks a second of the movie.
pub fn set_movie_timescale(path: &Path, ticks: u32) {
    change(path, |bytes| {
        let header = *find(bytes, &["moov", "mvhd"]).last().unwrap();
        bytes[header.0 + 20..header.0 + 24].copy_from_slice(&ticks.to_be_bytes());
    });
}
