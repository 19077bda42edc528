//! ISO base media files (mp4, mov): sample tables, edit lists and movie fragments.

use super::{
    limits::{most_entries, refusal},
    window::Window,
};

/// How many boxes are visited. A movie of a day in fragments of a second has fewer.
const MOST_BOXES: u32 = 1 << 20;
/// Boxes in whose content libavformat looks for other boxes, wherever they are.
const PARENTS: [&[u8; 4]; 15] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"udta", b"mvex", b"dinf",
    b"meta", b"tref", b"strk", b"wave",
];
/// The boxes with which a file may begin.
const FIRST: [&[u8; 4]; 11] =
    [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx", b"uuid"];
/// How many index entries the edit lists of a file may add, plus one for each byte.
const REPEATED: u64 = 4_000_000;
/// The least number of samples in the pieces in which libavformat indexes a chunk of sound.
const PIECE: u64 = 160;
/// How many samples of plain sound a file may claim for each byte. Files that are cut off claim more than one, and old codecs
/// have several in a byte.
const CUT_OFF: u64 = 64;
/// How many samples may share each byte, on average. Still pictures and tracks with the same samples share theirs.
const SHARED: u64 = 1000;
/// The size in bytes above which a file is checked in part: its tables can claim little beyond its bytes.
const LARGE: u64 = 64 << 20;
/// How many boxes of a file larger than [`LARGE`] are visited.
const MOST_BOXES_OF_LARGE: u32 = 1 << 12;

/// What the tables of one track state.
#[derive(Debug, Clone, Default)]
struct Track {
    /// The number of samples.
    samples: u64,
    /// The size of all samples in bytes; 0 if each has its own.
    size: u64,
    /// The offsets of the start and the end of the table of sizes, of 4 bytes each.
    sizes: Option<(u64, u64)>,
    /// The number of chunks.
    chunks: u64,
    /// The offset of the table of runs of chunks (`stsc`), and its number of runs.
    runs: Option<(u64, u64)>,
    /// The number of edits.
    edits: u64,
    is_sound: bool,
    /// True if each sample lasts one tick, as a single sample of sound does.
    is_plain: bool,
}

impl Track {
    /// Whether libavformat indexes the chunks of this track, and not its samples.
    fn is_indexed_by_chunk(&self) -> bool {
        self.is_sound && self.is_plain
    }
}

/// The sums of what the tables read so far claim.
struct Claims<'a> {
    window: &'a Window<'a>,
    /// The entries of the index that libavformat would make.
    entries: u64,
    /// The entries that edit lists add to it.
    repeated: u64,
    /// The sizes of all samples, in bytes.
    bytes: u64,
    /// The track whose tables are being read.
    track: Track,
}

/// Returns the reason why an ISO base media file claims too much; `None` if it does not, or is no such file.
pub(super) fn overclaimed(window: &Window<'_>) -> Option<String> {
    let first: [u8; 4] = window.array(4)?;
    if !FIRST.iter().any(|code| **code == first) {
        return None;
    }
    let mut claims = Claims { window, entries: 0, repeated: 0, bytes: 0, track: Track::default() };
    // The offsets behind the open parent boxes, and whether each is a track. What is malformed is left to the demuxer, which
    // ends there, too.
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
            // The rest of the parent is no boxes.
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
            // A full box in ISO files (4.2), a plain one in QuickTime.
            if code == *b"meta" && window.be32(payload) == Some(0) {
                at += 4;
            }
        } else {
            if let Some(reason) = claims.add_table(code, payload, end) {
                return Some(reason);
            }
            at = end;
        }
    }
    None
}

/// Returns the type of the box at an offset, and the offsets of its content and of its end, which is at most the end of the
/// parent; `None` if no box is there.
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
    /// Adds what a table states. Returns the reason why it is too much; `None` if it is not.
    fn add_table(&mut self, code: [u8; 4], payload: u64, end: u64) -> Option<String> {
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
            // A demuxer reads the entries that do not fit into the box from the bytes behind it. Entries may also take no
            // bytes (8.8.8).
            b"trun" => {
                self.entries = self.entries.saturating_add(count(4));
                return self.check(self.entries, "samples");
            }
            b"tfra" => return self.check(count(12), "entries"),
            _ => {}
        }
        None
    }

    /// The refusal of a file that claims more of `what` than [`most_entries`]; `None` if it does not.
    fn check(&self, claimed: u64, what: &str) -> Option<String> {
        (claimed > most_entries(self.window.size)).then(|| refusal(what, claimed, self.window.size))
    }

    /// Adds what the tables of the current track state together. Returns the reason why it is too much; `None` if it is not.
    fn end_track(&mut self) -> Option<String> {
        let track = std::mem::take(&mut self.track);
        let size = self.window.size;
        if track.is_indexed_by_chunk() {
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
        self.bytes = self.bytes.saturating_add(self.sample_bytes(&track));
        (self.bytes / SHARED > size.max(1 << 12))
            .then(|| refusal("bytes of samples, the same ones again and again", self.bytes, size))
    }

    /// Returns the number of index entries of a track that is indexed by chunk: libavformat cuts each chunk into pieces.
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

    /// Returns the sum of the sizes of a track's samples in bytes, at most what chunks that begin within the file can hold; 0
    /// for a file larger than [`LARGE`].
    fn sample_bytes(&self, track: &Track) -> u64 {
        if track.chunks == 0 || self.window.size > LARGE {
            return 0;
        }
        // A sample counts as no larger than the file: demuxers cut it off at the end.
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
