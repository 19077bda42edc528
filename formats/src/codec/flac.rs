//! FLAC (RFC 9639), of 24 bits, which the samples of sources of fewer are exact in, at no cost: bits that are zero in all samples of
//! a frame are left out of it (9.2.2). Its header is the STREAMINFO block (8.2), without what only the whole stream tells: sizes of
//! frames, number of samples and checksum are zero, which stands for unknown.

use millrace_schemas::{AudioSettings, Sound};

use super::{AudioCodec, Codec, Kind, Priming, Seams, SoundHeader, SoundPacket};
use crate::layouts;

pub(super) const ENTRY: &dyn Codec = &Flac;

/// Bits of a sample.
const BITS: u32 = 24;
/// Samples in a packet: libFLAC's own length, within the streamable subset at all rates (RFC 9639, 7).
const FRAME_SIZE: i64 = 4096;
/// The highest rate of which a frame can state each (9.1.2), and the higher ones that have a code there.
const ANY_RATE: i32 = 65_535;
const HIGHER_RATES: [i32; 4] = [88_200, 96_000, 176_400, 192_000];
/// The layouts of channel assignments 0 to 7 (9.1.3), by libav's names.
const LAYOUTS: [&str; 8] = ["mono", "stereo", "3.0", "quad", "5.0(side)", "5.1(side)", "6.1", "7.1"];
/// The size of a STREAMINFO block, in bytes.
const STREAMINFO: usize = 34;

/// FLAC.
#[derive(Debug)]
pub(crate) struct Flac;

impl Codec for Flac {
    fn name(&self) -> &'static str {
        "flac"
    }

    fn kind(&self) -> Kind {
        Kind::Audio(&Flac)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["flac"]
    }

    /// Each frame states its number in the stream (9.1.5), which an encoder counts from 0.
    fn seams(&self) -> Seams {
        Seams::Whole
    }

    /// A file may say how many samples there are, which an encoder can't know when it begins.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        let is_of_whole = || stated_samples(file).and_then(|samples| with_samples(encoder, samples));
        encoder == file || (stated_samples(encoder).is_none() && is_of_whole().is_some_and(|whole| whole == file))
    }
}

impl AudioCodec for Flac {
    fn sample_format(&self) -> &'static str {
        "s32"
    }

    fn bits(&self) -> Option<u32> {
        Some(BITS)
    }

    fn frame_size(&self) -> i64 {
        FRAME_SIZE
    }

    fn settings(&self, sound: &Sound, _: Priming) -> (AudioSettings, Option<String>) {
        let rate = match sound.sample_rate {
            rate if rate <= ANY_RATE => rate.max(1),
            rate => layouts::rate(&HIGHER_RATES, rate),
        };
        layouts::settings((self.name(), "FLAC"), &LAYOUTS, sound, rate)
    }

    fn options(&self, _: &AudioSettings) -> Vec<(&'static str, String)> {
        vec![("frame_size", FRAME_SIZE.to_string()), ("bits_per_raw_sample", BITS.to_string())]
    }

    /// As a file begins: its marker, and the header of a last metadata block of this length (RFC 9639, 8.1 and 10.2).
    fn matroska_private(&self, header: &[u8]) -> Vec<u8> {
        let length = u8::try_from(header.len()).unwrap_or(0);
        [b"fLaC", &[0x80, 0, 0, length][..], header].concat()
    }

    /// Files state the bits of a sample beside the header, too (8.2: five bits, one less than they are).
    fn copy_refusal(&self, headers: &[u8]) -> Option<String> {
        let bits = |header: &[u8]| Some((u32::from(header.get(12)? & 1) << 4 | u32::from(header.get(13)? >> 4)) + 1);
        let bits = bits(headers).unwrap_or(0);
        (bits != BITS).then(|| format!("copies of FLAC are of {BITS} bits a sample, not of {bits}"))
    }

    fn read_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let header: &[u8; STREAMINFO] = header.try_into().ok()?;
        // The least and the most samples in a frame: the same, of frames of one length.
        let [a, b, c, d, ..] = *header;
        if (a, b) != (c, d) {
            return None;
        }
        // 20 bits of the rate, and 3 of the channels less one.
        let bits = u32::from_be_bytes([header[10], header[11], header[12], header[13]]);
        Some(SoundHeader {
            sample_rate: i32::try_from(bits >> 12).ok()?,
            channels: Some(i32::try_from(bits >> 9 & 7).ok()? + 1),
            frame_length: i64::from(u16::from_be_bytes([a, b])),
        })
    }

    fn stated_samples(&self, header: &[u8]) -> Option<i64> {
        stated_samples(header)
    }

    fn header_of_whole(&self, header: &[u8], samples: i64) -> Option<Vec<u8>> {
        with_samples(header, samples)
    }

    /// The header of a frame (9.1).
    fn read_packet(&self, packet: &[u8], _: i32) -> Option<SoundPacket> {
        // 15 bits of synchronization, and a zero: all frames but the last are of one length.
        let [0xff, 0xf8, lengths, channels, number, ..] = *packet else { return None };
        let channels = match channels >> 4 {
            few @ 0..8 => i32::from(few) + 1,
            8..11 => 2,
            _ => return None,
        };
        // The number of the frame is as long as UTF-8 has it, of up to 36 bits.
        let at = 4 + match number.leading_ones() {
            0 => 1,
            bytes @ 2..=7 => bytes as usize,
            _ => return None,
        };
        let byte = |at: usize| packet.get(at).copied().map(u16::from);
        let (samples, after) = match lengths >> 4 {
            0 => return None,
            1 => (192, at),
            code @ 2..6 => (144 << code, at),
            6 => (i64::from(byte(at)?) + 1, at + 1),
            7 => (i64::from(byte(at)? << 8 | byte(at + 1)?) + 1, at + 2),
            code => (1 << code, at),
        };
        let sample_rate = match lengths & 15 {
            0 => None,
            code @ 1..12 => Some(
                [
                    88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
                ][usize::from(code) - 1],
            ),
            12 => Some(i32::from(byte(after)?) * 1000),
            code @ 13..15 => {
                let number = i32::from(byte(after)? << 8 | byte(after + 1)?);
                Some(if code == 13 { number } else { number * 10 })
            }
            _ => return None,
        };
        Some(SoundPacket { sample_rate, channels: Some(channels), samples: Some(samples) })
    }
}

