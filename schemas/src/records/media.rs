//! Sources, encoder settings, and facts about work objects and outputs.

use apache_avro::AvroSchema;
use serde::{Deserialize, Serialize};

/// One version of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SourceRef {
    /// The URL.
    pub url: String,
    /// The version that was accepted: the ETag of an object, the size and modification time of a file.
    pub version: String,
    /// The size, in bytes.
    pub bytes: i64,
}

/// A fraction: a time base in seconds, a frame rate in Hz, or an aspect ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Ratio {
    /// The numerator.
    pub num: i32,
    /// The denominator; 0 if the fraction is unknown.
    pub den: i32,
}

impl Ratio {
    /// Returns the fraction as a number; 0 if it is unknown.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        if self.den == 0 { 0.0 } else { f64::from(self.num) / f64::from(self.den) }
    }
}

/// A colour description, by the code points of ITU-T H.273; 2 is "unspecified".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Color {
    /// The colour primaries.
    pub primaries: i32,
    /// The transfer characteristics.
    pub transfer: i32,
    /// The matrix coefficients.
    pub matrix: i32,
    /// The range: 0 unknown, 1 limited (video), 2 full.
    pub range: i32,
    /// The location of chroma samples (`AVChromaLocation`): 0 unknown, 1 left, 2 center, 3 top left.
    pub chroma: i32,
}

/// The properties of a decoded picture, before any conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct PictureShape {
    /// The width, in pixels.
    pub width: i32,
    /// The height, in pixels.
    pub height: i32,
    /// The sample aspect ratio in the stream; 0/1 if it has none.
    pub sample_aspect: Ratio,
    /// The pixel format, by libav's name.
    pub pixel_format: String,
    /// The colour description.
    pub color: Color,
    /// The clockwise rotation in the picture's side data, in degrees.
    pub rotation: i32,
    /// Whether the picture's side data mirrors it, left to right, before the rotation.
    pub mirrored: bool,
}

/// The kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the derive takes no doc comments on variants")]
pub enum TrackKind {
    // Video.
    Video,
    // Audio, or an auxiliary track (text, cover art); the rendition tells which. Older versions could not read a further
    // symbol.
    Audio,
}

/// The settings of a video encoder. `split` sets them all, so that every worker writes the same codec headers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct VideoSettings {
    /// The codec, such as `h264`.
    pub codec: String,
    /// The encoder's preset.
    pub preset: String,
    /// The constant rate factor.
    pub crf: f64,
    /// The coded width, in pixels.
    pub width: i32,
    /// The coded height, in pixels.
    pub height: i32,
    /// The pixel format, by libav's name.
    pub pixel_format: String,
    /// The time base of the presentation times, which is the source's unless the pictures are resampled.
    pub time_base: Ratio,
    /// The nominal frame rate.
    pub frame_rate: Ratio,
    /// The sample aspect ratio.
    pub sample_aspect: Ratio,
    /// The colour description.
    pub color: Color,
    /// The clockwise rotation of the source's pictures, in degrees: 0, 90, 180 or 270. Width and height are those after the
    /// rotation.
    #[serde(default)]
    #[avro(default = "0")]
    pub rotation: i32,
    /// Whether the source's pictures are mirrored, left to right, before the rotation.
    #[serde(default)]
    #[avro(default = "false")]
    pub mirrored: bool,
    /// The field order: 0 progressive, 1 top field first, 2 bottom field first.
    #[serde(default)]
    #[avro(default = "0")]
    pub field_order: i32,
    /// The source's colour description, if colours are converted; null if they are kept.
    #[serde(default)]
    #[avro(default = "null")]
    pub source_color: Option<Color>,
    /// Whether high dynamic range is tone-mapped to standard dynamic range.
    #[serde(default)]
    #[avro(default = "false")]
    pub tone_map: bool,
    /// The encoder, by libavcodec's name; empty for the first one of the codec that the worker has.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub encoder: String,
    /// The interval of keyframes in seconds: there is one at the first picture of each interval, counted from time zero of the
    /// source. 0 leaves it to the encoder.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub keyframe_seconds: f64,
    /// What the pictures go through before they are encoded, beside scaling, rotation and conversion of colours; null for nothing.
    #[serde(default)]
    #[avro(default = "null")]
    pub filters: Option<VideoFilters>,
    /// What a stream of high dynamic range says of its light; null if it says nothing.
    #[serde(default)]
    #[avro(default = "null")]
    pub light: Option<Light>,
    /// The bit rate that is asked for; null for constant quality without a bound. With an average, `crf` is the quality of the
    /// pass: it is changed until the track has that average.
    #[serde(default)]
    #[avro(default = "null")]
    pub bit_rate: Option<BitRate>,
    /// The time, in ticks of the time base, from which the intervals of keyframes are counted, of a rendition that has keyframes at the
    /// first picture of each interval and nowhere else, so that several renditions have them at the same times; null if intervals are
    /// counted from time zero of the source, and the encoder adds keyframes.
    #[serde(default)]
    #[avro(default = "null")]
    pub keyframe_grid: Option<i64>,
    /// Which of the pictures are kept, of a rendition of single pictures; null for all.
    #[serde(default)]
    #[avro(default = "null")]
    pub instants: Option<Instants>,
}

