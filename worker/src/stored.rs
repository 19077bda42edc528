//! Work objects that exist already.

use millrace_media::packets;
use millrace_storage::{StorageError, WorkStore};
use millrace_topology::ports::Stored;

/// Returns the facts of a work object, read from its end; `None` if there is no such object.
///
/// An object that is not whole is removed, so that it is made again, and counts as missing.
pub(crate) async fn read_stored(
    work: &WorkStore,
    prefix: &str,
    rendition: &str,
    index: i32,
) -> Result<Option<Stored>, StorageError> {
    let Some(tail) = work.tail(prefix, rendition, index).await? else { return Ok(None) };
    let stored = packets::read_trailer(tail.size, |buffer, at| tail.read_exact_at(buffer, at));
    if stored.is_err() {
        work.discard(prefix, rendition, index).await;
    }
    Ok(stored.ok())
}
