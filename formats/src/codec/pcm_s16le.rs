//! PCM of 16 bits, little-endian.

use std::marker::PhantomData;

use super::Codec;
use crate::pcm::{Pcm, Samples};

pub(super) const ENTRY: &dyn Codec = &PcmS16le { samples: PhantomData };

/// PCM of 16 bits.
pub(crate) type PcmS16le = Pcm<S16le>;

/// Samples of 16 bits.
#[derive(Debug)]
pub(crate) struct S16le;

impl Samples for S16le {
    const NAME: &'static str = "pcm_s16le";
    const ENCODERS: &'static [&'static str] = &["pcm_s16le"];
    const FORMAT: &'static str = "s16";
    const BITS: u32 = 16;
}
