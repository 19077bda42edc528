//! The files that renditions need beside the source: the images, fonts and subtitles that are laid over pictures.

use millrace_formats::asset::largest_file;
use millrace_schemas::{AssetKind, Rendition, SourceRef, VideoFilters};
use millrace_storage::display_url;
use millrace_topology::ports::PortError;

/// Returns the assets of renditions, each once, with what it is for.
pub(crate) fn assets(renditions: &[Rendition]) -> Vec<(AssetKind, SourceRef)> {
    let mut found: Vec<(AssetKind, SourceRef)> = Vec::new();
    for filters in renditions.iter().filter_map(|rendition| rendition.video.as_ref()?.filters.as_ref()) {
        for (kind, source) in of_filters(filters) {
            // A file that is used as two things is one file.
            if found.iter().all(|(_, other)| other != source) {
                found.push((kind, source.clone()));
            }
        }
    }
    found
}

fn of_filters(filters: &VideoFilters) -> Vec<(AssetKind, &SourceRef)> {
    let images = filters.overlays.iter().map(|overlay| (AssetKind::Image, &overlay.image));
    let subtitles = filters.subtitles.iter();
    let files =
        subtitles.clone().filter_map(|subtitles| Some((AssetKind::Subtitles, subtitles.file.as_ref()?)));
    let styles =
        filters.texts.iter().map(|text| &text.style).chain(subtitles.map(|subtitles| &subtitles.style));
    let fonts = styles.filter_map(|style| Some((AssetKind::Font, style.font.as_ref()?)));
    images.chain(fonts).chain(files).collect()
}

/// Checks the size of an asset, all of which a media process reads.
///
/// # Errors
/// If it is too large.
pub(crate) fn check_asset(asset: &SourceRef, kind: AssetKind) -> Result<(), PortError> {
    let most = largest_file(kind);
    if (0..=most).contains(&asset.bytes) {
        return Ok(());
    }
    let (name, mebibytes) = (display_url(&asset.url), most >> 20);
    Err(PortError::Refused(format!("{name} has {} bytes; at most {mebibytes} MiB are taken", asset.bytes)))
}
