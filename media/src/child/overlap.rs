//! What was decoded around the seams of a task, gathered for the proof of them ([`crate::seams`]).

use std::time::{Duration, Instant};

use ffmpeg_next::{self as ff, ffi::AVPixelFormat};
use millrace_schemas::Seek;
use xxhash_rust::xxh3::Xxh3;

use super::{damage::Damage, libav::frame::for_each_row};
use crate::{
    protocol::TimeRange,
    seams::{COMPARED_PICTURES, Decoded, Overlap, PictureDigest},
};

/// What a task notes while it decodes; each work object gets the part about its range.
#[derive(Default)]
pub(crate) struct Notes {
    /// What is damaged.
    pub(crate) damage: Damage,
    /// Where reading began; `None` for the start of the source.
    pub(crate) from: Option<Seek>,
    overlaps: Overlaps,
    /// How many digests were made, and how long that took.
    digests: u32,
    spent: Duration,
}

impl Notes {
    /// Returns notes for the seams between these ranges, and at both ends of them.
    pub(crate) fn new(ranges: &[TimeRange]) -> Self {
        let first = ranges.first().and_then(|range| range.start);
        let boundaries = first.into_iter().chain(ranges.iter().filter_map(|range| range.end));
        let seams = boundaries.map(|at| (at, Vec::new())).collect();
        Self { overlaps: Overlaps { seams, ended: false }, ..Self::default() }
    }

    /// Notes a decoded picture.
    pub(crate) fn picture(&mut self, frame: &ff::frame::Video, pts: i64) {
        let mut digest = None;
        for (at, seen) in &mut self.overlaps.seams {
            if pts >= *at && seen.len() < COMPARED_PICTURES {
                let digest = *digest.get_or_insert_with(|| {
                    let begun = Instant::now();
                    let digest = digest_of(frame);
                    self.spent += begun.elapsed();
                    self.digests += 1;
                    digest
                });
                seen.push(PictureDigest { pts, digest });
            }
        }
    }

    /// Returns what the digests cost, for the log.
    pub(crate) fn cost(&self) -> String {
        format!("seam digests: {} pictures in {:.3} ms", self.digests, self.spent.as_secs_f64() * 1000.0)
    }

    /// True if as many pictures were seen past this time as are compared.
    pub(crate) fn has_seen_enough(&self, past: i64) -> bool {
        self.overlaps.seams.iter().all(|(at, seen)| *at != past || seen.len() >= COMPARED_PICTURES)
    }

    /// Notes that the source has ended.
    pub(crate) fn end(&mut self) {
        self.overlaps.ended = true;
    }

    /// Returns how the segment of this range was decoded.
    pub(crate) fn decoded(&self, range: TimeRange) -> Decoded {
        let TimeRange { start, end } = range;
        Decoded { start, end, from: self.from, head: self.overlaps.at(start), tail: self.overlaps.at(end) }
    }
}

/// The first pictures at and after each seam.
#[derive(Default)]
struct Overlaps {
    seams: Vec<(i64, Vec<PictureDigest>)>,
    ended: bool,
}

impl Overlaps {
    fn at(&self, boundary: Option<i64>) -> Overlap {
        let seam = boundary.and_then(|at| self.seams.iter().find(|(seam, _)| *seam == at));
        let pictures = seam.map_or_else(Vec::new, |(_, seen)| seen.clone());
        let ended = self.ended && pictures.len() < COMPARED_PICTURES && boundary.is_some();
        Overlap { pictures, samples: Vec::new(), ended }
    }
}

/// The XXH3 digest of a picture as it was decoded: its size, pixel format and samples. It is not cryptographic:
/// pictures that are made to collide harm only the upload that they are in.
fn digest_of(frame: &ff::frame::Video) -> u64 {
    let mut hasher = Xxh3::new();
    let format = AVPixelFormat::from(frame.format());
    for number in [frame.width(), frame.height(), format as u32] {
        hasher.update(&number.to_le_bytes());
    }
    for_each_row(frame, |row| hasher.update(row));
    hasher.digest()
}
