//! The proof that neighbouring segments join: a comparison of what was decoded on both sides of the seam. Pure.
//!
//! A worker that encodes a segment decodes past the segment's end, because its encoder looks ahead. It reports the pictures past
//! the end, and the worker of the next segment reports the first pictures after its own start. If they are equal, decoding from
//! that start gives the same pictures as decoding the whole source. The keyframe flags of containers are not a proof.

use millrace_schemas::{Made, Seek};
use serde::{Deserialize, Serialize};

/// The number of pictures that are compared on each side of a seam: as many as H.264 and HEVC can reorder or refer to.
pub const COMPARED_PICTURES: usize = 16;
/// The number of samples of each channel that are compared behind a seam.
pub const COMPARED_SAMPLES: usize = 2048;

/// The time and the digest of a decoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureDigest {
    /// The presentation time, in ticks of the stream's clock.
    pub pts: i64,
    /// The XXH3 digest of its size, pixel format and samples.
    pub digest: u64,
}

/// What was decoded from a point in time on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The last pictures before that, at most as many as the segment's filters need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PictureDigest>,
    /// The first pictures, at most [`COMPARED_PICTURES`].
    #[serde(default)]
    pub pictures: Vec<PictureDigest>,
    /// The first samples of a sound track, at most [`COMPARED_SAMPLES`] of each channel, one channel after the other.
    #[serde(default)]
    pub samples: Vec<i16>,
    /// True if the source ended before as many were decoded.
    #[serde(default)]
    pub ended: bool,
}

/// How a segment was decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// The start of its range, in ticks of the stream's clock, of sound in samples; `None` for the start of the source.
    pub start: Option<i64>,
    /// The end of its range, as `start`; `None` for the end of the source.
    pub end: Option<i64>,
    /// The seek point from which it was read; `None` for the start of the source.
    pub from: Option<Seek>,
    /// The seek point that was planned for it, from which it can be read by itself; `None` if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Seek>,
    /// What was decoded from the start of the range on.
    pub head: Overlap,
    /// What was decoded from the end of the range on.
    pub tail: Overlap,
}

/// The facts of a segment that its seams depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedSegment {
    /// The facts of its work object, with the times of its first picture or sample and of the first one behind it.
    pub made: Made,
    /// How the segment was decoded.
    pub decoded: Decoded,
}

/// A run of segments to encode again as one segment: indexes in the order of their times, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRun {
    /// The index of the first segment.
    pub first: usize,
    /// The index of the last segment.
    pub last: usize,
}

/// Returns the runs of segments behind unclean seams, in order.
///
/// These segments were decoded from a start that does not give the pictures of the whole source. The segment in front of a run was
/// not, so decoding from its start gives them.
#[must_use]
pub fn unclean_runs(joints: &[JoinedSegment]) -> Vec<SegmentRun> {
    let mut runs: Vec<SegmentRun> = Vec::new();
    for (position, pair) in joints.windows(2).enumerate() {
        if is_clean(&pair[0], &pair[1]) {
            continue;
        }
        let first = position + 1;
        match runs.last_mut().filter(|run| run.last + 1 == first) {
            Some(run) => run.last = first,
            None => runs.push(SegmentRun { first, last: first }),
        }
    }
    runs
}

/// Whether the seam between two neighbouring segments is clean: what was decoded past the end of `before` is equal to what was
/// decoded from the start of `after`.
#[must_use]
pub fn is_clean(before: &JoinedSegment, after: &JoinedSegment) -> bool {
    let (tail, head) = (&before.decoded.tail, &after.decoded.head);
    before.made.next.is_none_or(|next| next == after.made.first)
        && same_pictures(tail, head)
        && same_sound(&tail.samples, &head.samples)
}

/// Whether both overlaps have the same pictures. One list may be shorter than the other, unless the source ended there: a worker
/// decodes only as far as its encoder needs.
fn same_pictures(tail: &Overlap, head: &Overlap) -> bool {
    let (a, b) = (&tail.pictures, &head.pictures);
    let ends_early = (tail.ended && b.len() > a.len()) || (head.ended && a.len() > b.len());
    // A segment whose first picture needs none before it reads none, and one that was made with other renditions may have read more.
    let same_before = tail.before.iter().rev().zip(head.before.iter().rev()).all(|(x, y)| x == y);
    a.is_empty() == b.is_empty() && !ends_early && same_before && a.iter().zip(b).all(|(x, y)| x == y)
}

/// The least ratio of the energy of sound to that of the difference between two decodes of it: 10 dB.
const LEAST_RATIO: i64 = 10;
/// The level of a difference that is inaudible, as the root of its mean square: -60 dB.
const SILENT: i64 = 33;

