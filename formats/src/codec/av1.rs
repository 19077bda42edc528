//! AV1 (AV1 Bitstream & Decoding Process Specification): units (OBUs) from the encoder, and the same in files but for those that
//! only separate others (AV1 Codec ISO Media File Format Binding, 2.4).

mod obus;

use millrace_schemas::VideoSettings;

use super::{Codec, Form, Kind, Quality, Seams, VideoCodec};
use crate::color::{levels, mastering};
use obus::{FRAME, FRAME_HEADER, METADATA, SEQUENCE_HEADER, is_separator, obus, sequence};

pub(super) const ENTRY: &dyn Codec = &Av1;

/// AV1.
#[derive(Debug)]
pub(crate) struct Av1;

impl Codec for Av1 {
    fn name(&self) -> &'static str {
        "av1"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&Av1)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libsvtav1"]
    }

    /// Its encoder places keyframes by itself.
    fn seams(&self) -> Seams {
        Seams::OwnEncode
    }

    /// The encoder's headers are units; those of a file are an AV1CodecConfigurationRecord (AV1 Codec ISO Media File Format
    /// Binding, 2.3), which is compared byte for byte.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        record(encoder).is_some_and(|record| record == file)
    }

    /// The packet has a sequence header, and behind it a keyframe that is shown (7.6.2).
    fn is_keyframe(&self, packet: &[u8], _: Form) -> bool {
        let Some(units) = obus(packet) else { return false };
        let is_frame = |kind: u8| kind == FRAME || kind == FRAME_HEADER;
        let Some(frame) = units.iter().position(|unit| is_frame(unit.kind)) else { return false };
        // `show_existing_frame`, `frame_type` and `show_frame` (5.9.2).
        let is_shown_key = units[frame].payload.first().is_some_and(|byte| byte >> 4 == 0b0001);
        is_shown_key && units[..frame].iter().any(|unit| unit.kind == SEQUENCE_HEADER)
    }

    /// Each unit, but of an encoder's packet those that files leave out. Bytes that are no unit are given as they are.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        match obus(packet).filter(|_| form == Form::Encoder) {
            None => give(packet),
            Some(units) => {
                units.iter().filter(|unit| !is_separator(unit.kind)).for_each(|unit| give(unit.whole));
            }
        }
    }
}

/// Returns the record that files have of these headers; `None` where they can't be read.
fn record(encoder: &[u8]) -> Option<Vec<u8>> {
    let units = obus(encoder)?;
    let mut of_sequence = units.iter().filter(|unit| unit.kind == SEQUENCE_HEADER);
    let (header, None) = (of_sequence.next()?, of_sequence.next()) else { return None };
    let mut record = sequence(header.payload)?.to_vec();
    record.extend_from_slice(header.whole);
    let metadata = units.iter().filter(|unit| unit.kind == METADATA);
    metadata.for_each(|unit| record.extend_from_slice(unit.whole));
    Some(record)
}

/// What the encoder is told of light, in units: it takes fractions.
fn light(settings: &VideoSettings) -> String {
    let Some(light) = &settings.light else { return String::new() };
    // Steps of 0.00002 and of 0.0001.
    let point = |steps: i32| format!("{}.{:05}", steps / 50_000, steps % 50_000 * 2);
    let luminance = |steps: i32| format!("{}.{:04}", steps / 10_000, steps % 10_000);
    let display = mastering(light, point, luminance).map(|display| format!(":mastering-display={display}"));
    let levels = levels(light).map(|levels| format!(":content-light={levels}"));
    [display, levels].into_iter().flatten().collect()
}

/// Returns the sequence header in the record of a file (2.3.3: four bytes, then units); `None` if it can't be read, or holds none.
fn stored_sequence(record: &[u8]) -> Option<&[u8]> {
    let (&[0x81, ..], units) = record.split_first_chunk::<4>()? else { return None };
    obus(units)?.into_iter().find(|unit| unit.kind == SEQUENCE_HEADER).map(|unit| unit.payload)
}

/// The smallest side of a picture that the encoder takes, in pixels.
const SMALLEST_SIDE: i32 = 64;

