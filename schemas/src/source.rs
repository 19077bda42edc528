//! What a source holds, as its headers and its index state it: what inspection reads, and splitting plans by.
//!
//! These facts go from a media process to the processor that asked for them, and are on no topic.

use serde::{Deserialize, Serialize};

use crate::{
    AudioFilters, AudioSettings, Chapter, Color, Light, PictureShape, Ratio, Seek, SourceRef, TrackTags,
    VideoSettings,
};

/// The facts of a source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The video track to transcode.
    pub video: Option<VideoTrack>,
    /// The audio tracks to transcode, in the order of the source.
    pub audio: Vec<AudioTrack>,
    /// The auxiliary tracks to carry over: text tracks and cover art.
    pub auxiliary: Vec<AuxiliaryTrack>,
    /// The container's metadata, as keys and values.
    pub metadata: Vec<(String, String)>,
    /// The chapters.
    pub chapters: Vec<Chapter>,
    /// The timecode of the first picture (SMPTE ST 12-1).
    pub timecode: Option<String>,
    /// For each part after a timestamp discontinuity, by how many microseconds its timestamps are moved.
    pub discontinuities: Vec<i64>,
    /// What is damaged, as texts for the user.
    pub warnings: Vec<String>,
    /// What can't be used, and why, as texts for the user.
    pub left_out: Vec<String>,
    /// The images that a profile lays over the pictures. They are files beside the source.
    #[serde(default)]
    pub images: Vec<ImageFacts>,
}

/// What a file beside the source is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetKind {
    /// An image that is laid over pictures.
    Image,
    /// A font.
    Font,
    /// Subtitles.
    Subtitles,
}

/// The facts of an image that is laid over pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The image, at its version.
    pub image: SourceRef,
    /// The width, in pixels.
    pub width: i32,
    /// The height, in pixels.
    pub height: i32,
}

impl SourceFacts {
    /// Returns the `comment` of the container's metadata. Outputs of Millrace carry their mark in it.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case("comment"))
            .map(|(_, value)| value.as_str())
    }
}

/// The properties of a track's pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The width after the rotation, in pixels; even.
    pub width: i32,
    /// The height after the rotation, in pixels; even.
    pub height: i32,
    /// The pixel format, by libav's name.
    pub pixel_format: String,
    /// The time base of the presentation times.
    pub time_base: Ratio,
    /// The nominal frame rate.
    pub frame_rate: Ratio,
    /// The sample aspect ratio after the rotation; 0/1 if it is unknown.
    pub sample_aspect: Ratio,
    /// The colour description.
    pub color: Color,
    /// The clockwise rotation that players apply, in degrees: 0, 90, 180 or 270.
    pub rotation: i32,
    /// Whether players mirror the pictures, left to right, before the rotation.
    pub mirrored: bool,
    /// The field order: 0 progressive, 1 top field first, 2 bottom field first.
    pub field_order: i32,
    /// What is said of their light, by the container or in the stream; `None` if nothing is.
    pub light: Option<Light>,
}

impl Picture {
    /// Returns progressive, upright pictures of square pixels, in 8-bit 4:2:0 of BT.709.
    #[must_use]
    pub fn plain((width, height): (i32, i32), frame_rate: Ratio, time_base: Ratio) -> Self {
        Self {
            width,
            height,
            pixel_format: "yuv420p".into(),
            time_base,
            frame_rate,
            sample_aspect: Ratio { num: 1, den: 1 },
            color: Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 },
            rotation: 0,
            mirrored: false,
            field_order: 0,
            light: None,
        }
    }
}

/// The properties of a track's audio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// The sample rate, in Hz.
    pub sample_rate: i32,
    /// The number of channels.
    pub channels: i32,
    /// The channel layout, by libav's name; empty if the source has none.
    pub layout: String,
}

impl VideoSettings {
    /// Returns settings of this codec that keep the pictures as they are, with no preset and a constant rate factor of 0.
    #[must_use]
    pub fn of(codec: &str, picture: &Picture) -> Self {
        let Picture {
            width,
            height,
            ref pixel_format,
            time_base,
            frame_rate,
            sample_aspect,
            color,
            rotation,
            mirrored,
            field_order,
            light: _,
        } = *picture;
        Self {
            codec: codec.into(),
            preset: String::new(),
            crf: 0.0,
            width,
            height,
            pixel_format: pixel_format.clone(),
            time_base,
            frame_rate,
            sample_aspect,
            color,
            rotation,
            mirrored,
            field_order,
            source_color: None,
            tone_map: false,
            encoder: String::new(),
            keyframe_seconds: 0.0,
            filters: None,
            light: None,
            bit_rate: None,
            keyframe_grid: None,
            instants: None,
        }
    }
}

/// What stands in place of an encoder in the settings of a rendition whose packets are those of the source.
pub const COPY: &str = "copy";

impl VideoSettings {
    /// Returns `true` if the pictures have a frame rate of their own, so that the time base is not the source's.
    #[must_use]
    pub fn is_resampled(&self) -> bool {
        let has_numbers = self.instants.as_ref().is_some_and(|instants| instants.scene == 0.0);
        has_numbers || self.filters.as_ref().is_some_and(|asked| asked.resample)
    }

    /// Returns what the settings of all passes have in common: with an average bit rate, all but the quality.
    #[must_use]
    pub fn of_all_passes(&self) -> Self {
        let is_found = self.bit_rate.is_some_and(|rate| rate.average > 0);
        Self { crf: if is_found { 0.0 } else { self.crf }, ..self.clone() }
    }

