//! A source's track of pictures, opened for decoding.

use std::fs::File;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ffmpeg_next as ff;
use millrace_schemas::Seek;

use crate::{
    child::{
        codec,
        decode::TrackDecoder,
        failure::Failure,
        source::{Depth, Source},
    },
    protocol::TranscodeTask,
};

/// Opens the source's track of pictures.
pub(super) fn open(file: &File, task: &TranscodeTask) -> Result<TrackDecoder<ff::frame::Video>, Failure> {
    let copy = file.try_clone().map_err(Failure::at("reading the source"))?;
    let mut source = Source::open(copy, Depth::Decoding)?;
    source.set_discontinuities(&task.jumps);
    if let Some(shape) = &task.shape {
        source.admit(i64::from(shape.width) * i64::from(shape.height));
    }
    TrackDecoder::open(source, &task.streams(), decoder_threads(task)?)
}

/// Returns how many threads decode: as many as the encoder wants that wants most of them, and one more for several encoders. The thread
/// that gives pictures to all of them scales for each, and looks ahead for those that have no thread for that.
fn decoder_threads(task: &TranscodeTask) -> Result<usize, Failure> {
    let all_settings = task.renditions.iter().filter_map(|rendition| rendition.video.as_ref());
    let threads = all_settings.map(|settings| Ok(codec::video(settings)?.decoder_threads(task.cores)));
    let threads = threads.collect::<Result<Vec<_>, Failure>>()?;
    let most = threads.iter().copied().max().unwrap_or(1);
    Ok(if threads.len() > 1 { (most + 1).min(task.cores).max(most) } else { most })
}

/// Returns the codec headers that hold at a seek point, if they are not those of the container's header.
pub(super) fn state(task: &TranscodeTask, place: Seek) -> Result<Option<Vec<u8>>, Failure> {
    let text = usize::try_from(place.state).ok().and_then(|state| task.states.get(state.checked_sub(1)?));
    text.map(|text| BASE64_STANDARD.decode(text).map_err(Failure::at("reading codec headers"))).transpose()
}
