//! What the other records say of media: sources, renditions, and facts of what was made.

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

/// A source at one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SourceRef {
    /// Where it is.
    pub url: String,
    /// Its ETag, or its size and time: what it was when the upload was accepted.
    pub version: String,
    /// Its size in bytes.
    pub bytes: i64,
}

/// A fraction: a time base in seconds, a frame rate in Hz, a sample aspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Ratio {
    /// Numerator.
    pub num: i32,
    /// Denominator, more than 0 where the fraction is known.
    pub den: i32,
}

impl Ratio {
    /// The fraction as a number; 0 where it is unknown.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        if self.den == 0 { 0.0 } else { f64::from(self.num) / f64::from(self.den) }
    }
}

/// Colour, by the code points of ITU-T H.273; 2 is "unspecified".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Color {
    /// Colour primaries.
    pub primaries: i32,
    /// Transfer characteristics.
    pub transfer: i32,
    /// Matrix coefficients.
    pub matrix: i32,
    /// Range: 0 unknown, 1 limited (video), 2 full.
    pub range: i32,
    /// Where chroma samples lie: 0 unknown, 1 left, 2 center, 3 top left (`AVChromaLocation`).
    pub chroma: i32,
}

/// A picture as its decoder describes it, before anything is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PictureShape {
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
    /// Sample aspect ratio by the stream itself; 0/1 where it does not say.
    pub sample_aspect: Ratio,
    /// Pixel format, by libav's name.
    pub pixel_format: String,
    /// Colour.
    pub color: Color,
    /// Degrees by which the picture asks to be turned, clockwise, in side data of its own.
    pub rotation: i32,
    /// Whether the picture asks to be mirrored, left to right, before it is turned.
    pub mirrored: bool,
}

/// Picture or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum TrackKind {
    // Moving pictures.
    Video,
    // All else: sound, and what lies beside it (the rendition says what). A symbol more would be one that older
    // versions can't read.
    Audio,
}

/// Everything that shapes a video encoder and its codec headers; fixed by split, never derived by a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct VideoSettings {
    /// The codec: `h264`.
    pub codec: String,
    /// The encoder's preset.
    pub preset: String,
    /// Constant rate factor.
    pub crf: f64,
    /// Coded width in pixels.
    pub width: i32,
    /// Coded height in pixels.
    pub height: i32,
    /// Pixel format, by libav's name.
    pub pixel_format: String,
    /// The clock of the presentation times: the source's.
    pub time_base: Ratio,
    /// Nominal frame rate.
    pub frame_rate: Ratio,
    /// Sample aspect ratio.
    pub sample_aspect: Ratio,
    /// Colour.
    pub color: Color,
    /// Degrees by which the source's pictures are turned, clockwise: 0, 90, 180 or 270. Width and height are those
    /// after it.
    #[serde(default)]
    #[avro(default = "0")]
    pub rotation: i32,
    /// Whether the source's pictures are mirrored, left to right, before they are turned.
    #[serde(default)]
    #[avro(default = "false")]
    pub mirrored: bool,
    /// Which field is shown first: 0 pictures are whole, 1 the top field, 2 the bottom field.
    #[serde(default)]
    #[avro(default = "0")]
    pub field_order: i32,
    /// The source's colour, where it is converted; null where the pictures keep theirs.
    #[serde(default)]
    #[avro(default = "null")]
    pub source_color: Option<Color>,
    /// Whether high dynamic range is brought down to the standard one.
    #[serde(default)]
    #[avro(default = "false")]
    pub tone_map: bool,
}

/// Everything that shapes an audio encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct AudioSettings {
    /// The codec: `aac`.
    pub codec: String,
    /// Bits a second.
    pub bit_rate: i64,
    /// Samples a second.
    pub sample_rate: i32,
    /// Channels.
    pub channels: i32,
    /// The channel layout, by libav's name; empty for libav's default layout of that many channels.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub layout: String,
}

/// What lies beside pictures and sound: text, or a cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SideSettings {
    /// The codec, by libav's name: `mov_text`, into which text is converted; `mjpeg` or `png`, covers that are copied.
    pub codec: String,
}

