//! The ends of ranges, and how much there may be of what a profile asks for.

/// The value of `video` and `audio` of an output that has none.
pub(crate) const NONE: &str = "none";
/// The widest and highest pictures, in pixels.
pub(crate) const LARGEST_SIDE: i32 = 8192;
/// The least and the greatest interval of keyframes, in seconds.
pub(crate) const KEYFRAME_INTERVALS: (f64, f64) = (0.1, 60.0);
/// The least and the greatest frame rate that can be asked for, in pictures a second: SVT-AV1 takes no more.
pub(crate) const FRAME_RATES: (f64, f64) = (1.0, 240.0);
/// The least and the greatest sample rate that can be asked for, in Hz.
pub(crate) const SAMPLE_RATES: (i32, i32) = (8000, 192_000);
/// The most channels that can be asked for.
pub(crate) const MOST_CHANNELS: i32 = 8;
/// How long the segments of a package may be, in seconds.
pub(crate) const SEGMENTS: (f64, f64) = (1.0, 60.0);
/// The least and the greatest height of a font, in pixels: smaller ones can't be read.
pub(crate) const TEXT_SIZES: (i32, i32) = (6, 1000);
/// The longest text of a watermark, in bytes.
pub(crate) const LONGEST_TEXT: usize = 1000;
/// The most outputs of a profile, and the most encodings of a kind.
pub(crate) const MOST_OUTPUTS: usize = 32;
/// The least and the greatest bit rate of pictures that can be asked for, in bits per second.
pub(crate) const VIDEO_BIT_RATES: (i64, i64) = (10_000, 1_000_000_000);
/// The least and the greatest size of a buffer, in seconds of the rate with which it fills.
pub(crate) const BUFFER_SECONDS: (f64, f64) = (0.25, 60.0);
/// The size of a buffer that is not asked for, as for [`BUFFER_SECONDS`].
pub(crate) const USUAL_BUFFER_SECONDS: i64 = 2;
/// The least and the greatest time between single pictures, in seconds.
pub(crate) const PICTURE_INTERVALS: (f64, f64) = (0.1, 3600.0);
/// The most times at which single pictures are asked for.
pub(crate) const MOST_INSTANTS: usize = 1000;
/// How many of the best pictures can be asked for.
pub(crate) const BEST_OF: (i32, i32) = (1, 100);
/// The least and the greatest difference with which a scene begins.
pub(crate) const SCENES: (f64, f64) = (0.01, 1.0);
/// How many pictures lie beside or below each other in a sheet.
pub(crate) const SHEET_SIDES: (i32, i32) = (1, 100);
/// The least and the greatest frame rate of an animation, in pictures a second.
pub(crate) const ANIMATION_RATES: (f64, f64) = (1.0, 50.0);
/// The longest animation, in seconds.
pub(crate) const LONGEST_ANIMATION: f64 = 60.0;
/// The most pixels of a sheet: a process holds several of them.
pub(crate) const LARGEST_SHEET: i64 = 50_000_000;
