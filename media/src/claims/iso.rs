//! ISO base media files (mp4, mov): sample tables, edit lists and movie fragments.

use super::{Window, most_entries, refusal};

/// How many boxes are visited: a movie of a day in fragments of a second has fewer.
const MOST_BOXES: u32 = 1 << 20;
/// Boxes that hold others, wherever libavformat looks for them.
const PARENTS: [&[u8; 4]; 15] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"udta", b"mvex", b"dinf",
    b"meta", b"tref", b"strk", b"wave",
];
/// What may be the first box.
const FIRST: [&[u8; 4]; 11] =
    [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx", b"uuid"];
/// Entries of an index that edits may repeat, beside one for each byte.
const REPEATED: u64 = 4_000_000;
/// A chunk of sound is indexed in pieces of so many samples at least.
const PIECE: u64 = 160;
/// How many samples of plain sound there may be for a byte: files that are cut off, and old codecs with several to a byte.
const CUT_OFF: u64 = 64;
/// How often each byte may be a sample's, on average: pictures that stand, and tracks that share their samples.
const SHARED: u64 = 1000;
/// Larger files are looked at in part: what their tables can claim beyond their bytes is little.
const LARGE: u64 = 64 << 20;
/// How many boxes of a large file are visited.
const MOST_BOXES_OF_LARGE: u32 = 1 << 12;

/// What the tables of one track count.
#[derive(Debug, Clone, Default)]
struct Track {
    samples: u64,
    /// The size that all its samples have; 0 where each has its own.
    size: u64,
    /// Where the sizes of samples lie, each of 4 bytes.
    sizes: Option<(u64, u64)>,
    chunks: u64,
    /// Where the runs of chunks lie, and how many there are.
    runs: Option<(u64, u64)>,
    edits: u64,
    is_sound: bool,
    /// Whether each sample is one of sound, by its length.
    is_plain: bool,
}

impl Track {
    /// Whether libavformat indexes chunks of it, and not its samples.
    fn is_in_chunks(&self) -> bool {
        self.is_sound && self.is_plain
    }
}

/// What was counted so far.
struct Claims<'a> {
    window: &'a Window<'a>,
    entries: u64,
    repeated: u64,
    bytes: u64,
    track: Track,
}

pub(super) fn overclaimed(window: &Window<'_>) -> Option<String> {
    let first: [u8; 4] = window.array(4)?;
    if !FIRST.iter().any(|code| **code == first) {
        return None;
    }
    let mut claims = Claims { window, entries: 0, repeated: 0, bytes: 0, track: Track::default() };
    // Offsets behind the parents of what is being read. What is malformed is left to the demuxer, which ends there, too.
    let mut parents: Vec<(u64, bool)> = vec![(window.size, false)];
    let mut at = 0;
    let most = if window.size > LARGE { MOST_BOXES_OF_LARGE } else { MOST_BOXES };
    for _ in 0..most {
        while let Some((end, is_track)) = parents.last().copied().filter(|(end, _)| at + 8 > *end) {
            if is_track && let Some(reason) = claims.end_track() {
                return Some(reason);
            }
            parents.pop();
            at = end.max(at);
        }
        let Some((parent, _)) = parents.last().copied() else { break };
        let Some(header) = header(window, at, parent) else {
            // Nothing more can be told apart in here.
            at = parent;
            continue;
        };
        let (code, payload, end) = header;
        if PARENTS.iter().any(|parent| **parent == code) && parents.len() < 16 {
            let is_track = code == *b"trak";
            if is_track {
                claims.track = Track::default();
            }
            parents.push((end, is_track));
            at = payload;
            // A full box in files, a plain one in QuickTime.
            if code == *b"meta" && window.be32(payload) == Some(0) {
                at += 4;
            }
        } else {
            if let Some(reason) = claims.table(code, payload, end) {
                return Some(reason);
            }
            at = end;
        }
    }
    None
}

/// The code of a box, where its content begins, and where it ends, at most where its parent does.
fn header(window: &Window<'_>, at: u64, parent: u64) -> Option<([u8; 4], u64, u64)> {
    let code = window.array(at.checked_add(4)?)?;
    let (length, size) = match window.be32(at)? {
        0 => (8, parent.checked_sub(at)?),
        1 => (16, window.be64(at + 8)?),
        size => (8, size),
    };
    (size >= length).then_some(())?;
    Some((code, at + length, at.saturating_add(size).min(parent)))
}