/// The byte in whose lower half the number of samples begins, of 36 bits.
const SAMPLES_AT: usize = 13;

/// Returns the number of samples in a header; `None` if it is unknown.
fn stated_samples(header: &[u8]) -> Option<i64> {
    let bytes = header.get(SAMPLES_AT..)?.first_chunk::<5>()?;
    let samples = bytes.iter().fold(0, |all, byte| all << 8 | i64::from(*byte)) & ((1 << 36) - 1);
    (samples > 0).then_some(samples)
}

/// Returns a header with this number of samples; `None` if it has no room for so many.
fn with_samples(header: &[u8], samples: i64) -> Option<Vec<u8>> {
    let mut header = header.to_vec();
    let samples = u64::try_from(samples).ok().filter(|samples| samples >> 36 == 0)?.to_be_bytes();
    let bytes = header.get_mut(SAMPLES_AT..)?.first_chunk_mut::<5>()?;
    bytes[0] = bytes[0] & 0xf0 | samples[3];
    bytes[1..].copy_from_slice(&samples[4..]);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4096 samples in each frame, 48 kHz, two channels of 24 bits.
    fn header() -> Vec<u8> {
        let mut header = vec![0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0xb8, 0x03, 0x70];
        header.resize(STREAMINFO, 0);
        header
    }

    #[test]
    fn a_header_states_rate_channels_and_the_length_of_packets() {
        let stated = SoundHeader { sample_rate: 48_000, channels: Some(2), frame_length: 4096 };
        assert_eq!(Flac.read_header(&header()), Some(stated));
        assert_eq!(Flac.read_header(&header()[..33]), None);
        assert_eq!(Flac.read_header(&[header(), vec![0]].concat()), None);
        let mut of_two_lengths = header();
        of_two_lengths[0] = 1;
        assert_eq!(Flac.read_header(&of_two_lengths), None);
    }

    #[test]
    fn a_file_may_say_how_many_samples_there_are_and_nothing_else() {
        let whole = Flac.header_of_whole(&header(), 0x0f_0000_0001).unwrap();
        assert_eq!((Flac.stated_samples(&header()), Flac.stated_samples(&whole)), (None, Some(0x0f_0000_0001)));
        assert!(Flac.headers_agree(&header(), &header()) && Flac.headers_agree(&header(), &whole));
        assert!(!Flac.headers_agree(&whole, &header()));
        let kept = (0..STREAMINFO).filter(|at| !(SAMPLES_AT..SAMPLES_AT + 5).contains(at));
        for at in kept {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert!(!Flac.headers_agree(&header(), &other), "{at}");
        }
        assert!(!Flac.headers_agree(&header(), &[]));
        assert_eq!(Flac.header_of_whole(&header(), 1 << 36), None);
    }

    fn read(packet: &[u8]) -> Option<(Option<i32>, i32, i64)> {
        let packet = Flac.read_packet(packet, 2)?;
        Some((packet.sample_rate, packet.channels?, packet.samples?))
    }

    #[test]
    fn a_packet_states_its_rate_its_channels_and_its_length() {
        assert_eq!(read(&[0xff, 0xf8, 0xca, 0xac, 5]), Some((Some(48_000), 2, 4096)));
        assert_eq!(read(&[0xff, 0xf8, 0x50, 0x0c, 5]), Some((None, 1, 4608)));
        assert_eq!(read(&[0xff, 0xf8, 0x1a, 0x5c, 5]), Some((Some(48_000), 6, 192)));
        // The number takes two bytes, the length two, and the rate two.
        assert_eq!(
            read(&[0xff, 0xf8, 0x7d, 0x1c, 0xc2, 0x80, 0x03, 0xe7, 0x2b, 0x11]),
            Some((Some(11_025), 2, 1000))
        );
        assert_eq!(read(&[0xff, 0xf8, 0x6c, 0x1c, 0, 99, 12]), Some((Some(12_000), 2, 100)));
    }

    #[test]
    fn a_packet_that_is_cut_off_or_of_reserved_values_is_not_read() {
        for packet in [
            &[0xff, 0xf8, 0xca, 0xac][..],
            &[0xff, 0xf9, 0xca, 0xac, 5],
            &[0xff, 0xf8, 0x0a, 0xac, 5],
            &[0xff, 0xf8, 0xcf, 0xac, 5],
            &[0xff, 0xf8, 0xca, 0xbc, 5],
            &[0xff, 0xf8, 0xca, 0xac, 0x80],
            &[0xff, 0xf8, 0x7a, 0xac, 5, 1],
            &[0xff, 0xf8, 0xcd, 0xac, 5, 1],
        ] {
            assert_eq!(read(packet), None, "{packet:x?}");
        }
    }

    #[test]
    fn a_rate_stays_where_frames_can_state_it() {
        let rate = |sample_rate| {
            let sound = Sound { sample_rate, channels: 2, layout: "stereo".into() };
            Flac.settings(&sound, Priming::Signalled).0.sample_rate
        };
        assert_eq!([rate(11_025), rate(96_000), rate(90_000), rate(384_000)], [11_025, 96_000, 96_000, 192_000]);
    }
}
