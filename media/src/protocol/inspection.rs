//! The facts of a source, as its headers and its index state them.

use millrace_schemas::SourceFacts;
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
    /// The tracks, and what else is carried over.
    pub facts: SourceFacts,
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
    /// The number of frames, of video, if the container states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<i64>,
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
