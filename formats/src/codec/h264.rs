//! H.264: a byte stream (ITU-T H.264, Annex B) from the encoder, units behind their lengths in files (ISO/IEC 14496-15).

mod splice;
mod unit;

use millrace_schemas::VideoSettings;

use self::unit::{
    ENHANCEMENT, FRAMING, IDR_PICTURE, PICTURE_PARAMETERS, RECOVERY_POINT, SEQUENCE_PARAMETERS, is_of_type,
};
use super::{Codec, Form, Kind, Quality, Seams, Splice, VideoCodec, buffer_options};
use crate::{
    color::{levels, mastering},
    sets::{avc_record, has_more, refusal},
    slices::{ReadSlices, avc},
    units::{each_unit, framed_units, units, units_of},
};

pub(super) const ENTRY: &dyn Codec = &H264;

/// The pixel formats that are made, first what every player decodes. The others are those of the profiles High 10, High 4:2:2 and High
/// 4:4:4 Predictive, for editing and for keeping.
const PIXEL_FORMATS: &[&str] =
    &["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le"];

/// H.264.
#[derive(Debug)]
pub(crate) struct H264;

impl Codec for H264 {
    fn name(&self) -> &'static str {
        "h264"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&H264)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libx264"]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    /// The encoder's headers are units of its byte stream; those of a file are an AVCDecoderConfigurationRecord
    /// (ISO/IEC 14496-15, 5.3.3.1), which is compared byte for byte, up to the four bytes of chroma behind it.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        let units = units(encoder);
        let of_type = |kind: u8| -> Vec<&[u8]> {
            units.iter().copied().filter(|unit| is_of_type(unit, kind)).collect()
        };
        let (sequence, pictures) = (of_type(SEQUENCE_PARAMETERS), of_type(PICTURE_PARAMETERS));
        let Some(&[_, profile, compatible, level]) =
            sequence.first().and_then(|unit| unit.first_chunk::<4>())
        else {
            return encoder.is_empty() && file.is_empty();
        };
        let count = |units: &[&[u8]], reserved: u8| reserved | u8::try_from(units.len()).unwrap_or(0);
        let mut record = vec![1, profile, compatible, level, 0xff, count(&sequence, 0xe0)];
        let put = |record: &mut Vec<u8>, units: &[&[u8]]| {
            for unit in units {
                record.extend(u16::try_from(unit.len()).unwrap_or(0).to_be_bytes());
                record.extend_from_slice(unit);
            }
        };
        put(&mut record, &sequence);
        record.push(count(&pictures, 0));
        put(&mut record, &pictures);
        file.strip_prefix(record.as_slice()).is_some_and(|rest| matches!(rest, [] | [_, _, _, 0]))
    }

    fn stream_headers_agree(&self, encoder: &[u8], gathered: &[u8]) -> bool {
        units(encoder) == units(gathered)
    }

    /// A transport stream has a delimiter before each picture (ISO/IEC 13818-1, 2.14.1).
    fn is_framed(&self, packet: &[u8], encoder: &[u8]) -> bool {
        FRAMING.holds(packet, self.is_keyframe(packet, Form::Stream), encoder)
    }

    fn is_keyframe(&self, packet: &[u8], form: Form) -> bool {
        units_of(packet, form).0.into_iter().any(|unit| is_of_type(unit, IDR_PICTURE))
    }

    /// A decoder can begin at a picture that needs none before it (IDR), or that says that it is a point to recover at (7.4.1,
    /// D.2.8).
    fn is_entry_point(&self, packet: &[u8]) -> bool {
        framed_units(packet).0.into_iter().any(|unit| match unit {
            [_, message, ..] if is_of_type(unit, ENHANCEMENT) => *message == RECOVERY_POINT,
            [_, _, ..] => is_of_type(unit, IDR_PICTURE),
            _ => false,
        })
    }

    /// Each unit, behind its length.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        each_unit(packet, form, FRAMING, give);
    }
}

