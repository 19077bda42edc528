//! CMAF with the presentation description of DASH alone.

use super::{Container, Layout, Manifest, Package, cmaf};

pub(super) const ENTRY: &Container = &Container {
    name: "dash",
    about: "DASH alone: a presentation over fragmented mp4 of H.264, HEVC, AV1 or VP9, and AAC",
    layout: Layout::Package(Package { manifests: &[Manifest::Dash], ..cmaf::PACKAGE }),
    ..*cmaf::ENTRY
};
