//! The comparison of an output with its source: both are decoded.

use millrace_schemas::{PictureShape, Trim, VideoSettings};
use serde::{Deserialize, Serialize};

/// The task of comparing an output with its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyTask {
    /// The streams to decode from the source.
    pub source: ComparedStreams,
    /// The streams to decode from the output.
    pub output: ComparedStreams,
    /// The settings with which the source's pictures were encoded; `None` if it has none.
    pub video: Option<VideoSettings>,
    /// The part of the source of which the output was made; `None` for all of it.
    #[serde(default)]
    pub trim: Option<Trim>,
    /// True if pictures are compared one by one.
    pub pictures: bool,
    /// True if sound is compared second by second.
    pub sound: bool,
}

/// The streams to decode from one of the two files of a comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComparedStreams {
    /// The indexes of the streams of the video track; empty if there is none.
    pub video: Vec<i32>,
    /// The indexes of the streams of each sound track.
    pub sounds: Vec<Vec<i32>>,
    /// The first picture, as for [`TranscodeTask::shape`](crate::TranscodeTask::shape).
    #[serde(default)]
    pub shape: Option<PictureShape>,
    /// The timestamp discontinuities, as for [`TranscodeTask::jumps`](crate::TranscodeTask::jumps).
    pub jumps: Vec<i64>,
}

/// The measurements of an output and its source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The times of the pictures, if both files have some.
    pub pictures: Option<PicturesMeasured>,
    /// The sound tracks, in pairs of source and output.
    pub sounds: Vec<SoundMeasured>,
    /// Where decoding times of the output do not increase, as a message.
    pub disorder: Option<String>,
    /// The number of text tracks with packets in the source and in the output.
    pub texts: (usize, usize),
    /// The movie fragments of the output, in order, up to the first one that can't be read; empty of other files.
    #[serde(default)]
    pub fragments: Vec<FoundFragment>,
    /// The statements in the output's headers that are not true, as messages.
    #[serde(default)]
    pub untrue: Vec<String>,
    /// The PSNR of each picture of the output; empty unless [`VerifyTask::pictures`] is set.
    pub likeness: Vec<PicturePsnr>,
    /// The similarity of each second of each sound track; empty unless [`VerifyTask::sound`] is set.
    pub seconds: Vec<SecondSimilarity>,
    /// The similarity of each channel of each sound track that has the same number of channels in both files, and more than one;
    /// empty unless [`VerifyTask::sound`] is set, and of a part of the source.
    pub channels: Vec<ChannelSimilarity>,
}

/// A movie fragment (ISO/IEC 14496-12, 8.8), as its boxes state it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoundFragment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// When its first sample is decoded, in seconds of media time.
    pub start: f64,
    /// How long its samples last, in seconds.
    pub seconds: f64,
    /// When the first and the last of its samples are shown, in seconds of media time.
    pub shown: (f64, f64),
    /// True if its first sample is stated to be a keyframe.
    pub is_key: bool,
}

/// The similarity of a channel of the output's sound to the same channel of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelSimilarity {
    /// The index of the pair of tracks in [`Verified::sounds`].
    pub track: usize,
    /// The channel, from 0.
    pub channel: usize,
    /// The second of the track, from 0.
    pub second: usize,
    /// The cosine of the angle between the two spectra of levels. Equal spectra have 1.
    pub likeness: f64,
}

/// The times of the pictures of an output and its source. All times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PicturesMeasured {
    /// The number of pictures that the source presents, at the frame rate of the settings.
    pub source: i64,
    /// The number of pictures that the output presents.
    pub output: i64,
    /// The largest difference between the time of a picture and that of its source picture, both counted from the first picture.
    pub off: f64,
    /// The index of the picture with that difference.
    pub off_at: i64,
    /// The length of a tick of the coarser of the two clocks.
    pub tick: f64,
    /// The presentation time of the source's first picture.
    pub source_first: f64,
    /// The presentation time of the output's first picture.
    pub output_first: f64,
    /// The duration of the source's last picture as the source states it; 0 if it does not.
    pub source_last: f64,
    /// The duration of the output's last picture as the output states it; 0 if it does not.
    pub output_last: f64,
    /// The number of the source's packets and pictures with errors.
    pub source_damaged: i64,
    /// The number of the output's packets and pictures with errors.
    pub output_damaged: i64,
}

/// The measurements of a pair of sound tracks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoundMeasured {
    /// The track of the source.
    pub source: AudioMeasurement,
    /// The track of the output.
    pub output: AudioMeasurement,
}

/// The measurement of a decoded sound track. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioMeasurement {
    /// The time of the first sample.
    pub start: f64,
    /// The end of the last sample.
    pub end: f64,
    /// The number of samples of each channel.
    pub samples: i64,
    /// The sample rate in Hz.
    pub rate: i32,
    /// The number of channels.
    pub channels: i32,
    /// libav's name for the layout of the channels; empty if it has none.
    pub layout: String,
    /// The number of gaps and overlaps of more than 2 ms.
    pub holes: i64,
    /// The number of packets and frames with errors.
    pub damaged: i64,
}

/// The PSNR of a picture of the output against pictures of the source, in decibels; 100 for equal pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PicturePsnr {
    /// Against the picture with the same index.
    pub own: f32,
    /// Against the picture before it; `None` for the first.
    pub before: Option<f32>,
    /// Against the picture after it; `None` for the last.
    pub after: Option<f32>,
}

/// The similarity of a second of the output's sound to the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondSimilarity {
    /// The index of the pair of tracks in [`Verified::sounds`].
    pub track: usize,
    /// The second of the source, from 0.
    pub second: i64,
    /// The largest normalized correlation over all shifts. Equal sound has 1.
    pub likeness: f64,
    /// The shift of the output with that correlation, in milliseconds.
    pub shift_ms: f64,
    /// The level of the output relative to the source, in decibels.
    pub level_db: f64,
    /// The least correlation of a few hundredths of a second at that shift; 1 if all of them are silent.
    pub least: f64,
}
