//! `millrace thumbnail`.

use millrace_api::LightTask;

use super::light::make;
use crate::{cli::Thumbnail, error::CommandError};

pub(super) async fn thumbnail(call: &Thumbnail) -> Result<u8, CommandError> {
    let side = |side: Option<u16>| side.map_or(0, i32::from);
    let one =
        || (call.width.is_some() || call.height.is_some()).then(|| (side(call.width), side(call.height)));
    let size = call.size.map(|size| (size.width, size.height)).or_else(one);
    let task = LightTask::Thumbnail { at: call.at, best: call.best, size };
    make(&call.input, &call.output, &task, &call.decoding).await
}
