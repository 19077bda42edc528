//! What is asked of a rendition. What is not asked for is the codec's default, or as the source has it.

use millrace_schemas::{AudioFilters, BitRate};

/// What is asked of a rendition of pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VideoAsk {
    /// The encoder, by libavcodec's name; `None` for the first one of the codec that there is.
    pub encoder: Option<String>,
    /// The encoder's preset, one of [`VideoCodec::presets`](crate::codec::VideoCodec::presets).
    pub preset: Option<String>,
    /// The quality, on the codec's own scale ([`VideoCodec::quality`](crate::codec::VideoCodec::quality)): less is better.
    pub quality: Option<f64>,
    /// The average bit rate, which takes the place of a quality, and the bound; `None` for neither.
    pub bit_rate: Option<BitRate>,
    /// The pixel format, by libavutil's name.
    pub pixel_format: Option<PixelAsk>,
    /// Whether high dynamic range is kept.
    pub keeps_range: bool,
    /// The width and height in pixels, as players show the pictures; even.
    pub size: Option<(i32, i32)>,
    /// The longest time from one keyframe to the next, in seconds.
    pub keyframe_interval: Option<f64>,
}

/// The pixel format that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PixelAsk {
    /// The one of this name, libavutil's.
    Named(String),
    /// The source's, or the one of the codec that holds most of it.
    AsSource,
}

/// What is asked of a rendition of audio.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudioAsk {
    /// The encoder, by libavcodec's name; `None` for the first one of the codec that there is.
    pub encoder: Option<String>,
    /// The bit rate, in bits per second. Lossless codecs have none.
    pub bit_rate: Option<i64>,
    /// The sample rate, in Hz. One that the codec does not have becomes the next higher one that it has.
    pub sample_rate: Option<i32>,
    /// The number of channels, in the usual layout of that many.
    pub channels: Option<i32>,
    /// Bits of a sample, one of [`AudioCodec::depths`](crate::codec::AudioCodec::depths).
    pub bits: Option<u32>,
    /// Whether its container does not state which channels there are, so that only a codec can.
    pub channels_unnamed: bool,
    /// Whether the packets are in a stream without codec headers in front ([`Form::Stream`](crate::codec::Form::Stream)).
    pub is_stream: bool,
    /// What the audio goes through; `None` for nothing.
    pub filters: Option<AudioFilters>,
}
