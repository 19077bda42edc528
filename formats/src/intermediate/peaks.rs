//! Peaks of sound: what waveforms are in work objects, until all of one is drawn. No file of tracks holds them, and libavcodec does not
//! know them.

use millrace_schemas::{AudioSettings, Sound};

use crate::{
    codec::{AudioCodec, Codec, Kind, Priming, Seams, SoundPacket},
    layouts,
    pcm::{HIGHEST_RATE, LAYOUTS},
    waveform::{self, Peaks},
};

pub(super) const ENTRY: &dyn Codec = &PeaksOfSound;

/// Samples in a packet, as of PCM: a multiple of those of a pair of peaks, and where other sound of an execution can be cut, too.
const FRAME_SIZE: i64 = 4096;

/// Peaks.
#[derive(Debug)]
pub(crate) struct PeaksOfSound;

impl Codec for PeaksOfSound {
    fn name(&self) -> &'static str {
        "peaks"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&PeaksOfSound)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &[]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    fn own_version(&self) -> Option<&'static str> {
        Some("1")
    }
}

impl AudioCodec for PeaksOfSound {
    fn sample_format(&self) -> &'static str {
        "fltp"
    }

    /// Those of a peak. The last packet is as short as the sound is, as of codecs without loss.
    fn bits(&self) -> Option<u32> {
        Some(16)
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
        layouts::settings((self.name(), "a waveform"), &LAYOUTS, sound, rate)
    }

    fn copy_refusal(&self, _: &[u8]) -> Option<String> {
        Some("a waveform is drawn, and not copied".into())
    }

    fn has_header(&self) -> bool {
        false
    }

    fn own_packet(&self, channels: &[&[f32]]) -> Option<Vec<u8>> {
        Some(waveform::packet(channels))
    }

    fn read_packet(&self, packet: &[u8], channels: i32) -> Option<SoundPacket> {
        let peaks = Peaks::read(packet, usize::try_from(channels).ok()?)?;
        let samples = i64::try_from(peaks.samples).ok();
        Some(SoundPacket { samples, channels: Some(channels), ..SoundPacket::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_states_its_samples_and_the_last_one_is_shorter() {
        let read = |count: usize, channels| {
            let samples = vec![0.5; count];
            let packet = PeaksOfSound.own_packet(&[&samples, &samples]).unwrap();
            PeaksOfSound.read_packet(&packet, channels).and_then(|packet| packet.samples)
        };
        assert_eq!((read(4096, 2), read(33, 2)), (Some(4096), Some(33)));
        assert_eq!((read(4096, 1), read(4096, -1), read(0, 2)), (None, None, None));
    }

    #[test]
    fn the_channels_and_the_rate_of_the_source_are_kept() {
        let sound = Sound { sample_rate: 44_100, channels: 6, layout: "5.1(side)".into() };
        let (settings, remark) = PeaksOfSound.settings(&sound, Priming::Signalled);
        assert_eq!((settings.layout.as_str(), settings.sample_rate, remark), ("5.1(side)", 44_100, None));
    }
}
