//! HTTP Live Streaming: a multivariant playlist, and media playlists.

mod attributes;
mod groups;
mod line;
mod media;
mod multivariant;
mod playlist;
mod read;

pub(crate) use media::media_playlists;
pub(crate) use multivariant::multivariant;
pub(crate) use read::read;
