//! The files that renditions need beside the source: the images that are laid over pictures.

use millrace_formats::image::LARGEST_FILE;
use millrace_schemas::{Overlay, Rendition, SourceRef};
use millrace_storage::display_url;
use millrace_topology::ports::PortError;

/// Returns the assets of renditions, each once.
pub(crate) fn assets(renditions: &[Rendition]) -> Vec<SourceRef> {
    let filters = renditions.iter().filter_map(|rendition| rendition.video.as_ref()?.filters.as_ref());
    let mut found: Vec<SourceRef> = Vec::new();
    for Overlay { image, .. } in filters.flat_map(|filters| &filters.overlays) {
        if !found.contains(image) {
            found.push(image.clone());
        }
    }
    found
}

/// Checks the size of an asset, all of which a media process reads.
///
/// # Errors
/// If it is too large.
pub(crate) fn check_asset(asset: &SourceRef) -> Result<(), PortError> {
    if (0..=LARGEST_FILE).contains(&asset.bytes) {
        return Ok(());
    }
    let (name, mebibytes) = (display_url(&asset.url), LARGEST_FILE >> 20);
    Err(PortError::Refused(format!("{name} has {} bytes; at most {mebibytes} MiB are taken", asset.bytes)))
}
