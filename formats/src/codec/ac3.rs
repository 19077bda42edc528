//! AC-3 (ATSC A/52): no codec header; each packet begins with its synchronization and bit stream information.

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, BitRates, Codec, Kind, Priming, Seams, SoundPacket};
use crate::layouts;

pub(super) const ENTRY: &dyn Codec = &Ac3;

/// Of all channels together (A/52, table 5.18).
const BIT_RATES: BitRates = BitRates { least: 32_000, most: 640_000, usual: 192_000 };
/// The least with which libavcodec's encoder fits each of so many channels into a packet, and what is usual for 5.1 (448 kb/s on
/// DVDs).
const OF_A_CHANNEL: i64 = 32_000;
const USUAL_OF_SURROUND: i64 = 448_000;
/// Samples per second (5.4.1.3), the lowest first, and by `fscod`.
const RATES: [i32; 3] = [32_000, 44_100, 48_000];
const RATES_BY_CODE: [i32; 3] = [48_000, 44_100, 32_000];
/// Samples in a packet: six blocks of 256 (2.2).
const FRAME_SIZE: i64 = 1536;
/// The layouts of `acmod` and `lfeon` (5.4.2.3) that libav names as the decoder does.
const LAYOUTS: [&str; 11] = [
    "mono",
    "stereo",
    "3.0",
    "3.0(back)",
    "2.1",
    "4.0",
    "quad(side)",
    "3.1",
    "5.0(side)",
    "4.1",
    "5.1(side)",
];
/// Channels by `acmod` (table 5.8), without the LFE.
const CHANNELS: [i32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// The last `bsid` of this syntax (5.4.2.1).
const BSID: u8 = 8;

/// AC-3.
#[derive(Debug)]
pub(crate) struct Ac3;

impl Codec for Ac3 {
    fn name(&self) -> &'static str {
        "ac3"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Ac3)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["ac3"]
    }

    /// What an encoder that begins in the middle makes was not measured to be the same.
    fn seams(&self) -> Seams {
        Seams::Whole
    }
}

impl AudioCodec for Ac3 {
    fn sample_format(&self) -> &'static str {
        "fltp"
    }

    fn bit_rates(&self) -> Option<BitRates> {
        Some(BIT_RATES)
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    fn settings(&self, sound: &Sound, _: Priming) -> (AudioSettings, Option<String>) {
        let rate = layouts::rate(&RATES, sound.sample_rate);
        let (settings, remark) = layouts::settings((self.name(), "AC-3"), &LAYOUTS, sound, rate);
        let bit_rate = if settings.channels > 2 { USUAL_OF_SURROUND } else { BIT_RATES.usual };
        (AudioSettings { bit_rate, ..settings }, remark)
    }

    fn fit(&self, settings: &mut AudioSettings) {
        settings.bit_rate = settings.bit_rate.max(OF_A_CHANNEL * i64::from(settings.channels));
    }

    fn has_header(&self) -> bool {
        false
    }

    /// FFmpeg 5.1 takes the padding of AC-3 in Matroska (DiscardPadding, RFC 9559, 5.1.3.5.7) off the packet before the last one, which
    /// leaves a hole of 27 ms.
    fn can_discard(&self) -> bool {
        false
    }

    /// `syncinfo` and the begin of `bsi` (5.3.1 and 5.3.2).
    fn read_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        let [0x0b, 0x77, _, _, code, bsid, modes, more] = *packet.first_chunk()? else { return None };
        let sample_rate = *RATES_BY_CODE.get(usize::from(code >> 6))?;
        if bsid >> 3 > BSID {
            return None;
        }
        let acmod = modes >> 5;
        // Between `acmod` and `lfeon` lie two bits each for a centre, surround channels, and stereo.
        let has_centre = acmod & 1 != 0 && acmod != 1;
        let skipped = [has_centre, acmod & 4 != 0, acmod == 2].into_iter().filter(|there| *there).count() * 2;
        let lfe = u16::from_be_bytes([modes, more]) >> (12 - skipped) & 1;
        Some(SoundPacket {
            sample_rate: Some(sample_rate),
            channels: Some(CHANNELS[usize::from(acmod)] + i32::from(lfe)),
            samples: Some(FRAME_SIZE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: [u8; 4]) -> Option<(i32, i32, i64)> {
        let packet = [&[0x0b, 0x77, 1, 2][..], &fields].concat();
        let SoundPacket { sample_rate, channels, samples } = Ac3.read_packet(&packet, 2)?;
        Some((sample_rate?, channels?, samples?))
    }

    #[test]
    fn a_packet_states_its_rate_its_channels_and_its_length() {
        // 3/2 with LFE, without; stereo; mono with LFE.
        assert_eq!(read([0x1e, 0x40, 0b1110_0001, 0]), Some((48_000, 6, 1536)));
        assert_eq!(read([0x1e, 0x40, 0b1111_1110, 0xff]), Some((48_000, 5, 1536)));
        assert_eq!(read([0x54, 0x40, 0b0100_0000, 0xff]), Some((44_100, 2, 1536)));
        assert_eq!(read([0x94, 0x40, 0b0011_0000, 0]), Some((32_000, 2, 1536)));
        // A reserved rate, and the syntax of E-AC-3.
        assert_eq!((read([0xc0, 0x40, 0x40, 0]), read([0x14, 0x80, 0x40, 0])), (None, None));
        assert_eq!(Ac3.read_packet(&[0x0b, 0x77, 1, 2, 0x14, 0x40, 0x40], 2), None);
        assert_eq!(Ac3.read_packet(&[0x77, 0x0b, 1, 2, 0x14, 0x40, 0x40, 0], 2), None);
    }

    #[test]
    fn surround_has_side_channels_and_bits_for_each() {
        let sound = Sound { sample_rate: 96_000, channels: 6, layout: "5.1".into() };
        let (mut settings, remark) = Ac3.settings(&sound, Priming::Signalled);
        assert_eq!((settings.sample_rate, settings.layout.as_str()), (48_000, "5.1(side)"));
        assert_eq!(settings.bit_rate, 448_000);
        let renamed = "AC-3 has no channel layout 5.1: its channels are called 5.1(side)";
        assert_eq!(remark.as_deref(), Some(renamed));
        settings.bit_rate = 32_000;
        Ac3.fit(&mut settings);
        assert_eq!(settings.bit_rate, 192_000);
    }
}