impl VideoCodec for H264 {
    fn pixel_formats(&self) -> &'static [&'static str] {
        PIXEL_FORMATS
    }

    fn presets(&self) -> &'static [&'static str] {
        &[
            "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
            "placebo",
        ]
    }

    fn usual_preset(&self) -> &'static str {
        "medium"
    }

    /// 0 would be lossless, which is a profile of its own that few players have.
    fn quality(&self) -> Quality {
        Quality { best: 1.0, worst: 51.0, usual: 23.0, step: 0.0, halving: 5.5, bits: 0.08 }
    }

    fn holds_buffer(&self) -> bool {
        true
    }

    /// With one more for slow connections than codecs that need fewer bits.
    fn rungs(&self) -> &'static [i32] {
        &[4320, 2880, 2160, 1440, 1080, 720, 480, 360, 240]
    }

    fn version_text(&self) -> Option<(&'static str, &'static str)> {
        Some(("x264 - ", " - "))
    }

    fn fit(&self, settings: &mut VideoSettings) {
        // Laid down otherwise, rows of a field are none any more; and H.264 keeps fields of frames whose height is a multiple
        // of four in 4:2:0 (ITU-T H.264, 7.4.2.1.1). Those of other heights keep their pictures, as they are.
        if settings.rotation != 0 || settings.mirrored || settings.height % 4 != 0 {
            settings.field_order = 0;
        }
    }

    fn copy_refusal(&self, _: &VideoSettings, headers: &[u8]) -> Option<String> {
        let kind = |unit: &[u8]| unit.first().map(|byte| byte & 31);
        refusal(avc_record(headers), &[SEQUENCE_PARAMETERS, PICTURE_PARAMETERS], kind)
    }

    fn slices(&self) -> Option<ReadSlices> {
        Some(avc::read)
    }

    fn adds_headers(&self, headers: &[u8], packet: &[u8]) -> bool {
        let is_set =
            |unit: &[u8]| is_of_type(unit, SEQUENCE_PARAMETERS) || is_of_type(unit, PICTURE_PARAMETERS);
        has_more(avc_record(headers), packet, is_set)
    }

    fn splice(&self, settings: &VideoSettings, headers: &[u8]) -> Result<Splice, String> {
        splice::plan(settings, headers, (PIXEL_FORMATS, &light(settings)))
    }

    fn spliced_headers(&self, headers: &[u8], encoder: &[u8]) -> Option<Vec<u8>> {
        splice::headers(headers, encoder)
    }

    fn spliced_packet(&self, packet: &[u8], form: Form) -> Vec<u8> {
        splice::packet(packet, form)
    }

    fn replaces_headers(&self, encoder: &[u8], packet: &[u8], form: Form) -> bool {
        splice::replaces(encoder, packet, form)
    }

    /// Two for a core, or the cores idle while threads wait for each other's rows. On one core they would only hold pictures.
    fn encoder_threads(&self, cores: usize) -> usize {
        if cores <= 1 { 1 } else { cores * 2 }
    }

    /// Decoding is a small part of the work, and the encoder's threads go on meanwhile: a second thread pays where there are many cores.
    fn decoder_threads(&self, cores: usize) -> usize {
        cores.div_ceil(4).max(1)
    }

    /// Those of libx264.
    fn options(&self, settings: &VideoSettings) -> Vec<(&'static str, String)> {
        // `stitchable`: codec headers that depend on the settings alone, so that segments can be joined.
        // `sync-lookahead=0`: no pictures are held for a lookahead that runs by itself. What it gains in time, one
        // more thread gains too, for less memory; the stream is the same.
        // `zones`: an encoder's first picture is a keyframe like the others. x264 quantizes a keyframe by the P-frames before
        // it, finer by its `ipratio` (1.4), and the first, which has none before it, not so: each segment would begin with a
        // picture that is coarser than in one encode (measured: a tenth of the size, 0.7 of VMAF, in segments of 2 s).
        let fields = match settings.field_order {
            1 => ":tff=1",
            2 => ":bff=1",
            _ => "",
        };
        let area = i64::from(settings.width) * i64::from(settings.height);
        let light = light(settings);
        // Keyframes at the same times in several renditions: nowhere but where they are asked for.
        let keyframes = if settings.keyframe_grid.is_some() { ":keyint=infinite:scenecut=0" } else { "" };
        let lookahead = lookahead(area);
        let x264 =
            format!("stitchable=1:sync-lookahead=0:zones=0,0,b=1.4{lookahead}{fields}{light}{keyframes}");
        // A segment begins with its buffer full.
        let full = if settings.bit_rate.is_some_and(|rate| rate.segment_most > 0) { ":vbv-init=1" } else { "" };
        let mut options = vec![
            ("preset", settings.preset.clone()),
            ("crf", settings.crf.to_string()),
            // Where a range begins, decoding can begin, and nothing before it is referred to.
            ("forced-idr", "1".into()),
            ("x264-params", x264 + full),
        ];
        options.extend(buffer_options(settings));
        options
    }
}

