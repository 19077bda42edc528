//! Signed little-endian PCM: no codec header, and packets that are nothing but samples.

use std::{fmt::Debug, marker::PhantomData};

use millrace_schemas::{AudioSettings, Sound};

use crate::{
    codec::{AudioCodec, Codec, Kind, Priming, Seams, SoundPacket},
    layouts,
};

/// Samples in a packet. Its encoder takes any number; as many as in a packet of the other lossless codecs.
const FRAME_SIZE: i64 = 4096;
/// The highest rate, in samples per second: that of the fastest converters.
pub(crate) const HIGHEST_RATE: i32 = 768_000;
/// The layouts of up to eight channels whose order is that of their bits in a mask, which is that of all containers of PCM.
pub(crate) const LAYOUTS: [&str; 20] = [
    "mono",
    "stereo",
    "2.1",
    "3.0",
    "3.0(back)",
    "3.1",
    "4.0",
    "quad",
    "quad(side)",
    "4.1",
    "5.0",
    "5.0(side)",
    "5.1",
    "5.1(side)",
    "6.0",
    "hexagonal",
    "6.1",
    "7.0",
    "7.1",
    "7.1(wide)",
];

/// The samples of one kind of PCM.
pub(crate) trait Samples: Debug + Sync + 'static {
    /// libavcodec's name of the codec.
    const NAME: &'static str;
    /// libavcodec's encoders for it.
    const ENCODERS: &'static [&'static str];
    /// libavutil's name of the sample format that the encoder takes.
    const FORMAT: &'static str;
    /// Bits of a sample, whole bytes.
    const BITS: u32;
}

/// PCM of one kind of samples.
#[derive(Debug)]
pub(crate) struct Pcm<S> {
    pub(crate) samples: PhantomData<S>,
}

impl<S: Samples> Codec for Pcm<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Self { samples: PhantomData })
    }

    fn encoders(&self) -> &'static [&'static str] {
        S::ENCODERS
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }
}

impl<S: Samples> AudioCodec for Pcm<S> {
    fn sample_format(&self) -> &'static str {
        S::FORMAT
    }

    fn bits(&self) -> Option<u32> {
        Some(S::BITS)
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    /// Packets need nothing behind them, but what is decoded there is compared with the next part's.
    fn lead_out(&self) -> i64 {
        1
    }

    fn settings(&self, sound: &Sound, _: Priming) -> (AudioSettings, Option<String>) {
        let rate = sound.sample_rate.clamp(1, HIGHEST_RATE);
        layouts::settings((S::NAME, "PCM"), &LAYOUTS, sound, rate)
    }

    fn unnamed_settings(&self, sound: &Sound) -> Option<(AudioSettings, Option<String>)> {
        let rate = sound.sample_rate.clamp(1, HIGHEST_RATE);
        Some(layouts::settings((S::NAME, "PCM that names no channels"), &layouts::USUAL, sound, rate))
    }

    fn is_uncompressed(&self) -> bool {
        true
    }

    /// Containers divide it into packets as they like, and an encode has the same samples.
    fn copy_refusal(&self, _: &[u8]) -> Option<String> {
        Some("PCM has no packets of its own, and an encode keeps each sample of it".into())
    }

    fn has_header(&self) -> bool {
        false
    }

    fn read_packet(&self, packet: &[u8], channels: i32) -> Option<SoundPacket> {
        let block = usize::try_from(channels).ok()? * (S::BITS / 8) as usize;
        let is_whole = block > 0 && packet.len().is_multiple_of(block);
        let samples = i64::try_from(packet.len() / block.max(1)).ok().filter(|_| is_whole)?;
        Some(SoundPacket { samples: Some(samples), ..SoundPacket::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::pcm_s16le::S16le;

    const PCM: Pcm<S16le> = Pcm { samples: PhantomData };

    #[test]
    fn a_packet_is_as_long_as_its_bytes() {
        let samples = |length: usize, channels| {
            PCM.read_packet(&vec![0; length], channels).and_then(|packet| packet.samples)
        };
        assert_eq!((samples(400, 2), samples(400, 1), samples(24, 6)), (Some(100), Some(200), Some(2)));
        assert_eq!((samples(402, 2), samples(4, 0)), (None, None));
    }

    #[test]
    fn layouts_keep_their_order() {
        let sound = Sound { sample_rate: 44_100, channels: 6, layout: "5.1(side)".into() };
        let (settings, remark) = PCM.settings(&sound, Priming::Signalled);
        assert_eq!((settings.layout.as_str(), settings.sample_rate, remark), ("5.1(side)", 44_100, None));
    }

    #[test]
    fn channels_that_a_container_does_not_name_are_the_usual_ones_of_so_many() {
        let of = |layout: &str, channels| {
            let sound = Sound { sample_rate: 48_000, channels, layout: layout.into() };
            let (settings, remark) = PCM.unnamed_settings(&sound).unwrap();
            (settings.channels, settings.layout, remark.unwrap_or_default())
        };
        assert_eq!(of("stereo", 2), (2, String::new(), String::new()));
        assert_eq!(of("5.1", 6), (6, String::new(), String::new()));
        assert_eq!(of("6.1", 7), (7, "6.1".into(), String::new()));
        let renamed =
            "PCM that names no channels has no channel layout 5.1(side): its channels are called 5.1";
        assert_eq!(of("5.1(side)", 6), (6, String::new(), renamed.into()));
        let (channels, _, remark) = of("quad", 4);
        assert!(channels == 5 && remark.contains("its channels are kept in 5.0"), "{channels}: {remark}");
    }
}
