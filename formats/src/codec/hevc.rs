//! HEVC: a byte stream (ITU-T H.265, Annex B) from the encoder, units behind their lengths in files (ISO/IEC 14496-15, 8).

use std::borrow::Cow;

use millrace_schemas::VideoSettings;

use super::{Codec, Form, Kind, Quality, Seams, VideoCodec, buffer_options};
use crate::{
    bits::Bits,
    color::{levels, mastering},
    sets::{has_more, hevc_record, refusal},
    slices::{self, ReadSlices},
    units::{Framing, each_unit, framed_units, units, units_of},
};

pub(super) const ENTRY: &dyn Codec = &Hevc;

/// Types of units (ITU-T H.265, table 7-1): pictures at which decoding can begin, and among them those behind which nothing needs
/// what comes before; parameter sets.
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=21;
const IDR_PICTURES: std::ops::RangeInclusive<u8> = 19..=20;
const SEQUENCE_PARAMETERS: u8 = 33;
const PARAMETERS: std::ops::RangeInclusive<u8> = 32..=34;
const MESSAGE: u8 = 39;
/// Types of messages (D.2.1) that lie in headers: the display that pictures were mastered on, and their light levels.
const LIGHT: [u8; 2] = [137, 144];
const DELIMITER: u8 = 35;

const FRAMING: Framing = Framing {
    is_delimiter: |unit| unit_type(unit) == Some(DELIMITER),
    is_header: |unit| unit_type(unit).is_some_and(|kind| PARAMETERS.contains(&kind)),
};

/// The type of a unit of the base layer; `None` for another layer, and for what is no unit (7.3.1.2).
fn unit_type(unit: &[u8]) -> Option<u8> {
    match unit {
        [first, second, ..] if first & 0x81 == 0 && second >> 3 == 0 => Some(first >> 1),
        _ => None,
    }
}

/// Returns `true` if a unit of one of these types is among them.
fn holds(units: &[&[u8]], types: &std::ops::RangeInclusive<u8>) -> bool {
    units.iter().any(|unit| unit_type(unit).is_some_and(|kind| types.contains(&kind)))
}

/// HEVC.
#[derive(Debug)]
pub(crate) struct Hevc;

impl Codec for Hevc {
    fn name(&self) -> &'static str {
        "hevc"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&Hevc)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["libx265"]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    /// The encoder's headers are units of its byte stream; those of a file are an HEVCDecoderConfigurationRecord
    /// (ISO/IEC 14496-15, 8.3.3.1), which is compared byte for byte. Whether arrays are said to be complete is the muxer's choice.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        let units = units(encoder);
        [COMPLETE, 0].iter().any(|complete| record(&units, *complete).is_some_and(|record| record == file))
    }

    fn stream_headers_agree(&self, encoder: &[u8], gathered: &[u8]) -> bool {
        units(encoder) == units(gathered)
    }

    /// A transport stream has a delimiter before each picture (ISO/IEC 13818-1, 2.17.1).
    fn is_framed(&self, packet: &[u8], encoder: &[u8]) -> bool {
        FRAMING.holds(packet, self.is_keyframe(packet, Form::Stream), encoder)
    }

    fn is_keyframe(&self, packet: &[u8], form: Form) -> bool {
        holds(&units_of(packet, form).0, &IDR_PICTURES)
    }

    fn is_entry_point(&self, packet: &[u8]) -> bool {
        holds(&framed_units(packet).0, &RANDOM_ACCESS)
    }

    /// Parameter sets lie in the sample entry alone, which Apple's players need.
    fn tag(&self, muxer: &str) -> Option<[u8; 4]> {
        ["mp4", "mov"].contains(&muxer).then_some(*b"hvc1")
    }

    /// Each unit, behind its length.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        each_unit(packet, form, FRAMING, give);
    }
}

/// The bit of an array that says that no such unit is anywhere else (8.3.3.1.3).
const COMPLETE: u8 = 0x80;

