//! Rendition ids: hashes of a canonical text of what was asked of an encoder, and of the encoder itself.
//!
//! The text has one line a setting, `name=value`, in the order of the names. A setting that stands at its default has no line,
//! so that a setting that a later version adds changes no id until somebody uses it. Two versions of Millrace that run side by
//! side thus name the same work alike. `schemas/tests/identity.rs` holds today's ids fixed.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use serde::{Deserialize, Serialize};

use super::{RenditionId, RenditionKind, hash_of};
use crate::{
    Area, AudioFilters, AudioSettings, BitRate, BurntSubtitles, COPY, Color, Instants, Light, Overlay, Ratio,
    Rendition, SideSettings, SourceRef, TextOverlay, TextStyle, VideoFilters, VideoSettings,
};

/// The encoders of this machine, with their versions: another version may make other bytes of the same settings. Each has an entry
/// by libavcodec's name, and the one that is taken where none is named another by the name of its codec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoders(BTreeMap<String, String>);

impl Encoders {
    /// Returns an encoder of a codec, such as `libx264 core 164 r3095 baee400 (Lavc59.37.100)`: the one of that name, or the first one
    /// of the codec if `encoder` is empty. Empty if it is not there. A [copy](COPY) needs no encoder, and is the same with each.
    #[must_use]
    pub fn of(&self, encoder: &str, codec: &str) -> &str {
        if encoder == COPY {
            return COPY;
        }
        let name = if encoder.is_empty() { codec } else { encoder };
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns `true` if no encoder is known at all, as in simulation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Encoders {
    /// Collects pairs of a name and an encoder.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Returns the id of a rendition that these encoders make. The field `id` of the rendition is not looked at.
#[must_use]
pub fn rendition_id(rendition: &Rendition, encoders: &Encoders) -> RenditionId {
    let kind = match rendition {
        Rendition { video: Some(_), .. } => RenditionKind::Video,
        Rendition { audio: Some(_), .. } => RenditionKind::Audio,
        _ => RenditionKind::Auxiliary,
    };
    RenditionId { kind, hash: hash_of(&["rendition", &canonical_text(rendition, encoders)]), track: 0 }
}

/// Returns the text that a rendition's id is a hash of.
#[must_use]
pub fn canonical_text(rendition: &Rendition, encoders: &Encoders) -> String {
    let Rendition { id: _, video, audio, side } = rendition;
    let mut text = Canonical::default();
    if let Some(video) = video {
        text.video(video, encoders);
    }
    if let Some(audio) = audio {
        text.audio(audio, encoders);
    }
    if let Some(SideSettings { codec }) = side {
        text.set("auxiliary.codec", codec);
    }
    text.finish()
}

/// The lines of a canonical text.
#[derive(Default)]
struct Canonical(BTreeMap<&'static str, String>);

impl Canonical {
    /// Adds a setting that every rendition of its kind states.
    fn set(&mut self, name: &'static str, value: impl Display) {
        self.0.insert(name, value.to_string());
    }

    /// Adds a setting unless it stands at its default.
    fn set_unless<T: Display + PartialEq>(&mut self, default: &T, name: &'static str, value: &T) {
        if value != default {
            self.set(name, value);
        }
    }

    // Both take all fields apart: whoever adds one decides here what its default is.

    fn video(&mut self, settings: &VideoSettings, encoders: &Encoders) {
        let VideoSettings {
            codec,
            preset,
            crf,
            width,
            height,
            pixel_format,
            time_base,
            frame_rate,
            sample_aspect,
            color,
            rotation,
            mirrored,
            field_order,
            source_color,
            tone_map,
            encoder,
            keyframe_seconds,
            filters,
            light,
            bit_rate,
            keyframe_grid,
            instants,
        } = settings;
        self.set("video.codec", codec);
        self.set("video.encoder", encoders.of(encoder, codec));
        self.set("video.preset", preset);
        self.set("video.crf", crf);
        self.set("video.width", width);
        self.set("video.height", height);
        self.set("video.pixel_format", pixel_format);
        self.set("video.time_base", fraction(*time_base));
        self.set("video.frame_rate", fraction(*frame_rate));
        self.set("video.sample_aspect", fraction(*sample_aspect));
        self.set("video.color", code_points(*color));
        self.set_unless(&0, "video.rotation", rotation);
        self.set_unless(&false, "video.mirrored", mirrored);
        self.set_unless(&0, "video.field_order", field_order);
        if let Some(color) = source_color {
            self.set("video.source_color", code_points(*color));
        }
        self.set_unless(&false, "video.tone_map", tone_map);
        self.set_unless(&0.0, "video.keyframe_seconds", keyframe_seconds);
        if let Some(zero) = keyframe_grid {
            self.set("video.keyframe_grid", zero);
        }
        if let Some(Instants { clock, zero, times, first, count, scene }) = instants {
            self.set("video.instants", format!("{clock:?} {zero} {times:?} {first} {count} {scene}"));
        }
        if let Some(filters) = filters {
            self.video_filters(filters);
        }
        if let Some(Light { mastering, most, most_average }) = light {
            self.set("video.light", format!("{mastering:?} {most} {most_average}"));
        }
        // What each segment is held to follows from these, and from where it is cut.
        if let Some(BitRate { average, most, buffer, segment_most: _, segment_buffer: _ }) = bit_rate {
            self.set("video.bit_rate", format!("{average} {most} {buffer}"));
        }
    }

    fn video_filters(&mut self, filters: &VideoFilters) {
        let VideoFilters { deinterlace, denoise, resample, crop, inside, overlays, texts, subtitles } =
            filters;
        self.set_unless(&false, "video.deinterlace", deinterlace);
        self.set_unless(&String::new(), "video.denoise", denoise);
        self.set_unless(&false, "video.resample", resample);
        if let Some(crop) = crop {
            self.set("video.crop", area(*crop));
        }
        if let Some(inside) = inside {
            self.set("video.inside", area(*inside));
        }
        if !overlays.is_empty() {
            let parts: Vec<String> = overlays.iter().flat_map(overlay).collect();
            self.set("video.overlays", hash_of(&parts));
        }
        if !texts.is_empty() {
            let parts: Vec<String> = texts.iter().flat_map(text_overlay).collect();
            self.set("video.texts", format!("{LETTERING} {}", hash_of(&parts)));
        }
        if let Some(BurntSubtitles { file, stream, shift, style }) = subtitles {
            let of = file.as_ref().map_or_else(|| stream.to_string(), source);
            let parts = [vec![of, shift.to_string()], text_style(style)].concat();
            self.set("video.subtitles", format!("{LETTERING} {}", hash_of(&parts)));
        }
    }

    fn audio(&mut self, settings: &AudioSettings, encoders: &Encoders) {
        let AudioSettings { codec, bit_rate, sample_rate, channels, layout, encoder, filters, bits } =
            settings;
        self.set("audio.codec", codec);
        self.set("audio.encoder", encoders.of(encoder, codec));
        self.set("audio.bit_rate", bit_rate);
        self.set("audio.sample_rate", sample_rate);
        self.set("audio.channels", channels);
        self.set_unless(&String::new(), "audio.layout", layout);
        self.set_unless(&0, "audio.bits", bits);
        if let Some(AudioFilters { high_pass, denoise, gain, loudness, fade_in, fade_out }) = filters {
            self.set_unless(&0, "audio.high_pass", high_pass);
            self.set_unless(&false, "audio.denoise", denoise);
            self.set_unless(&0.0, "audio.gain", gain);
            if let Some(loudness) = loudness {
                self.set("audio.loudness", loudness);
            }
            self.set_unless(&0.0, "audio.fade_in", fade_in);
            self.set_unless(&0.0, "audio.fade_out", fade_out);
        }
    }

    fn finish(self) -> String {
        let mut text = String::new();
        for (name, value) in self.0 {
            // A value of several lines, which only a crafted record has, can't look like two settings.
            let value = value.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(text, "{name}={value}");
        }
        text
    }
}

fn fraction(ratio: Ratio) -> String {
    format!("{}/{}", ratio.num, ratio.den)
}

fn area(area: Area) -> String {
    let Area { x, y, width, height } = area;
    format!("{width}x{height}+{x}+{y}")
}

/// An image, a font or a text, at its version.
fn source(source: &SourceRef) -> String {
    hash_of(&[&source.url, &source.version])
}

fn overlay(overlay: &Overlay) -> [String; 5] {
    let Overlay { image, area: place, opacity, from, to } = overlay;
    let to = to.map_or(String::new(), |to| to.to_string());
    [source(image), area(*place), opacity.to_string(), from.to_string(), to]
}

/// The version of how text is set: the font that Millrace has, and what draws it. Another one makes other pictures of the same
/// settings.
const LETTERING: i32 = 1;

fn text_style(style: &TextStyle) -> Vec<String> {
    let TextStyle { font, size, area: place, alignment } = style;
    let font = font.as_ref().map_or(String::new(), source);
    vec![font, size.to_string(), area(*place), alignment.to_string()]
}

fn text_overlay(overlay: &TextOverlay) -> Vec<String> {
    let TextOverlay { text, style, opacity, from, to } = overlay;
    let to = to.map_or(String::new(), |to| to.to_string());
    [vec![text.clone(), opacity.to_string(), from.to_string(), to], text_style(style)].concat()
}

/// Colour as primaries, transfer, matrix, range and chroma location.
fn code_points(color: Color) -> String {
    let Color { primaries, transfer, matrix, range, chroma } = color;
    format!("{primaries}-{transfer}-{matrix}-{range}-{chroma}")
}
