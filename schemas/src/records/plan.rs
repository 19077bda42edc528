//! What is planned for an execution: its tracks and its outputs.

use std::collections::HashMap;

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

use super::{
    media::{AudioSettings, TrackKind, VideoSettings},
    segment::TrackSource,
};

/// The plan of one rendition of one track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackPlan {
    /// The rendition's id.
    pub rendition: String,
    /// Whether the track is video.
    pub kind: TrackKind,
    /// The index of the track's first segment.
    pub first_segment: i32,
    /// The number of segments.
    pub segments: i32,
    /// The encoder settings of a video rendition, which the proof compares with the file.
    #[serde(default)]
    #[avro(default = "null")]
    pub video: Option<VideoSettings>,
    /// The language, title and dispositions that the output has for the track.
    #[serde(default)]
    #[avro(default = "null")]
    pub tags: Option<TrackTags>,
    /// The encoder settings of an audio rendition, which the proof compares with the file.
    #[serde(default)]
    #[avro(default = "null")]
    pub audio: Option<AudioSettings>,
    /// How to read the track from the source, so that segments can be made again; null in plans of older versions.
    #[serde(default)]
    #[avro(default = "null")]
    pub source: Option<TrackSource>,
    /// The indices of the segments in order of time, if some were made again. Empty for `segments` consecutive indices from
    /// `first_segment` on.
    #[serde(default)]
    #[avro(default = "[]")]
    pub order: Vec<i32>,
}

impl TrackPlan {
    /// Returns the indices of the track's segments, in order of time.
    #[must_use]
    pub fn indices(&self) -> Vec<i32> {
        if self.order.is_empty() {
            return (self.first_segment..self.first_segment.saturating_add(self.segments)).collect();
        }
        self.order.clone()
    }

    /// Returns whether the segment with this index belongs to the track.
    #[must_use]
    pub fn holds(&self, index: i32) -> bool {
        if self.order.is_empty() {
            let end = self.first_segment.saturating_add(self.segments);
            return (self.first_segment..end).contains(&index);
        }
        self.order.contains(&index)
    }
}

/// The metadata of a track in an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TrackTags {
    /// The language, as in the source (ISO 639-2); empty if the source has none.
    pub language: String,
    /// The title; empty if the source has none.
    pub title: String,
    /// The track's purpose, as libavformat's `AV_DISPOSITION_*` bits.
    pub dispositions: i32,
}

/// What an output has besides its tracks: metadata, chapters and a timecode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Extras {
    /// The title, the creation time and, if the upload has `keep_location`, the location; by libavformat's names.
    pub metadata: HashMap<String, String>,
    /// The chapters, in order of time.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
}

/// A chapter, in presentation time of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Chapter {
    /// The start, in seconds.
    pub start_seconds: f64,
    /// The end, in seconds.
    pub end_seconds: f64,
    /// The title.
    pub title: String,
}

/// The plan of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct OutputPlan {
    /// The URL.
    pub url: String,
    /// The name of the format.
    pub format: String,
    /// The ids of the renditions that the output has.
    pub renditions: Vec<String>,
    /// Whether the file at the URL already is this output, so that it is not made again.
    #[serde(default)]
    #[avro(default = "false")]
    pub keep: bool,
    /// The text of the file's comment, by which a later execution recognizes the file; see
    /// [`Fingerprint`](crate::Fingerprint).
    pub mark: String,
    /// Whether a file at the URL that was made from another source is replaced.
    #[serde(default)]
    #[avro(default = "false")]
    pub overwrite: bool,
    /// Metadata, chapters and timecode.
    #[serde(default)]
    #[avro(default = "null")]
    pub extras: Option<Extras>,
    /// What the format can't carry unchanged, such as a channel layout. It is reported as a warning, and is no failure.
    #[serde(default)]
    #[avro(default = "[]")]
    pub remarks: Vec<String>,
    /// Of a package, which is many objects: how it is divided. The URL is then that of the object that makes it visible. Null for a
    /// file.
    #[serde(default)]
    #[avro(default = "null")]
    pub package: Option<PackagePlan>,
    /// Of an output of single pictures: how they are put into files. Null for others.
    #[serde(default)]
    #[avro(default = "null")]
    pub pictures: Option<PicturesPlan>,
    /// Of a picture of the sound's peaks: how it is drawn. Null for others.
    #[serde(default)]
    #[avro(default = "null")]
    pub waveform: Option<WaveformPlan>,
}

/// How a picture of the sound's peaks is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct WaveformPlan {
    /// The width, in pixels.
    pub width: i32,
    /// The height, in pixels.
    pub height: i32,
    /// The colour of the peaks: red, green, blue and opacity, each 0 to 255, in bytes from the highest on.
    pub color: i64,
    /// The colour behind the peaks, in the same form; 0 for none.
    pub background: i64,
    /// Whether each channel has a lane of its own, in place of one that shows the loudest.
    pub split_channels: bool,
}

/// How single pictures are put into files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PicturesPlan {
    /// The format of a file of pictures, such as `jpg`.
    pub format: String,
    /// How many of the pictures are kept, the best ones, which are neither black nor blurred; 0 for all.
    pub best: i32,
    /// The pictures beside each other in a sheet; 0 where each file has one.
    pub columns: i32,
    /// The pictures below each other in a sheet; 0 where each file has one.
    pub rows: i32,
    /// How often an animation is shown; 0 for without end.
    pub plays: i32,
    /// The length of the source's pictures, in seconds; 0 if it is not known.
    pub seconds: f64,
}

/// How a package is divided into objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PackagePlan {
    /// The length of its segments, in seconds, more than 0.
    pub segment_seconds: f64,
    /// Whether the segments of a track lie in one object, of which manifests name ranges of bytes.
    #[serde(default)]
    #[avro(default = "false")]
    pub single: bool,
    /// The name of the folder beside the manifests in which all else lies. Each attempt has another: what a player reads is never
    /// replaced.
    pub folder: String,
    /// How its segments are encrypted; null for not at all.
    #[serde(default)]
    #[avro(default = "null")]
    pub protection: Option<Protection>,
}

/// How the segments of a package are encrypted. The key itself is in no record: each process that merges has it, or fetches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Protection {
    /// The method: `aes-128` for whole segments (RFC 8216, 4.3.2.4), `cbcs` for samples (ISO/IEC 23001-7, 10.4).
    pub method: String,
    /// Where the key comes from: its name in the settings of the processes, or the URL that it is fetched from.
    pub key: String,
    /// The URL of the key that manifests tell players.
    pub uri: String,
    /// The id of the key that `cbcs` states, 16 bytes in hexadecimal; empty for a method that states none.
    pub key_id: String,
    /// The initialization vector, 16 bytes in hexadecimal; empty for one that follows from the place of the segment.
    pub vector: String,
}

impl Protection {
    /// The method of whole segments.
    pub const SEGMENTS: &'static str = "aes-128";
    /// The method of samples.
    pub const SAMPLES: &'static str = "cbcs";

    /// Returns what of it makes one output another: all that is stated of it.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { method, key, uri, key_id, vector } = self;
        format!("encrypted {method} {key} {uri} {key_id} {vector}")
    }
}
