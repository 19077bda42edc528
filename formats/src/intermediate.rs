//! The codecs that work objects alone hold, a file each: what is in them becomes something else when an output is put together. Nobody
//! asks for them.

use crate::codec::Codec;

table! {
    /// All codecs that no output holds.
    INTERMEDIATES: &'static dyn Codec {
        ffv1,
        peaks,
    }
}
