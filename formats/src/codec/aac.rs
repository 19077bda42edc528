//! AAC-LC: its header is an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1), the same in work objects and in files.

mod adts;
pub(crate) mod layouts;

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, BitRates, Codec, Form, Kind, Priming, Seams, SoundHeader, SoundPacket};
use adts::{FRAME_SIZE, LOW_COMPLEXITY, RATES};
use layouts::Fit;

pub(super) const ENTRY: &dyn Codec = &Aac;

/// Of all channels together. The encoder lowers what is more than 6,144 bits a packet and channel.
const BIT_RATES: BitRates = BitRates { least: 16_000, most: 1_024_000, usual: 128_000 };
/// How many frames are encoded before a part begins and thrown away. Windows and bits in hand stand where they would after 32,
/// but how finely it quantizes goes on settling: measured on tones, the error was 9 dB above the rest after 32, and is where it
/// would be after 60.
const LEAD_IN: i64 = 128;
/// How many frames behind the end of a part are encoded: what the last packets overlap with, and are weighed by.
const LEAD_OUT: i64 = 4;
/// The lowest rate at which an encoder's priming may be heard: 32 ms of it.
const LOWEST_PRIMED: i32 = 32_000;

/// The index behind which a rate is written out.
const ANY_RATE: u32 = 15;

/// AAC-LC.
#[derive(Debug)]
pub(crate) struct Aac;

impl Codec for Aac {
    fn name(&self) -> &'static str {
        "aac"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Aac)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["aac"]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    fn is_framed(&self, packet: &[u8], encoder: &[u8]) -> bool {
        adts::agrees(packet, encoder)
    }

    /// A stream has a header before each packet, from which all else is told.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        give(if form == Form::Stream { adts::payload(packet).unwrap_or(packet) } else { packet });
    }
}

impl AudioCodec for Aac {
    fn sample_format(&self) -> &'static str {
        "fltp"
    }

    fn bit_rates(&self) -> Option<BitRates> {
        Some(BIT_RATES)
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    fn lead_in(&self) -> i64 {
        LEAD_IN
    }

    fn lead_out(&self) -> i64 {
        LEAD_OUT
    }

    /// A rate that AAC has not becomes the next higher one that it has.
    fn settings(&self, sound: &Sound, priming: Priming) -> (AudioSettings, Option<String>) {
        let Sound { sample_rate, channels, ref layout } = *sound;
        let rate = rates().find(|rate| *rate >= sample_rate).unwrap_or(RATES[0]);
        let rate = match priming {
            Priming::Signalled => rate,
            // Before the sound comes a packet of priming; where it is heard, it is to be short. Multiples keep the samples.
            Priming::Heard => {
                rates().find(|known| *known >= LOWEST_PRIMED && known % rate == 0).unwrap_or(rate)
            }
        };
        let (made, count, fit) = layouts::aac_layout(layout, channels);
        let settings = AudioSettings {
            codec: self.name().into(),
            bit_rate: BIT_RATES.usual,
            encoder: String::new(),
            sample_rate: rate,
            channels: count,
            layout: made.clone(),
            filters: None,
            bits: 0,
        };
        let (from, to) = (layouts::describe(layout, channels), layouts::describe(&made, count));
        let remark = match fit {
            Fit::Kept => None,
            Fit::Renamed => Some(format!("AAC has no channel layout {from}: its channels are called {to}")),
            Fit::Widened => Some(format!("AAC has no channel layout {from}: its channels are kept in {to}")),
            Fit::MixedDown => Some(format!("AAC has no channel layout {from}: it is mixed down to {to}")),
        };
        (settings, remark)
    }

    /// libavformat lists channels that have no configuration of their own in front of the first packet alone, so that nobody who begins
    /// elsewhere could decode the sound.
    fn fit_stream(&self, settings: &mut AudioSettings) -> Option<String> {
        let from = layouts::describe(&settings.layout, settings.channels);
        let (to, channels) = layouts::stream_layout(&settings.layout, settings.channels)?;
        (settings.layout, settings.channels) = (to, channels);
        let to = layouts::describe(&settings.layout, channels);
        Some(format!("AAC in a stream has no channel layout {from}: its channels are kept in {to}"))
    }

    fn read_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let mut bits = Bits { bytes: header, at: 0 };
        if bits.take(5)? != LOW_COMPLEXITY {
            return None;
        }
        let sample_rate = match bits.take(4)? {
            ANY_RATE => i32::try_from(bits.take(24)?).ok()?,
            index => *RATES.get(index as usize)?,
        };
        let channels = match bits.take(4)? {
            0 => None,
            7 => Some(8),
            channels => Some(i32::try_from(channels).ok()?),
        };
        // `frameLengthFlag` (4.4.1).
        let frame_length = if bits.take(1)? == 1 { 960 } else { FRAME_SIZE };
        Some(SoundHeader { sample_rate, channels, frame_length })
    }

    fn read_stream_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        adts::read(packet)
    }
}