/// Which pictures of a track are kept as single ones: those that are shown at some times, or the first ones of scenes. Kept pictures are
/// numbered, and their numbers are their presentation times, but for scenes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Instants {
    /// The numerator and the denominator of the length of a tick of the source's clock, in seconds.
    pub clock: Vec<i32>,
    /// When time zero of the output is, in ticks of the source's clock.
    pub zero: i64,
    /// The times, in ticks of the source's clock, in order; empty if they are the time base apart.
    pub times: Vec<i64>,
    /// The first of times that are the time base apart, in ticks of the source's clock.
    pub first: i64,
    /// How many of those there are; 0 if there are some up to the end.
    pub count: i64,
    /// By how much the first picture of a scene differs from the one before it, from 0 to 1; 0 if times are asked for.
    pub scene: f64,
}

/// The bit rate of a video track. Rates are in bits per second, of the packets alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct BitRate {
    /// The average over the whole track; 0 for constant quality.
    pub average: i64,
    /// The rate at which a player's buffer fills; 0 for no bound.
    pub most: i64,
    /// The size of that buffer, in bits; 0 for no bound. A player that begins with a full buffer never finds it empty.
    pub buffer: i64,
    /// The rate that each segment's encoder is held to, so that the bound holds over the joins; 0 for no bound.
    pub segment_most: i64,
    /// The size of the buffer that each segment's encoder is held to, in bits; 0 for no bound.
    pub segment_buffer: i64,
}

/// What pictures go through before they are encoded, in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct VideoFilters {
    /// Whether interlaced pictures are made progressive, one for each.
    pub deinterlace: bool,
    /// How strongly noise is removed: `light`, `medium`, `strong`; empty for not at all.
    pub denoise: String,
    /// Whether there is a picture at each multiple of a frame's duration, counted from time zero of the source, instead of those
    /// of the source. The time base is a frame's duration then.
    pub resample: bool,
    /// The part of the source's pictures, as they are shown, that is kept; null for all of it.
    pub crop: Option<Area>,
    /// The part of the frame that the pictures fill, with black around it; null for all of it.
    pub inside: Option<Area>,
    /// The images that are laid over the pictures, in order.
    pub overlays: Vec<Overlay>,
    /// The texts that are laid over pictures and images, in order.
    #[serde(default)]
    #[avro(default = "[]")]
    pub texts: Vec<TextOverlay>,
    /// The subtitles that are laid over all of that; null for none.
    #[serde(default)]
    #[avro(default = "null")]
    pub subtitles: Option<BurntSubtitles>,
}

/// A rectangle in pixels, from the top left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Area {
    /// The distance from the left.
    pub x: i32,
    /// The distance from the top.
    pub y: i32,
    /// The width.
    pub width: i32,
    /// The height.
    pub height: i32,
}

/// An image that is laid over pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Overlay {
    /// The image, at its version.
    pub image: SourceRef,
    /// Where it is in the frame. It is scaled to that.
    pub area: Area,
    /// How opaque it is, from 0 to 1.
    pub opacity: f64,
    /// From when on it is shown, in seconds of the source's clock.
    pub from: f64,
    /// Until when it is shown, in seconds of the source's clock; null for the end.
    pub to: Option<f64>,
}

