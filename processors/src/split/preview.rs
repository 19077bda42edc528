//! What would be made of a source, before anything is.

use millrace_profiles::TrimTimes;
use millrace_schemas::{
    AudioSettings, Encoders, Extras, SourceFacts, SourceRef, TrackPlan, Trim, Upload, VideoSettings,
};

use super::plan::plan;
use crate::request;

/// What would be made of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The outputs, in the order in which they are asked for.
    pub outputs: Vec<OutputPreview>,
    /// The number of segments of the video; 0 without video.
    pub video_segments: usize,
    /// Whether pictures are decoded: some of the renditions of them are no copies.
    pub is_decoded: bool,
    /// The streams of the source that are in no output, each with the reason.
    pub left_out: Vec<String>,
    /// The duration of the outputs, in seconds; `None` if the source does not state it.
    pub seconds: Option<f64>,
    /// The part of the source that is used, as it was asked for; `None` for all of it.
    pub trim: Option<TrimTimes>,
    /// The same part by the source's clock.
    pub part: Option<Trim>,
}

/// An output that would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputPreview {
    /// Its URL.
    pub url: String,
    /// The name of its format.
    pub format: String,
    /// The settings of its video.
    pub video: Option<VideoSettings>,
    /// The settings of its further video tracks, which show the same in other sizes.
    pub more_video: Vec<VideoSettings>,
    /// The settings of its audio tracks.
    pub audio: Vec<AudioSettings>,
    /// The stream of the source that each of them is made of.
    pub audio_streams: Vec<i32>,
    /// What it copies beside tracks.
    pub extras: Extras,
    /// The ids of its renditions. Outputs with equal ids share an encode.
    pub renditions: Vec<String>,
    /// What it can't carry over as it is.
    pub remarks: Vec<String>,
}

/// Returns what would be made of a source.
///
/// # Errors
/// If the upload or the source can't be processed, with the reason for the user.
pub fn preview(
    upload: &Upload,
    source: &SourceRef,
    facts: &SourceFacts,
    encoders: &Encoders,
) -> Result<Preview, String> {
    let plan = plan(upload, source, "preview", facts, encoders)?;
    let part = plan.segments.iter().find_map(|segment| segment.trim);
    let stream = |track: &TrackPlan| track.source.as_ref().map_or(-1, |source| source.stream);
    let tracks = &plan.started.tracks;
    let outputs = plan.started.outputs.into_iter().map(|output| {
        let mine = || tracks.iter().filter(|track| output.renditions.contains(&track.rendition));
        OutputPreview {
            video: mine().find_map(|track| track.video.clone()),
            more_video: mine().filter_map(|track| track.video.clone()).skip(1).collect(),
            audio: mine().filter_map(|track| track.audio.clone()).collect(),
            audio_streams: mine().filter(|track| track.audio.is_some()).map(stream).collect(),
            extras: output.extras.clone().unwrap_or_default(),
            url: output.url.clone(),
            format: output.format.clone(),
            renditions: output.renditions.clone(),
            remarks: output.remarks.clone(),
        }
    });
    let count = tracks.iter().filter(|track| track.video.is_some()).map(|track| track.segments).max();
    let is_decoded = tracks.iter().filter_map(|track| track.video.as_ref()).any(|video| !video.is_copy());
    Ok(Preview {
        is_decoded,
        outputs: outputs.collect(),
        video_segments: count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        left_out: plan.left_out,
        seconds: plan.seconds,
        trim: request::wanted(upload)?.terms.trim,
        part,
    })
}
