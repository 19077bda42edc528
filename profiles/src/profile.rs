//! What a profile says, as its file or an upload has it.

use std::collections::BTreeMap;

use millrace_schemas::AssetKind;
use serde::{Deserialize, Serialize};

use crate::{
    amounts::{BitRate, Bits, Decibels, Loudness, Seconds, Size},
    asset::Asset,
    color::Color,
    crop::{Crop, Rotate},
    encryption::Encryption,
    rungs::Rungs,
    subtitles::{Subtitles, burn_or_table},
    timing::{Deinterlace, Denoise, FrameRate},
    trim::TrimTimes,
    watermark::{Watermark, one_or_many},
};

/// A profile: what is made of a source.
///
/// Serialized, it is its canonical text: a key at its default is left out, so that a key that a later version adds changes no
/// execution's id until somebody uses it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The name by which it was asked for; empty for one that was given itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The encodings of the pictures, by the names that outputs refer to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub video: BTreeMap<String, Video>,
    /// The encodings of the audio, by the names that outputs refer to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audio: BTreeMap<String, Audio>,
    /// The outputs.
    #[serde(rename = "output", skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// What is asked of sources.
    #[serde(skip_serializing_if = "SourceTerms::is_default")]
    pub source: SourceTerms,
}

/// An encoding of pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// The codec, or one of its encoders; `copy` for the packets of the source.
    pub codec: String,
    /// `copy` if what already is as asked is copied, not encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_fits: Option<String>,
    /// The constant quality, on the codec's own scale: less is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// The average bit rate over the whole length, in place of a quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<BitRate>,
    /// The rate at which a player's buffer fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<BitRate>,
    /// The size of a player's buffer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<Bits>,
    /// The encoder's preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The size that the pictures fit within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The greatest width, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// The greatest height, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// Whether pictures that are smaller are enlarged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub upscale: bool,
    /// What is cut off the pictures, before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// How the pictures are rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// The size of the frame in whose middle the pictures are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<Size>,
    /// The images and texts that are laid over the pictures, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub watermark: Vec<Watermark>,
    /// The subtitles that are laid over the pictures.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "burn_or_table")]
    pub subtitles: Option<Subtitles>,
    /// The longest time between keyframes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyframe_interval: Option<Seconds>,
    /// The pixel format, by libav's name, or `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// The frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<FrameRate>,
    /// Which sources' fields become whole pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deinterlace: Option<Deinterlace>,
    /// How strongly noise is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoise: Option<Denoise>,
    /// What becomes of high dynamic range.
    #[serde(default, skip_serializing_if = "ColorRange::is_default")]
    pub color: ColorRange,
    /// The sizes of which there is a rendition each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rungs: Option<Rungs>,
}

/// What becomes of high dynamic range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorRange {
    /// It is tone-mapped to the standard range.
    #[default]
    Sdr,
    /// It is kept.
    Source,
}

impl ColorRange {
    /// serde wants a reference.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An encoding of audio.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// The codec, or one of its encoders; `copy` for the packets of the source.
    pub codec: String,
    /// `copy` if what already is as asked is copied, not encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_fits: Option<String>,
    /// The bit rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<BitRate>,
    /// The sample rate, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<i32>,
    /// The number of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<i32>,
    /// Bits of a sample, of a lossless codec that has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// The loudness over the whole length, in LUFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness: Option<Loudness>,
    /// By how much it is amplified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Decibels>,
    /// The frequency below which it is attenuated, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_pass: Option<i32>,
    /// Whether noise is removed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub denoise: bool,
    /// How long it fades in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fade_in: Option<Seconds>,
    /// How long it fades out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fade_out: Option<Seconds>,
}

/// An output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The format.
    pub format: String,
    /// The encoding of its pictures, a key of [`Profile::video`], or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// The encodings of its audio, keys of [`Profile::audio`], or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioTracks>,
    /// The name of its file, or of a package's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The length of a package's segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Seconds>,
    /// Whether each segment of a package is an object of its own, `many`, or each track is one, `single`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// The times at which single pictures are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Vec<Seconds>>,
    /// The time between single pictures that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Seconds>,
    /// By how much a picture differs from the one before it that is the first of a scene and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenes: Option<f64>,
    /// How many of the single pictures are kept: the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<i32>,
    /// The format of single pictures, and of sheets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// The greatest width of single pictures, or the width of a waveform, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// The greatest height of single pictures, or the height of a waveform, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// The pictures beside each other in a sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<i32>,
    /// The pictures below each other in a sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i32>,
    /// Where an animation begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Seconds>,
    /// Where an animation ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Seconds>,
    /// The pictures a second of an animation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// How often an animation is shown; 0 for without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plays: Option<i32>,
    /// How the segments of a package are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The colour of a waveform's peaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
    /// The colour behind a waveform's peaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Color>,
    /// Whether each channel of a waveform has a lane of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub split_channels: bool,
}

/// Which encodings the audio of an output has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a name, a list of names, or names by language such as { deu = \"main\" }"
)]
pub enum AudioTracks {
    /// Each track has this one, or there are none.
    One(String),
    /// Each track has each of these.
    Each(Vec<String>),
    /// Tracks of these languages (ISO 639-2) have these; others are left out.
    ByLanguage(BTreeMap<String, String>),
}

impl AudioTracks {
    /// Returns the names of encodings, each with the language of the tracks that have it, if it is not all of them.
    #[must_use]
    pub fn names(&self) -> Vec<(Option<&str>, &String)> {
        match self {
            Self::One(name) => vec![(None, name)],
            Self::Each(names) => names.iter().map(|name| (None, name)).collect(),
            Self::ByLanguage(names) => {
                names.iter().map(|(language, name)| (Some(language.as_str()), name)).collect()
            }
        }
    }
}

