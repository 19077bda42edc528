//! Tasks that make one small file of a source at once: a picture, or an animation.

use millrace_formats::picture::Within;
use serde::{Deserialize, Serialize};

pub use millrace_formats::picture::{MOST_ANIMATED, MOST_ANIMATED_PICTURES};
/// The most pictures of which the best is chosen.
pub const MOST_CANDIDATES: u32 = 100;

/// The task of coding one picture of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureTask {
    /// The time of the picture, in seconds from the start of the source. The picture that is shown then is taken, as far as a
    /// millisecond tells.
    pub at: f64,
    /// The number of pictures from that time on, half a second apart, of which the best is taken; 1 for the first.
    pub candidates: u32,
    /// The greatest width in pixels; 0 for any.
    pub width: i32,
    /// The greatest height in pixels; 0 for any.
    pub height: i32,
    /// The format, by its name in the table of formats of pictures.
    pub format: String,
    /// The number of cores to use.
    pub cores: usize,
}

/// The task of coding some seconds of a source as an animation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnimationTask {
    /// The start, in seconds from the start of the source.
    pub from: f64,
    /// How many seconds are shown; fewer if the source ends before.
    pub seconds: f64,
    /// The most pictures per second. A picture that does not change is there once.
    pub rate: f64,
    /// How often the pictures are shown; 0 for without end.
    pub plays: u32,
    /// The greatest width in pixels; 0 for any.
    pub width: i32,
    /// The greatest height in pixels; 0 for any.
    pub height: i32,
    /// The format, by its name in the table of formats of pictures.
    pub format: String,
    /// The number of cores to use.
    pub cores: usize,
}

impl PictureTask {
    /// Returns what bounds the size of the picture.
    #[must_use]
    pub fn within(&self) -> Within {
        Within { width: self.width, height: self.height }
    }
}

impl AnimationTask {
    /// Returns what bounds the size of the pictures.
    #[must_use]
    pub fn within(&self) -> Within {
        Within { width: self.width, height: self.height }
    }
}

/// The task of putting a part of a source into a file: its packets as they are, and those pictures encoded that can't be copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipTask {
    /// The start, in seconds from the start of the source.
    pub from: f64,
    /// The end, in seconds from the start of the source; `None` for the end of the source.
    pub to: Option<f64>,
    /// True if nothing is encoded: it begins at the keyframe before where there is none at `from`, and has the pictures behind its end
    /// that others need.
    pub snaps: bool,
    /// The container, by its name in the table of formats.
    pub container: String,
    /// The number of cores to use.
    pub cores: usize,
}

/// A clip that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clipped {
    /// The time of the first picture, in seconds from the start of the source.
    pub from: f64,
    /// The end of the last picture, in seconds from the start of the source.
    pub to: f64,
    /// The number of pictures.
    pub pictures: u32,
    /// How many of them were encoded.
    pub encoded: u32,
    /// The number of tracks of sound.
    pub sounds: u32,
    /// What is otherwise than it was asked for, in words.
    pub remarks: Vec<String>,
}

/// A picture or an animation that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// The width in pixels.
    pub width: i32,
    /// The height in pixels.
    pub height: i32,
    /// The number of pictures.
    pub pictures: u32,
    /// The time of the first picture, in seconds from the start of the source.
    pub at: f64,
    /// For how many seconds an animation is shown once; 0 for a picture.
    pub seconds: f64,
    /// The number of bytes that were written.
    pub bytes: u64,
}