/// A distinct set of encoder settings. A format is a container around renditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Rendition {
    /// A hash of the settings; the name of its folder of work objects.
    pub id: String,
    /// Settings of a video rendition.
    #[serde(default)]
    #[avro(default = "null")]
    pub video: Option<VideoSettings>,
    /// Settings of an audio rendition.
    #[serde(default)]
    #[avro(default = "null")]
    pub audio: Option<AudioSettings>,
    /// Settings of text, or of a cover.
    #[serde(default)]
    #[avro(default = "null")]
    pub side: Option<SideSettings>,
}

/// Facts of one work object: one rendition of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Made {
    /// The rendition.
    pub rendition: String,
    /// Pictures, or samples of a sound track.
    pub units: i64,
    /// Packets.
    pub packets: i64,
    /// Size of the work object in bytes.
    pub bytes: i64,
    /// Presentation time of the first picture or sample, in the rendition's clock.
    pub first: i64,
    /// Presentation time of the first picture at or past the segment's end; null at the end of the source.
    #[serde(default)]
    #[avro(default = "null")]
    pub next: Option<i64>,
    /// Reorder depth: how many pictures at most come before another in decoding order and after it in presentation.
    #[serde(default)]
    #[avro(default = "0")]
    pub reorder: i32,
    /// The first eight bytes of the object's BLAKE3 digest.
    pub digest: i64,
}

/// Facts of a file that was made and proven.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct OutputFacts {
    /// Where it is.
    pub url: String,
    /// Its format.
    pub format: String,
    /// Its size.
    pub bytes: i64,
    /// How long it plays, in seconds.
    pub duration_seconds: f64,
    /// Its pictures.
    pub video: Option<VideoFacts>,
    /// Its sound.
    pub audio: Option<AudioFacts>,
    /// Its further sound tracks.
    #[serde(default)]
    #[avro(default = "[]")]
    pub more_audio: Vec<AudioFacts>,
    /// Its text tracks: the language of each, as it is in the file.
    #[serde(default)]
    #[avro(default = "[]")]
    pub text: Vec<String>,
    /// How many chapters it has.
    #[serde(default)]
    #[avro(default = "0")]
    pub chapters: i32,
}

/// Facts of the pictures in an output, each read from the finished file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct VideoFacts {
    /// Codec, by libav's name.
    pub codec: String,
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
    /// How many pictures.
    pub frames: i64,
    /// Presentation time of the first picture, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub first_seconds: f64,
    /// Presentation time of the last picture, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub last_seconds: f64,
    /// When the last picture ends, in seconds; 0 where the container can't say.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub end_seconds: f64,
    /// Pictures a second, on average; 0 where there is one.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub frame_rate: f64,
    /// Pixel format, by libav's name.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub pixel_format: String,
    /// Sample aspect ratio; 0 where none is told.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub sample_aspect: f64,
    /// Colour.
    #[serde(default)]
    #[avro(default = "null")]
    pub color: Option<Color>,
    /// Which field is shown first: 0 pictures are whole, 1 the top field, 2 the bottom field.
    #[serde(default)]
    #[avro(default = "0")]
    pub field_order: i32,
    /// The first eight bytes of the codec headers' BLAKE3 digest, in hexadecimal digits.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub headers: String,
}

/// Facts of the sound in an output, each read from the finished file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct AudioFacts {
    /// Codec, by libav's name.
    pub codec: String,
    /// Samples a second.
    pub sample_rate: i32,
    /// How many samples, without the encoder's priming and padding.
    pub samples: i64,
    /// Channels.
    #[serde(default)]
    #[avro(default = "0")]
    pub channels: i32,
    /// The channel layout, by libav's name.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub layout: String,
    /// When it is first heard, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub first_seconds: f64,
    /// When it ends, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub end_seconds: f64,
    /// The language, as it is in the file; empty where none is told.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub language: String,
    /// The first eight bytes of the codec headers' BLAKE3 digest, in hexadecimal digits.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub headers: String,
}