/// Returns the record that files have of these headers: parameter sets, one array for each type, with this bit, and behind them messages
/// of light; `None` for any other headers.
fn record(units: &[&[u8]], complete: u8) -> Option<Vec<u8>> {
    let types: Vec<u8> = units.iter().map(|unit| unit_type(unit)).collect::<Option<_>>()?;
    // In the order of their types, as they follow from each other. Another unit is none that a decoder must have.
    let is_light = |unit: &&[u8]| unit.get(2).is_some_and(|kind| LIGHT.contains(kind));
    let mut known = units.iter().zip(&types).all(|(unit, kind)| PARAMETERS.contains(kind) || (*kind == MESSAGE && is_light(unit)));
    known &= types.is_sorted();
    if !known || PARAMETERS.into_iter().any(|kind| !types.contains(&kind)) {
        return None;
    }
    let mut record = vec![1];
    let at = types.iter().position(|kind| *kind == SEQUENCE_PARAMETERS)?;
    record.extend(summary(units.get(at)?)?);
    let has_messages = types.contains(&MESSAGE);
    record.push(u8::try_from(PARAMETERS.count()).ok()? + u8::from(has_messages));
    for kind in PARAMETERS.chain(has_messages.then_some(MESSAGE)) {
        let of_type = || units.iter().zip(&types).filter(|(_, other)| **other == kind).map(|(unit, _)| unit);
        // Messages may lie anywhere else, too.
        record.push(if kind == MESSAGE { kind } else { complete | kind });
        record.extend(u16::try_from(of_type().count()).ok()?.to_be_bytes());
        for unit in of_type() {
            record.extend(u16::try_from(unit.len()).ok()?.to_be_bytes());
            record.extend_from_slice(unit);
        }
    }
    Some(record)
}

/// Returns the fields of the record that repeat sequence parameters (7.3.2.2): profile, chroma format, depths and layers; `None`
/// where they can't be read.
fn summary(unit: &[u8]) -> Option<Vec<u8>> {
    let plain = without_escapes(unit.get(2..)?);
    let (first, rest) = plain.split_first()?;
    // Of more than one sub-layer, each may have a profile of its own.
    let (sub_layers, nested) = (first >> 1 & 7, first & 1);
    let profile = rest.get(..12).filter(|_| sub_layers == 0)?;
    let mut bits = Bits::new(rest.get(12..)?);
    let _id = bits.golomb()?;
    let chroma = bits.golomb().filter(|chroma| *chroma <= 3)?;
    if chroma == 3 && bits.flag()? {
        // Three planes that are coded each by itself, which no file here has.
        return None;
    }
    let (_width, _height) = (bits.golomb()?, bits.golomb()?);
    if bits.flag()? {
        for _side in 0..4 {
            bits.golomb()?;
        }
    }
    let depths = (bits.golomb().filter(|depth| *depth < 8)?, bits.golomb().filter(|depth| *depth < 8)?);
    let mut fields = profile.to_vec();
    // How a picture can be decoded in parallel, and the frame rate: unknown.
    fields.extend([0xf0, 0, 0xfc]);
    fields.extend([0xfc | chroma as u8, 0xf8 | depths.0 as u8, 0xf8 | depths.1 as u8]);
    fields.extend([0, 0]);
    // One sub-layer; lengths have four bytes.
    fields.push(1 << 3 | nested << 2 | 3);
    Some(fields)
}

