//! PCM of 24 bits, little-endian.

use std::marker::PhantomData;

use super::Codec;
use crate::pcm::{Pcm, Samples};

pub(super) const ENTRY: &dyn Codec = &PcmS24le { samples: PhantomData };

/// PCM of 24 bits.
pub(crate) type PcmS24le = Pcm<S24le>;

/// Samples of 24 bits.
#[derive(Debug)]
pub(crate) struct S24le;

impl Samples for S24le {
    const NAME: &'static str = "pcm_s24le";
    const ENCODERS: &'static [&'static str] = &["pcm_s24le"];
    const FORMAT: &'static str = "s32";
    const BITS: u32 = 24;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::AudioCodec as _;

    #[test]
    fn a_sample_is_three_bytes() {
        let pcm: PcmS24le = Pcm { samples: PhantomData };
        assert_eq!(pcm.read_packet(&[0; 60], 2).and_then(|packet| packet.samples), Some(10));
    }
}
