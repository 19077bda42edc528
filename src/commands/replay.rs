//! `millrace replay`: processes again what was processed.

use super::CommandError;
use crate::cli::Replay;

pub(super) async fn replay(call: Replay) -> Result<u8, CommandError> {
    let _ = call;
    Ok(0)
}
