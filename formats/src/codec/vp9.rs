//! VP9 (VP9 Bitstream & Decoding Process Specification, version 0.6): the same bytes from the encoder and in files. There are no
//! headers but those in keyframes.

use millrace_schemas::VideoSettings;

use super::{Codec, Form, Kind, Quality, Seams, VideoCodec};
use crate::{bits::Bits, pixels::Pixels};

pub(super) const ENTRY: &dyn Codec = &Vp9;

/// VP9.
#[derive(Debug)]
pub(crate) struct Vp9;

impl Codec for Vp9 {
    fn name(&self) -> &'static str {
        "vp9"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&Vp9)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libvpx-vp9"]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    /// There are none, of either.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        encoder.is_empty() && file.is_empty()
    }

    /// The first frame of the packet is a keyframe, which is shown. A hidden one in front of it (annex B) may need others.
    fn is_keyframe(&self, packet: &[u8], _: Form) -> bool {
        is_shown_keyframe(packet).unwrap_or(false)
    }
}

/// Reads the start of an uncompressed header (6.2).
fn is_shown_keyframe(frame: &[u8]) -> Option<bool> {
    let mut bits = Bits::new(frame);
    if bits.number(2)? != 2 {
        return Some(false);
    }
    let (low, high) = (bits.flag()?, bits.flag()?);
    if low && high {
        bits.skip(1)?;
    }
    let shows_existing = bits.flag()?;
    let (is_inter, is_shown) = (bits.flag()?, bits.flag()?);
    let _error_resilient = bits.flag()?;
    Some(!shows_existing && !is_inter && is_shown && bits.number(24)? == 0x49_83_42)
}

/// Levels (annex A) with the most luma samples a second and in a picture.
const LEVELS: [(u8, i64, i64); 14] = [
    (10, 829_440, 36_864),
    (11, 2_764_800, 73_728),
    (20, 4_608_000, 122_880),
    (21, 9_216_000, 245_760),
    (30, 20_736_000, 552_960),
    (31, 36_864_000, 983_040),
    (40, 83_558_400, 2_228_224),
    (41, 160_432_128, 2_228_224),
    (50, 311_951_360, 8_912_896),
    (51, 588_251_136, 8_912_896),
    (52, 1_176_502_272, 8_912_896),
    (60, 1_176_502_272, 35_651_584),
    (61, 2_353_004_544, 35_651_584),
    (62, 4_706_009_088, 35_651_584),
];

/// The first level that has room; 0 if none has.
fn level(area: i64, rate: f64) -> u8 {
    let has_room = |(_, samples, picture): &&(u8, i64, i64)| {
        area <= *picture && area as f64 * rate <= *samples as f64
    };
    LEVELS.iter().find(has_room).map_or(0, |(level, ..)| *level)
}

/// A code point of colour as it is stated where 0 is no colour.
fn specified(point: i32) -> u8 {
    u8::try_from(point).ok().filter(|point| *point != 0).unwrap_or(2)
}

/// More pictures than an interval of keyframes has.
const MOST_PICTURES: i32 = 1_000_000;

