//! The calls of libav's C interface, each once, behind functions that are safe to call.
//!
//! `unsafe` is allowed here, and nowhere else among the code that handles media. What a function does with a source, and
//! why, is for its callers: here is only how libav is called for it.

pub(crate) mod codec;
pub(crate) mod color;
pub(crate) mod filters;
pub(crate) mod frame;
pub(crate) mod input;
pub(crate) mod layout;
pub(crate) mod metadata;
pub(crate) mod packet;
pub(crate) mod pixels;
pub(crate) mod resampler;
pub(crate) mod scaler;
pub(crate) mod sound;
pub(crate) mod sound_filter;
pub(crate) mod stream;
pub(crate) mod subtitle;