/// The sampling rates, the lowest first.
fn rates() -> impl Iterator<Item = i32> {
    RATES.into_iter().rev()
}

/// Reads bits, the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits as a number, at most 32; `None` if there are fewer.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sample_rate: i32, channels: Option<i32>, frame_length: i64) -> SoundHeader {
        SoundHeader { sample_rate, channels, frame_length }
    }

    #[test]
    fn a_header_states_rate_channels_and_the_length_of_packets() {
        let read = |bytes: &[u8]| Aac.read_header(bytes);
        assert_eq!(read(&[0x11, 0x90]), Some(header(48_000, Some(2), 1024)));
        assert_eq!(read(&[0x12, 0x10]), Some(header(44_100, Some(2), 1024)));
        assert_eq!(read(&[0x11, 0x88]), Some(header(48_000, Some(1), 1024)));
        assert_eq!(read(&[0x11, 0xb8]), Some(header(48_000, Some(8), 1024)));
        assert_eq!(read(&[0x11, 0x94]), Some(header(48_000, Some(2), 960)));
        assert_eq!(read(&[0x11, 0x80, 0x04, 0xc8]), Some(header(48_000, None, 1024)), "channels one by one");
        // 37,800 a second, written out.
        assert_eq!(read(&[0x17, 0x80, 0x49, 0xd4, 0x10]), Some(header(37_800, Some(2), 1024)));
    }

    #[test]
    fn a_header_that_is_cut_off_or_of_another_kind_is_not_read() {
        // Index 13 is reserved; object type 5 is of another kind of AAC.
        for bytes in [&[][..], &[0x11], &[0x17, 0x80, 0x49, 0xd4], &[0x16, 0x90], &[0x29, 0x90]] {
            assert_eq!(Aac.read_header(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn headers_are_compared_by_each_byte() {
        assert!(Aac.headers_agree(&[0x12, 0x10], &[0x12, 0x10]));
        assert!(!Aac.headers_agree(&[0x12, 0x10], &[0x12, 0x08]));
        assert!(!Aac.headers_agree(&[0x12, 0x10], &[0x12, 0x10, 0]));
    }

    fn made(sample_rate: i32, layout: &str, channels: i32, priming: Priming) -> (i32, Option<String>) {
        let sound = Sound { sample_rate, channels, layout: layout.into() };
        let (settings, remark) = Aac.settings(&sound, priming);
        (settings.sample_rate, remark)
    }

    #[test]
    fn a_rate_that_aac_has_not_becomes_the_next_that_it_has() {
        let rate = |rate| made(rate, "stereo", 2, Priming::Signalled).0;
        assert_eq!([rate(44_100), rate(10_000), rate(192_000)], [44_100, 11_025, 96_000]);
    }

    #[test]
    fn what_becomes_of_channels_is_said_by_the_names_of_layouts() {
        let remark = |layout, channels| made(48_000, layout, channels, Priming::Signalled).1;
        assert_eq!(remark("5.1", 6), None);
        let side = "AAC has no channel layout 5.1(side): its channels are called 5.1";
        assert_eq!(remark("5.1(side)", 6).as_deref(), Some(side));
        let seven = "AAC has no channel layout of 7 channels: its channels are kept in 7.1";
        assert_eq!(remark("7 channels", 7).as_deref(), Some(seven));
    }

    #[test]
    fn in_a_stream_channels_are_those_of_a_configuration() {
        let fit = |layout: &str, channels: i32| {
            let sound = Sound { sample_rate: 48_000, channels, layout: layout.into() };
            let (mut settings, _) = Aac.settings(&sound, Priming::Heard);
            let remark = Aac.fit_stream(&mut settings);
            (settings.layout, settings.channels, remark)
        };
        let quad = "AAC in a stream has no channel layout quad: its channels are kept in 5.0";
        assert_eq!(fit("quad", 4), (String::new(), 5, Some(quad.into())));
        assert_eq!((fit("2.1", 3).1, fit("3.0(back)", 3).1), (6, 4));
        for (layout, channels) in [("mono", 1), ("stereo", 2), ("3.0", 3), ("4.0", 4), ("5.0", 5), ("5.1", 6), ("7.1", 8)] {
            let (_, made, remark) = fit(layout, channels);
            assert_eq!((made, remark), (channels, None), "{layout}");
        }
    }

    #[test]
    fn where_priming_is_heard_low_rates_become_multiples() {
        for (source, rate) in [
            (8000, 32_000),
            (16_000, 32_000),
            (11_025, 44_100),
            (12_000, 48_000),
            (7350, 44_100),
            (44_100, 44_100),
        ] {
            assert_eq!(made(source, "mono", 1, Priming::Heard).0, rate, "{source}");
        }
    }
}
