//! Transcodes ranges of a track: connects its source to a decoder, a graph and a sink for each rendition.

mod auxiliary;
mod entry;
mod pictures;

use std::fs::File;

use millrace_schemas::Rendition;

use super::{failure::Failure, report::Reporter, sound};
use crate::protocol::TranscodeTask;

/// Transcodes what a task asks for. `outputs` has a file for each rendition of each range, range by range.
pub(crate) fn transcode(
    source: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    match task.renditions.first() {
        Some(Rendition { video: Some(_), .. }) => pictures::transcode(&source, task, outputs, reporter),
        Some(Rendition { audio: Some(_), .. }) => sound::transcode(source, task, outputs, reporter),
        _ => auxiliary::transcode(source, task, outputs, reporter),
    }
}
