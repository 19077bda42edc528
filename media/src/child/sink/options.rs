//! What is particular to a codec that is encoded: which encoder, and its options by the settings of a rendition.

use ffmpeg_next::{
    self as ff, Dictionary,
    format::{Sample, sample},
};
use millrace_schemas::{AudioSettings, VideoSettings};

use crate::{child::failure::Failure, claims::LARGE_PICTURE};

/// How many frames are encoded before a part begins and thrown away. Windows and bits in hand of AAC stand where they would
/// after 32, but how finely it quantizes goes on settling: measured on tones, the error was 9 dB above the rest after 32, and
/// is where it would be after 60.
pub(crate) const LEAD_FRAMES: i64 = 128;
/// How many frames behind the end of a part are encoded: what the last packets overlap with, and are weighed by.
pub(crate) const TAIL_FRAMES: i64 = 4;

/// Returns libav's encoder for a codec.
///
/// # Errors
/// If this FFmpeg has none.
pub(crate) fn encoder(codec: &str) -> Result<ff::Codec, Failure> {
    let encoder = match codec {
        "h264" => "libx264",
        other => other,
    };
    ff::encoder::find_by_name(encoder)
        .ok_or_else(|| Failure::new(format!("this FFmpeg has no encoder '{encoder}'; install one that has")))
}

/// Returns the options of a video encoder.
pub(super) fn video_options(s: &VideoSettings) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("preset", &s.preset);
    options.set("crf", &s.crf.to_string());
    // Where a range begins, decoding can begin, and nothing before it is referred to.
    options.set("forced-idr", "1");
    // `stitchable`: codec headers that depend on the settings alone, so that segments can be joined.
    // `sync-lookahead=0`: no pictures are held for a lookahead that runs by itself. What it gains in time, one
    // more thread gains too, for less memory; the stream is the same.
    // `zones`: an encoder's first picture is a keyframe like the others. x264 quantizes a keyframe by the P-frames before
    // it, finer by its `ipratio` (1.4), and the first, which has none before it, not so: each segment would begin with a
    // picture that is coarser than in one encode (measured: a tenth of the size, 0.7 of VMAF, in segments of 2 s).
    let fields = match s.field_order {
        1 => ":tff=1",
        2 => ":bff=1",
        _ => "",
    };
    let lookahead = lookahead(i64::from(s.width) * i64::from(s.height));
    options.set("x264-params", &format!("stitchable=1:sync-lookahead=0:zones=0,0,b=1.4{lookahead}{fields}"));
    options
}

/// Returns how many pictures the encoder looks ahead at, as its parameter: as many as preset medium does, up to those of 4K; of
/// larger ones, whose memory they would fill, as many as have the pixels of those.
fn lookahead(area: i64) -> String {
    const MEDIUM: i64 = 40;
    if area <= LARGE_PICTURE {
        return String::new();
    }
    format!(":rc-lookahead={}", (MEDIUM * LARGE_PICTURE / area).max(4))
}

/// The samples that audio encoders are given.
pub(super) const SAMPLES: Sample = Sample::F32(sample::Type::Planar);

/// Returns how many samples a codec puts in a packet: the grid on which sound can be cut.
///
/// # Errors
/// If sound of that codec is not cut.
pub(crate) fn packet_length(s: &AudioSettings) -> Result<i64, Failure> {
    match s.codec.as_str() {
        // ISO/IEC 14496-3: AAC-LC.
        "aac" => Ok(1024),
        other => Err(Failure::new(format!("sound of codec '{other}' is not cut"))),
    }
}

/// Returns `true` if a codec of an auxiliary track is one of text, and not of covers.
pub(crate) fn is_text(codec: &str) -> bool {
    codec == "mov_text"
}
