//! Playlists of HLS over MPEG transport streams, for players that know no fragmented mp4: each track is a stream of its own.

use super::{Contents, Container, Layout, Manifest, Package, Tracks, cmaf, ts};
use crate::codec::{aac::Aac, ac3::Ac3, mp3::Mp3};

pub(super) const ENTRY: &Container = &Container {
    name: "hls-ts",
    about: "HLS for older players: playlists over MPEG transport streams of H.264 or HEVC, and AAC, AC-3 or MP3",
    // Opus in a transport stream is for few players.
    audio: Tracks { codecs: &[&Aac, &Ac3, &Mp3], most: usize::MAX },
    video: Tracks { most: usize::MAX, ..ts::ENTRY.video },
    text: cmaf::ENTRY.text,
    last_length: true,
    layout: Layout::Package(PACKAGE),
    options,
    ..*ts::ENTRY
};

const PACKAGE: Package =
    Package { manifests: &[Manifest::Hls], initialization: "", segment: ts::ENTRY.name, single: "track.ts" };

/// Those of a stream, each packet of which is written at once.
fn options(contents: &Contents) -> Vec<(&'static str, String)> {
    let mut options = (ts::ENTRY.options)(contents);
    options.push(("flush_packets", "1".into()));
    options
}