/// Whether two decodes are of the same sound. Samples may differ: AAC, AC-3 and other codecs fill bands with noise that depends on
/// what was decoded before.
fn same_sound(a: &[i16], b: &[i16]) -> bool {
    let energy = |samples: &mut dyn Iterator<Item = i64>| samples.map(|x| x * x).sum::<i64>();
    let count = a.len().min(b.len());
    let difference = energy(&mut a.iter().zip(b).map(|(x, y)| i64::from(*x) - i64::from(*y)));
    let loudest =
        energy(&mut a.iter().map(|x| i64::from(*x))).max(energy(&mut b.iter().map(|x| i64::from(*x))));
    a.len() == b.len()
        && (difference * LEAST_RATIO <= loudest
            || difference <= SILENT * SILENT * i64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(pictures: &[(i64, u64)]) -> Overlap {
        let pictures =
            pictures.iter().map(|(pts, digest)| PictureDigest { pts: *pts, digest: *digest }).collect();
        Overlap { pictures, ..Overlap::default() }
    }

    fn joint(first: i64, next: Option<i64>, head: Overlap, tail: Overlap) -> JoinedSegment {
        let made = Made {
            rendition: String::new(),
            units: 1,
            packets: 1,
            bytes: 1,
            first,
            next,
            reorder: 0,
            digest: 0,
        };
        JoinedSegment { made, decoded: Decoded { head, tail, ..Decoded::default() } }
    }

    #[test]
    fn a_seam_is_clean_if_both_sides_decoded_the_same_pictures() {
        let a = joint(0, Some(10), Overlap::default(), overlap(&[(10, 1), (11, 2)]));
        let b = joint(10, None, overlap(&[(10, 1), (11, 2), (12, 3)]), Overlap::default());
        assert_eq!(unclean_runs(&[a, b]), []);
    }

    #[test]
    fn a_seam_with_another_picture_or_another_time_is_unclean() {
        let a = joint(0, Some(10), Overlap::default(), overlap(&[(10, 1), (11, 2)]));
        for head in [&[(10, 1), (11, 9)][..], &[(10, 1), (12, 2)], &[]] {
            let b = joint(10, None, overlap(head), Overlap::default());
            assert_eq!(unclean_runs(&[a.clone(), b]), [SegmentRun { first: 1, last: 1 }], "{head:?}");
        }
        let late = joint(11, None, overlap(&[(10, 1), (11, 2)]), Overlap::default());
        assert_eq!(unclean_runs(&[a, late]).len(), 1, "the first picture is another");
    }

    #[test]
    fn pictures_before_a_seam_that_filters_need_are_compared_from_the_last_one_on() {
        let around =
            |before: &[(i64, u64)]| Overlap { before: overlap(before).pictures, ..overlap(&[(10, 1)]) };
        let a = joint(0, Some(10), Overlap::default(), around(&[(8, 7), (9, 8)]));
        for (before, is_clean) in
            [(&[(9, 8)][..], true), (&[], true), (&[(9, 1)], false), (&[(8, 7), (9, 9)], false)]
        {
            let b = joint(10, None, around(before), Overlap::default());
            assert_eq!(unclean_runs(&[a.clone(), b]).is_empty(), is_clean, "{before:?}");
        }
    }

    #[test]
    fn a_seam_at_which_the_source_ends_on_one_side_only_is_unclean() {
        let ended = Overlap { ended: true, ..overlap(&[(10, 1)]) };
        let more = overlap(&[(10, 1), (11, 2)]);
        let a = joint(0, Some(10), Overlap::default(), more.clone());
        let b = joint(10, None, ended.clone(), Overlap::default());
        assert_eq!(unclean_runs(&[a, b]).len(), 1);
        let a = joint(0, Some(10), Overlap::default(), ended);
        let b = joint(10, None, more, Overlap::default());
        assert_eq!(unclean_runs(&[a, b]).len(), 1);
    }

    #[test]
    fn neighbouring_segments_behind_unclean_seams_are_one_run() {
        let unclean_start =
            |first| joint(first, Some(first + 10), overlap(&[(first, 7)]), overlap(&[(first + 10, 8)]));
        let clean_start =
            |first| joint(first, Some(first + 10), overlap(&[(first, 8)]), overlap(&[(first + 10, 8)]));
        let all = [clean_start(0), unclean_start(10), unclean_start(20), clean_start(30), unclean_start(40)];
        assert_eq!(unclean_runs(&all), [SegmentRun { first: 1, last: 2 }, SegmentRun { first: 4, last: 4 }]);
    }

    #[test]
    fn sound_that_differs_in_noise_is_equal_and_sound_from_another_time_is_not() {
        let tone = |at: f64, noise: i16| -> Vec<i16> {
            (0..COMPARED_SAMPLES)
                .map(|i| {
                    ((at + i as f64 * 0.05).sin() * 8000.0) as i16 + if i % 2 == 0 { noise } else { -noise }
                })
                .collect()
        };
        assert!(same_sound(&tone(0.0, 0), &tone(0.0, 900)));
        assert!(!same_sound(&tone(0.0, 0), &tone(1.0, 0)));
        assert!(same_sound(&[0; 8], &[20; 8]), "both are silent");
        assert!(!same_sound(&tone(0.0, 0), &[]));
    }
}