/// How text is set that is laid over pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TextStyle {
    /// The font, at its version; null for the one that Millrace has.
    pub font: Option<SourceRef>,
    /// The height of the font, in pixels.
    pub size: i32,
    /// The part of the frame that the text stays within. Lines are broken at its width.
    pub area: Area,
    /// Where in that area it is, as on the keys of a numeric keypad: 1 is at the bottom left, 9 at the top right.
    pub alignment: i32,
}

/// A text that is laid over pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct TextOverlay {
    /// The text.
    pub text: String,
    /// How it is set.
    pub style: TextStyle,
    /// How opaque it is, from 0 to 1.
    pub opacity: f64,
    /// From when on it is shown, in seconds of the source's clock.
    pub from: f64,
    /// Until when it is shown, in seconds of the source's clock; null for the end.
    pub to: Option<f64>,
}

/// Subtitles that are laid over pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct BurntSubtitles {
    /// The file that they are in, at its version; null for a text track of the source.
    pub file: Option<SourceRef>,
    /// The index of the text track's stream in the source, if they are in no file.
    pub stream: i32,
    /// What is added to their times to have them on the source's clock, in milliseconds.
    pub shift: i64,
    /// How they are set. Texts that ask for it are at the top of the area instead.
    pub style: TextStyle,
}

/// What a stream of high dynamic range says of its light. Lengths are zero where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Light {
    /// The mastering display (SMPTE ST 2086): x and y of red, green, blue and white in steps of 0.00002, then its greatest and
    /// its least luminance in steps of 0.0001 cd/m²; empty if it is unknown.
    pub mastering: Vec<i32>,
    /// The greatest light level of a sample (CTA-861.3, `MaxCLL`), in cd/m²; 0 if it is unknown.
    pub most: i32,
    /// The greatest average light level of a picture (`MaxFALL`), in cd/m²; 0 if it is unknown.
    pub most_average: i32,
}

/// The settings of an audio encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct AudioSettings {
    /// The codec, such as `aac`.
    pub codec: String,
    /// The bit rate, in bits per second.
    pub bit_rate: i64,
    /// The sample rate, in Hz.
    pub sample_rate: i32,
    /// The number of channels.
    pub channels: i32,
    /// The channel layout, by libav's name; empty for libav's default layout of this number of channels.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub layout: String,
    /// The encoder, by libavcodec's name; empty for the first one of the codec that the worker has.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub encoder: String,
    /// What the audio goes through before it is encoded, beside resampling and mixing; null for nothing.
    #[serde(default)]
    #[avro(default = "null")]
    pub filters: Option<AudioFilters>,
    /// Bits of a sample of a lossless codec that has several; 0 for its usual ones.
    #[serde(default)]
    #[avro(default = "0")]
    pub bits: i32,
}

/// What audio goes through before it is encoded, in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct AudioFilters {
    /// The frequency below which it is attenuated, in Hz; 0 for none.
    pub high_pass: i32,
    /// Whether noise is removed.
    pub denoise: bool,
    /// By how much it is amplified, in dB.
    pub gain: f64,
    /// The loudness that it has over its whole length, in LUFS (EBU R 128); null for as it is.
    pub loudness: Option<f64>,
    /// How long it fades in from its first sample, in seconds.
    pub fade_in: f64,
    /// How long it fades out at its end, in seconds.
    pub fade_out: f64,
}

/// The settings of an auxiliary track: text, or cover art.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct SideSettings {
    /// The codec, by libav's name: `mov_text` for text, which is converted; `mjpeg` or `png` for cover art, which is copied.
    pub codec: String,
}

/// An encoding of a track: an id, and the settings of one encoder. Outputs with equal settings share a rendition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Rendition {
    /// The id, which is a hash of the settings and part of the work objects' keys.
    pub id: String,
    /// The settings of a video rendition.
    #[serde(default)]
    #[avro(default = "null")]
    pub video: Option<VideoSettings>,
    /// The settings of an audio rendition.
    #[serde(default)]
    #[avro(default = "null")]
    pub audio: Option<AudioSettings>,
    /// The settings of an auxiliary track.
    #[serde(default)]
    #[avro(default = "null")]
    pub side: Option<SideSettings>,
}