impl VideoCodec for Av1 {
    fn pixel_formats(&self) -> &'static [&'static str] {
        &["yuv420p", "yuv420p10le"]
    }

    /// From 13 on they are for tests of the encoder.
    fn presets(&self) -> &'static [&'static str] {
        &["12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    }

    fn usual_preset(&self) -> &'static str {
        "8"
    }

    /// 0 would be another rate control.
    fn quality(&self) -> Quality {
        Quality { best: 1.0, worst: 63.0, usual: 35.0, step: 1.0, halving: 12.0, bits: 0.04 }
    }

    /// It has no fields, and whole numbers of quality.
    fn fit(&self, settings: &mut VideoSettings) {
        settings.field_order = 0;
        settings.crf = settings.crf.round();
    }

    /// Those of SVT-AV1, for one thread.
    fn options(&self, settings: &VideoSettings) -> Vec<(&'static str, String)> {
        self.options_for(settings, 1)
    }

    fn options_for(&self, settings: &VideoSettings, threads: i32) -> Vec<(&'static str, String)> {
        // `irefresh-type=2`: no picture behind a keyframe needs one before it. `lp`: the cores that it starts threads for; more
        // hold more pictures and are no faster (its own documentation).
        let svt = format!("irefresh-type=2:lp={}{}", threads.clamp(1, 16), light(settings));
        vec![("preset", settings.preset.clone()), ("crf", settings.crf.to_string()), ("svtav1-params", svt)]
    }

    fn places_keyframes(&self) -> bool {
        false
    }

    /// A record may also leave the sequence header to the packets (AV1 Codec ISO Media File Format Binding, 2.3.3).
    fn copy_refusal(&self, _: &VideoSettings, headers: &[u8]) -> Option<String> {
        let lacks = stored_sequence(headers).is_none();
        lacks.then(|| "its codec headers lack the sequence header, which lies between its pictures".into())
    }

    fn refusal(&self, settings: &VideoSettings) -> Option<String> {
        let (width, height) = (settings.width, settings.height);
        if width.min(height) < SMALLEST_SIDE {
            return Some(format!("pictures of {width}x{height} are too small for AV1, whose encoder takes {SMALLEST_SIDE} pixels a side or more; ask for another codec"));
        }
        (settings.keyframe_seconds > 0.0).then(|| {
            "the encoder of AV1 places keyframes by itself; leave the keyframe interval out, or ask for another codec".into()
        })
    }

    /// Its pipeline holds pictures of several groups, each with smaller copies. Measured at 720p, preset 8, four cores: 280 MB in all.
    fn held_pictures(&self) -> u64 {
        200
    }

    /// Measured at 720p against x264's preset medium: three times the CPU time at preset 8. Each slower one takes up to 1.6 times
    /// the one before.
    fn effort(&self) -> f64 {
        100.0
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Light, Picture, Ratio};

    use super::*;
    use crate::ask::VideoAsk;

    // That of SVT-AV1 1.4 for 320x180, and what FFmpeg 5.1 writes of it.
    const SEQUENCE: [u8; 13] = [0x0a, 0x0b, 0, 0, 0, 4, 0x3c, 0xfe, 0xcc, 0x02, 0xf8, 0, 0x40];
    const RECORD: [u8; 4] = [0x81, 0, 0x0c, 0];

    #[test]
    fn headers_are_the_encoders_or_others() {
        let file = [&RECORD[..], &SEQUENCE].concat();
        assert!(Av1.headers_agree(&SEQUENCE, &file));
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 1;
            assert!(!Av1.headers_agree(&SEQUENCE, &other), "another byte {at}");
        }
        assert!(!Av1.headers_agree(&SEQUENCE, &file[..16]) && !Av1.headers_agree(&[], &[]));
        assert!(!Av1.headers_agree(&SEQUENCE, &[&file[..], &SEQUENCE].concat()));
        assert!(Av1.headers_agree(&[&[0x12, 0][..], &SEQUENCE].concat(), &file), "a delimiter in front");
    }

    #[test]
    fn the_encoder_is_told_of_light_in_units() {
        let color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let plain = Picture::plain((1280, 720), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 90_000 });
        let light = Light {
            mastering: vec![34_000, 16_000, 13_250, 34_500, 7500, 3000, 15_635, 16_450, 10_000_000, 50],
            most: 1000,
            most_average: 0,
        };
        let source = Picture { color, light: Some(light), ..plain };
        let ask = VideoAsk { keeps_range: true, ..VideoAsk::default() };
        let settings = ENTRY.video_settings(&source, &ask).unwrap();
        assert_eq!(settings.pixel_format, "yuv420p10le", "8 bits of the source are kept in 10");
        let (_, svt) = Av1.options(&settings).pop().unwrap();
        let told = "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(1000.0000,0.0050)";
        assert_eq!(svt, format!("irefresh-type=2:lp=1:{told}:content-light=1000,0"));
        let mapped = ENTRY.video_settings(&source, &VideoAsk::default()).unwrap();
        assert_eq!((mapped.light, mapped.pixel_format.as_str(), mapped.tone_map), (None, "yuv420p", true));
    }

    #[test]
    fn decoding_begins_at_a_sequence_header_and_a_keyframe_that_is_shown() {
        let packet = |header: &[u8], frame: u8| [&[0x12, 0][..], header, &[0x32, 2, frame, 9]].concat();
        let is_key = |packet: &[u8]| Av1.is_keyframe(packet, Form::Encoder);
        assert!(is_key(&packet(&SEQUENCE, 0x10)));
        assert!(!is_key(&packet(&[], 0x10)), "no header");
        assert!(!is_key(&packet(&SEQUENCE, 0x00)), "hidden");
        assert!(!is_key(&packet(&SEQUENCE, 0x30)), "a picture of others");
        assert!(!is_key(&packet(&SEQUENCE, 0x90)), "shown again");
        assert!(!is_key(&packet(&SEQUENCE, 0x10)[..17]), "cut off");
    }

    #[test]
    fn a_packet_is_the_same_in_both_forms() {
        let content = |packet: &[u8], form| {
            let mut all = Vec::new();
            Av1.content(packet, form, &mut |bytes| all.extend_from_slice(bytes));
            all
        };
        let frame = [0x32, 2, 0x10, 9];
        let encoder = [&[0x12, 0][..], &SEQUENCE, &frame].concat();
        let file = [&SEQUENCE[..], &frame].concat();
        assert_eq!(content(&encoder, Form::Encoder), content(&file, Form::File));
        assert_ne!(content(&encoder, Form::File), content(&file, Form::File), "a file holds no delimiter");
        for other in [&file[..16], &[&file[..], &[0]].concat()] {
            assert_ne!(content(other, Form::File), content(&file, Form::File));
        }
    }
}
