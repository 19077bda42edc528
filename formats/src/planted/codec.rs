//! The planted codec.

use crate::codec::{Codec, Form, Kind, Seams, VideoCodec};

table! {
    /// What is added to the codecs.
    PLANTED: &'static dyn Codec {
        mpeg4,
    }
}
