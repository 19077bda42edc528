//! What is laid over pictures: images, fonts and subtitles, read whole.

use std::{fs::File, sync::Arc};

use ffmpeg_next::frame;
use millrace_formats::asset::largest_file;
use millrace_schemas::{AssetKind, BurntSubtitles, SourceRef, VideoFilters};

use super::{failure::Failure, image, source::read_whole};
use crate::{captions::Caption, protocol::TranscodeTask, subtitles, typesetter::Typesetter};

/// What is laid over the pictures of a task.
#[derive(Default)]
pub(crate) struct Assets {
    /// The images, by their sources.
    pub(crate) images: Vec<(SourceRef, frame::Video)>,
    fonts: Vec<(SourceRef, Arc<Vec<u8>>)>,
    files: Vec<(SourceRef, Vec<Caption>)>,
    tracks: Vec<(i32, Vec<Caption>)>,
}

impl Assets {
    /// Reads the files of a task, in the order of its assets.
    ///
    /// # Errors
    /// If one can't be read, or is not what it is used as.
    pub(super) fn read(task: &TranscodeTask, files: Vec<File>) -> Result<Self, Failure> {
        let mut assets = Self::default();
        for (source, file) in task.assets.iter().zip(files) {
            let most = largest_file(AssetKind::Image).max(largest_file(AssetKind::Font));
            let bytes = Arc::new(read_bytes(file, most)?);
            for kind in kinds(task, source) {
                let source = source.clone();
                match kind {
                    AssetKind::Image => assets.images.push((source, image::decode(&bytes)?)),
                    AssetKind::Font => assets.fonts.push((source, bytes.clone())),
                    AssetKind::Subtitles => assets.files.push((source, read_subtitles(&bytes)?)),
                }
            }
        }
        Ok(assets)
    }

    /// Adds the texts of a track of the source.
    pub(super) fn add_track(&mut self, stream: i32, captions: Vec<Caption>) {
        self.tracks.push((stream, captions));
    }

    /// Returns a font; `None` for the usual one.
    ///
    /// # Errors
    /// If it is missing.
    pub(super) fn font(&self, font: Option<&SourceRef>) -> Result<Option<Arc<Vec<u8>>>, Failure> {
        let Some(font) = font else { return Ok(None) };
        let found = self.fonts.iter().find(|(source, _)| source == font);
        found.map(|(_, bytes)| Some(bytes.clone())).ok_or_else(|| Failure::new("a font is missing"))
    }

    /// Returns the texts of subtitles, at the times of their file or track.
    ///
    /// # Errors
    /// If they are missing.
    pub(super) fn captions(&self, subtitles: &BurntSubtitles) -> Result<&[Caption], Failure> {
        let found = match &subtitles.file {
            Some(file) => self.files.iter().find(|(source, _)| source == file).map(|(_, texts)| texts),
            None => {
                self.tracks.iter().find(|(stream, _)| *stream == subtitles.stream).map(|(_, texts)| texts)
            }
        };
        found
            .map(Vec::as_slice)
            .ok_or_else(|| Failure::new("subtitles that are laid over pictures are missing"))
    }
}

/// Returns what the renditions of a task use a file as.
fn kinds(task: &TranscodeTask, source: &SourceRef) -> Vec<AssetKind> {
    let filters =
        || task.renditions.iter().filter_map(|rendition| rendition.video.as_ref()?.filters.as_ref());
    let is_image = |filters: &VideoFilters| filters.overlays.iter().any(|overlay| overlay.image == *source);
    let is_font = |filters: &VideoFilters| {
        let fonts =
            filters.texts.iter().map(|text| &text.style).chain(filters.subtitles.iter().map(|s| &s.style));
        fonts.into_iter().any(|style| style.font.as_ref() == Some(source))
    };
    let is_file = |filters: &VideoFilters| {
        filters.subtitles.as_ref().is_some_and(|subtitles| subtitles.file.as_ref() == Some(source))
    };
    let used = [
        (AssetKind::Image, filters().any(is_image)),
        (AssetKind::Font, filters().any(is_font)),
        (AssetKind::Subtitles, filters().any(is_file)),
    ];
    used.into_iter().filter(|(_, is_used)| *is_used).map(|(kind, _)| kind).collect()
}

/// Reads a file and checks that it is of its kind. Returns the size of an image, in pixels, and 0 of others.
///
/// # Errors
/// If it can't be read, is too large, or is of another kind.
pub(super) fn measure(file: File, kind: AssetKind) -> Result<(i32, i32), Failure> {
    let bytes = read_bytes(file, largest_file(kind))?;
    match kind {
        AssetKind::Image => {
            let image = image::decode(&bytes)?;
            return Ok((image.width().cast_signed(), image.height().cast_signed()));
        }
        AssetKind::Font => {
            Typesetter::new(Some(Arc::new(bytes))).map_err(Failure::at("reading a font"))?;
        }
        AssetKind::Subtitles => {
            read_subtitles(&bytes)?;
        }
    }
    Ok((0, 0))
}

fn read_bytes(file: File, most: i64) -> Result<Vec<u8>, Failure> {
    read_whole(file, most.unsigned_abs()).map_err(Failure::at("reading a file of the profile"))
}

fn read_subtitles(bytes: &[u8]) -> Result<Vec<Caption>, Failure> {
    subtitles::read(bytes).map_err(Failure::at("reading subtitles"))
}
