//! What was decoded around the seams of a task, gathered for the proof of them ([`crate::seams`]).

use std::time::{Duration, Instant};

use ffmpeg_next::{
    self as ff,
    ffi::{AVPixelFormat, av_image_get_linesize},
};
use millrace_schemas::Seek;
use xxhash_rust::xxh3::Xxh3;

use super::damage::Damage;
use crate::{
    protocol::TimeRange,
    seams::{COMPARED_PICTURES, Decoded, Overlap, PictureDigest},
};

/// What a task notes while it decodes; each work object takes its part of it.
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
    /// For the seams between these ranges, and at both ends of them.
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

    /// What the digests cost, for the log.
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

    /// How the segment of this range was decoded.
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

/// The most planes that a picture has.
const PLANES: usize = 4;

/// The XXH3 digest of a picture as it was decoded: its size, pixel format and samples. Not cryptographic: who makes
/// pictures that collide deceives himself alone.
fn digest_of(frame: &ff::frame::Video) -> u64 {
    let mut hasher = Xxh3::new();
    let format = AVPixelFormat::from(frame.format());
    for number in [frame.width(), frame.height(), format as u32] {
        hasher.update(&number.to_le_bytes());
    }
    let chroma_rows = format_chroma_shift(format);
    let width = i32::try_from(frame.width()).unwrap_or(0);
    let height = frame.height() as usize;
    for plane in 0..PLANES {
        // SAFETY: libavutil computes from a table; a plane that is not there gives 0 or an error.
        let row = unsafe { av_image_get_linesize(format, width, plane as i32) };
        // SAFETY: plain fields of a frame that was just decoded.
        let (data, stride) = unsafe { ((*frame.as_ptr()).data[plane], (*frame.as_ptr()).linesize[plane]) };
        let Ok(row) = usize::try_from(row) else { break };
        if data.is_null() || row == 0 {
            break;
        }
        let rows = if matches!(plane, 1 | 2) { height.div_ceil(1 << chroma_rows) } else { height };
        for y in 0..rows {
            // SAFETY: a decoded plane has as many rows of that length, each a stride behind the one before.
            let bytes = unsafe { std::slice::from_raw_parts(data.offset(y as isize * stride as isize), row) };
            hasher.update(bytes);
        }
    }
    if format == AVPixelFormat::AV_PIX_FMT_PAL8 {
        // SAFETY: the second plane of a picture of this format is a palette of 256 colours of four bytes.
        let palette = unsafe { std::slice::from_raw_parts((*frame.as_ptr()).data[1], 1024) };
        hasher.update(palette);
    }
    hasher.digest()
}

/// How often the height of the second and third plane is halved.
fn format_chroma_shift(format: AVPixelFormat) -> u32 {
    // SAFETY: a descriptor is a static of libavutil, or null.
    unsafe {
        let descriptor = ff::ffi::av_pix_fmt_desc_get(format);
        if descriptor.is_null() { 0 } else { u32::from((*descriptor).log2_chroma_h) }
    }
}
