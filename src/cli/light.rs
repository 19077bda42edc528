//! The flags of commands that make one small file at once.

use std::ffi::OsString;

use clap::Args;
use millrace_profiles::{Seconds, Size};

use super::Decoding;

/// Reads a time or a duration as profiles write them, in seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let read = text.parse::<Seconds>().map(|seconds| seconds.0);
    read.map_err(|()| "write seconds, \"90s\", \"1.5m\" or \"00:01:30.5\"".into())
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|()| "write a size such as 640x360".into())
}

/// Where a small file goes.
#[derive(Debug, Args)]
pub(crate) struct LightOutput {
    /// The file to make, by path or URL; '-' for stdout. Its extension says the format
    #[arg(short, long, value_name = "FILE|URL")]
    pub(crate) output: OsString,
    /// The format, in place of what the extension says
    #[arg(short, long)]
    pub(crate) format: Option<String>,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print a line of JSON on what was made
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Thumbnail {
    /// The source: a file, or a URL
    pub(crate) input: OsString,
    #[command(flatten)]
    pub(crate) output: LightOutput,
    /// When the picture is shown, from the start: 90, "90s", "1.5m" or "00:01:30.5" [default: the best near the start]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) at: Option<f64>,
    /// Take the best of so many pictures, half a second apart: not black, and the sharpest [default: 12 without --at]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) best: Option<u32>,
    /// The greatest width in pixels; a picture is never enlarged [default: 640]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) width: Option<u16>,
    /// The greatest height in pixels
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) height: Option<u16>,
    /// Both, such as 640x360; the picture keeps its shape
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with_all = ["width", "height"])]
    pub(crate) size: Option<Size>,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
}

#[derive(Debug, Args)]
pub(crate) struct Clip {
    /// The source: a file, or a URL
    pub(crate) input: OsString,
    /// The file to make, by path or URL. Its extension says the format
    #[arg(short, long, value_name = "FILE|URL")]
    pub(crate) output: OsString,
    /// When it begins, from the start of the source: with the picture that is shown then [default: 0]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) from: Option<f64>,
    /// When it ends, from the start of the source [default: where the source does]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) to: Option<f64>,
    /// Encode nothing: begin at the keyframe at or before --from, and keep pictures behind --to that others need
    #[arg(long)]
    pub(crate) from_keyframe: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print a line of JSON on what was made
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
}

#[derive(Debug, Args)]
pub(crate) struct Gif {
    /// The source: a file, or a URL
    pub(crate) input: OsString,
    #[command(flatten)]
    pub(crate) output: LightOutput,
    /// When it begins, from the start of the source [default: 0]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) from: Option<f64>,
    /// When it ends, from the start of the source
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "duration")]
    pub(crate) to: Option<f64>,
    /// How long it is [default: 3s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) duration: Option<f64>,
    /// The greatest width in pixels; pictures are never enlarged [default: 480]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) width: Option<u16>,
    /// The greatest height in pixels
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) height: Option<u16>,
    /// The most pictures per second, 0.1 to 50; one that does not change is there once [default: 12]
    #[arg(long, value_name = "N")]
    pub(crate) fps: Option<f64>,
    /// How often it plays; 0 for without end
    #[arg(long = "loop", value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65535))]
    pub(crate) plays: u32,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
}
