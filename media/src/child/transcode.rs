//! Transcodes ranges of a track: connects its source to a decoder, a graph and a sink for each rendition. What is copied has
//! none of these.

mod auxiliary;
mod burnt;
mod entry;
mod opened;
mod pictures;

use std::fs::File;

use millrace_schemas::{AudioSettings, Rendition, VideoSettings};

use super::{copy, failure::Failure, report::Reporter, sound};
use crate::protocol::TranscodeTask;

/// Transcodes what a task asks for. `outputs` has a file for each rendition of each range, range by range, and `assets` one for
/// each asset of the task.
pub(crate) fn transcode(
    source: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    assets: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let is_copy = |rendition: &Rendition| {
        let video = rendition.video.as_ref().is_some_and(VideoSettings::is_copy);
        video || rendition.audio.as_ref().is_some_and(AudioSettings::is_copy)
    };
    if task.renditions.iter().any(is_copy) {
        return copy::copy(source, task, outputs, reporter);
    }
    match task.renditions.first() {
        Some(Rendition { video: Some(_), .. }) => {
            pictures::transcode(&source, task, outputs, assets, reporter)
        }
        Some(Rendition { audio: Some(_), .. }) => sound::transcode(source, task, outputs, reporter),
        _ => auxiliary::transcode(source, task, outputs, reporter),
    }
}
