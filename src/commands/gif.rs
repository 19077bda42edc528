//! `millrace gif`.

use millrace_api::LightTask;

use super::light::make;
use crate::{cli::Gif, error::CommandError};

pub(super) async fn gif(call: &Gif) -> Result<u8, CommandError> {
    let side = |side: Option<u16>| side.map_or(0, i32::from);
    let size = (call.width.is_some() || call.height.is_some()).then(|| (side(call.width), side(call.height)));
    let from = call.from.unwrap_or(0.0);
    let to = call.to.or(call.duration.map(|duration| from + duration));
    let task = LightTask::Gif { from, to, size, fps: call.fps, plays: call.plays };
    make(&call.input, &call.output, &task, &call.decoding).await
}