/// Returns the bytes of a unit without those that keep it from looking like a start code (7.3.1.1).
fn without_escapes(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// What the encoder is told of light, and of where samples of chroma are. Of 8-bit 4:2:0 the place was never stated: headers of work
/// objects that are made already have none.
fn light(settings: &VideoSettings) -> String {
    let mut all = String::new();
    if let Some(light) = &settings.light {
        if let Some(display) = mastering(light, |point| point.to_string(), |luminance| luminance.to_string()) {
            all.push_str(&format!(":master-display={display}"));
        }
        if let Some(levels) = levels(light) {
            all.push_str(&format!(":max-cll={levels}"));
        }
    }
    // `chroma_sample_loc_type_top_field` (E.3.1) is libavutil's number less one.
    if settings.pixel_format == "yuv420p10le" && (1..=6).contains(&settings.color.chroma) {
        all.push_str(&format!(":chromaloc={}", settings.color.chroma - 1));
    }
    all
}

/// The smallest side of a picture that the encoder takes, in pixels: one coding tree unit.
const SMALLEST_SIDE: i32 = 16;

impl VideoCodec for Hevc {
    fn pixel_formats(&self) -> &'static [&'static str] {
        &["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le"]
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

    fn quality(&self) -> Quality {
        Quality { best: 0.0, worst: 51.0, usual: 28.0, step: 0.0, halving: 5.5, bits: 0.04 }
    }

    fn version_options(&self) -> Vec<(&'static str, String)> {
        vec![("x265-params", "log-level=none:pools=none:frame-threads=1:wpp=0".into())]
    }

    fn holds_buffer(&self) -> bool {
        true
    }

    fn version_text(&self) -> Option<(&'static str, &'static str)> {
        Some(("x265 ", " - H.265"))
    }

    /// Fields would be pictures of their own, two packets for each picture. Pictures of fields are kept as they are.
    fn fit(&self, settings: &mut VideoSettings) {
        settings.field_order = 0;
    }

    /// Those of libx265, for one thread.
    fn options(&self, settings: &VideoSettings) -> Vec<(&'static str, String)> {
        self.options_for(settings, 1)
    }

    fn options_for(&self, settings: &VideoSettings, threads: i32) -> Vec<(&'static str, String)> {
        // `open-gop=0`: no picture behind a keyframe needs one before it.
        // `repeat-headers=0:info=0`: headers are parameter sets alone, in front. The text of `info` would name the threads.
        // `wpp=1`, always, with a pool of at least one thread: it is stated in the headers.
        // `fps`: levels and rate control go by it. The clock that libavcodec takes in its place has far more ticks than pictures.
        // `frame-threads`: as many as 8 cores have by default, whatever the machine has; each holds pictures.
        let rate = settings.frame_rate;
        let (num, den) = if rate.num > 0 && rate.den > 0 { (rate.num, rate.den) } else { (25, 1) };
        let small = match settings.width.min(settings.height) {
            side if side < 32 => ":ctu=16",
            side if side < 64 => ":ctu=32",
            _ => "",
        };
        // Keyframes at the same times in several renditions: nowhere but where they are asked for.
        let keyframes = if settings.keyframe_grid.is_some() { ":keyint=-1:scenecut=0" } else { "" };
        let x265 = format!(
            "open-gop=0:repeat-headers=0:info=0:wpp=1:fps={num}/{den}:frame-threads=3{small}{}{keyframes}:log-level=warning:pools={}",
            light(settings),
            threads.max(1)
        );
        let full = if settings.bit_rate.is_some_and(|rate| rate.segment_most > 0) { ":vbv-init=1" } else { "" };
        let mut options = vec![
            ("preset", settings.preset.clone()),
            ("crf", settings.crf.to_string()),
            // Where a range begins, decoding can begin, and nothing before it is referred to.
            ("forced-idr", "1".into()),
            ("x265-params", x265 + full),
        ];
        options.extend(buffer_options(settings));
        options
    }

    /// Of pictures with light, libx265 repeats the parameter sets at each keyframe, whatever it is told. A file that is tagged `hvc1` has
    /// them in its sample entry alone (ISO/IEC 14496-15, 8.4.1.1).
    fn without_headers<'a>(&self, settings: &VideoSettings, packet: &'a [u8]) -> Cow<'a, [u8]> {
        let units = if settings.light.is_some() { units(packet) } else { Vec::new() };
        if !holds(&units, &PARAMETERS) {
            return Cow::Borrowed(packet);
        }
        let is_kept = |unit: &&&[u8]| !unit_type(unit).is_some_and(|kind| PARAMETERS.contains(&kind));
        let kept = units.iter().filter(is_kept).flat_map(|unit| [&[0, 0, 0, 1][..], *unit]);
        Cow::Owned(kept.flatten().copied().collect())
    }

    fn copy_refusal(&self, _: &VideoSettings, headers: &[u8]) -> Option<String> {
        refusal(hevc_record(headers), &PARAMETERS.collect::<Vec<_>>(), unit_type)
    }

    fn slices(&self) -> Option<ReadSlices> {
        Some(slices::hevc::read)
    }

    fn adds_headers(&self, headers: &[u8], packet: &[u8]) -> bool {
        has_more(hevc_record(headers), packet, |unit| {
            unit_type(unit).is_some_and(|kind| PARAMETERS.contains(&kind))
        })
    }

    fn refusal(&self, settings: &VideoSettings) -> Option<String> {
        let (width, height) = (settings.width, settings.height);
        (width.min(height) < SMALLEST_SIDE).then(|| {
            format!("pictures of {width}x{height} are too small for HEVC, whose encoder takes {SMALLEST_SIDE} pixels a side or more; ask for another codec")
        })
    }

    /// Twice as far as preset medium of x264 looks ahead, as slow presets do. Measured at 720p, preset medium: 280 MB in all.
    fn held_pictures(&self) -> u64 {
        100
    }

    /// Measured at 720p against x264's preset medium: 2.6 times the CPU time at medium, 19 times at slower.
    fn effort(&self) -> f64 {
        20.0
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Light, Picture, Ratio};

    use super::*;
    use crate::ask::VideoAsk;

    // Those of libx265 3.5 for 320x180.
    const VPS: &str = "40010c01ffff01600000030090000003000003003c959809";
    const SPS: &str =
        "42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300c840";
    const PPS: &str = "4401c172b46240";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn stream() -> Vec<u8> {
        [VPS, SPS, PPS].iter().flat_map(|unit| [&[0, 0, 0, 1][..], &bytes(unit)].concat()).collect()
    }

    /// What FFmpeg 5.1 writes of it.
    fn file() -> Vec<u8> {
        let head = "0101600000009000000000003cf000fcfdf8f800000f03";
        bytes(&format!("{head}a000010018{VPS}a10001002b{SPS}a200010007{PPS}"))
    }

    #[test]
    fn headers_are_the_encoders_or_others() {
        assert!(Hevc.headers_agree(&stream(), &file()));
        for at in 0..file().len() {
            let mut other = file();
            other[at] ^= 1;
            assert!(!Hevc.headers_agree(&stream(), &other), "another byte {at}");
        }
        assert!(!Hevc.headers_agree(&stream(), &file()[..file().len() - 1]));
        assert!(!Hevc.headers_agree(&stream(), &[&file()[..], &[0]].concat()));
        assert!(!Hevc.headers_agree(&[], &[]) && !Hevc.headers_agree(&stream(), &[]));
        let message = [&stream()[..], &[0, 0, 0, 1, 0x4e, 1, 5, 1, 0x80]].concat();
        assert!(!Hevc.headers_agree(&message, &file()), "a unit that a decoder may take");
    }

    /// Headers of libx265 3.5 with messages of light, and the record that FFmpeg 5.1 writes of them.
    #[test]
    fn messages_of_light_lie_behind_the_parameters_and_no_others() {
        let vps = "40010c01ffff02200000030090000003000003003c959409";
        let sps = "42010102200000030090000003000003003ca00a080c1f3b6595952930bc05a848804820000003002000000303 21".replace(' ', "");
        let pps = "4401c073c18927";
        let levels = "4e01900403e8019080";
        let display = "4e01891833c286c41d4c0bb884d03e803d13404200989680000003003280";
        let stream = |units: &[&str]| -> Vec<u8> {
            units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], &bytes(unit)].concat()).collect()
        };
        let all = stream(&[vps, &sps, pps, levels, display]);
        let head = "0102200000009000000000003cf000fcfdfafa00000f04";
        let messages = format!("2700020009{levels}001e{display}");
        let file = bytes(&format!("{head}a000010018{vps}a10001002e{sps}a200010007{pps}{messages}"));
        assert!(Hevc.headers_agree(&all, &file));
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 1;
            assert!(!Hevc.headers_agree(&all, &other), "another byte {at}");
        }
        assert!(!Hevc.headers_agree(&stream(&[vps, &sps, pps, levels]), &file), "one message less");
        assert!(!Hevc.headers_agree(&stream(&[vps, &sps, pps]), &file));
    }

    #[test]
    fn parameter_sets_are_left_out_of_packets_of_pictures_with_light() {
        let plain = Picture::plain((1280, 720), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 90_000 });
        let settings = ENTRY.video_settings(&plain, &VideoAsk::default()).unwrap();
        let lit = VideoSettings { light: Some(Light::default()), ..settings.clone() };
        let message = [0, 0, 0, 1, 0x4e, 1, 144, 4, 3, 0xe8, 1, 0x90, 0x80];
        let picture = [0, 0, 0, 1, 19 << 1, 1, 0x80];
        let packet = [&stream()[..], &message, &picture].concat();
        assert_eq!(*Hevc.without_headers(&lit, &packet), [&message[..], &picture].concat());
        assert_eq!(*Hevc.without_headers(&settings, &packet), packet);
        assert!(matches!(Hevc.without_headers(&lit, &picture), Cow::Borrowed(_)));
    }

    #[test]
    fn the_encoder_is_told_of_light() {
        let light = Light { mastering: vec![34_000, 16_000, 13_250, 34_500, 7500, 3000, 15_635, 16_450, 10_000_000, 50], most: 1000, most_average: 400 };
        let color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let rate = Ratio { num: 25, den: 1 };
        let plain = Picture::plain((1280, 720), rate, Ratio { num: 1, den: 90_000 });
        let source = Picture { color, light: Some(light), pixel_format: "yuv420p10le".into(), ..plain.clone() };
        let ask = VideoAsk { keeps_range: true, ..VideoAsk::default() };
        let options = |source: &Picture| Hevc.options_for(&ENTRY.video_settings(source, &ask).unwrap(), 1).pop().unwrap().1;
        let kept = options(&source);
        let told = ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400:chromaloc=2:";
        assert!(kept.contains(told), "{kept}");
        let standard = options(&Picture { light: source.light.clone(), ..plain });
        assert!(!standard.contains("master") && !standard.contains("chromaloc"), "{standard}");
    }

    #[test]
    fn decoding_begins_at_an_idr_picture_and_can_begin_at_each_random_access_point() {
        let framed = |kind: u8| [0, 0, 0, 3, kind << 1, 1, 0x80];
        let is_key = |kind| Hevc.is_keyframe(&framed(kind), Form::File);
        assert!(is_key(19) && is_key(20) && !is_key(21) && !is_key(1));
        assert!(Hevc.is_keyframe(&[0, 0, 1, 19 << 1, 1, 0x80], Form::Encoder));
        assert!(!Hevc.is_keyframe(&[0, 0, 0, 3, 19 << 1, 9, 0x80], Form::File), "another layer");
        let is_entry = |kind| Hevc.is_entry_point(&framed(kind));
        assert!(is_entry(21) && is_entry(16) && is_entry(20) && !is_entry(1) && !is_entry(33));
    }

    #[test]
    fn a_packet_of_a_stream_has_a_delimiter_and_a_keyframe_all_headers_in_front() {
        let unit = |kind: u8| vec![0, 0, 0, 1, kind << 1, 1, 0x80];
        let header = [unit(32), unit(33), unit(34)].concat();
        let key = [unit(35), header.clone(), unit(19)].concat();
        let other = [unit(35), unit(1)].concat();
        assert!(Hevc.is_framed(&key, &header) && Hevc.is_framed(&other, &header));
        for wrong in [
            [unit(35), unit(19)].concat(),
            [unit(35), unit(33), unit(34), unit(19)].concat(),
            [header.clone(), unit(19)].concat(),
            [unit(35), header.clone(), unit(1)].concat(),
            unit(1),
        ] {
            assert!(!Hevc.is_framed(&wrong, &header), "{wrong:?}");
        }
        let content = |packet: &[u8], form| {
            let mut all = Vec::new();
            Hevc.content(packet, form, &mut |bytes| all.extend_from_slice(bytes));
            all
        };
        assert_eq!(content(&key, Form::Stream), content(&unit(19), Form::Encoder));
        assert!(Hevc.stream_headers_agree(&header, &header) && !Hevc.stream_headers_agree(&header, &unit(32)));
    }

    #[test]
    fn the_encoders_options_follow_from_the_settings_and_the_pool_alone_from_the_threads() {
        let options = |size, threads| {
            let source = Picture::plain(size, Ratio { num: 30_000, den: 1001 }, Ratio { num: 1, den: 90_000 });
            let settings = ENTRY.video_settings(&source, &VideoAsk::default()).unwrap();
            Hevc.options_for(&settings, threads).pop().unwrap().1
        };
        let one = options((1280, 720), 1);
        assert!(one.contains(":fps=30000/1001:") && one.ends_with(":pools=1") && !one.contains("ctu"), "{one}");
        assert_eq!(options((1280, 720), 8), one.replace("pools=1", "pools=8"));
        assert!(options((64, 48), 1).contains(":ctu=32:") && options((16, 16), 1).contains(":ctu=16:"));
    }
}
