use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::media::{PictureShape, Rendition, SourceRef, TrackKind};

/// A transcoding task: a time range of one track of the source, and the renditions to encode it in. Key: the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Segment {
    /// The execution's id.
    pub execution: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The index of the segment, from 0: the video's segments in order of time, then those of the other tracks. Segments that
    /// are made again have indices beyond those of the plan.
    pub index: i32,
    /// The number of video segments that are transcoded concurrently: those of the plan, or those of one round that are made
    /// again.
    pub video_segments: i32,
    /// The source, at its accepted version.
    pub source: SourceRef,
    /// The index of the stream in the source's container.
    pub stream: i32,
    /// Whether the track is video.
    pub kind: TrackKind,
    /// The start of the half-open range of presentation times, in ticks of the source stream's time base, for audio in samples
    /// of the renditions; null for the start of the source.
    pub start: Option<i64>,
    /// The end of the range, exclusive; null for the end of the source.
    pub end: Option<i64>,
    /// The seek points to try, best first; if none works, the source is read from its start.
    pub seeks: Vec<Seek>,
    /// The renditions to encode. The range is decoded once for all of them.
    pub renditions: Vec<Rendition>,
    /// The estimated number of pictures or samples in the range. Only progress depends on it.
    #[serde(default)]
    #[avro(default = "0")]
    pub expected_units: i64,
    /// The first part of the keys of the work objects. Empty for the execution's id.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub work: String,
    /// The corrections of the source's timestamp discontinuities: by how many microseconds the part after each discontinuity is
    /// moved, so that it follows the part before it.
    #[serde(default)]
    #[avro(default = "[]")]
    pub jumps: Vec<i64>,
    /// The longest time between two consecutive pictures of the source, in ticks; 0 if it is not known. A longer gap, in a
    /// read that began at a seek point, means that the source is damaged; it is then read from its start.
    #[serde(default)]
    #[avro(default = "0")]
    pub longest_gap: i64,
    /// The presentation time of the source's last picture, in ticks, if the longest gap is known.
    #[serde(default)]
    #[avro(default = "0")]
    pub last_time: i64,
    /// The indices of further streams of the same track. A transport stream may continue a track in another stream after an
    /// advertisement or an update of its program map table.
    #[serde(default)]
    #[avro(default = "[]")]
    pub also: Vec<i32>,
    /// The shape of the source's first decoded picture; later pictures of another shape are fitted into it.
    #[serde(default)]
    #[avro(default = "null")]
    pub shape: Option<PictureShape>,
    /// The codec headers that the source has between packets, base64; [`Seek::state`] counts them from 1.
    #[serde(default)]
    #[avro(default = "[]")]
    pub states: Vec<String>,
    /// The indices of the segments that this one replaces, because a seam between them was unclean: their work objects are not
    /// used. Empty for a segment of the plan.
    #[serde(default)]
    #[avro(default = "[]")]
    pub replaces: Vec<i32>,
    /// The part of the source that is used; null for all of it.
    #[serde(default)]
    #[avro(default = "null")]
    pub trim: Option<Trim>,
}

/// A part of a source: a half-open range of presentation times, counted from the earliest start of its tracks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Trim {
    /// The start, in microseconds of the source's presentation time.
    pub from: i64,
    /// The end, in microseconds of the source's presentation time; null for the end of the source.
    pub to: Option<i64>,
}

impl Trim {
    /// Returns its start and its end in ticks of `num`/`den` seconds, each rounded up: a tick is in the part if its time is.
    #[must_use]
    pub fn ticks(&self, (num, den): (i64, i64)) -> (i64, Option<i64>) {
        // Products of 64 and 63 bits: no overflow.
        let (num, den) = (i128::from(num.max(1)), i128::from(den.max(1)));
        let up = |micros: i64| -((-i128::from(micros) * den).div_euclid(num * MICROSECONDS));
        (saturated(up(self.from)), self.to.map(|to| saturated(up(to))))
    }

    /// Returns its start and its end in samples at a rate in Hz, each rounded to the nearest sample.
    #[must_use]
    pub fn samples(&self, rate: i64) -> (i64, Option<i64>) {
        let nearest = |micros: i64| {
            (2 * i128::from(micros) * i128::from(rate) + MICROSECONDS).div_euclid(2 * MICROSECONDS)
        };
        (saturated(nearest(self.from)), self.to.map(|to| saturated(nearest(to))))
    }
}

/// Microseconds a second.
const MICROSECONDS: i128 = 1_000_000;

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

crate::frame::record!(
    Segment,
    "Segment",
    2,
    [
        "segment/1.avsc",
        "segment/2.avsc",
        "segment/3.avsc",
        "segment/4.avsc",
        "segment/5.avsc",
        "segment/6.avsc",
        "segment/7.avsc",
        "segment/8.avsc",
        "segment/9.avsc",
        "segment/10.avsc"
    ]
);

/// How to read a track from the source. All segments of a track have it in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackSource {
    /// See [`Segment::stream`].
    pub stream: i32,
    /// See [`Segment::also`].
    pub also: Vec<i32>,
    /// See [`Segment::jumps`].
    pub jumps: Vec<i64>,
    /// See [`Segment::longest_gap`].
    pub longest_gap: i64,
    /// See [`Segment::last_time`].
    pub last_time: i64,
    /// See [`Segment::shape`].
    pub shape: Option<PictureShape>,
    /// See [`Segment::states`].
    pub states: Vec<String>,
    /// See [`Segment::trim`].
    #[serde(default)]
    #[avro(default = "null")]
    pub trim: Option<Trim>,
}

impl Segment {
    /// Returns what this segment has in common with the others of its track.
    #[must_use]
    pub fn track_source(&self) -> TrackSource {
        TrackSource {
            stream: self.stream,
            also: self.also.clone(),
            jumps: self.jumps.clone(),
            longest_gap: self.longest_gap,
            last_time: self.last_time,
            shape: self.shape.clone(),
            states: self.states.clone(),
            trim: self.trim,
        }
    }
}

/// A seek point of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Seek {
    /// Whether `at` is a timestamp or a byte offset.
    pub by: SeekBy,
    /// A timestamp of the container's index, in ticks of the stream's time base, or a byte offset.
    pub at: i64,
    /// Which of [`Segment::states`] applies from here on, from 1; 0 for the codec headers in the container's header.
    #[serde(default)]
    #[avro(default = "0")]
    pub state: i32,
}

/// The unit of a seek point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum SeekBy {
    // A timestamp of the container's index, in ticks of the stream's time base.
    Time,
    // A byte offset, for containers without an index.
    Byte,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_in_a_part_if_its_time_is_and_a_sample_is_the_nearest_one() {
        let trim = Trim { from: 333_333, to: Some(1_000_001) };
        // A third of a second is 0.333333 s and more, 1 s is less than 1.000001 s.
        assert_eq!(trim.ticks((1, 90_000)), (30_000, Some(90_001)));
        assert_eq!(trim.ticks((1001, 30_000)), (10, Some(30)));
        assert_eq!(trim.samples(48_000), (16_000, Some(48_000)));
        let before = Trim { from: -500_000, to: None };
        assert_eq!(before.ticks((1, 3)), (-1, None));
        assert_eq!(before.samples(44_100), (-22_050, None));
        let far = Trim { from: i64::MIN, to: Some(i64::MAX) };
        assert_eq!(far.ticks((1, i64::from(i32::MAX))), (i64::MIN, Some(i64::MAX)));
        assert_eq!(far.samples(i64::from(i32::MAX)), (i64::MIN, Some(i64::MAX)));
    }
}
