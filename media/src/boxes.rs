//! Reads the movie box of ISO base media files (mp4, mov) as the file states it, before any demuxer corrects it. Pure.
//!
//! The file is untrusted: time and memory follow the bytes that are there, never a count that a header claims, and
//! nothing recurses. Clauses are those of ISO/IEC 14496-12:2015.

pub(crate) mod edit;
pub(crate) mod encrypt;
pub(crate) mod encrypted;
mod fragments;
mod layout;
mod model;
mod tables;
#[cfg(test)]
mod tests;

use crate::read_at::ReadAt;

pub(crate) use fragments::{Fragment, fragment, fragments};
pub(crate) use model::{Movie, Presentation, Track};

/// Reads the movie box of a file of `size` bytes.
///
/// `most_samples` limits the samples whose times are expanded, at 16 bytes each. The tracks share it in their order; a
/// track with more samples than are left of it gets no times. The movie box itself is held during the call.
///
/// Returns `None` if the file is no ISO base media file or cannot be read, if its movie box is missing, cut off or
/// larger than 256 MiB, if it has more than 1,024 tracks or 65,536 edits and sample entries, and if one of the boxes
/// that are read here is malformed, has an unknown version or is present twice. Only `mvhd`, `tkhd`, `mdia` and `mdhd`
/// must be present.
pub(crate) fn movie(size: u64, file: &impl ReadAt, most_samples: u64) -> Option<Movie> {
    tables::parse_movie(&layout::read_movie_box(size, file)?, most_samples).ok()
}
