//! An animated GIF of some seconds of the source.

use super::{Container, Layout, Pictures, thumbnails};

pub(super) const ENTRY: &Container = &Container {
    name: "gif",
    about: "an animated GIF of some seconds of the source",
    layout: Layout::Pictures(Pictures::Animation),
    ..*thumbnails::ENTRY
};
