//! The filters between decoder and encoder that make each picture by itself, a file each: what libavfilter is given. Those that
//! need the pictures before and after one are in [`temporal`](crate::temporal).
//!
//! Rotation, size, pixel format and matrix are no entries: libswscale and code of our own make those, picture by picture.

use std::fmt::Debug;

use millrace_schemas::Color;

use crate::color;

table! {
    /// All filters, in the order in which pictures go through them.
    FILTERS: &'static dyn Filter {
        tone_map,
        high_range,
    }
}

/// Pictures, and what is to become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures {
    /// Their colour, as they are.
    pub from: Color,
    /// The colour that they are to have.
    pub to: Color,
    /// The size that they are to have, in pixels, before they are rotated.
    pub size: (u32, u32),
    /// The pixel format that they are to have, by libavutil's name.
    pub format: &'static str,
}

/// A filter.
pub trait Filter: Debug + Sync {
    /// The name of the entry.
    fn name(&self) -> &'static str;

    /// libavfilter's filters that it is made of, beside those that every FFmpeg has.
    fn needs(&self) -> &'static [&'static str];

    /// Returns libavfilter's description of the graph that makes these pictures what is asked for; `None` if they need it not.
    /// What comes out has the size, the colour and the pixel format that are asked for.
    fn graph(&self, pictures: &Pictures) -> Option<String>;
}

/// Filters, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Their description, as libavfilter parses it.
    pub description: String,
    /// libavfilter's filters that they need.
    pub needs: Vec<&'static str>,
}

/// Returns the filters that make these pictures what is asked for; `None` if they need none.
pub(crate) fn graph(filters: &[&'static dyn Filter], pictures: &Pictures) -> Option<Graph> {
    let mut all: Option<Graph> = None;
    for filter in filters {
        // Behind the first one, pictures are what is asked for.
        let from = if all.is_some() { pictures.to } else { pictures.from };
        let Some(description) = filter.graph(&Pictures { from, ..*pictures }) else { continue };
        let graph = all.get_or_insert_with(|| Graph { description: String::new(), needs: Vec::new() });
        if !graph.description.is_empty() {
            graph.description.push(',');
        }
        graph.description.push_str(&description);
        graph.needs.extend(filter.needs());
    }
    all
}

/// Whether pictures are of high dynamic range, and are to be of the standard one.
fn is_brought_down(pictures: &Pictures) -> bool {
    color::is_high_range(pictures.from) && !color::is_high_range(pictures.to)
}
