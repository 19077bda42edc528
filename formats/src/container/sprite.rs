//! Sheets of small pictures beside and below each other, and a list of WebVTT that says which part of which sheet is shown when: what
//! players show above their bar.

use super::{Container, Layout, Pictures, thumbnails};

pub(super) const ENTRY: &Container = &Container {
    name: "sprite",
    about: "sheets of small pictures, with a list of WebVTT, for players to show while one seeks",
    layout: Layout::Pictures(Pictures::Sheets { manifest: "sprite.vtt" }),
    ..*thumbnails::ENTRY
};