    /// Returns the settings of a copy of these pictures.
    #[must_use]
    pub fn copy(picture: &Picture, coded: &CodedStream) -> Self {
        let (width, height) = (coded.width, coded.height);
        Self { encoder: COPY.into(), width, height, ..Self::of(&coded.codec, picture) }
    }

    /// Returns `true` if the rendition is a copy of the source's packets.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.encoder == COPY
    }
}

impl AudioSettings {
    /// Returns the settings of a copy of this audio.
    #[must_use]
    pub fn copy(sound: &Sound, coded: &CodedStream) -> Self {
        Self { encoder: COPY.into(), ..Self::of(&coded.codec, sound) }
    }

    /// Returns `true` if the rendition is a copy of the source's packets.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.encoder == COPY
    }

    /// Returns settings of this codec that keep rate and channels as they are, with a bit rate of 0.
    #[must_use]
    pub fn of(codec: &str, sound: &Sound) -> Self {
        let Sound { sample_rate, channels, ref layout } = *sound;
        Self {
            codec: codec.into(),
            bit_rate: 0,
            sample_rate,
            channels,
            layout: layout.clone(),
            encoder: String::new(),
            filters: None,
            bits: 0,
        }
    }
}

impl AudioFilters {
    /// Returns `true` if each sample depends on its own value alone, so that a track can be filtered in parts.
    #[must_use]
    pub fn is_cuttable(&self) -> bool {
        *self == Self { gain: self.gain, ..Self::default() }
    }
}

/// A stream as it is coded in its container: what a copy of it is decided by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CodedStream {
    /// The codec, by libav's name; empty if the stream was not looked at.
    pub codec: String,
    /// The codec headers, as the demuxer gives them.
    pub headers: Vec<u8>,
    /// The average bit rate, in bits per second; 0 if the container does not state it.
    pub bit_rate: i64,
    /// The width of the pictures as they are coded, in pixels; 0 for audio.
    pub width: i32,
    /// The height of the pictures as they are coded, in pixels; 0 for audio.
    pub height: i32,
    /// The longest time from one keyframe to the next, or to the end, in seconds, by the container's index; null if it has none.
    pub keyframe_seconds: Option<f64>,
    /// Why its packets can't be put into any other container as they are, as a text for the user; null if they can.
    pub obstacle: Option<String>,
}

/// A keyframe: a picture from which decoding can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyframe {
    /// The presentation time, in ticks of the track's time base.
    pub pts: i64,
    /// The point from which to read in order to decode it.
    pub seek: Seek,
}

/// The video track of a source. Times are in ticks of `picture.time_base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// The index of its stream in the container.
    pub stream: i32,
    /// The indexes of further streams of the same track.
    pub more_streams: Vec<i32>,
    /// What its pictures are.
    pub picture: Picture,
    /// The presentation time of the first picture.
    pub first: i64,
    /// The end of the last picture, as the container states it.
    pub end: i64,
    /// The keyframes near the requested cuts, in the order of presentation.
    pub keyframes: Vec<Keyframe>,
    /// Whether the index and the timestamps agree; otherwise the track is one segment.
    pub trusted: bool,
    /// The longest time from one picture to the next; 0 unless the times of all pictures were read.
    pub longest_gap: i64,
    /// The presentation time of the last picture; 0 unless the times of all pictures were read.
    pub last_time: i64,
    /// The first picture, as it is decoded.
    pub shape: Option<PictureShape>,
    /// Codec headers between packets, in base64. [`Seek::state`] refers to them, from 1.
    pub states: Vec<String>,
    /// How its pictures are coded.
    pub coded: CodedStream,
}

/// An audio track of a source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// The index of its stream in the container.
    pub stream: i32,
    /// The indexes of further streams of the same track.
    pub more_streams: Vec<i32>,
    /// What its audio is.
    pub sound: Sound,
    /// The number of samples, as the container states it; 0 if it does not.
    pub samples: i64,
    /// The position of the first sample, in samples, if the track can be cut anywhere: it is long, and its index shows no gap.
    pub first: Option<i64>,
    /// The duration in seconds, as the container states it; 0 if it does not.
    pub seconds: f64,
    /// The presentation time of the first sample in microseconds, rounded down, as the container states it; 0 if it does not.
    #[serde(default)]
    pub start_us: i64,
    /// The language, title and dispositions.
    pub tags: TrackTags,
    /// How its audio is coded.
    pub coded: CodedStream,
}

/// An auxiliary track of a source: text or cover art.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuxiliaryTrack {
    /// The index of its stream in the container.
    pub stream: i32,
    /// The codec into which it is converted, by libav's name.
    pub codec: String,
    /// The language, title and dispositions.
    pub tags: TrackTags,
}

impl VideoTrack {
    /// Returns a track of which nothing is known but these. It is not trusted.
    #[must_use]
    pub fn new(stream: i32, picture: Picture, (first, end): (i64, i64)) -> Self {
        Self {
            stream,
            more_streams: Vec::new(),
            picture,
            first,
            end,
            keyframes: Vec::new(),
            trusted: false,
            longest_gap: 0,
            last_time: 0,
            shape: None,
            states: Vec::new(),
            coded: CodedStream::default(),
        }
    }

    /// Returns the indexes of the track's streams, the main one first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        all_streams(self.stream, &self.more_streams)
    }
}

impl AudioTrack {
    /// Returns the indexes of the track's streams, the main one first.
    #[must_use]
    pub fn streams(&self) -> Vec<i32> {
        all_streams(self.stream, &self.more_streams)
    }
}

/// Returns the indexes of a track's streams, the main one first.
#[must_use]
pub fn all_streams(stream: i32, more: &[i32]) -> Vec<i32> {
    std::iter::once(stream).chain(more.iter().copied()).collect()
}
