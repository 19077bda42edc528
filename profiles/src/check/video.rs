//! Checks what a profile says of pictures.

use millrace_formats::{Tables, codec::Quality};

use super::{
    bit_rates,
    codecs::{check_none, find_codec, hardware_refusal, names},
    copies,
};
use crate::{
    bounds::{FRAME_RATES, KEYFRAME_INTERVALS, LARGEST_SIDE, NONE},
    crop::Crop,
    geometry::SMALLEST_SIDE,
    problems::Problems,
    profile::Video,
    timing::FrameRate,
    wanted::AS_SOURCE,
    watermark::MOST_WATERMARKS,
};

/// Checks an encoding of one size.
pub(super) fn check_video(tables: &Tables, key: &str, asked: &Video, problems: &mut Problems) {
    let at = |name: &str| format!("{key}.{name}");
    if asked.codec == NONE {
        return check_none(key, asked, problems);
    }
    if copies::check(key, asked, (&asked.codec, asked.when_fits.as_deref()), problems) {
        return;
    }
    let found = find_codec(tables, &asked.codec).ok();
    let Some((codec, encoder)) = found.and_then(|(codec, encoder)| Some((codec.video()?, encoder))) else {
        let known = names(tables, |codec| codec.video().is_some());
        let no_codec = || format!("'{}' is no codec of video; known are {known}", asked.codec);
        problems.add(at("codec"), hardware_refusal(tables, &asked.codec).unwrap_or_else(no_codec));
        return;
    };
    bit_rates::check(tables, key, asked, codec, problems);
    let Quality { best, worst, .. } = codec.quality();
    problems.within(at("quality"), asked.quality, (best, worst), ", less is better");
    problems.one_of(at("preset"), asked.preset.as_ref(), codec.presets_of(encoder.unwrap_or_default()));
    let pixel_formats = [codec.pixel_formats(), &[AS_SOURCE]].concat();
    problems.one_of(at("pixel_format"), asked.pixel_format.as_ref(), &pixel_formats);
    let sides = [
        ("width", asked.width),
        ("height", asked.height),
        ("size", asked.size.map(|size| size.width)),
        ("size", asked.size.map(|size| size.height)),
    ];
    for (name, side) in sides {
        problems.within(at(name), side, (2, LARGEST_SIDE), " pixels");
    }
    if asked.size.is_some() && (asked.width.is_some() || asked.height.is_some()) {
        problems.add(at("size"), "set either size, or width and height");
    }
    let has_size = asked.size.is_some() || asked.pad.is_some();
    if asked.upscale && !has_size && asked.width.is_none() && asked.height.is_none() {
        problems.add(at("upscale"), "to what size? set size, width, height or pad");
    }
    let rate = asked.frame_rate.map(FrameRate::named);
    problems.within(at("frame_rate"), rate, FRAME_RATES, " pictures a second");
    check_geometry(&at, asked, problems);
    let interval = asked.keyframe_interval.map(|seconds| seconds.0);
    problems.within(at("keyframe_interval"), interval, KEYFRAME_INTERVALS, " seconds");
    if interval.is_some() && !codec.places_keyframes() {
        problems.add(
            at("keyframe_interval"),
            "the encoder of this codec places keyframes by itself; leave it out, or take another codec",
        );
    }
}

fn check_geometry(at: &impl Fn(&str) -> String, asked: &Video, problems: &mut Problems) {
    for (side, amount) in asked.crop.into_iter().flat_map(Crop::amounts) {
        let key = at(&format!("crop.{side}"));
        if amount % 2 != 0 {
            // A sample of chroma is two pixels wide and high.
            problems.add(key.clone(), format!("{amount} is odd; set {} or {}", amount - 1, amount + 1));
        }
        problems.within(key, Some(amount), (0, LARGEST_SIDE), " pixels");
    }
    if asked.watermark.len() > MOST_WATERMARKS {
        let count = asked.watermark.len();
        problems.add(at("watermark"), format!("{count} are too many: at most {MOST_WATERMARKS}"));
    }
    if let Some(subtitles) = &asked.subtitles {
        subtitles.check(&at("subtitles"), problems);
    }
    for (i, watermark) in asked.watermark.iter().enumerate() {
        watermark.check(&at(&format!("watermark[{i}]")), problems);
    }
    for side in asked.pad.into_iter().flat_map(|pad| [pad.width, pad.height]) {
        if side % 2 != 0 {
            problems.add(at("pad"), format!("{side} is odd; set even numbers"));
        }
        problems.within(at("pad"), Some(side), (SMALLEST_SIDE, LARGEST_SIDE), " pixels");
    }
}

/// Returns `true` if a name has 1 to 64 letters, digits, - and _.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}
