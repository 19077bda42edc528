//! What tests add to the tables: a codec, a container and a filter that the program has not, each a file and a line, as a new one
//! of the program would be. Planner, encoder, muxer and proof are tested with them.

use std::sync::LazyLock;

use crate::{CODECS, CONTAINERS, FILTERS, Tables};

/// The planted codec.
pub mod codec {
    use crate::codec::{Codec, Form, Kind, Seams, VideoCodec};

    table! {
        /// What is added to the codecs.
        PLANTED: &'static dyn Codec {
            mpeg4,
        }
    }
}

/// The planted container.
pub mod container {
    use crate::container::{Container, Contents, Index, Layout, NO_TRACKS, Priming, Tracks};

    table! {
        /// What is added to the containers.
        PLANTED: &'static Container {
            mov,
        }
    }
}

/// The planted filter.
pub mod filter {
    use crate::filter::{Filter, Pictures};

    table! {
        /// What is added to the filters.
        PLANTED: &'static dyn Filter {
            negate,
        }
    }
}

/// The tables of the program, with what is planted behind it.
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    codecs: [CODECS, codec::PLANTED].concat().leak(),
    containers: [CONTAINERS, container::PLANTED].concat().leak(),
    filters: [FILTERS, filter::PLANTED].concat().leak(),
});
