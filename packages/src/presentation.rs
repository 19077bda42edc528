//! What a package presents: tracks, their segments, and where these are.

use crate::Encryption;

/// A presentation: tracks that play together from the same zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Presentation {
    /// A text that marks where the package came from: a comment of each manifest. One line, without `--`.
    pub mark: String,
    /// The duration in seconds, greater than 0.
    pub seconds: f64,
    /// The tracks in order of preference. The first video track is the one that players begin with.
    pub tracks: Vec<Track>,
}

/// A track, in one encoding.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// A name that no other track of the presentation has, such as `video-720p`: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The kind of media.
    pub media: Media,
    /// The codec by RFC 6381, such as `avc1.64001f`; empty for text.
    pub codecs: String,
    /// The language by BCP 47 or ISO 639-2, as in the source; empty if it is unknown.
    pub language: String,
    /// The title that people see; empty if the source has none.
    pub title: String,
    /// Whether it plays by default among the tracks of its kind.
    pub is_default: bool,
    /// What the track is for.
    pub purpose: Purpose,
    /// The objects that hold it.
    pub files: Files,
    /// The segments, in order. Each begins where the one before it ends.
    pub segments: Vec<Segment>,
    /// Keyframes that can be shown alone, for seeking by sight.
    pub iframes: Option<IFrames>,
    /// How its segments and keyframes are encrypted; `None` if they are not.
    pub encryption: Option<Encryption>,
}

/// The kind of media of a track, with what players choose by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// The width in samples.
        width: u32,
        /// The height in samples.
        height: u32,
        /// The aspect ratio of a sample; (1, 1) if it is unknown.
        sample_aspect: (u32, u32),
        /// The highest frame rate as numerator and denominator, in pictures per second; (0, 1) if it is unknown.
        frame_rate: (u32, u32),
        /// The dynamic range.
        range: VideoRange,
    },
    /// Sound.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// The number of channels.
        channels: u32,
    },
    /// Subtitles, as WebVTT.
    Text,
}

/// The dynamic range of pictures, by their transfer characteristics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoRange {
    /// Standard dynamic range.
    Sdr,
    /// SMPTE ST 2084, as in HDR10.
    Pq,
    /// Hybrid log-gamma.
    Hlg,
}

/// What a track is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The programme itself.
    #[default]
    Main,
    /// Another version, such as another mix.
    Alternate,
    /// Commentary.
    Commentary,
    /// Sound that describes the pictures, for the blind.
    Description,
    /// Text that also describes sounds, for the deaf.
    Captions,
    /// Text for the parts in a foreign language alone.
    Forced,
}

/// The objects that hold a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// An object for each segment.
    Many {
        /// The object with the initialization segment; `None` for text and for transport streams, whose segments say all themselves.
        init: Option<String>,
    },
    /// One object for all segments.
    Single {
        /// Its name, relative to the package's top.
        name: String,
        /// The size of the initialization segment, which is its first bytes; 0 as for [`Self::Many`].
        init_bytes: u64,
        /// The offset and the size of the `sidx` box ([`segment_index`](crate::segment_index)); `None` if there is none. dash.js
        /// plays a track in one object only by this box.
        index: Option<(u64, u64)>,
    },
}

/// A segment of a track: a byte range of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The object's name, relative to the package's top.
    pub name: String,
    /// Where it begins in the object, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its earliest presentation time, in ticks of `timescale`: where a track has an edit list, behind what that leaves out of the start.
    pub start: u64,
    /// Its duration up to the next segment, in ticks of `timescale`, greater than 0.
    pub duration: u64,
    /// Ticks per second, the same for all segments of a track.
    pub timescale: u32,
}

/// The keyframes of a video track, each a fragment of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IFrames {
    /// The object with the initialization segment in its first bytes. It may be that of the frames.
    pub init: String,
    /// The size of the initialization segment.
    pub init_bytes: u64,
    /// The offset and the size of a `sidx` box, as of [`Files::Single`].
    pub index: Option<(u64, u64)>,
    /// The frames. Each lasts until the next one.
    pub frames: Vec<Segment>,
}

/// A kind of manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// HTTP Live Streaming (RFC 8216).
    Hls,
    /// Dynamic Adaptive Streaming over HTTP (ISO/IEC 23009-1).
    Dash,
}

/// A manifest as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The object's name, relative to the package's top.
    pub name: String,
    /// The content.
    pub text: String,
}
