//! MP3 (ISO/IEC 11172-3 and 13818-3, layer III): no codec header; each packet begins with a header of its own.

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, BitRates, Codec, Kind, Priming, Seams, SoundPacket};
use crate::layouts;

pub(super) const ENTRY: &dyn Codec = &Mp3;

/// Of both channels together (11172-3, 2.4.2.3, table of layer III).
const BIT_RATES: BitRates = BitRates { least: 32_000, most: 320_000, usual: 128_000 };
/// The most at half rates (13818-3, 2.4.2.3).
const MOST_AT_HALF_RATES: i64 = 160_000;
/// Samples per second, of MPEG-2 and then of MPEG-1. The quarter rates of MPEG-2.5 are of no standard, and mp4 has no object type
/// for them.
const RATES: [i32; 6] = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// The lowest rate of MPEG-1.
const FULL_RATE: i32 = 32_000;
/// Samples in a packet at full rates; half as many at half rates.
const FRAME_SIZE: i64 = 1152;
const LAYOUTS: [&str; 2] = ["mono", "stereo"];

/// MP3.
#[derive(Debug)]
pub(crate) struct Mp3;

impl Codec for Mp3 {
    fn name(&self) -> &'static str {
        "mp3"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Mp3)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libmp3lame"]
    }

    /// A packet's data may begin in those before it (the bit reservoir; 11172-3, 2.4.2.7, `main_data_begin`).
    fn seams(&self) -> Seams {
        Seams::Whole
    }
}

impl AudioCodec for Mp3 {
    fn sample_format(&self) -> &'static str {
        "fltp"
    }

    fn bit_rates(&self) -> Option<BitRates> {
        Some(BIT_RATES)
    }

    /// A packet begins up to 511 bytes before itself (`main_data_begin`: ISO/IEC 11172-3, 2.4.1.7), which are two packets of few bits, and
    /// overlaps with one more.
    fn decoder_lead_in(&self) -> usize {
        3
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    fn settings(&self, sound: &Sound, _: Priming) -> (AudioSettings, Option<String>) {
        let rate = layouts::rate(&RATES, sound.sample_rate);
        let (settings, remark) = layouts::settings((self.name(), "MP3"), &LAYOUTS, sound, rate);
        (AudioSettings { bit_rate: BIT_RATES.usual, ..settings }, remark)
    }

    fn fit(&self, settings: &mut AudioSettings) {
        settings.sample_rate = layouts::rate(&RATES, settings.sample_rate);
        if settings.sample_rate < FULL_RATE {
            settings.bit_rate = settings.bit_rate.min(MOST_AT_HALF_RATES);
        }
    }

    fn has_header(&self) -> bool {
        false
    }

    /// The header of a frame (11172-3, 2.4.1.3).
    fn read_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        let [first, second, third, fourth] = *packet.first_chunk()?;
        // A word of synchronization and an ID of MPEG-1 or MPEG-2, then the layer, of which III is 1.
        if first != 0xff || second & 0xf0 != 0xf0 || second >> 1 & 3 != 1 {
            return None;
        }
        let is_full = second & 8 != 0;
        let rate = *[44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
        let divisor = if is_full { 1 } else { 2 };
        Some(SoundPacket {
            sample_rate: Some(rate / divisor),
            channels: Some(if fourth >> 6 == 3 { 1 } else { 2 }),
            samples: Some(FRAME_SIZE / i64::from(divisor)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_states_its_rate_its_channels_and_its_length() {
        let read = |packet: [u8; 4]| {
            let SoundPacket { sample_rate, channels, samples } = Mp3.read_packet(&packet, 2)?;
            Some((sample_rate?, channels?, samples?))
        };
        assert_eq!(read([0xff, 0xfb, 0x94, 0x44]), Some((48_000, 2, 1152)));
        assert_eq!(read([0xff, 0xfb, 0x90, 0xc4]), Some((44_100, 1, 1152)));
        assert_eq!(read([0xff, 0xf3, 0x80, 0x44]), Some((22_050, 2, 576)));
        // Layer II, MPEG-2.5, a reserved rate, and no word of synchronization.
        for packet in
            [[0xff, 0xfd, 0x94, 0x44], [0xff, 0xe3, 0x80, 0x44], [0xff, 0xfb, 0x9c, 0x44], [0xfe, 0xfb, 0, 0]]
        {
            assert_eq!(read(packet), None, "{packet:x?}");
        }
        assert_eq!(Mp3.read_packet(&[0xff, 0xfb, 0x94], 2), None);
    }

    #[test]
    fn a_codec_header_is_one_too_many() {
        assert!(Mp3.headers_agree(&[], &[]));
        assert!(!Mp3.headers_agree(&[], &[1]) && !Mp3.headers_agree(&[1], &[1]));
    }

    #[test]
    fn half_rates_have_half_bit_rates() {
        let sound = Sound { sample_rate: 11_025, channels: 6, layout: "5.1".into() };
        let (mut settings, remark) = Mp3.settings(&sound, Priming::Signalled);
        assert_eq!((settings.sample_rate, settings.channels), (16_000, 2));
        assert_eq!(remark.as_deref(), Some("MP3 has no channel layout 5.1: it is mixed down to stereo"));
        settings.bit_rate = 320_000;
        Mp3.fit(&mut settings);
        assert_eq!(settings.bit_rate, 160_000);
    }
}
