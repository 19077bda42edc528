//! The facts of a source, as its headers and its index state them.

use millrace_schemas::{AudioSettings, Chapter, PictureShape, Seek, TrackTags, VideoSettings};
use serde::{Deserialize, Serialize};

/// The task of reading a source's headers and index.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InspectTask {
    /// The length of a segment in seconds: the keyframes near its multiples are returned. `None` returns no keyframes.
    pub segment_seconds: Option<f64>,
}

/// The facts of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspected {
    /// The names of libavformat's demuxer, e.g. `matroska,webm`.
    pub container: String,
    /// The duration in seconds; 0 if the container does not state it.
    pub duration_seconds: f64,
    /// The bit rate in bits per second; 0 if the container does not state it.
    pub bit_rate: i64,
    /// All streams.
    pub streams: Vec<ProbedStream>,
    /// The container's metadata, as keys and values.
    pub metadata: Vec<(String, String)>,
    /// The video track to transcode.
    pub video: Option<VideoTrackFacts>,
    /// The sound tracks to transcode, in the order of the source.
    pub sounds: Vec<AudioTrackFacts>,
    /// The text tracks and covers to carry over.
    pub sides: Vec<AuxiliaryTrackFacts>,
    /// The chapters.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
    /// The shift of each part behind a timestamp discontinuity, in microseconds, in order.
    pub jumps: Vec<i64>,
    /// What is damaged, as messages.
    pub warnings: Vec<String>,
    /// What is not carried over and why, as messages.
    pub left_out: Vec<String>,
    /// The number of bytes of the source that were read.
    pub bytes_read: u64,
}

/// The facts of a stream that `millrace probe` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbedStream {
    /// The index in the container.
    pub index: i32,
    /// The kind: `video`, `audio`, `subtitle`, …
    pub kind: String,
    /// libav's name for the codec.
    pub codec: String,
    /// The width in pixels, of video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// The height in pixels, of video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// The average number of frames per second, of video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// libav's name for the pixel format, of video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// The sample rate in Hz, of sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<i32>,
    /// The number of channels, of sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<i32>,
    /// The duration in seconds; 0 if the container does not state it.
    pub duration_seconds: f64,
    /// The language, in the container's notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The facts of the video track to transcode. Times are in ticks of its clock, `settings.time_base`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VideoTrackFacts {
    /// The index of its stream in the container.
    pub stream: i32,
    /// Size, clock, rate and color as encoder settings. Codec, preset and quality are not set.
    pub settings: VideoSettings,
    /// The presentation time of the first picture.
    pub first: i64,
    /// The end of the last picture.
    pub end: i64,
    /// The keyframes near multiples of [`InspectTask::segment_seconds`].
    pub keyframes: Vec<KeyframeFacts>,
    /// True if the index and the timestamps agree, so that the track can be cut at its keyframes.
    pub trusted: bool,
    /// The longest time from one picture to the next; 0 unless the times of all pictures were read.
    pub longest_gap: i64,
    /// The presentation time of the last picture; 0 unless the times of all pictures were read.
    pub last_time: i64,
    /// The indexes of further streams that belong to the track.
    pub also: Vec<i32>,
    /// The first picture, as decoded.
    pub shape: Option<PictureShape>,
    /// Codec headers between packets, in base64. [`Seek::state`] is an index into them, from 1.
    pub states: Vec<String>,
}

/// A keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyframeFacts {
    /// The presentation time, in ticks of the track's clock.
    pub pts: i64,
    /// The point from which to read in order to decode it.
    pub seek: Seek,
}

/// The facts of a sound track to transcode.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AudioTrackFacts {
    /// The index of its stream in the container.
    pub stream: i32,
    /// Sample rate and channels as encoder settings. Codec and bit rate are not set.
    pub settings: AudioSettings,
    /// The number of samples as the container states it; 0 if it does not.
    pub samples: i64,
    /// The time of the first sample, in samples, if the track can be cut anywhere: it is long, and its index shows that each
    /// packet follows the one before without a gap.
    pub first: Option<i64>,
    /// The indexes of further streams that belong to the track.
    pub also: Vec<i32>,
    /// The duration in seconds as the container states it; 0 if it does not.
    pub seconds: f64,
    /// The language, title and dispositions.
    pub tags: TrackTags,
}

impl VideoTrackFacts {
    /// Returns the indexes of the streams of the track, the first stream first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        all_streams(self.stream, &self.also)
    }
}

impl AudioTrackFacts {
    /// Returns the indexes of the streams of the track, the first stream first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        all_streams(self.stream, &self.also)
    }
}

/// Returns the indexes of the streams of a track: its first stream, and further ones.
pub(super) fn all_streams(stream: i32, also: &[i32]) -> Vec<i32> {
    std::iter::once(stream).chain(also.iter().copied()).collect()
}

/// The facts of an auxiliary track to carry over: text, or a cover.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuxiliaryTrackFacts {
    /// The index of its stream in the container.
    pub stream: i32,
    /// libav's name for the codec into which it is converted.
    pub codec: String,
    /// The language, title and dispositions.
    pub tags: TrackTags,
}