impl Claims<'_> {
    /// Takes what a table counts.
    fn table(&mut self, code: [u8; 4], payload: u64, end: u64) -> Option<String> {
        let count = |at: u64| self.window.be32(payload + at).filter(|_| payload + at + 4 <= end).unwrap_or(0);
        match &code {
            b"stsz" => {
                self.track.size = count(4);
                self.track.samples = self.track.samples.max(count(8));
                self.track.sizes = Some((payload + 12, end));
            }
            b"stz2" => self.track.samples = self.track.samples.max(count(8)),
            b"stco" | b"co64" => self.track.chunks = self.track.chunks.max(count(4)),
            b"stsc" => self.track.runs = Some((payload + 8, count(4).min((end - payload) / 12))),
            b"elst" => self.track.edits = self.track.edits.max(count(4)),
            b"hdlr" => self.track.is_sound |= self.window.array(payload + 8) == Some(*b"soun"),
            b"stts" => self.track.is_plain = count(4) == 1 && count(12) == 1,
            // What a run claims beyond its box is read from what follows, up to the end of the file; or takes no byte (8.8.8).
            b"trun" => {
                self.entries = self.entries.saturating_add(count(4));
                return self.check(self.entries, "samples");
            }
            b"tfra" => return self.check(count(12), "entries"),
            _ => {}
        }
        None
    }

    fn check(&self, claimed: u64, what: &str) -> Option<String> {
        (claimed > most_entries(self.window.size)).then(|| refusal(what, claimed, self.window.size))
    }

    /// Holds a track's tables against each other.
    fn end_track(&mut self) -> Option<String> {
        let track = std::mem::take(&mut self.track);
        let size = self.window.size;
        if track.is_in_chunks() {
            if track.samples / CUT_OFF > most_entries(size) {
                return Some(refusal("samples", track.samples, size));
            }
            self.entries = self.entries.saturating_add(self.pieces(&track));
        } else {
            self.entries = self.entries.saturating_add(track.samples);
        }
        if let Some(reason) = self.check(self.entries, "samples") {
            return Some(reason);
        }
        if track.edits > 1 {
            self.repeated = self.repeated.saturating_add(track.edits.saturating_mul(track.samples));
            if self.repeated > size.saturating_add(REPEATED) {
                return Some(refusal("samples in edits", self.repeated, size));
            }
        }
        self.bytes = self.bytes.saturating_add(self.bytes_of(&track));
        (self.bytes / SHARED > size.max(1 << 12))
            .then(|| refusal("bytes of samples, the same ones again and again", self.bytes, size))
    }

    /// The entries of an index of chunks: each is cut in pieces.
    fn pieces(&self, track: &Track) -> u64 {
        let Some((at, count)) = track.runs else { return 0 };
        let run = |i: u64| Some((self.window.be32(at + 12 * i)?, self.window.be32(at + 12 * i + 4)?));
        let mut pieces = track.chunks;
        for i in 0..count {
            let Some((first, samples)) = run(i) else { break };
            let next = if i + 1 < count { run(i + 1).map_or(0, |(next, _)| next) } else { track.chunks + 1 };
            let chunks = next.min(track.chunks + 1).saturating_sub(first);
            pieces = pieces.saturating_add(chunks.saturating_mul(samples / PIECE));
        }
        pieces
    }

    /// How many bytes its samples have together, as far as chunks that begin within the file can hold them.
    fn bytes_of(&self, track: &Track) -> u64 {
        if track.chunks == 0 || self.window.size > LARGE {
            return 0;
        }
        // A sample is no larger than the file: what is beyond its end is cut off.
        let size = self.window.size;
        if track.size > 0 {
            return track.samples.saturating_mul(track.size.min(size)).min(track.chunks.saturating_mul(size));
        }
        let Some((at, end)) = track.sizes else { return 0 };
        let sizes =
            (0..track.samples.min(end.saturating_sub(at) / 4)).map_while(|i| self.window.be32(at + 4 * i));
        sizes.fold(0, |all: u64, one| all.saturating_add(one.min(size)))
    }
}