impl VideoCodec for Vp9 {
    fn pixel_formats(&self) -> &'static [&'static str] {
        &["yuv420p", "yuv420p10le"]
    }

    /// Its values of `cpu-used`.
    fn presets(&self) -> &'static [&'static str] {
        &["5", "4", "3", "2", "1", "0"]
    }

    fn usual_preset(&self) -> &'static str {
        "3"
    }

    /// 0 would be lossless.
    fn quality(&self) -> Quality {
        Quality { best: 1.0, worst: 63.0, usual: 31.0, step: 1.0, halving: 11.0, bits: 0.055 }
    }

    /// It has no fields, and whole numbers of quality.
    fn fit(&self, settings: &mut VideoSettings) {
        settings.field_order = 0;
        settings.crf = settings.crf.round();
    }

    /// Those of libvpx.
    fn options(&self, settings: &VideoSettings) -> Vec<(&'static str, String)> {
        let mut options = vec![
            ("deadline", "good".into()),
            ("cpu-used", settings.preset.clone()),
            ("crf", settings.crf.to_string()),
            // Constant quality, with no bit rate that it must stay below.
            ("b", "0".into()),
            // A hidden picture would be made of one behind the next keyframe, and lie in front of it, in one packet.
            ("auto-alt-ref", "0".into()),
            ("lag-in-frames", "25".into()),
            ("row-mt", "1".into()),
            // As many columns as the width allows, whatever the threads: libvpx takes fewer where there is no room.
            ("tile-columns", "6".into()),
        ];
        if settings.keyframe_grid.is_some() {
            // Keyframes at the same times in several renditions: where both distances are equal, libvpx places none by itself but at
            // that distance, which no interval reaches.
            options.push(("g", MOST_PICTURES.to_string()));
            options.push(("keyint_min", MOST_PICTURES.to_string()));
        }
        options
    }

    /// Files state profile and depth beside the packets (VP Codec ISO Media File Format Binding 1.0), which are those of 8 bits.
    fn copy_refusal(&self, settings: &VideoSettings, headers: &[u8]) -> Option<String> {
        if !self.pixel_formats().contains(&settings.pixel_format.as_str()) {
            return Some(format!("copies of VP9 are of {}, not of {}", self.pixel_formats().join(", "), settings.pixel_format));
        }
        (!headers.is_empty()).then(|| "its container has headers of it that copies do not carry".into())
    }

    /// The VPCodecConfigurationBox of an mp4 (VP Codec ISO Media File Format Binding 1.0).
    fn entry_agrees(&self, settings: &VideoSettings, entry: &[([u8; 4], Vec<u8>)]) -> bool {
        let mut records = entry.iter().filter(|(code, _)| code == b"vpcC").map(|(_, record)| record);
        let (Some(record), None) = (records.next(), records.next()) else { return false };
        let area = i64::from(settings.width) * i64::from(settings.height);
        let color = settings.color;
        // libavformat takes chroma for colocated where it is not stated that it is between.
        let depth = Pixels::of(&settings.pixel_format).map_or(8, |pixels| pixels.depth as u8);
        let (profile, chroma) = (if depth > 8 { 2 } else { 0 }, u8::from(color.chroma != 1));
        let range = u8::from(color.range == 2);
        let expected = |level: u8| {
            let sampling = depth << 4 | chroma << 1 | range;
            let color = [specified(color.primaries), specified(color.transfer), specified(color.matrix)];
            [1, 0, 0, 0, profile, level, sampling, color[0], color[1], color[2], 0, 0]
        };
        // Newer versions of libavformat go by the size alone.
        [level(area, settings.frame_rate.as_f64()), level(area, 0.0)]
            .iter()
            .any(|level| record.as_slice() == expected(*level))
    }

    /// 25 that are looked ahead at, and eight references, each with copies of other sizes. Measured at 720p: 220 MB in all.
    fn held_pictures(&self) -> u64 {
        70
    }

    /// Measured at 720p against x264's preset medium: 2.6 times the CPU time at preset 3, 17 times at 0.
    fn effort(&self) -> f64 {
        20.0
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Picture, Ratio};

    use super::*;
    use crate::ask::VideoAsk;

    #[test]
    fn decoding_begins_at_a_keyframe_that_is_shown() {
        let is_key = |packet: &[u8]| Vp9.is_keyframe(packet, Form::File);
        assert!(is_key(&[0x82, 0x49, 0x83, 0x42, 0]));
        assert!(!is_key(&[0x80, 0x49, 0x83, 0x42, 0]), "hidden");
        assert!(!is_key(&[0x86, 0x49, 0x83, 0x42, 0]), "of others");
        assert!(!is_key(&[0x88, 0x49, 0x83, 0x42, 0]), "shown again");
        assert!(!is_key(&[0x82, 0x49, 0x83, 0x43, 0]), "without its code");
        assert!(!is_key(&[0x82]) && !is_key(&[]) && !is_key(&[0x42, 0x49, 0x83, 0x42]));
    }

    #[test]
    fn there_are_no_headers() {
        assert!(Vp9.headers_agree(&[], &[]));
        assert!(!Vp9.headers_agree(&[], &[1]) && !Vp9.headers_agree(&[1], &[1]));
    }

    #[test]
    fn the_record_of_a_file_is_that_of_the_settings() {
        let color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
        let source = Picture { color, ..Picture::plain((1920, 1080), Ratio { num: 60, den: 1 }, Ratio { num: 1, den: 1000 }) };
        let settings = ENTRY.video_settings(&source, &VideoAsk::default()).unwrap();
        let agrees = |record: &[u8]| Vp9.entry_agrees(&settings, &[(*b"pasp", vec![0]), (*b"vpcC", record.to_vec())]);
        let right = [1, 0, 0, 0, 0, 41, 0x80, 1, 1, 1, 0, 0];
        assert!(agrees(&right));
        for at in 0..right.len() {
            let mut other = right;
            other[at] ^= 4;
            assert!(!agrees(&other), "another byte {at}");
        }
        let deep = VideoSettings { pixel_format: "yuv420p10le".into(), ..settings.clone() };
        let of_ten_bits = [1, 0, 0, 0, 2, 41, 0xa0, 1, 1, 1, 0, 0];
        assert!(Vp9.entry_agrees(&deep, &[(*b"vpcC", of_ten_bits.to_vec())]) && !agrees(&of_ten_bits));
        let by_size = [1, 0, 0, 0, 0, 40, 0x80, 1, 1, 1, 0, 0];
        assert!(agrees(&by_size) && !agrees(&right[..11]));
        assert!(!Vp9.entry_agrees(&settings, &[]));
        assert!(!Vp9.entry_agrees(&settings, &[(*b"vpcC", right.to_vec()), (*b"vpcC", right.to_vec())]));
    }
}