/// What is asked of sources. One that does not meet it is refused before work begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceTerms {
    /// The part of the source that is used; `None` for all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<TrimTimes>,
    /// The limits of sources that are accepted.
    #[serde(skip_serializing_if = "Accept::is_default")]
    pub accept: Accept,
}

impl SourceTerms {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The limits of sources that are accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// The longest source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Seconds>,
    /// The largest size of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
}

impl Accept {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// serde wants a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Why a text is no profile. The text names the line or the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError(pub String);

impl std::fmt::Display for ProfileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProfileError {}

impl Profile {
    /// Reads a profile that is written in TOML.
    ///
    /// # Errors
    /// If it is not TOML, or has an unknown key or a value of another kind: with the line.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        toml::from_str(text).map_err(|error| ProfileError(error.to_string().trim_end().to_owned()))
    }

    /// Reads a profile that is written in JSON.
    ///
    /// # Errors
    /// If it is not JSON, or has an unknown key or a value of another kind: with the key.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let profile = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| ProfileError(format!("{}: {}", error.path(), error.inner())))?;
        json.end().map_err(|error| ProfileError(error.to_string()))?;
        Ok(profile)
    }

    /// Returns the files that it names beside the source, with what each is for.
    pub fn assets(&self) -> impl Iterator<Item = (AssetKind, &Asset)> {
        let kind = |kind: AssetKind| move |asset| (kind, asset);
        self.video.values().flat_map(move |video| {
            let marks = video.watermark.iter().flat_map(move |mark| {
                let images = mark.image.iter().map(kind(AssetKind::Image));
                images.chain(mark.font.iter().map(kind(AssetKind::Font)))
            });
            let subtitles = video.subtitles.iter().flat_map(move |subtitles| {
                let files = subtitles.file.iter().map(kind(AssetKind::Subtitles));
                files.chain(subtitles.font.iter().map(kind(AssetKind::Font)))
            });
            marks.chain(subtitles)
        })
    }

    /// Returns `true` if anything is laid over pictures, so that they differ from those of the source.
    #[must_use]
    pub fn lays_over_pictures(&self) -> bool {
        self.video.values().any(|video| !video.watermark.is_empty() || video.subtitles.is_some())
    }

    /// Returns the files that it names beside the source, to be changed.
    pub fn assets_mut(&mut self) -> impl Iterator<Item = &mut Asset> {
        self.video.values_mut().flat_map(|video| {
            let marks =
                video.watermark.iter_mut().flat_map(|mark| mark.image.iter_mut().chain(&mut mark.font));
            let subtitles = video.subtitles.iter_mut();
            marks.chain(subtitles.flat_map(|subtitles| subtitles.file.iter_mut().chain(&mut subtitles.font)))
        })
    }

    /// Returns its canonical text, which is JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text keys and finite numbers: it can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        description = "H.264 for the web"
        [video.main]
        codec = "h264"
        quality = 21
        size = "1920x1080"
        keyframe_interval = "2s"
        [audio.main]
        codec = "aac"
        bitrate = "128k"
        [[output]]
        format = "mp4"
        name = "{stem}-web.{ext}"
        [source]
        accept = { max_duration = "6h" }
    "#;

    #[test]
    fn toml_and_json_say_the_same() {
        let profile = Profile::from_toml(TEXT).unwrap();
        assert_eq!(profile.video["main"].quality, Some(21.0));
        assert_eq!(Profile::from_json(&profile.to_json()).unwrap(), profile);
    }

    #[test]
    fn audio_is_a_name_a_list_or_a_table_of_languages() {
        let names = |audio: &str| {
            let text = format!("[[output]]\nformat = \"mp4\"\naudio = {audio}");
            let profile = Profile::from_toml(&text).unwrap();
            assert_eq!(Profile::from_json(&profile.to_json()).unwrap(), profile);
            let audio = profile.outputs[0].audio.clone().unwrap();
            audio.names().iter().map(|(language, name)| format!("{language:?} {name}")).collect::<Vec<_>>()
        };
        assert_eq!(names("\"a\""), ["None a"]);
        assert_eq!(names("[\"a\", \"b\"]"), ["None a", "None b"]);
        assert_eq!(names("{ deu = \"a\", eng = \"b\" }"), ["Some(\"deu\") a", "Some(\"eng\") b"]);
    }

    #[test]
    fn a_key_that_is_left_out_is_not_in_the_canonical_text() {
        let profile = Profile::from_toml("[[output]]\nformat = \"mp4\"").unwrap();
        assert_eq!(profile.to_json(), r#"{"output":[{"format":"mp4"}]}"#);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_known_ones() {
        let wrong = Profile::from_toml("[video.main]\ncodec = \"h264\"\nqualty = 3").unwrap_err().0;
        assert!(wrong.contains("line 3") && wrong.contains("qualty") && wrong.contains("quality"), "{wrong}");
        let wrong =
            Profile::from_json(r#"{"video": {"main": {"codec": "h264", "qualty": 3}}}"#).unwrap_err().0;
        assert!(wrong.starts_with("video.main") && wrong.contains("qualty"), "{wrong}");
        let wrong = Profile::from_toml("[[output]]\nformat = \"mp4\"\naudio = 3").unwrap_err().0;
        assert!(wrong.contains("a list of names"), "{wrong}");
        let wrong = Profile::from_toml("[audio.a]\ncodec = \"aac\"\nbitrate = \"fast\"").unwrap_err().0;
        assert!(wrong.contains("128k"), "{wrong}");
    }
}
