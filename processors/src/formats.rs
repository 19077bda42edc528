//! The formats that can be made. A format is a container around renditions; those of equal settings cost one encode.

use millrace_schemas::{AudioSettings, VideoSettings};

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
}

/// All formats.
pub const FORMATS: [Format; 2] = [
    Format {
        name: "mp4",
        about: "H.264 and AAC, index in front (faststart)",
        video_codec: "h264",
        audio_codec: "aac",
    },
    Format {
        name: "flv",
        about: "H.264 and AAC, for RTMP and old players",
        video_codec: "h264",
        audio_codec: "aac",
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

/// Holds a segment time to be one that can be cut by.
///
/// # Errors
/// Where it is not more than 0, or not a number.
pub fn segment_time(seconds: f64) -> Result<f64, String> {
    if seconds.is_finite() && seconds > 0.0 && seconds <= 86_400.0 {
        return Ok(seconds);
    }
    Err(format!(
        "a segment time of {seconds} is out of range: seconds, more than 0 and at most 86400 (15 is usual)"
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
    VideoSettings {
        codec: format.video_codec.into(),
        preset: "medium".into(),
        crf: 23.0,
        pixel_format: "yuv420p".into(),
        ..source.clone()
    }
}

/// Sampling rates of AAC (ISO/IEC 14496-3, table 1.18).
const AAC_RATES: [i32; 13] =
    [7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];

/// The encoder settings of an audio rendition in this format, of a source like that.
#[must_use]
pub fn audio_settings(format: Format, sample_rate: i32, channels: i32) -> AudioSettings {
    let rate = AAC_RATES.into_iter().find(|rate| *rate >= sample_rate).unwrap_or(96_000);
    AudioSettings {
        codec: format.audio_codec.into(),
        bit_rate: 128_000,
        sample_rate: rate,
        channels: match channels {
            ..=6 => channels.max(1),
            7 => 6,
            _ => 8,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_refused_with_those_that_are_known() {
        assert_eq!(format("mp5").unwrap_err(), "unknown format 'mp5'; known formats: mp4, flv");
        assert!(format("flv").is_ok());
    }

    #[test]
    fn a_segment_time_is_more_than_zero() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(segment_time(wrong).is_err(), "{wrong}");
        }
        assert!(segment_time(0.04).is_ok());
    }

    #[test]
    fn a_rate_that_aac_has_not_becomes_the_next_that_it_has() {
        assert_eq!(audio_settings(FORMATS[0], 44_100, 2).sample_rate, 44_100);
        assert_eq!(audio_settings(FORMATS[0], 10_000, 1).sample_rate, 11_025);
        assert_eq!(audio_settings(FORMATS[0], 192_000, 2).sample_rate, 96_000);
    }
}