/// The facts of a work object, which is one rendition of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct Made {
    /// The id of the rendition.
    pub rendition: String,
    /// The number of pictures, or of audio samples.
    pub units: i64,
    /// The number of packets.
    pub packets: i64,
    /// The size of the work object, in bytes.
    pub bytes: i64,
    /// The presentation time of the first picture or sample, in ticks of the rendition's time base.
    pub first: i64,
    /// The presentation time of the first picture at or after the segment's end; null at the end of the source.
    #[serde(default)]
    #[avro(default = "null")]
    pub next: Option<i64>,
    /// The reorder depth: the most pictures that precede any picture in decoding order and follow it in presentation order.
    #[serde(default)]
    #[avro(default = "0")]
    pub reorder: i32,
    /// The first eight bytes of the object's BLAKE3 digest.
    pub digest: i64,
}

/// The facts of an output, as its proof read them from the finished file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct OutputFacts {
    /// The URL.
    pub url: String,
    /// The name of the format.
    pub format: String,
    /// The size, in bytes.
    pub bytes: i64,
    /// The duration, in seconds.
    pub duration_seconds: f64,
    /// The video track; null if there is none.
    pub video: Option<VideoFacts>,
    /// The first audio track; null if there is none.
    pub audio: Option<AudioFacts>,
    /// The further audio tracks.
    #[serde(default)]
    #[avro(default = "[]")]
    pub more_audio: Vec<AudioFacts>,
    /// The language of each text track, as in the file.
    #[serde(default)]
    #[avro(default = "[]")]
    pub text: Vec<String>,
    /// The number of chapters.
    #[serde(default)]
    #[avro(default = "0")]
    pub chapters: i32,
    /// The further video tracks, which show the same in other sizes.
    #[serde(default)]
    #[avro(default = "[]")]
    pub more_video: Vec<VideoFacts>,
    /// The number of objects of a package; 0 for a file.
    #[serde(default)]
    #[avro(default = "0")]
    pub objects: i32,
}

/// The facts of a video track, as read from the finished file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct VideoFacts {
    /// The codec, by libav's name.
    pub codec: String,
    /// The width, in pixels.
    pub width: i32,
    /// The height, in pixels.
    pub height: i32,
    /// The number of pictures.
    pub frames: i64,
    /// The presentation time of the first picture, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub first_seconds: f64,
    /// The presentation time of the last picture, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub last_seconds: f64,
    /// The end of the last picture, in seconds; 0 if the container can't express it.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub end_seconds: f64,
    /// The average frame rate, in Hz; 0 if there is only one picture.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub frame_rate: f64,
    /// The pixel format, by libav's name.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub pixel_format: String,
    /// The sample aspect ratio; 0 if the file has none.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub sample_aspect: f64,
    /// The colour description.
    #[serde(default)]
    #[avro(default = "null")]
    pub color: Option<Color>,
    /// The field order: 0 progressive, 1 top field first, 2 bottom field first.
    #[serde(default)]
    #[avro(default = "0")]
    pub field_order: i32,
    /// The first eight bytes of the codec headers' BLAKE3 digest, in hexadecimal.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub headers: String,
}

/// The facts of an audio track, as read from the finished file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "millrace")]
pub struct AudioFacts {
    /// The codec, by libav's name.
    pub codec: String,
    /// The sample rate, in Hz.
    pub sample_rate: i32,
    /// The number of samples, without the encoder's priming and padding.
    pub samples: i64,
    /// The number of channels.
    #[serde(default)]
    #[avro(default = "0")]
    pub channels: i32,
    /// The channel layout, by libav's name.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub layout: String,
    /// The presentation time of the first sample, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub first_seconds: f64,
    /// The end of the last sample, in seconds.
    #[serde(default)]
    #[avro(default = "0.0")]
    pub end_seconds: f64,
    /// The language, as in the file; empty if the file has none.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub language: String,
    /// The first eight bytes of the codec headers' BLAKE3 digest, in hexadecimal.
    #[serde(default)]
    #[avro(default = r#""""#)]
    pub headers: String,
}