/// What the encoder is told of light.
fn light(settings: &VideoSettings) -> String {
    let Some(light) = &settings.light else { return String::new() };
    let steps = |steps: i32| steps.to_string();
    let display = mastering(light, steps, steps).map(|display| format!(":mastering-display={display}"));
    let levels = levels(light).map(|levels| format!(":cll={levels}"));
    [display, levels].into_iter().flatten().collect()
}

/// Pictures that the encoder looks ahead at, as its parameter: as many as preset medium does, up to those of 4K; of larger ones,
/// whose memory they would fill, as many as have the pixels of those.
fn lookahead(area: i64) -> String {
    const MEDIUM: i64 = 40;
    const LARGE_PICTURE: i64 = 4096 * 2304;
    if area <= LARGE_PICTURE {
        return String::new();
    }
    format!(":rc-lookahead={}", (MEDIUM * LARGE_PICTURE / area).max(4))
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Light, Picture, Ratio};

    use super::*;
    use crate::ask::{PixelAsk, VideoAsk};

    #[test]
    fn headers_are_the_encoders_or_others() {
        let sps = [0x67, 100, 0, 31];
        let pps = [0x68, 9];
        let stream = [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1], &pps].concat();
        let file = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        let same = |file: &[u8]| H264.headers_agree(&stream, file);
        assert!(same(&file));
        assert!(same(&[&file[..], &[0xfd, 0xf8, 0xf8, 0]].concat()));
        assert!(!same(&file[..file.len() - 1]));
        assert!(!same(&[]));
        let more = [&[1, 100, 0, 31, 255, 225, 0, 4][..], &sps, &[2, 0, 2], &pps, &[0, 2], &pps].concat();
        assert!(!same(&more), "another unit that a decoder may take");
        let other = [&[1, 66, 0, 31, 255, 225, 0, 4][..], &sps, &[1, 0, 2], &pps].concat();
        assert!(!same(&other), "another profile");
    }

    #[test]
    fn a_packet_is_the_same_in_both_forms() {
        let stream = [0, 0, 0, 1, 9, 8, 0, 0, 1, 7];
        let file = [0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 7];
        let content = |packet: &[u8], form| {
            let mut all = Vec::new();
            H264.content(packet, form, &mut |bytes| all.extend_from_slice(bytes));
            all
        };
        let digest = |packet: &[u8]| content(packet, Form::File);
        assert_eq!(content(&stream, Form::Encoder), digest(&file));
        assert_ne!(digest(&[0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 6]), digest(&file), "another byte");
        assert_ne!(digest(&file[..10]), digest(&file), "a byte less");
        for behind in [&[0][..], &[0, 0, 0], &[0, 0, 0, 9, 1]] {
            assert_ne!(digest(&[&file[..], behind].concat()), digest(&file), "{behind:?} behind its units");
        }
    }

    #[test]
    fn a_packet_of_a_stream_has_a_delimiter_and_a_keyframe_all_headers_in_front() {
        let header = [0, 0, 0, 1, 0x67, 100, 0, 31, 0, 0, 0, 1, 0x68, 9];
        let picture = |kind: u8| vec![0, 0, 1, kind, 8, 0, 0, 1, kind, 7];
        let delimiter = [0, 0, 0, 1, 9, 0xf0];
        let of = |parts: &[&[u8]]| parts.concat();
        let key = of(&[&delimiter, &header, &picture(0x65)]);
        let other = of(&[&delimiter, &picture(0x41)]);
        assert!(H264.is_framed(&key, &header) && H264.is_framed(&other, &header));
        for wrong in [
            of(&[&delimiter, &picture(0x65)]),
            of(&[&delimiter, &header[..8], &picture(0x65)]),
            of(&[&delimiter, &header, &header, &picture(0x65)]),
            of(&[&delimiter, &header, &picture(0x41)]),
            of(&[&header, &picture(0x65)]),
            of(&[&delimiter, &delimiter, &picture(0x41)]),
            picture(0x41),
            Vec::new(),
        ] {
            assert!(!H264.is_framed(&wrong, &header), "{wrong:?}");
        }
        let content = |packet: &[u8], form| {
            let mut all = Vec::new();
            H264.content(packet, form, &mut |bytes| all.extend_from_slice(bytes));
            all
        };
        assert_eq!(content(&key, Form::Stream), content(&picture(0x65), Form::Encoder));
        assert_eq!(content(&other, Form::Stream), content(&picture(0x41), Form::Encoder));
        assert!(H264.is_keyframe(&key, Form::Stream) && !H264.is_keyframe(&other, Form::Stream));
        assert!(H264.stream_headers_agree(&header, &header) && !H264.stream_headers_agree(&header, &[]));
    }

    #[test]
    fn decoding_begins_at_an_idr_picture() {
        assert!(H264.is_keyframe(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1], Form::Encoder));
        assert!(!H264.is_keyframe(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 1], Form::Encoder));
        assert!(H264.is_keyframe(&[0, 0, 0, 2, 0x65, 1], Form::File));
        assert!(!H264.is_keyframe(&[0, 0, 0, 2, 0x41, 1], Form::File));
    }

    fn settings(picture: &Picture) -> VideoSettings {
        ENTRY.video_settings(picture, &VideoAsk::default()).unwrap()
    }

    fn source(pixel_format: &str, color: Color) -> Picture {
        let (frame_rate, time_base) = (Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        Picture {
            pixel_format: pixel_format.into(),
            color,
            field_order: 1,
            ..Picture::plain((1920, 1080), frame_rate, time_base)
        }
    }

    #[test]
    fn high_range_becomes_bt709_and_nothing_else_is_mapped() {
        let hdr = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let made = settings(&source("yuv420p10le", hdr));
        assert_eq!((made.color.primaries, made.color.transfer, made.color.matrix), (1, 1, 1));
        assert!(made.tone_map);
        assert_eq!(made.source_color, Some(hdr));
        let wide = Color { transfer: 14, ..hdr };
        let made = settings(&source("yuv420p10le", wide));
        assert_eq!((made.color, made.source_color, made.tone_map), (wide, None, false));
    }

    #[test]
    fn high_range_that_is_kept_needs_ten_bits_and_has_its_light() {
        let hdr = Color { primaries: 9, transfer: 18, matrix: 9, range: 1, chroma: 3 };
        let light = Light { mastering: Vec::new(), most: 1000, most_average: 400 };
        let source = Picture { light: Some(light.clone()), ..source("yuv420p10le", hdr) };
        let of = |pixel_format: Option<&str>| {
            let pixel_format = pixel_format.map(|name| PixelAsk::Named(name.into()));
            let ask = VideoAsk { keeps_range: true, pixel_format, ..VideoAsk::default() };
            ENTRY.video_settings(&source, &ask).unwrap()
        };
        let kept = of(None);
        assert_eq!((kept.color, kept.source_color, kept.tone_map), (hdr, None, false));
        assert_eq!((kept.pixel_format.as_str(), kept.light.as_ref()), ("yuv420p10le", Some(&light)));
        assert!(H264.options(&kept).pop().unwrap().1.ends_with(":cll=1000,400"));
        assert_eq!(ENTRY.refusal(&kept), None);
        let refused = ENTRY.refusal(&of(Some("yuv422p"))).unwrap();
        assert!(refused.contains("set pixel_format to yuv420p10le or yuv422p10le or yuv444p10le, or color to \"sdr\""), "{refused}");
        assert_eq!(ENTRY.refusal(&of(Some("yuv422p10le"))), None);
    }

    #[test]
    fn colour_of_the_standard_range_is_the_same_whether_high_range_is_kept_or_not() {
        for source in [source("yuv420p", BT709), source("yuv422p10le", BT709), source("gbrp", BT709)] {
            let ask = VideoAsk { keeps_range: true, ..VideoAsk::default() };
            assert_eq!(ENTRY.video_settings(&source, &ask), ENTRY.video_settings(&source, &VideoAsk::default()));
        }
    }

    #[test]
    fn the_pixel_format_of_the_source_is_kept_or_the_nearest() {
        let of = |name: &str, keeps_range, color| {
            let ask = VideoAsk { pixel_format: Some(PixelAsk::AsSource), keeps_range, ..VideoAsk::default() };
            ENTRY.video_settings(&source(name, color), &ask).unwrap().pixel_format
        };
        assert_eq!(of("yuv422p10le", false, BT709), "yuv422p10le");
        assert_eq!(of("yuvj420p", false, BT709), "yuv420p");
        assert_eq!(of("p010le", false, BT709), "yuv420p10le");
        let hlg = Color { transfer: 18, ..BT709 };
        assert_eq!(of("yuv420p", true, hlg), "yuv420p10le", "high range needs ten bits");
    }

    #[test]
    fn rgb_gets_the_matrix_of_its_size_and_keeps_its_curve() {
        let srgb = Color { primaries: 1, transfer: 13, matrix: 0, range: 2, chroma: 0 };
        let made = settings(&source("gbrp", srgb));
        assert_eq!(made.color, Color { primaries: 1, transfer: 13, matrix: 1, range: 1, chroma: 1 });
    }

    const BT709: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };

    #[test]
    fn fields_are_kept_where_h264_can_hold_them() {
        let fields = |height, rotation| {
            let source = Picture { height, rotation, ..source("yuv420p", BT709) };
            settings(&source).field_order
        };
        assert_eq!((fields(1080, 0), fields(486, 0), fields(1080, 90)), (1, 0, 0));
    }

    #[test]
    fn the_encoders_options_follow_from_the_settings_alone() {
        let options = |width, height, field_order| {
            let source = Picture { width, height, field_order, ..source("yuv420p", BT709) };
            H264.options(&settings(&source))
        };
        let joined = "stitchable=1:sync-lookahead=0:zones=0,0,b=1.4";
        let option = |key, value: &str| (key, value.to_owned());
        assert_eq!(
            options(1920, 1080, 0),
            [
                option("preset", "medium"),
                option("crf", "23"),
                option("forced-idr", "1"),
                option("x264-params", joined)
            ]
        );
        let x264 = |width, height, fields| options(width, height, fields).pop().map(|(_, value)| value);
        assert_eq!(x264(1920, 1080, 1), Some(format!("{joined}:tff=1")));
        assert_eq!(x264(1920, 1080, 2), Some(format!("{joined}:bff=1")));
        assert_eq!(x264(8192, 8192, 0), Some(format!("{joined}:rc-lookahead=5")));
    }

    #[test]
    fn decoding_can_also_begin_at_a_point_to_recover_at() {
        let entry = |unit: &[u8]| H264.is_entry_point(&[&[0, 0, 0, 2][..], unit].concat());
        assert!(entry(&[0x65, 1]) && entry(&[0x06, 6]));
        assert!(!entry(&[0x06, 5]) && !entry(&[0x41, 1]));
    }
}
