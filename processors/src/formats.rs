//! The formats that can be made. A format is a container around renditions; those of equal settings cost one encode.

use millrace_schemas::{AudioSettings, Color, VideoSettings};

use crate::layouts::{self, Fit};

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its name, and the outputs' extension.
    pub name: &'static str,
    /// What it is, for help.
    pub about: &'static str,
    /// The video codec.
    pub video_codec: &'static str,
    /// The audio codec.
    pub audio_codec: &'static str,
    /// Whether it holds several sound tracks, text, covers, chapters, metadata and timecode, and says that an encoder's
    /// priming is not heard.
    pub holds_all: bool,
}

/// All formats.
pub const FORMATS: [Format; 2] = [
    Format {
        name: "mp4",
        about: "H.264 and AAC, index in front (faststart)",
        video_codec: "h264",
        audio_codec: "aac",
        holds_all: true,
    },
    Format {
        name: "flv",
        about: "H.264 and AAC, for RTMP and old players",
        video_codec: "h264",
        audio_codec: "aac",
        holds_all: false,
    },
];

/// The format of that name.
///
/// # Errors
/// Where there is none: the text says which there are.
pub fn format(name: &str) -> Result<Format, String> {
    FORMATS.into_iter().find(|format| format.name == name).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        format!("unknown format '{name}'; known formats: {}", known.join(", "))
    })
}

/// The shortest segment that may be asked for, in seconds: each costs a record, a work object and a keyframe.
const SHORTEST_SEGMENT: f64 = 0.1;

/// Holds a segment time to be one that can be cut by.
///
/// # Errors
/// Where it is less than 0.1 or more than a day, or not a number.
pub fn segment_time(seconds: f64) -> Result<f64, String> {
    if seconds.is_finite() && (SHORTEST_SEGMENT..=86_400.0).contains(&seconds) {
        return Ok(seconds);
    }
    Err(format!(
        "a segment time of {seconds} is out of range: at least {SHORTEST_SEGMENT} seconds, and at most 86400 (15 is usual)"
    ))
}

/// Holds a deadline to be one that can be met.
///
/// # Errors
/// Where it is not more than 0, or not a number.
pub fn deadline(seconds: Option<f64>) -> Result<(), String> {
    match seconds {
        Some(seconds) if !seconds.is_finite() || seconds <= 0.0 => {
            Err(format!("a deadline of {seconds} is out of range: seconds, more than 0"))
        }
        _ => Ok(()),
    }
}

/// The encoder settings of a video rendition in this format, of a source like that.
#[must_use]
pub fn video_settings(format: Format, source: &VideoSettings) -> VideoSettings {
    let mut settings = VideoSettings {
        codec: format.video_codec.into(),
        preset: "medium".into(),
        crf: 23.0,
        pixel_format: "yuv420p".into(),
        ..source.clone()
    };
    // Laid down otherwise, rows of a field are none any more; and H.264 keeps fields of frames whose height is a multiple
    // of four in 4:2:0 (ITU-T H.264, 7.4.2.1.1). Those of other heights keep their pictures, as they are.
    if settings.rotation != 0 || settings.mirrored || settings.height % 4 != 0 {
        settings.field_order = 0;
    }
    (settings.color, settings.tone_map) = shown_color(source);
    settings.source_color = (settings.color != source.color).then_some(source.color);
    settings
}

/// Transfer characteristics of high dynamic range: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
const HIGH_RANGE: [i32; 2] = [16, 18];
/// Matrix coefficients of RGB: there are none.
const RGB: i32 = 0;

/// The colour that 8-bit H.264 shows of a source's, and whether its range is brought down for that.
fn shown_color(source: &VideoSettings) -> (Color, bool) {
    let color = source.color;
    if HIGH_RANGE.contains(&color.transfer) {
        return (Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 }, true);
    }
    if is_rgb(&source.pixel_format) {
        // What a player takes for granted at that size where it does not look (BT.601 below HD).
        let matrix = if source.height > 576 { 1 } else { 6 };
        return (Color { matrix, range: 1, chroma: 1, ..color }, false);
    }
    // A file that calls planes of luma and chroma RGB is wrong.
    (Color { matrix: if color.matrix == RGB { 2 } else { color.matrix }, ..color }, false)
}

/// Whether a pixel format of libav's is of red, green and blue, or a palette of them.
fn is_rgb(pixel_format: &str) -> bool {
    ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono"]
        .iter()
        .any(|start| pixel_format.starts_with(start))
}

/// Sampling rates of AAC (ISO/IEC 14496-3, table 1.18).
const AAC_RATES: [i32; 13] =
    [7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];
/// The lowest rate where an encoder's priming is heard: 32 ms of it.
const LOWEST_PRIMED: i32 = 32_000;

