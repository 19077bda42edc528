//! The proof that segments join: what was decoded on both sides of a seam. Pure.
//!
//! A worker that makes a segment decodes past the segment's end, since its encoder looks ahead. It reports what it decoded
//! there, and the worker of the next segment what it decoded first, from its own start. Where the two are equal, the
//! source decodes from that start as it does in one piece. What containers say of keyframes is only a hint.

use millrace_schemas::{Made, Seek};
use serde::{Deserialize, Serialize};

/// How many pictures on each side of a seam are compared: as many as H.264 and HEVC can reorder or refer to.
pub const COMPARED_PICTURES: usize = 16;
/// How many samples of sound behind a seam are compared.
pub const COMPARED_SAMPLES: usize = 2048;

/// A decoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Presentation time, in the stream's clock.
    pub pts: i64,
    /// The XXH3 digest of its size, pixel format and samples.
    pub digest: u64,
}

/// What was decoded from one point in time on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The first pictures, at most [`COMPARED_PICTURES`].
    #[serde(default)]
    pub pictures: Vec<Shown>,
    /// The first samples of a sound track, at most [`COMPARED_SAMPLES`]: as many of each channel, one channel after the other.
    #[serde(default)]
    pub samples: Vec<i16>,
    /// True if the source ended before as many were seen.
    #[serde(default)]
    pub ended: bool,
}

/// How a segment was decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// Start of its range, in the stream's clock (of sound in samples); `None` for the start of the source.
    pub start: Option<i64>,
    /// End of its range; `None` for the end of the source.
    pub end: Option<i64>,
    /// Where reading began; `None` for the start of the source.
    pub from: Option<Seek>,
    /// What was decoded from the range's start on.
    pub head: Overlap,
    /// What was decoded from the range's end on.
    pub tail: Overlap,
}

/// A segment, as far as its seams are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// Its facts: the time of its first picture or sample, and of the first behind it.
    pub made: Made,
    /// How it was decoded.
    pub decoded: Decoded,
}

/// Segments that are to be made again as one: positions in the order of their times, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub first: usize,
    /// The last of them.
    pub last: usize,
}

/// Returns the runs of segments whose starts decode otherwise than in one piece, in order.
///
/// Segments behind an unclean seam were decoded from a wrong start; the one before the run was not, so decoding from
/// where it began shows what they hold.
#[must_use]
pub fn unclean(joints: &[Joint]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (position, pair) in joints.windows(2).enumerate() {
        if is_clean(&pair[0], &pair[1]) {
            continue;
        }
        let first = position + 1;
        match runs.last_mut().filter(|run| run.last + 1 == first) {
            Some(run) => run.last = first,
            None => runs.push(Run { first, last: first }),
        }
    }
    runs
}

/// Whether what one segment saw behind its end is what the next one begins with.
#[must_use]
pub fn is_clean(before: &Joint, after: &Joint) -> bool {
    let (tail, head) = (&before.decoded.tail, &after.decoded.head);
    before.made.next.is_none_or(|next| next == after.made.first)
        && same_pictures(tail, head)
        && same_sound(&tail.samples, &head.samples)
}

/// Lists may be of unequal length, where one worker had no reason to look so far; what both have seen is equal.
fn same_pictures(tail: &Overlap, head: &Overlap) -> bool {
    let (a, b) = (&tail.pictures, &head.pictures);
    let ends_early = (tail.ended && b.len() > a.len()) || (head.ended && a.len() > b.len());
    a.is_empty() == b.is_empty() && !ends_early && a.iter().zip(b).all(|(x, y)| x == y)
}

/// The least ratio of sound to the difference between two decodes of it, as energies: 10 dB.
const LEAST_RATIO: i64 = 10;
/// A difference that is as quiet, on average, is not heard: -60 dB.
const SILENT: i64 = 33;

/// Whether two decodes are of the same sound. Not sample by sample: AAC, AC-3 and others fill bands with noise that
/// depends on how much was decoded before.
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
        let pictures = pictures.iter().map(|(pts, digest)| Shown { pts: *pts, digest: *digest }).collect();
        Overlap { pictures, ..Overlap::default() }
    }

    fn joint(first: i64, next: Option<i64>, head: Overlap, tail: Overlap) -> Joint {
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
        Joint { made, decoded: Decoded { head, tail, ..Decoded::default() } }
    }

    #[test]
    fn a_seam_is_clean_where_both_sides_decoded_the_same() {
        let a = joint(0, Some(10), Overlap::default(), overlap(&[(10, 1), (11, 2)]));
        let b = joint(10, None, overlap(&[(10, 1), (11, 2), (12, 3)]), Overlap::default());
        assert_eq!(unclean(&[a, b]), []);
    }

    #[test]
    fn another_picture_or_another_time_is_not_clean() {
        let a = joint(0, Some(10), Overlap::default(), overlap(&[(10, 1), (11, 2)]));
        for head in [&[(10, 1), (11, 9)][..], &[(10, 1), (12, 2)], &[]] {
            let b = joint(10, None, overlap(head), Overlap::default());
            assert_eq!(unclean(&[a.clone(), b]), [Run { first: 1, last: 1 }], "{head:?}");
        }
        let late = joint(11, None, overlap(&[(10, 1), (11, 2)]), Overlap::default());
        assert_eq!(unclean(&[a, late]).len(), 1, "the first picture is another");
    }

    #[test]
    fn a_source_that_ends_on_one_side_alone_is_not_clean() {
        let ended = Overlap { ended: true, ..overlap(&[(10, 1)]) };
        let more = overlap(&[(10, 1), (11, 2)]);
        let a = joint(0, Some(10), Overlap::default(), more.clone());
        let b = joint(10, None, ended.clone(), Overlap::default());
        assert_eq!(unclean(&[a, b]).len(), 1);
        let a = joint(0, Some(10), Overlap::default(), ended);
        let b = joint(10, None, more, Overlap::default());
        assert_eq!(unclean(&[a, b]).len(), 1);
    }

    #[test]
    fn neighbours_that_are_not_clean_are_one_run() {
        let wrong =
            |first| joint(first, Some(first + 10), overlap(&[(first, 7)]), overlap(&[(first + 10, 8)]));
        let right =
            |first| joint(first, Some(first + 10), overlap(&[(first, 8)]), overlap(&[(first + 10, 8)]));
        let all = [right(0), wrong(10), wrong(20), right(30), wrong(40)];
        assert_eq!(unclean(&all), [Run { first: 1, last: 2 }, Run { first: 4, last: 4 }]);
    }

    #[test]
    fn sound_with_other_noise_is_the_same_and_sound_from_elsewhere_is_not() {
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
