//! The manifests of packages: HLS playlists and DASH presentations over the same segments, and the codec strings that stand in them.
//! Pure: no libav, no I/O. Facts of tracks and segments go in, texts come out ([`render`]), and texts are read again ([`read`]) to be
//! compared with the objects that exist.
//!
//! HLS is RFC 8216 with what draft-pantos-hls-rfc8216bis adds; DASH is ISO/IEC 23009-1.

mod check;
mod codecs;
mod dash;
mod encryption;
mod error;
mod hls;
mod index;
mod language;
mod measure;
mod named;
mod names;
mod presentation;
mod words;

pub use codecs::{codec_string, init_codecs};
pub use encryption::{Encryption, StatedKey};
pub use error::Error;
pub use index::segment_index;
pub use language::terminology;
pub use named::{Named, NamedKind};
pub use names::{DESCRIPTION, MULTIVARIANT};
pub use presentation::{
    Files, IFrames, Manifest, Media, Presentation, Purpose, Segment, Text, Track, VideoRange,
};

/// Returns the manifests of a presentation, in the order in which they have to appear: media playlists first, and the top manifests
/// last, in the order of `kinds`.
///
/// `folder` is where media playlists are, relative to the package's top: `<folder>/<track id>/media.m3u8`, and `iframes.m3u8` beside it.
///
/// # Errors
/// If a track can't be presented: no segments, gaps between them, names that are no relative paths, more than a million segments.
pub fn render(presentation: &Presentation, kinds: &[Manifest], folder: &str) -> Result<Vec<Text>, Error> {
    check::presentation(presentation, folder)?;
    let mut texts = Vec::new();
    for kind in kinds {
        match kind {
            Manifest::Hls => texts.extend(hls::media_playlists(presentation, folder)?),
            Manifest::Dash => {}
        }
    }
    for kind in kinds {
        texts.push(match kind {
            Manifest::Hls => hls::multivariant(presentation, folder)?,
            Manifest::Dash => dash::description(presentation)?,
        });
    }
    Ok(texts)
}

/// Reads the manifests of a package and returns the objects and byte ranges that they name.
///
/// It is strict: a tag, an element or an attribute that [`render`] never writes is an error. So is a playlist that no other names or that
/// is named and not there, an object or a byte range that a manifest names twice, a segment that doesn't begin where the one before it
/// ends, and tracks whose durations differ by more than a segment.
///
/// # Errors
/// If a text breaks a rule, with the text's name and the line or element.
pub fn read(texts: &[Text]) -> Result<Vec<Named>, Error> {
    let mut named = Vec::new();
    for text in texts {
        if texts.iter().filter(|other| other.name == text.name).count() > 1 {
            return Err(Error::read(&text.name, "it is there twice"));
        }
    }
    named.extend(hls::read(texts)?);
    for text in texts.iter().filter(|text| text.name.ends_with(".mpd")) {
        named.extend(dash::read(text)?);
    }
    named::check(&named)?;
    Ok(named)
}

#[cfg(test)]
mod tests;
