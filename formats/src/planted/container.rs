//! The planted container.

use crate::container::{Container, Contents, Index, Layout, NO_TRACKS, Priming, Tracks};

table! {
    /// What is added to the containers.
    PLANTED: &'static Container {
        ipod,
    }
}
