//! What tests add to the tables: a codec, a container and a filter that the program has not, each a file and a line, as a new one
//! of the program would be. Planner, encoder, muxer and proof are tested with them.

pub mod codec;
pub mod container;
pub mod filter;

use std::sync::LazyLock;

use crate::{CODECS, CONTAINERS, FILTERS, Tables};

/// The tables of the program, with what is planted behind it.
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    codecs: [CODECS, codec::PLANTED].concat().leak(),
    containers: [CONTAINERS, container::PLANTED].concat().leak(),
    filters: [FILTERS, filter::PLANTED].concat().leak(),
});
