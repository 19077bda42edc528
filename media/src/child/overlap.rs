//! What was decoded around the seams of a task, gathered for the proof of them ([`crate::seams`]).

use std::hash::Hasher as _;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ffmpeg_next::{self as ff, ffi::AVPixelFormat};
use millrace_schemas::Seek;
use twox_hash::XxHash3_64;

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
    /// The starts of ranges, with the seek points that were planned for them.
    planned: Vec<(Option<i64>, Seek)>,
    overlaps: Overlaps,
    /// The last pictures, and how many of them filters need before a seam.
    recent: VecDeque<PictureDigest>,
    lead_in: usize,
    /// How many digests were made, and how long that took.
    digests: u32,
    spent: Duration,
}

impl Notes {
    /// Returns notes for the seams between these ranges, and at both ends of them. `lead_in` is the number of pictures before a seam
    /// that filters need.
    pub(crate) fn new(ranges: &[TimeRange], lead_in: usize) -> Self {
        let first = ranges.first().and_then(|range| range.start);
        let boundaries = first.into_iter().chain(ranges.iter().filter_map(|range| range.end));
        let seams = boundaries.map(|at| Seam { at, ..Seam::default() }).collect();
        Self { overlaps: Overlaps { seams, ended: false }, lead_in, ..Self::default() }
    }

    /// Notes the seek points that were planned for these ranges, one for each.
    pub(crate) fn plan_seeks(&mut self, ranges: &[TimeRange], seeks: &[Option<Seek>]) {
        let starts = ranges.iter().map(|range| range.start);
        self.planned = starts.zip(seeks).filter_map(|(start, seek)| Some((start, (*seek)?))).collect();
    }

    /// Notes a decoded picture.
    pub(crate) fn picture(&mut self, frame: &ff::frame::Video, pts: i64) {
        let is_near = |seam: &Seam| pts >= seam.at && seam.pictures.len() < COMPARED_PICTURES;
        if self.lead_in == 0 && !self.overlaps.seams.iter().any(is_near) {
            return;
        }
        let begun = Instant::now();
        let digest = PictureDigest { pts, digest: digest_of(frame) };
        self.spent += begun.elapsed();
        self.digests += 1;
        for seam in self.overlaps.seams.iter_mut().filter(|seam| is_near(seam)) {
            if seam.pictures.is_empty() {
                seam.before.extend(&self.recent);
            }
            seam.pictures.push(digest);
        }
        if self.lead_in > 0 {
            self.recent.push_back(digest);
            while self.recent.len() > self.lead_in {
                self.recent.pop_front();
            }
        }
    }

    /// Returns what the digests cost, for the log.
    pub(crate) fn cost(&self) -> String {
        format!("seam digests: {} pictures in {:.3} ms", self.digests, self.spent.as_secs_f64() * 1000.0)
    }

    /// True if as many pictures were seen past this time as are compared.
    pub(crate) fn has_seen_enough(&self, past: i64) -> bool {
        self.overlaps.seams.iter().all(|seam| seam.at != past || seam.pictures.len() >= COMPARED_PICTURES)
    }

    /// Notes that the source has ended.
    pub(crate) fn end(&mut self) {
        self.overlaps.ended = true;
    }

    /// Returns how the segment of this range was decoded.
    pub(crate) fn decoded(&self, range: TimeRange) -> Decoded {
        let TimeRange { start, end } = range;
        let planned = self.planned.iter().find(|(of, _)| *of == start).map(|(_, seek)| *seek);
        let (head, tail) = (self.overlaps.at(start), self.overlaps.at(end));
        Decoded { start, end, from: self.from, planned, head, tail }
    }
}

/// The pictures around each seam.
#[derive(Default)]
struct Overlaps {
    seams: Vec<Seam>,
    ended: bool,
}

/// The last pictures before a time, and the first ones from there on.
#[derive(Default)]
struct Seam {
    at: i64,
    before: Vec<PictureDigest>,
    pictures: Vec<PictureDigest>,
}

impl Overlaps {
    fn at(&self, boundary: Option<i64>) -> Overlap {
        let seam = boundary.and_then(|at| self.seams.iter().find(|seam| seam.at == at));
        let pictures = seam.map_or_else(Vec::new, |seam| seam.pictures.clone());
        let before = seam.map_or_else(Vec::new, |seam| seam.before.clone());
        let ended = self.ended && pictures.len() < COMPARED_PICTURES && boundary.is_some();
        Overlap { before, pictures, samples: Vec::new(), ended }
    }
}

/// The XXH3 digest of a picture as it was decoded: its size, pixel format and samples. It is not cryptographic:
/// pictures that are made to collide harm only the upload that they are in.
fn digest_of(frame: &ff::frame::Video) -> u64 {
    let mut hasher = XxHash3_64::new();
    let format = AVPixelFormat::from(frame.format());
    for number in [frame.width(), frame.height(), format as u32] {
        hasher.write(&number.to_le_bytes());
    }
    for_each_row(frame, |row| hasher.write(row));
    hasher.finish()
}