/// The encoder settings of an audio rendition in this format, of a source of this rate, layout and number of channels; and
/// what is to be said, where the channels can't stay as they are.
#[must_use]
pub fn audio_settings(
    format: Format,
    sample_rate: i32,
    (layout, channels): (&str, i32),
) -> (AudioSettings, Option<String>) {
    let rate = AAC_RATES.into_iter().find(|rate| *rate >= sample_rate).unwrap_or(96_000);
    // Before the sound comes a packet of priming; where it is heard, it is to be short. Multiples keep the samples.
    let primed = |known: &i32| *known >= LOWEST_PRIMED && known % rate == 0;
    let rate = if format.holds_all { rate } else { AAC_RATES.into_iter().find(primed).unwrap_or(rate) };
    let (made, count, fit) = layouts::aac_layout(layout, channels);
    let settings = AudioSettings {
        codec: format.audio_codec.into(),
        bit_rate: 128_000,
        sample_rate: rate,
        channels: count,
        layout: made.clone(),
    };
    let (from, to) = (layouts::describe(layout, channels), layouts::describe(&made, count));
    let remark = match fit {
        Fit::Kept => None,
        Fit::Renamed => Some(format!("AAC has no channel layout {from}: its channels are called {to}")),
        Fit::Widened => Some(format!("AAC has no channel layout {from}: its channels are kept in {to}")),
        Fit::MixedDown => Some(format!("AAC has no channel layout {from}: it is mixed down to {to}")),
    };
    (settings, remark)
}

/// Samples in a packet of a codec: the grid on which its sound can be cut; `None` where it can't be.
#[must_use]
pub fn sound_grid(settings: &AudioSettings) -> Option<i64> {
    // ISO/IEC 14496-3: AAC-LC.
    (settings.codec == "aac").then_some(1024)
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Ratio;

    use super::*;

    #[test]
    fn an_unknown_format_is_refused_with_those_that_are_known() {
        assert_eq!(format("mp5").unwrap_err(), "unknown format 'mp5'; known formats: mp4, flv");
        assert!(format("flv").is_ok());
    }

    #[test]
    fn a_segment_time_is_a_tenth_of_a_second_at_least() {
        for wrong in [0.0, 0.09, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(segment_time(wrong).is_err(), "{wrong}");
        }
        assert!(segment_time(0.1).is_ok());
    }

    #[test]
    fn a_rate_that_aac_has_not_becomes_the_next_that_it_has() {
        let made = |rate| audio_settings(FORMATS[0], rate, ("stereo", 2)).0.sample_rate;
        assert_eq!([made(44_100), made(10_000), made(192_000)], [44_100, 11_025, 96_000]);
    }

    #[test]
    fn what_becomes_of_channels_is_said_by_the_names_of_layouts() {
        let remark = |layout, channels| audio_settings(FORMATS[0], 48_000, (layout, channels)).1;
        assert_eq!(remark("5.1", 6), None);
        let side = "AAC has no channel layout 5.1(side): its channels are called 5.1";
        assert_eq!(remark("5.1(side)", 6).as_deref(), Some(side));
        let seven = "AAC has no channel layout of 7 channels: its channels are kept in 7.1";
        assert_eq!(remark("7 channels", 7).as_deref(), Some(seven));
    }

    #[test]
    fn where_priming_is_heard_low_rates_become_multiples() {
        for (source, made) in [
            (8000, 32_000),
            (16_000, 32_000),
            (11_025, 44_100),
            (12_000, 48_000),
            (7350, 44_100),
            (44_100, 44_100),
        ] {
            assert_eq!(audio_settings(FORMATS[1], source, ("mono", 1)).0.sample_rate, made, "{source}");
        }
    }

    fn source(pixel_format: &str, color: Color) -> VideoSettings {
        VideoSettings {
            codec: String::new(),
            preset: String::new(),
            crf: 0.0,
            width: 1920,
            height: 1080,
            pixel_format: pixel_format.into(),
            time_base: Ratio { num: 1, den: 1000 },
            frame_rate: Ratio { num: 25, den: 1 },
            sample_aspect: Ratio { num: 1, den: 1 },
            color,
            rotation: 0,
            mirrored: false,
            field_order: 1,
            source_color: None,
            tone_map: false,
        }
    }

    #[test]
    fn high_range_becomes_bt709_and_nothing_else_is_mapped() {
        let hdr = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let made = video_settings(FORMATS[0], &source("yuv420p10le", hdr));
        assert_eq!((made.color.primaries, made.color.transfer, made.color.matrix), (1, 1, 1));
        assert!(made.tone_map);
        assert_eq!(made.source_color, Some(hdr));
        let wide = Color { transfer: 14, ..hdr };
        let made = video_settings(FORMATS[0], &source("yuv420p10le", wide));
        assert_eq!((made.color, made.source_color, made.tone_map), (wide, None, false));
    }

    #[test]
    fn rgb_gets_the_matrix_of_its_size_and_keeps_its_curve() {
        let srgb = Color { primaries: 1, transfer: 13, matrix: 0, range: 2, chroma: 0 };
        let made = video_settings(FORMATS[0], &source("gbrp", srgb));
        assert_eq!(made.color, Color { primaries: 1, transfer: 13, matrix: 1, range: 1, chroma: 1 });
    }

    #[test]
    fn fields_are_kept_where_h264_can_hold_them() {
        let color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
        let fields = |height, rotation| {
            let source = VideoSettings { height, rotation, ..source("yuv420p", color) };
            video_settings(FORMATS[0], &source).field_order
        };
        assert_eq!((fields(1080, 0), fields(486, 0), fields(1080, 90)), (1, 0, 0));
    }
}
