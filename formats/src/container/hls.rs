//! CMAF with the playlists of HLS alone.

use super::{Container, Layout, Manifest, Package, cmaf};

pub(super) const ENTRY: &Container = &Container {
    name: "hls",
    about: "HLS alone: playlists over fragmented mp4 of H.264, HEVC, AV1 or VP9, and AAC",
    layout: Layout::Package(Package { manifests: &[Manifest::Hls], ..cmaf::PACKAGE }),
    ..*cmaf::ENTRY
};
