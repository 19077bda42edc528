//! Opus (RFC 6716): its header is the identification header of Ogg Opus (RFC 7845, 5.1). It is always decoded at 48 kHz.

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, BitRates, Codec, Kind, Priming, Seams, SoundHeader, SoundPacket};
use crate::layouts;

pub(super) const ENTRY: &dyn Codec = &Opus;

/// Of all channels together: RFC 6716, 2.1.1 has 6 to 510 kb/s for two of them.
const BIT_RATES: BitRates = BitRates { least: 6000, most: 2_048_000, usual: 128_000 };
/// What each of more than two channels usually has.
const USUAL_OF_A_CHANNEL: i64 = 64_000;
/// The most that libopus takes for a channel, in bits per second.
const MOST_OF_A_CHANNEL: i64 = 256_000;
/// The rate at which it is decoded, in samples per second, and its encoder's only one that needs no statement of another.
const RATE: i32 = 48_000;
/// Samples in a packet of 20 ms, libopus's own length.
const FRAME_SIZE: i64 = 960;
/// The layouts of channel mapping families 0 and 1 (RFC 7845, 5.1.1), by libav's names.
const LAYOUTS: [&str; 8] = ["mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"];
/// The header up to its channels, and behind it up to its channel mapping: pre-skip, rate of the input and gain.
const FIXED: usize = 10;
const MAPPING: usize = 18;
/// What the header begins with, and the only version of it.
const MAGIC: &[u8; 8] = b"OpusHead";
const VERSION: u8 = 1;

/// Opus.
#[derive(Debug)]
pub(crate) struct Opus;

impl Codec for Opus {
    fn name(&self) -> &'static str {
        "opus"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Opus)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libopus"]
    }

    /// A stream states the channels alone, and how they lie in packets.
    fn stream_headers_agree(&self, encoder: &[u8], gathered: &[u8]) -> bool {
        let stated = |header: &[u8]| Some((header.get(..FIXED)?.to_vec(), header.get(MAPPING..)?.to_vec()));
        stated(encoder).is_some_and(|channels| stated(gathered) == Some(channels))
    }

    /// Packets depend on those before them, and after 25 of lead-in the difference could still be measured.
    fn seams(&self) -> Seams {
        Seams::Whole
    }
}

impl AudioCodec for Opus {
    fn sample_format(&self) -> &'static str {
        "flt"
    }

    fn bit_rates(&self) -> Option<BitRates> {
        Some(BIT_RATES)
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    /// 80 ms (RFC 7845, 4.6).
    fn decoder_lead_in(&self) -> usize {
        4
    }

    fn settings(&self, sound: &Sound, _: Priming) -> (AudioSettings, Option<String>) {
        let (settings, remark) = layouts::settings((self.name(), "Opus"), &LAYOUTS, sound, RATE);
        // 5.1 channels in 128 kb/s lose which of a pair a sound is in (measured: left correlates with the source's by 0.36, by 1.0 in 320).
        let bit_rate = BIT_RATES.usual.max(USUAL_OF_A_CHANNEL * i64::from(settings.channels));
        (AudioSettings { bit_rate, ..settings }, remark)
    }

    fn fit(&self, settings: &mut AudioSettings) {
        settings.bit_rate = settings.bit_rate.min(MOST_OF_A_CHANNEL * i64::from(settings.channels.max(1)));
    }

    fn read_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let fields = header.strip_prefix(MAGIC)?;
        let [VERSION, channels, _, _, _, _, _, _, _, _, _, ..] = *fields else { return None };
        (channels > 0).then_some(SoundHeader {
            sample_rate: RATE,
            channels: Some(channels.into()),
            frame_length: FRAME_SIZE,
        })
    }

    /// The first byte and, of packets with a frame count of their own, the second say how long a packet is (RFC 6716, 3.1 and
    /// 3.2).
    fn read_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        let first = *packet.first()?;
        let config = usize::from(first >> 3);
        // In samples: SILK, hybrid and CELT.
        let of_a_frame = match config {
            0..12 => [480, 960, 1920, 2880][config % 4],
            12..16 => [480, 960][config % 2],
            _ => [120, 240, 480, 960][config % 4],
        };
        let frames = match first & 3 {
            0 => 1,
            1 | 2 => 2,
            _ => i64::from(packet.get(1)? & 0x3f),
        };
        Some(SoundPacket { samples: Some(frames * of_a_frame), ..SoundPacket::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stereo, 312 samples of pre-skip, from 48 kHz.
    const HEADER: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

    #[test]
    fn a_header_states_its_channels() {
        let stereo = SoundHeader { sample_rate: 48_000, channels: Some(2), frame_length: 960 };
        assert_eq!(Opus.read_header(HEADER), Some(stereo));
        for length in 0..HEADER.len() {
            assert_eq!(Opus.read_header(&HEADER[..length]), None, "{length}");
        }
        for (at, byte) in [(0, b'o'), (8, 2), (9, 0)] {
            let mut header = HEADER.to_vec();
            header[at] = byte;
            assert_eq!(Opus.read_header(&header), None, "{at}");
        }
    }

    #[test]
    fn a_stream_states_the_channels_and_no_pre_skip() {
        let mut gathered = HEADER.to_vec();
        gathered[10..18].fill(0);
        assert!(Opus.stream_headers_agree(HEADER, &gathered) && Opus.stream_headers_agree(HEADER, HEADER));
        for at in [0, 8, 9, 18] {
            let mut other = gathered.clone();
            other[at] ^= 1;
            assert!(!Opus.stream_headers_agree(HEADER, &other), "{at}");
        }
        assert!(
            !Opus.stream_headers_agree(HEADER, &gathered[..18]) && !Opus.stream_headers_agree(HEADER, &[])
        );
    }

    #[test]
    fn a_packet_states_its_length() {
        let samples = |packet: &[u8]| Opus.read_packet(packet, 2).and_then(|packet| packet.samples);
        // CELT of 20 ms; SILK of 60 ms; hybrid of 10 ms, two of them; CELT of 2.5 ms, three of them.
        assert_eq!(samples(&[31 << 3 | 4]), Some(960));
        assert_eq!(samples(&[3 << 3]), Some(2880));
        assert_eq!(samples(&[12 << 3 | 1]), Some(960));
        assert_eq!(samples(&[16 << 3 | 3, 0x83]), Some(360));
        assert_eq!((samples(&[]), samples(&[3])), (None, None));
    }

    #[test]
    fn more_than_two_channels_have_more_bits() {
        let of = |channels, layout: &str| {
            let sound = Sound { sample_rate: 48_000, channels, layout: layout.into() };
            Opus.settings(&sound, Priming::Signalled).0.bit_rate
        };
        assert_eq!((of(1, "mono"), of(2, "stereo"), of(6, "5.1")), (128_000, 128_000, 384_000));
    }

    #[test]
    fn rates_and_bit_rates_are_those_that_opus_has() {
        let sound = Sound { sample_rate: 44_100, channels: 1, layout: "mono".into() };
        let (mut settings, remark) = Opus.settings(&sound, Priming::Signalled);
        assert_eq!((settings.sample_rate, settings.bit_rate, remark), (48_000, 128_000, None));
        settings.bit_rate = 510_000;
        Opus.fit(&mut settings);
        assert_eq!(settings.bit_rate, 256_000);
    }
}
