//! ALAC (Apple Lossless), usually of 24 bits, which the samples of sources of fewer are exact in. Its header is the `alac` box with the
//! `ALACSpecificConfig` ("Apple Lossless Format", ALACMagicCookieDescription.txt).

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, Codec, Kind, Priming, Seams, SoundHeader, SoundPacket};
use crate::layouts;

pub(super) const ENTRY: &dyn Codec = &Alac;

/// Bits of a sample. The lower 8 of 24 are not compressed (`ALACEncoder`, `mBytesShifted`), so samples of 16 take less in 16.
const BITS: u32 = 24;
const DEPTHS: [u32; 2] = [BITS, 16];
/// Where the header states them.
const BITS_AT: usize = 17;
/// Samples in a packet: the only length that libavcodec's encoder makes.
const FRAME_SIZE: i64 = 4096;
/// The highest rate of which Apple's players are known to play files.
const HIGHEST_RATE: i32 = 384_000;
/// The layouts of `ALACChannelLayoutTag`, by libav's names.
const LAYOUTS: [&str; 8] = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)"];
/// The size of the box: size, type, version, and the configuration.
const HEADER: usize = 36;

/// ALAC.
#[derive(Debug)]
pub(crate) struct Alac;

impl Codec for Alac {
    fn name(&self) -> &'static str {
        "alac"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Alac)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["alac"]
    }

    /// Each packet is decoded by itself, and made of its own samples alone.
    fn seams(&self) -> Seams {
        Seams::Stitch
    }
}

impl AudioCodec for Alac {
    fn sample_format(&self) -> &'static str {
        "s32p"
    }

    fn bits(&self) -> Option<u32> {
        Some(BITS)
    }

    fn depths(&self) -> &'static [u32] {
        &DEPTHS
    }

    fn stated_bits(&self, header: &[u8]) -> i32 {
        header.get(BITS_AT).filter(|bits| u32::from(**bits) != BITS).map_or(0, |bits| i32::from(*bits))
    }

    fn sample_format_of(&self, settings: &AudioSettings) -> &'static str {
        if self.bits_of(settings) == Some(BITS) { "s32p" } else { "s16p" }
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
        layouts::settings((self.name(), "ALAC"), &LAYOUTS, sound, rate)
    }

    fn options(&self, settings: &AudioSettings) -> Vec<(&'static str, String)> {
        vec![("bits_per_raw_sample", self.bits_of(settings).unwrap_or(BITS).to_string())]
    }

    /// Files state the bits of a sample beside the header, too.
    fn copy_refusal(&self, headers: &[u8]) -> Option<String> {
        let bits = headers.get(BITS_AT).map_or(0, |bits| u32::from(*bits));
        let known = DEPTHS.map(|bits| bits.to_string()).join(" or ");
        (!DEPTHS.contains(&bits))
            .then(|| format!("copies of ALAC are of {known} bits a sample, not of {bits}"))
    }

    fn read_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let header: &[u8; HEADER] = header.try_into().ok()?;
        if !header.starts_with(b"\0\0\0\x24alac") {
            return None;
        }
        let number = |at: usize| {
            let bytes = header.get(at..)?.first_chunk()?;
            i32::try_from(u32::from_be_bytes(*bytes)).ok()
        };
        Some(SoundHeader {
            sample_rate: number(32)?,
            channels: Some(header[21].into()),
            frame_length: number(12)?.into(),
        })
    }

    /// Only a packet with fewer samples than the header states says how many. A packet begins with an element of one or two
    /// channels: its type (3 bits), instance (4), 12 zeros, and a bit for the number of samples, which follows three further bits
    /// (`ALACDecoder::Decode` in Apple's reference).
    fn read_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        let bits = packet.first_chunk::<7>()?;
        let element = bits[0] >> 5;
        // Two channels are `ID_CPE`, one is `ID_SCE` or `ID_LFE`.
        if !matches!(element, 0 | 1 | 3) {
            return None;
        }
        let is_stated = bits[2] >> 4 & 1 == 1;
        let all = bits[2..].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        // Of these 40 bits, 7 lie before the number, and one behind it.
        let samples = is_stated.then_some(i64::from((all >> 1) as u32));
        Some(SoundPacket { samples, ..SoundPacket::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4096 samples in a packet, two channels of 24 bits at 48 kHz.
    fn header() -> Vec<u8> {
        let mut header = b"\0\0\0\x24alac\0\0\0\0\0\0\x10\0\0\x18\x28\x0a\x0e\x02\0\xff".to_vec();
        header.extend([0, 0, 0x60, 0, 0, 0x23, 0x28, 0, 0, 0, 0xbb, 0x80]);
        header
    }

    #[test]
    fn a_header_states_rate_channels_and_the_length_of_packets() {
        let stated = SoundHeader { sample_rate: 48_000, channels: Some(2), frame_length: 4096 };
        assert_eq!(Alac.read_header(&header()), Some(stated));
        assert_eq!(Alac.read_header(&header()[..35]), None);
        let mut other = header();
        other[4] = b'A';
        assert_eq!(Alac.read_header(&other), None);
    }

    #[test]
    fn bits_of_a_sample_are_24_unless_16_are_asked_for_or_stated() {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() };
        let usual = Alac.settings(&sound, Priming::Signalled).0;
        let few = AudioSettings { bits: 16, ..usual.clone() };
        assert_eq!((Alac.bits_of(&usual), Alac.sample_format_of(&usual)), (Some(24), "s32p"));
        assert_eq!((Alac.bits_of(&few), Alac.sample_format_of(&few)), (Some(16), "s16p"));
        let mut header = header();
        assert_eq!((Alac.stated_bits(&header), Alac.copy_refusal(&header)), (0, None));
        header[BITS_AT] = 16;
        assert_eq!((Alac.stated_bits(&header), Alac.copy_refusal(&header)), (16, None));
        header[BITS_AT] = 20;
        assert!(Alac.copy_refusal(&header).unwrap().contains("24 or 16 bits a sample, not of 20"));
    }

    #[test]
    fn only_a_short_packet_states_its_length() {
        let samples = |packet: &[u8]| Alac.read_packet(packet, 2).map(|packet| packet.samples);
        assert_eq!(samples(&[0x20, 0, 0x02, 0xff, 0xff, 0xff, 0xff]), Some(None));
        // 1344 samples, behind a stated length and one byte of low bits.
        assert_eq!(samples(&[0x20, 0, 0x12, 0, 0, 0x0a, 0x81]), Some(Some(1344)));
        assert_eq!(samples(&[0x20, 0, 0x12, 0, 0, 0x0a]), None);
        assert_eq!(samples(&[0x40, 0, 0x12, 0, 0, 0x0a, 0x81]), None, "another element");
    }
}
